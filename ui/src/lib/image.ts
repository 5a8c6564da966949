// What screens say about images and vulnerabilities, in words. Nothing here draws.
import type { AdvisoryStatus, GetImageResponse, Image, ImageVulnerability, Use } from "../gen/dockreeve/v1/dockreeve_pb";
import { ago, duration, ms, num, plural } from "./time";

/** "4f2a91c0e3b1" of "sha256:4f2a91c0e3b1…"; anything that is no digest stays whole. */
export const shortDigest = (key: string): string => /^[a-z0-9]+:([0-9a-f]{12})[0-9a-f]{20,}$/.exec(key)?.[1] ?? key;

/** An image as it is written, with a digest in it cut: "registry.example/web@sha256:4f2a90c1b2d3". */
export const shortImage = (s: string): string => shortDigest(s).replace(/@([a-z0-9]+):([0-9a-f]{12})[0-9a-f]{20,}$/, "@$1:$2");

/** What to call an image: the newest name it was seen under, else the start of its digest. */
export const imageName = (i: Pick<Image, "name" | "key">): string => shortDigest(i.name || i.key);

/** Bytes with a unit, three digits at most: "74.2 MB". */
export function bytes(n: bigint): string {
  let v = Number(n);
  const units = ["B", "kB", "MB", "GB", "TB"];
  let u = 0;
  while (v >= 999.5 && u < units.length - 1) { v /= 1000; u++; }
  return `${u > 0 && v < 9.995 ? v.toFixed(2) : u > 0 && v < 99.95 ? v.toFixed(1) : Math.round(v)} ${units[u]}`;
}

/** A distribution as short as it stays known: "Debian 12" of "Debian GNU/Linux 12 (bookworm)". */
export const shortDistro = (d: string): string => d.replace(/ GNU\/Linux/, "").replace(/ \([^()]*\)$/, "").replace(/^Red Hat Enterprise Linux/, "RHEL").replace(/ Linux(?= v?\d)/, "");

const since = (at: bigint, now: number) => duration(Math.max(60_000, Math.floor((now - ms(at)) / 60_000) * 60_000));

/** Whether something was seen loaded. What was never watched is said so, and is not "not used". */
export function useSays(u: Use | undefined, now: number): string {
  if (u?.state === "loaded") {
    const t = u.last > 0n ? ago(ms(u.last), now) : "";
    return `loaded${t ? ` ${t === "now" ? "just now" : `${t} ago`}` : ""}${u.path ? `: ${u.path}` : ""}`;
  }
  if (u?.state === "not-seen") return u.since > 0n ? `not seen loaded in ${since(u.since, now)} of watching` : "not seen loaded";
  return `use not assessed: ${u?.reason || "not running where this server watches"}`;
}

/** The same in two words, for a cell. */
export const useWord = (u: Use | undefined): string => (u?.state === "loaded" ? "loaded" : u?.state === "not-seen" ? "not seen" : "not assessed");

/** What can be done about a vulnerability of a package. */
export function fixSays(v: Pick<ImageVulnerability, "fixedIn" | "status">): string {
  if (v.fixedIn) return v.fixedIn;
  switch (v.status) {
    case "unfixed": return "no fix yet";
    case "wont-fix": return "will not be fixed";
    case "deferred": return "fix deferred";
    case "end-of-life": return "end of life: none will come";
    case "under-review": return "under review";
    case "fixed": return "fixed, version not told";
    default: return v.status || "not assessed";
  }
}

/** "12 %", "0.4 %", "< 0.1 %". */
export function percent(p: number): string {
  const v = p * 100;
  return v > 0 && v < 0.1 ? "< 0.1 %" : v >= 10 || Number.isInteger(v) ? `${Math.round(v)} %` : `${v.toFixed(1)} %`;
}

/** Why something ranks where it does: the parts of its rank, the heaviest first. */
export function whyRank(v: Pick<ImageVulnerability, "kev" | "epss" | "severity" | "cvss" | "vector" | "fixedIn" | "status" | "use">): string[] {
  const out: string[] = [];
  if (v.kev) out.push(`known to be exploited${v.kev.ransomware ? ", by ransomware too" : ""}`);
  out.push(v.epss === undefined ? "no score of how likely exploitation is" : `${percent(v.epss)} likely to be exploited within 30 days`);
  out.push(v.severity === 0 ? "nobody has rated it, which counts as nearly medium" : `rated ${["", "informational", "low", "medium", "high", "critical"][v.severity]}`);
  if (v.vector) out.push(`CVSS ${v.cvss.toFixed(1)}`);
  if (v.fixedIn) out.push("a fixed version can be had");
  if (v.use?.state === "loaded") out.push("its package is loaded");
  else if (v.use?.state === "not-seen") out.push("its package was watched and not seen loaded, which counts for nothing more");
  else out.push("whether it is loaded is not known, which counts half");
  return out;
}

const list = (all: readonly string[], most: number): string =>
  all.length <= most ? (all.length > 1 ? `${all.slice(0, -1).join(", ")} and ${all.at(-1)}` : all[0] ?? "") : `${all.slice(0, most).join(", ")} and ${num(all.length - most)} more`;

