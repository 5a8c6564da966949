import { useSyncExternalStore } from "react";

// The address bar is the state: screens read it, and change it through go.
const watchers = new Set<() => void>();
const tell = () => {
  for (const f of [...watchers]) f();
};
addEventListener("popstate", tell);

export function go(to: string, replace = false): void {
  if (to === location.pathname + location.search) return;
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  tell();
}

const subscribe = (f: () => void) => {
  watchers.add(f);
  return () => watchers.delete(f);
};

/** Path and search part of the address, as one string. */
export const useAddress = (): string => useSyncExternalStore(subscribe, () => location.pathname + location.search);
