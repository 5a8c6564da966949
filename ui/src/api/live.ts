// The change stream: one for the whole console. It resumes where it stopped,
// retries with backoff, and tells screens which ids to fetch again.
import { atom } from "../lib/atom";
import { backoff } from "../lib/backoff";
import { ms } from "../lib/time";
import type { AdvisoryStatus, ClusterRow, GetStatusResponse } from "../gen/dockreeve/v1/dockreeve_pb";
import { aborted, changes, clusters, images, sentence, signedIn, status } from "./client";

export type Link =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "lost"; since: number; why: string; retryAt: number };

export const link = atom<Link>({ state: "connecting" });

/** What the server last said about itself, and when that was (this machine's clock). */
export const health = atom<{ status: GetStatusResponse; at: number } | null>(null);

/** What the server last said about its advisories; null until it has. */
export const advisories = atom<AdvisoryStatus | null>(null);

/** The clusters that the server knows; null until it has said. Their cover is told beside every count of what they hold. */
export const known = atom<readonly ClusterRow[] | null>(null);

/** Server clock minus this clock, in milliseconds: ages are told by the server's. */
export const skew = atom(0);

export interface Told {
  ids: ReadonlySet<string>; // what changed
  many: boolean; // something that was not named changed too: anything may have
  reset: boolean; // too much was missed: fetch everything again
}
const listeners = new Set<{ kinds: ReadonlySet<string>; f: (t: Told) => void }>();

/** Calls f when something of one of these kinds changed, or may have while the stream was away. */
export function onChange(kinds: readonly string[], f: (t: Told) => void): () => void {
  const l = { kinds: new Set(kinds), f };
  listeners.add(l);
  return () => listeners.delete(l);
}

function tell(all: ReadonlyArray<{ kind: string; id: string }>, reset: boolean, first: boolean): void {
  for (const l of [...listeners]) {
    const mine = all.filter((c) => l.kinds.has(c.kind));
    if (mine.length || reset || first) l.f({ ids: new Set(mine.filter((c) => c.id && c.kind !== "advisories").map((c) => c.id)), many: mine.some((c) => !c.id || c.kind === "advisories"), reset });
  }
}

const POLL = 10_000;
const POLL_ADVISORIES = 60_000;
const POLL_CLUSTERS = 30_000;
let seq = 0n;
let running = false;
let soon = 0;
let wake: (() => void) | null = null;

/** Ends the wait before the next try. */
export const retryNow = () => wake?.();

export async function refreshStatus(): Promise<void> {
  const res = await status.getStatus({}, { timeoutMs: 8000 });
  skew.set(ms(res.now) - Date.now());
  health.set({ status: res, at: Date.now() });
}

/** Their age is told beside every count of images; a server that keeps none says so itself. */
export async function refreshAdvisories(): Promise<void> {
  const res = await images.getAdvisoryStatus({}, { timeoutMs: 8000 });
  advisories.set(res.status ?? null);
}

export async function refreshClusters(): Promise<void> {
  const res = await clusters.listClusters({ pageSize: 200 }, { timeoutMs: 8000 });
  known.set(res.clusters);
}

/** The same, at most every two seconds: an inventory changes all the time. */
function clustersSoon(): void {
  soon ||= window.setTimeout(() => {
    soon = 0;
    refreshClusters().catch(() => undefined);
  }, 2000);
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
    const slow = setInterval(() => { refreshAdvisories().catch(() => undefined); }, POLL_ADVISORIES);
    const middle = setInterval(() => { refreshClusters().catch(() => undefined); }, POLL_CLUSTERS);
    try {
      await refreshStatus();
      refreshAdvisories().catch(() => undefined);
      refreshClusters().catch(() => undefined);
      for await (const m of changes.watch({ sinceSeq: seq }, { signal: stop.signal })) {
        const first = link.get().state !== "live";
        tries = 0;
        lostAt = 0;
        link.set({ state: "live" });
        seq = m.seq > seq ? m.seq : seq;
        if (m.changes.some((c) => c.kind === "status")) refreshStatus().catch(() => undefined);
        if (m.reset || m.changes.some((c) => c.kind === "advisories")) refreshAdvisories().catch(() => undefined);
        if (m.reset || m.changes.some((c) => c.kind === "cluster")) clustersSoon();
        tell(m.changes, m.reset, first);
      }
    } catch (err) {
      if (!aborted(err)) why = sentence(err);
    } finally {
      clearInterval(poll);
      clearInterval(slow);
      clearInterval(middle);
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