/** Where an image runs, as part of a sentence. */
export function runsSays(i: Image, running: GetImageResponse["running"]): string {
  const now = running.filter((r) => r.until === 0n);
  if (i.running === 0n && now.length === 0) return running.length > 0 ? "Ran before, and no longer does" : "Not seen running";
  const nodes = new Set(now.map((r) => r.node).filter(Boolean));
  const names = [...new Set(i.workloads.length ? i.workloads : now.map((r) => r.workload || r.name))].filter(Boolean);
  return `Runs ${names.length ? `as ${list(names, 2)}` : `in ${plural(i.running, "container")}`}${nodes.size ? ` on ${plural(nodes.size, "node")}` : ""}`;
}

/** One image in a sentence that a manager understands. exploitedInUse is null where that was not asked or not watched. */
export function imageSays(r: GetImageResponse, exploitedInUse: bigint | null): string {
  const i = r.image!;
  const c = i.counts;
  const parts = [runsSays(i, r.running)];
  if (i.notAssessed) return `${parts[0]}; not assessed: ${i.notAssessed}`;
  if (!c || c.total === 0n) parts.push(`no vulnerability is known in its ${plural(i.packages, "package")}${i.gaps > 0 ? `, and ${plural(i.gaps, "part")} of it could not be assessed` : ""}`);
  else if (c.kev > 0n) {
    let s = `${plural(c.kev, "vulnerability", "vulnerabilities")} known to be exploited`;
    if (exploitedInUse !== null) s += exploitedInUse === 0n ? ", none seen in a package that is loaded" : c.kev === 1n ? ", in a package that is loaded" : `, ${exploitedInUse === c.kev ? "all" : num(exploitedInUse)} of them in packages that are loaded`;
    else s += "; whether their packages are loaded is not assessed";
    parts.push(s);
  } else {
    parts.push(`none of its ${plural(c.total, "vulnerability", "vulnerabilities")} is known to be exploited`);
    if (c.critical > 0n) parts.push(`${num(c.critical)} critical`);
  }
  if (i.malware > 0n) parts.push(`${plural(i.malware, "file")} on a list of malware`);
  if (i.secrets > 0n) parts.push(`${plural(i.secrets, "secret")} in its files`);
  const b = r.base;
  if (b?.name && b.newer) parts.push(`base ${b.name} has a newer build${b.removes > 0 ? ` that removes ${num(b.removes)}${b.adds > 0 ? ` and adds ${num(b.adds)}` : ""}` : ""}`);
  return parts.join("; ");
}

export interface Advised {
  level: "good" | "warn" | "unknown";
  short: string; // "3 h old"
  why: string; // what is wrong; empty = nothing
}

/** How fresh the advisories are: green only when they are there, young enough, and the last update worked. */
export function advised(a: AdvisoryStatus | null | undefined, now: number): Advised {
  if (!a) return { level: "unknown", short: "asking", why: "" };
  if (a.built === 0n) return { level: "warn", short: "missing", why: a.notAssessed || "there is no advisory database" };
  const age = ago(ms(a.built), now);
  const short = age === "now" ? "just built" : `${age} old`;
  if (a.notAssessed) return { level: "warn", short, why: a.notAssessed };
  if (a.stale) return { level: "warn", short, why: `older than the ${duration(ms(a.maxAge))} allowed` };
  if (a.updateError) return { level: "warn", short, why: `the last update failed: ${a.updateError}` };
  const bad = a.feeds.filter((f) => f.error);
  if (bad.length) return { level: "warn", short, why: `${bad.length} of ${plural(a.feeds.length, "feed")} could not be read` };
  return { level: "good", short, why: "" };
}

/** Whether a text is the id of an advisory, as people paste them. */
export function advisoryID(text: string): string {
  const t = text.trim();
  if (/^cve-\d{4}-\d{4,19}$/i.test(t)) return t.toUpperCase();
  if (/^ghsa(-[0-9a-z]{4}){3}$/i.test(t)) return `GHSA${t.slice(4).toLowerCase()}`;
  return /^(DSA|DLA|USN|RHSA|RHBA|ELSA|ALSA|RLSA|ALAS\d*|RUSTSEC|GO|PYSEC|MAL|GLSA|OSV|DEBIAN-CVE|ALPINE-CVE|UBUNTU-CVE)-\d[\w.:-]*\d$/i.test(t) ? t.toUpperCase() : "";
}

/** How an EPSS or CVSS stands in a sentence of one vulnerability. */
export function spread(images: bigint, running: bigint, workloads: readonly string[]): string {
  if (images === 0n) return "in no image";
  const where = running === 0n ? "none of which is seen running" : `${num(running)} of them running${workloads.length ? ` as ${list(workloads, 3)}` : ""}`;
  return `in ${plural(images, "image")}, ${images === 1n ? (running === 0n ? "which is not seen running" : `which runs${workloads.length ? ` as ${list(workloads, 3)}` : ""}`) : where}`;
}
