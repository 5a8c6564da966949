// What screens say about governance, cost and compliance, in words and numbers.
// Nothing here draws. The documents are those of GovernanceService (gen/govern.ts).
import type { BudgetState, Canary, ClusterRow, Money, Ratio, Row, Score } from "../gen/govern";
import { unrevealed } from "./json";
import { reveal } from "./text";
import { num } from "./time";

export const GOVERNANCE_PATH = "/governance";

/** A document of an answer. Hidden characters show in it as in every other text. */
export function doc<T>(text: string): T | null {
  if (!text) return null;
  const v = JSON.parse(unrevealed(text)) as T;
  reveal(v);
  return v;
}

/** A list that is null is empty. */
export const list = <T>(l: readonly T[] | null | undefined): readonly T[] => l ?? [];

/** The entries of a map, by name. */
export const entries = <T>(m: { [key: string]: T | undefined } | null | undefined): Array<[string, T]> =>
  Object.entries(m ?? {}).filter((e): e is [string, T] => e[1] !== undefined && e[1] !== null).sort(([a], [b]) => (a < b ? -1 : 1));

/** Nanoseconds of a document as the API's own times. */
export const at = (ns: number | undefined): bigint => BigInt(Math.round(ns ?? 0));

/** A day as 2026-11-26. */
export const dayOf = (ns: number): string => new Date(ns / 1e6).toISOString().slice(0, 10);

// Money

/** Money of which the amount means something. The mark is of the type only. */
export type Known = Money & { readonly known: true };
/** An amount that is known in part: less than the whole, and why. */
export const partial = (m: Money | undefined): string => (m !== undefined && m.currency !== "" && m.notAssessed?.startsWith("in part") ? m.notAssessed : "");
export const known = (m: Money | undefined): m is Known => m !== undefined && m.currency !== "" && (!m.notAssessed || partial(m) !== "");

/** An amount alone: whole units from 100 on, cents below, more digits where it is less than a cent. */
export function amount(micros: number): string {
  const v = Math.abs(micros) / 1e6;
  const digits = v === 0 || v >= 100 ? 0 : v >= 0.01 ? 2 : 6;
  const [whole = "0", rest] = v.toFixed(digits).split(".");
  const said = num(Number(whole)) + (rest ? `.${rest}` : "");
  return micros < 0 && Number(v.toFixed(digits)) !== 0 ? `−${said}` : said;
}

/** "1 284 EUR", or that it is not assessed. */
export const money = (m: Money | undefined): string => (known(m) ? `${partial(m) ? "at least " : ""}${amount(m.micros)} ${m.currency}` : "not assessed");

/** Where the figure comes from: what a hover shows. */
export function moneyTip(m: Money | undefined, what = ""): string {
  const lines = what ? [what] : [];
  if (!known(m)) lines.push(`not assessed: ${m?.notAssessed || "no bill and no price was read"}`);
  else {
    lines.push(`${amount(m.micros)} ${m.currency}`);
    if (partial(m)) lines.push(`not assessed ${m.notAssessed}`);
    lines.push([m.source, m.asOf ? `of ${m.asOf}` : "date not told"].filter(Boolean).join(", "));
  }
  return lines.join("\n");
}

/** An amount as a field of a file: a number, or that it is not assessed. */
export const moneys = (key: string, m: Money | undefined): Array<{ key: string; value: string | number }> => [{ key, value: known(m) ? m.micros / 1e6 : "not assessed" }];

/** A sum over what is known of one currency, the commonest; how many are not in it. */
export function total(of: ReadonlyArray<Money | undefined>): { sum: Money; left: number } {
  const by = new Map<string, Known[]>();
  for (const m of of) if (known(m)) by.set(m.currency, [...(by.get(m.currency) ?? []), m]);
  const [currency = "", most = []] = [...by].sort((a, b) => b[1].length - a[1].length)[0] ?? [];
  const left = of.length - most.length;
  if (most.length === 0) return { sum: { micros: 0, currency: "", notAssessed: "none of them is known" }, left };
  const asOf = most.map((m) => m.asOf ?? "").sort()[0] ?? "";
  return { sum: { micros: most.reduce((n, m) => n + m.micros, 0), currency, ...(asOf ? { asOf } : {}), source: [...new Set(most.map((m) => m.source ?? ""))].filter(Boolean).slice(0, 2).join(", "), ...(left > 0 ? { notAssessed: `in part: ${left} of ${of.length} are not known, or of another currency` } : {}) }, left };
}

/** Several amounts of one currency; the first that is not assessed, or of another currency, ends it. */
export function share(part: Money | undefined, of: Money | undefined): number | null {
  if (!known(part) || !known(of) || part.currency !== of.currency || of.micros <= 0) return null;
  return part.micros / of.micros;
}

export type Burn = "within" | "near" | "over" | "none";

