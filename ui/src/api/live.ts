// The change stream: one for the whole console. It resumes where it stopped,
// retries with backoff, and tells screens which ids to fetch again.
import { atom } from "../lib/atom";
import { backoff } from "../lib/backoff";
import { ms } from "../lib/time";
import type { GetStatusResponse } from "../gen/dockreeve/v1/dockreeve_pb";
import { aborted, changes, sentence, signedIn, status } from "./client";

export type Link =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "lost"; since: number; why: string; retryAt: number };

export const link = atom<Link>({ state: "connecting" });

/** What the server last said about itself, and when that was (this machine's clock). */
export const health = atom<{ status: GetStatusResponse; at: number } | null>(null);

/** Server clock minus this clock, in milliseconds: ages are told by the server's. */
export const skew = atom(0);

export interface Told {
  ids: ReadonlySet<string>; // alerts that changed
  reset: boolean; // too much was missed: fetch everything again
}
const listeners = new Set<(t: Told) => void>();
export function onChange(f: (t: Told) => void): () => void {
  listeners.add(f);
  return () => listeners.delete(f);
}

const POLL = 10_000;
let seq = 0n;
let running = false;
let wake: (() => void) | null = null;

/** Ends the wait before the next try. */
export const retryNow = () => wake?.();

export async function refreshStatus(): Promise<void> {
  const res = await status.getStatus({}, { timeoutMs: 8000 });
  skew.set(ms(res.now) - Date.now());
  health.set({ status: res, at: Date.now() });
}

/** Runs until the browser is signed out. */
export async function run(): Promise<void> {
  if (running) return;
  running = true;
  let tries = 0;
  let lostAt = 0;
  while (signedIn.get()) {
    const stop = new AbortController();
    let why = "The server closed the stream.";
    const poll = setInterval(() => {
      refreshStatus().catch((err) => {
        why = sentence(err);
        stop.abort();
      });
    }, POLL);
    try {
      await refreshStatus();
      for await (const m of changes.watch({ sinceSeq: seq }, { signal: stop.signal })) {
        const first = link.get().state !== "live";
        tries = 0;
        lostAt = 0;
        link.set({ state: "live" });
        seq = m.seq > seq ? m.seq : seq;
        const ids = new Set(m.changes.filter((c) => c.kind === "alert" && c.id).map((c) => c.id));
        if (m.changes.some((c) => c.kind !== "alert")) refreshStatus().catch(() => undefined);
        if (ids.size || m.reset || m.changes.some((c) => c.kind === "alert")) for (const f of [...listeners]) f({ ids, reset: m.reset });
        else if (first) for (const f of [...listeners]) f({ ids, reset: false });
      }
    } catch (err) {
      if (!aborted(err)) why = sentence(err);
    } finally {
      clearInterval(poll);
      stop.abort();
    }
    if (!signedIn.get()) break;
    lostAt ||= Date.now();
    const wait = backoff(tries++);
    link.set({ state: "lost", since: lostAt, why, retryAt: Date.now() + wait });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wait);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    wake = null;
  }
  running = false;
}
