import { atom } from "../lib/atom";

export interface CommandItem {
  name: string;
  hint?: string; // key
  run: () => void;
}

/** Commands the screen now open adds to the search box. */
export const screenCommands = atom<readonly CommandItem[]>([]);

/** Which of the shell's windows is open. */
export const opened = atom<"search" | "help" | null>(null);

/** Whether a key press belongs to a field or window and not to a screen. */
export function typing(e: KeyboardEvent): boolean {
  const t = e.target as HTMLElement;
  return e.defaultPrevented || e.isComposing || t.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName) && (t as HTMLInputElement).type !== "checkbox" || document.querySelector("dialog[open], .menu") !== null;
}