/** How month to date and forecast stand against a budget. */
export function burn(spent: Money | undefined, budget: Money | undefined, forecast: Money | undefined): { state: Burn; spent: number | null; forecast: number | null; text: string } {
  const s = share(spent, budget), f = share(forecast, budget);
  if (s === null) return { state: "none", spent: null, forecast: null, text: known(spent) ? `no budget to compare with: ${budget?.notAssessed || "none applies to it alone"}` : moneyTip(spent) };
  const state: Burn = s > 1 ? "over" : (f ?? s) > 1 ? "over" : (f ?? s) > 0.9 ? "near" : "within";
  return { state, spent: s, forecast: f, text: `${percent(s)} of ${money(budget)} spent${f === null ? "; what the month ends at is not assessed" : `, ${percent(f)} forecast for the month`}` };
}

/** What a budget says in one word. */
export const budgetState = (b: BudgetState): Burn => burn(b.spent, b.amount, b.forecast).state;

// Shares

/** A share of one, as a percentage that never rounds up to all nor down to nothing. */
export function percent(v: number): string {
  const p = v * 100;
  if (p > 0 && p < 1) return p < 0.1 ? "< 0.1 %" : `${p.toFixed(1)} %`;
  if (p < 100 && p > 99) return `${(Math.floor(p * 10) / 10).toFixed(1)} %`;
  return `${Math.round(p)} %`;
}

export interface Told {
  text: string; // "121 of 139"
  percent: string; // "87 %", "" where it means nothing
  value: number | null;
  met: boolean; // of its goal; true where it has none
  tip: string;
}

/** A ratio with its denominator, and what is unknown in it. */
export function told(r: Ratio | undefined): Told {
  if (!r || r.notAssessed || r.of === 0) return { text: "not assessed", percent: "", value: null, met: false, tip: r?.notAssessed || (r ? "nothing counts towards it" : "it was not evaluated") };
  const v = r.n / r.of;
  const unknown = r.unknown ? `; ${num(r.unknown)} could not be read and count as not covered` : "";
  return { text: `${num(r.n)} of ${num(r.of)}`, percent: percent(v), value: v, met: !r.goal || v >= r.goal, tip: `${num(r.n)} of ${num(r.of)}${unknown}${r.goal ? `\ngoal ${percent(r.goal)}` : ""}` };
}

/** A score with what is outside it. */
export function score(s: Score | undefined): Told {
  if (!s || s.pass + s.fail === 0) return { text: "not assessed", percent: "", value: null, met: false, tip: s ? `none of its controls could be assessed: ${num(s.notAssessed)} not assessed, ${num(s.manual)} by hand` : "it was not evaluated" };
  const v = s.pass / (s.pass + s.fail);
  return { text: `${num(s.pass)} of ${num(s.pass + s.fail)} pass`, percent: percent(v), value: v, met: s.fail === 0, tip: `${num(s.pass)} pass, ${num(s.fail)} fail\noutside the score: ${num(s.notAssessed)} not assessed, ${num(s.exempt)} exempt, ${num(s.manual)} by hand` };
}

/** How a number moved: "+3", "−2", "±0". */
export function change(v: number, digits = 0): string {
  const said = Math.abs(v).toFixed(digits);
  return Number(said) === 0 ? "±0" : `${v > 0 ? "+" : "−"}${said}`;
}

/** A score between 0 and 1, as people say it. */
export const points = (v: number): number => v * 100;

/** What a cluster's row says of its anomaly, "mining: 1d64…", without the id. */
export function anomalySays(text: string): string {
  const [, series, id] = /^([\w -]+): ([0-9a-f]{16})$/.exec(text) ?? [];
  if (!id) return text;
  return series === "mining" ? "it looks as if somebody mines there" : `its ${series} ${series!.endsWith("s") ? "are" : "is"} unusual`;
}

