// What the honesty bar says. Green only if everything it claims is true; the
// first thing that is not gives the bar its sentence.
import type { AdvisoryStatus, ClusterRow, GetStatusResponse } from "../gen/dockreeve/v1/dockreeve_pb";
import type { Evaluation } from "../gen/govern";
import type { Link } from "../api/live";
import { clusterReasons } from "../lib/cluster";
import { advised } from "../lib/image";
import { ago, duration, ms, plural } from "../lib/time";

/** Without an event for this long the bar is amber: even a quiet machine starts processes. */
export const QUIET = 5 * 60_000;

/** The nodes: a cluster agent reports its status beside them, as cluster/<name>. */
export const machines = (s: GetStatusResponse) => s.nodes.filter((n) => !n.name.startsWith("cluster/"));

export interface Honesty {
  level: "good" | "warn" | "bad" | "unknown";
  headline: string;
  reasons: string[]; // everything that keeps it from green, worst first
}

export function assess(s: GetStatusResponse | null, link: Link, now: number, advisories: AdvisoryStatus | null = null, clusters: readonly ClusterRow[] = []): Honesty {
  const reasons: string[] = [];
  let level: Honesty["level"] = "good";
  const say = (l: "warn" | "bad", text: string) => {
    if (l === "bad" || level === "good") level = l;
    if (l === "bad") reasons.unshift(text);
    else reasons.push(text);
  };
  if (!s) return { level: link.state === "lost" ? "bad" : "unknown", headline: link.state === "lost" ? "Connection lost" : "Asking the server what is watched", reasons: [] };
  const w = s.watched;
  const nodes = machines(s);
  const up = nodes.filter((n) => n.reporting);
  if (nodes.length > up.length) say("warn", `${nodes.length - up.length} of ${plural(nodes.length, "node")} not reporting`);
  for (const n of up) if (n.notAssessed) say("warn", `kernel not watched on ${n.name}`);
  const replay = nodes.filter((n) => n.mode === "replay");
  if (replay.length) say("warn", replay.length === nodes.length ? "replaying a recording, not watching live" : `${replay.length} of ${plural(nodes.length, "node")} replay a recording`);
  if (w && w.lastEvent > 0n && now - ms(w.lastEvent) > QUIET) say("warn", `no event for ${duration(now - ms(w.lastEvent))}`);
  if (w && w.eventsLost > 0n) say("warn", `${plural(w.eventsLost, "event")} lost in 24 h`);
  if (s.rulesNotAssessed > 0) say("warn", `${plural(s.rulesNotAssessed, "rule")} not assessed`);
  // What clusterReasons says of a cluster in its own words is not counted twice.
  const theirs = new Set(clusters.flatMap((c) => ["kernels of", "API server of", "what changes in", "what goes on in"].map((w) => `${w} ${c.name}`)));
  for (const g of s.notAssessed) if (!theirs.has(g.what)) say("warn", `${g.what} not assessed`);
  // The server names some of this as a gap of its own; what it names is not counted twice.
  const fresh = advised(advisories, now);
  if (fresh.level === "warn" && !s.notAssessed.some((g) => /advisor/i.test(g.what))) say("warn", `advisories ${fresh.short}${fresh.short === "missing" ? "" : `: ${fresh.why}`}`);
  for (const r of clusterReasons(clusters, now)) if (!reasons.includes(r)) say("warn", r);
  if (s.rulesWatching === 0) say("bad", "no rule is watching");
  if (!w || w.since === 0n) say("bad", "nothing is watched");
  if (link.state === "lost") say("bad", `connection lost ${ago(link.since, Date.now())} ago`.replace("now ago", "just now"));
  const first = reasons[0];
  if (!first) return { level, headline: "Everything that is watched is assessed", reasons };
  // The count stands first: a narrow bar cuts the end.
  const headline = (level as Honesty["level"]) === "warn" && reasons.length > 1 ? `${reasons.length} gaps: ${first}` : first[0]!.toUpperCase() + first.slice(1);
  return { level, headline, reasons };
}

/** What the bar says over governance: what is not covered comes before what sensors miss, which stays among the reasons. */
export function over(read: Evaluation | null, a: Honesty): Honesty {
  const any = read?.coverage.any;
  if (!read || !any || a.level === "unknown" || a.headline.startsWith("Connection lost")) return a;
  const open = any.of - any.n;
  const first = any.notAssessed ? `coverage is not assessed: ${any.notAssessed}` : open > 0 ? `${open} of ${plural(any.of, "cluster")} not protected` : "";
  const sensors = a.level === "good" ? [] : a.reasons.map((r) => (r === "nothing is watched" ? "no sensor of Dockreeve reports: nothing is watched live" : r));
  const gaps = read.gaps?.length ? [`${plural(read.gaps.length, "gap")} in what was read of the cloud`] : [];
  const reasons = [...(first ? [first] : []), ...gaps, ...sensors];
  const head = reasons[0];
  if (!head) return { level: "good", headline: "All clusters are protected, and all was read", reasons };
  return { level: "warn", headline: head[0]!.toUpperCase() + head.slice(1), reasons };
}

/** The denominator sentence: "watching 1 node, 12 containers for 3 h 12 m". */
export function watching(s: GetStatusResponse | null, now: number): string {
  if (!s) return "";
  const w = s.watched;
  if (!w || w.since === 0n) return `nothing is watched: ${w?.notAssessed || "no node reports"}`;
  const seen = machines(s).filter((n) => n.reporting && !n.notAssessed);
  const containers = seen.reduce((n, x) => n + x.containers, 0n);
  const live = seen.length > 0 && seen.every((n) => n.mode === "replay") ? "replaying" : "watching";
  return `${live} ${plural(seen.length, "node")}, ${plural(containers, "container")} for ${duration(now - ms(w.since))}`;
}
