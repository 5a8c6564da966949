import { useSyncExternalStore } from "react";

/** One value that screens can watch. */
export interface Atom<T> {
  get(): T;
  set(v: T): void;
  subscribe(f: () => void): () => void;
}

export function atom<T>(initial: T): Atom<T> {
  let value = initial;
  const watchers = new Set<() => void>();
  return {
    get: () => value,
    set: (v) => {
      if (Object.is(v, value)) return;
      value = v;
      for (const f of [...watchers]) f();
    },
    subscribe: (f) => {
      watchers.add(f);
      return () => watchers.delete(f);
    },
  };
}

export const useAtom = <T>(a: Atom<T>): T => useSyncExternalStore(a.subscribe, a.get);

/** A value kept in this browser. Storage that is full or forbidden only loses the memory. */
export function remembered<T>(key: string, initial: T, valid: (v: unknown) => v is T): Atom<T> {
  let start = initial;
  try {
    const v: unknown = JSON.parse(localStorage.getItem(`dockreeve.${key}`) ?? "null");
    if (valid(v)) start = v;
  } catch {
    /* unreadable: start afresh */
  }
  const a = atom(start);
  a.subscribe(() => {
    try {
      localStorage.setItem(`dockreeve.${key}`, JSON.stringify(a.get()));
    } catch {
      /* not kept, and nothing else depends on it */
    }
  });
  return a;
}
