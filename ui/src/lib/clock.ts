import { useSyncExternalStore } from "react";
import { skew } from "../api/live";

// One tick a second for every relative time on the screen; none while nobody looks.
let now = Date.now();
const watchers = new Set<() => void>();
let timer = 0;

function subscribe(f: () => void): () => void {
  watchers.add(f);
  if (!timer) now = Date.now();
  timer ||= window.setInterval(() => {
    if (document.hidden) return;
    now = Date.now();
    for (const w of [...watchers]) w();
  }, 1000);
  return () => {
    watchers.delete(f);
    if (watchers.size === 0) {
      clearInterval(timer);
      timer = 0;
    }
  };
}

/** The server's time in milliseconds, re-read every second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now) + skew.get();
}

/** A text that changes with time; the component draws again only when the text does. */
export function useText(f: (now: number) => string): string {
  return useSyncExternalStore(subscribe, () => f(now + skew.get()));
}