const GUID = /^([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** Object ids as a person can tell them apart: "id 5fc90cca + 1". Another owner stays as it is. */
export function shortOwner(of: string): string {
  const ids = of.split(", ").map((x) => GUID.exec(x)?.[1]);
  return ids.every(Boolean) ? `id ${ids[0]}${ids.length > 1 ? ` + ${ids.length - 1}` : ""}` : of;
}

// Protection

export const ROWS = ["inside", "images", "runtime", "enforcement"] as const;
export type RowName = (typeof ROWS)[number];
export const ROW_SAYS: Readonly<Record<RowName, readonly [letter: string, title: string, what: string]>> = {
  inside: ["P", "Inside pods", "processes, files and network inside pods are seen"],
  images: ["I", "Images", "what runs is scanned for vulnerabilities"],
  runtime: ["R", "Runtime threats", "threats at run time and at the API server are detected"],
  enforcement: ["E", "Enforcement", "what must not run is refused"],
};
export const stateSays = (s: string): string => (s === "closed" ? "closed" : s === "open" ? "open" : "not assessed");
export const rowTip = (name: RowName, r: Row): string => `${ROW_SAYS[name][1]}: ${stateSays(r.state)}${r.by?.length ? `, by ${r.by.join(" and ")}` : ""}\n${r.why}`;
/** All four at once, for those who cannot see the marks. */
export const protectionSays = (c: ClusterRow): string => ROWS.map((n) => `${ROW_SAYS[n][1].toLowerCase()} ${stateSays(c[n].state)}`).join(", ");

/** How long a canary may be under way before it counts as lost, in nanoseconds. */
const UNDER_WAY = 5 * 60e9;
/** What a canary says at a time (Unix nanoseconds): it came back, or was denied as it must be; it did and is not repeated when due; it is lost; it was let through; it is on its way; nothing. */
export function canaryState(k: Canary, now: number): "back" | "denied" | "stale" | "lost" | "let-through" | "waiting" | "not-assessed" {
  if (k.notAssessed || !k.sent) return "not-assessed";
  const stale = k.every !== undefined && k.every > 0 && now - k.sent > 2 * k.every;
  if (k.kind === "denial" && (k.denied || k.answer || k.by)) return (k.denied ?? 0) < k.sent ? "let-through" : stale ? "stale" : "denied";
  if (!k.seen || k.seen < k.sent) return now - k.sent < UNDER_WAY ? "waiting" : "lost";
  return stale ? "stale" : "back";
}

/** Yes, no, or not assessed and why. */
export const yes = (a: { value: boolean; notAssessed?: string } | undefined): "yes" | "no" | "" => (!a || a.notAssessed ? "" : a.value ? "yes" : "no");

const FRAMEWORKS: Readonly<Record<string, string>> = { "": "All controls", "defender-containers": "Defender for Containers", "iso-27001-2022": "ISO 27001:2022", "nist-800-53-r5": "NIST 800-53 r5", "cis-aks-1.8": "CIS AKS 1.8", mcsb: "Microsoft cloud security benchmark", "pci-dss-4": "PCI DSS 4", "iso-27001": "ISO 27001", soc2: "SOC 2", "soc-2": "SOC 2", "nist-800-53": "NIST 800-53", defender: "Defender recommendations" };
export const frameworkName = (id: string): string => (Object.hasOwn(FRAMEWORKS, id) ? FRAMEWORKS[id]! : id);

const SEVERITY = ["", "informational", "low", "medium", "high", "critical"];
/** The API's number of a severity's word; 0 for none that is known. */
export const severityOf = (word: string): number => Math.max(0, SEVERITY.indexOf(word.toLowerCase()));

/** Gaps by cause: those with the same reason and remedy as one, in the order in which the first of each came. */
export function together(gaps: ReadonlyArray<{ what: string; reason: string; remedy?: string }>): Array<{ whats: string[]; reason: string; remedy: string }> {
  const by = new Map<string, { whats: string[]; reason: string; remedy: string }>();
  for (const g of gaps) {
    const key = `${g.reason}\n${g.remedy ?? ""}`, one = by.get(key);
    if (one) { if (!one.whats.includes(g.what)) one.whats.push(g.what); } else by.set(key, { whats: [g.what], reason: g.reason, remedy: g.remedy ?? "" });
  }
  return [...by.values()];
}

const GAPS: Readonly<Record<string, string>> = { "activity-log": "Activity Log", "arc-clusters": "Arc clusters", "cost-alerts": "cost alerts", costs: "bills", "defender-alerts": "Defender's alerts", "defender-assessments": "Defender's assessments", "defender-plan": "Defender's plan", "defender-suppressions": "Defender's suppressions", "other-resources": "other resources", "policy-assignments": "policy assignments", "policy-exemptions": "policy exemptions", "policy-states": "policy states", "resource-groups": "resource groups", "role-assignments": "role assignments" };
/** What a gap is of, in words; what is not a known read stays as it is. */
export const gapSays = (what: string): string => (Object.hasOwn(GAPS, what) ? GAPS[what]! : what);

/** A sentence about a cluster that Azure could not be asked for, without the reason that the page tells once. */
export const once = (text: string, unread: string | undefined): string => (unread ? text.replace(unread, "see above") : text);

/** The last step of an ARM id, which is its name; another id stays whole. */
export const lastStep = (id: string): string => (id.startsWith("/") ? id.slice(id.lastIndexOf("/") + 1) : id);

/** Names of subscriptions by id. */
export type Names = ReadonlyMap<string, string>;
/** What a scope is called: a subscription by its name where that was read, another resource by its last step. */
export const scopeName = (id: string, names: Names): string => names.get(lastStep(id).toLowerCase()) ?? lastStep(id);

/** Points as days, the last value of each, oldest first. */
export function byDay(points: ReadonlyArray<{ at: number; value: number }>): Array<[string, number]> {
  const days = new Map<string, number>();
  for (const p of [...points].sort((a, b) => a.at - b.at)) days.set(dayOf(p.at), p.value);
  return [...days];
}
