// `npm run dev`: the mock server and Vite's development server, together.
import { spawn } from "node:child_process";
import { startMock } from "./mock.mjs";

const mock = await startMock({ port: 7301, rate: Number(process.env.RATE ?? 5) });
console.log(`API: ${mock.url}. Sign in at http://127.0.0.1:7300/login?token=mock-token`);
spawn("npx", ["vite"], { stdio: "inherit" }).on("exit", (code) => process.exit(code ?? 0));
