import { remembered } from "../lib/atom";

export type Theme = "system" | "light" | "dark";

/** The reader's choice; "system" follows the machine. */
export const theme = remembered<Theme>("theme", "system", (v): v is Theme => v === "system" || v === "light" || v === "dark");

const apply = () => {
  if (theme.get() === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.get();
};
apply();
theme.subscribe(apply);
