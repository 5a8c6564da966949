import { createRoot } from "react-dom/client";
import { App } from "./shell/App";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/alerts.css";
import "./styles/alert.css";
import "./styles/images.css";
import "./styles/cluster.css";
import "./styles/govern.css";

createRoot(document.getElementById("root")!).render(<App />);
