// The filter text as the console edits it. The server's query package is the
// only judge of the grammar; this only splits the text into terms so that a
// click can replace one and leave the rest, order and unknown terms included,
// exactly as typed.

export interface Term {
  text: string; // as typed
  neg: boolean;
  field: string; // "" = a bare word
  op: string; // "", ">=", "<=", ">", "<"
  value: string; // quotes removed
}

const TERM = /(-)?(?:([a-zA-Z_][a-zA-Z_.-]*):)?(>=|<=|>|<|=)?("(?:[^"\\]|\\.)*"?|[^\s"]\S*)|\S+/g;

/** Splits a filter into its terms. Any text gives a list: nothing is rejected here. */
export function terms(filter: string): Term[] {
  const out: Term[] = [];
  for (const m of filter.matchAll(TERM)) {
    const raw = m[4] ?? m[0];
    out.push({ text: m[0], neg: m[1] === "-", field: (m[2] ?? "").toLowerCase(), op: m[3] ?? "", value: unquote(raw) });
  }
  return out;
}

const unquote = (s: string) => (s.startsWith('"') ? s.replace(/^"|"$/g, "").replace(/\\(["\\])/g, "$1") : s);

/** Quotes a value when the grammar needs it: spaces, quotes, commas, colons, stars, parentheses, a leading operator. */
export const quote = (v: string): string => (/^[\w./@%~][\w./@%~+=-]*$/.test(v) ? v : `"${v.replace(/[\\"]/g, "\\$&")}"`);

/** The filter with every term of field replaced by the given ones; other terms stay as typed. */
export function withField(filter: string, field: string, replacement: string[]): string {
  const kept = terms(filter);
  const at = kept.findIndex((t) => t.field === field);
  const rest = kept.filter((t) => t.field !== field).map((t) => t.text);
  rest.splice(at < 0 ? rest.length : Math.min(at, rest.length), 0, ...replacement);
  return rest.join(" ");
}

/** The filter with one term added, unless it is there already. */
export function withTerm(filter: string, term: string): string {
  return terms(filter).some((t) => t.text === term) ? filter : `${filter} ${term}`.trim();
}

export const SEVERITIES = ["informational", "low", "medium", "high", "critical"] as const;
/** With that for what nobody has rated, which a vulnerability can be and an alert cannot. */
export const RATINGS = ["unrated", ...SEVERITIES] as const;
export const STATUSES = ["open", "acknowledged", "resolved", "dismissed"] as const;

/** Which of all values the terms of one enumerated field let through. */
export function chosen(filter: string, field: string, all: readonly string[]): Set<string> {
  let set = new Set(all);
  for (const t of terms(filter)) {
    if (t.field !== field) continue;
    const values = t.value.toLowerCase().split(",");
    const hit = new Set(all.filter((_, i) => values.some((w) => {
      const j = all.findIndex((x) => x === w || (w.length > 2 && x.startsWith(w)));
      if (j < 0) return false;
      switch (t.op) {
        case ">=": return i >= j;
        case ">": return i > j;
        case "<=": return i <= j;
        case "<": return i < j;
        default: return i === j;
      }
    })));
    set = new Set([...set].filter((v) => hit.has(v) !== t.neg));
  }
  return set;
}

/** The shortest terms that let exactly these values through; [] means all of them. */
export function choose(field: string, all: readonly string[], want: Set<string>, ranked: boolean): string[] {
  const picked = all.filter((v) => want.has(v));
  if (picked.length === 0 || picked.length === all.length) return [];
  const first = all.indexOf(picked[0]!);
  if (ranked && picked.length > 1 && first + picked.length === all.length) return [`${field}:>=${picked[0]}`];
  if (picked.length === 1) return [`${field}:${picked[0]}`];
  const out = all.filter((v) => !want.has(v));
  if (out.length < picked.length || out.length === 1) return out.map((v) => `-${field}:${v}`);
  return [`${field}:${picked.join(",")}`];
}

/** What a list is asked for; lives in the address bar. */
export interface View {
  filter: string;
  order: string;
}

/** Where a list lives, and what it shows when its address names neither filter nor order. */
export interface Place {
  path: string;
  view: View;
}

/** What opens when the address names no filter: what still waits for somebody. */
export const DEFAULT_VIEW: View = { filter: "-status:resolved -status:dismissed", order: "last_seen" };
export const ALERTS: Place = { path: "/alerts", view: DEFAULT_VIEW };
export const IMAGES: Place = { path: "/images", view: { filter: "", order: "risk" } };
export const CLUSTERS: Place = { path: "/clusters", view: { filter: "", order: "name" } };
export const WORKLOADS: Place = { path: "/workloads", view: { filter: "", order: "risk" } };
export const IDENTITIES: Place = { path: "/identities", view: { filter: "", order: "risk" } };
export const EXPOSURE: Place = { path: "/exposure", view: { filter: "", order: "reach" } };
export const AUDIT: Place = { path: "/audit", view: { filter: "", order: "" } };
export const GOVERNANCE: Place = { path: "/governance", view: { filter: "", order: "riskmoney" } };
export const RECOMMENDATIONS: Place = { path: "/recommendations", view: { filter: "fixed:no", order: "rank" } };
export const VULNERABILITIES: Place = { path: "/vulnerabilities", view: { filter: "", order: "rank" } };

/** Reads a view from the address bar's search part. */
export function viewOf(search: string, place: Place = ALERTS): View {
  const p = new URLSearchParams(search);
  return { filter: p.get("q") ?? place.view.filter, order: p.get("order") ?? place.view.order };
}

/** A filter as part of an address: ':', ',' and '/' stay readable where a URL allows it. */
const readable = (filter: string) => encodeURIComponent(filter).replace(/%3A/g, ":").replace(/%2C/g, ",").replace(/%2F/g, "/").replace(/%20/g, "+");

/** Writes a view as an address. */
export function addressOf(v: View, place: Place = ALERTS): string {
  const parts = [];
  if (v.filter !== "" || place.view.filter !== "") parts.push(`q=${readable(v.filter)}`);
  if (v.order !== place.view.order) parts.push(`order=${encodeURIComponent(v.order)}`);
  return place.path + (parts.length ? `?${parts.join("&")}` : "");
}

/** The address of a list with this filter, in the list's own order. */
export const filtered = (place: Place, filter: string): string => addressOf({ ...place.view, filter }, place);

// One entity, one address. ':' is kept: digests are easier to read with it.
const segment = (s: string) => encodeURIComponent(s).replace(/%3A/g, ":");
export const imageAddress = (key: string): string => `/images/${segment(key)}`;
export const vulnerabilityAddress = (id: string): string => `/vulnerabilities/${segment(id)}`;

/** The next order when a column's head is clicked: natural, turned round, default. */
export function nextOrder(current: string, key: string, first = DEFAULT_VIEW.order): string {
  if (current === key) return `-${key}`;
  if (current === `-${key}`) return key === first ? key : first;
  return key;
}

/** The filter with a term switched on, or off when it is there. */
export function toggleTerm(filter: string, term: string): string {
  const all = terms(filter);
  const field = terms(term)[0]!.field;
  return all.some((t) => t.text === term) ? all.filter((t) => t.text !== term).map((t) => t.text).join(" ") : withField(filter, field, [term]);
}

/** Fields a filter may name, for completion. The server says which exist; this only helps typing. */
export const FIELDS: ReadonlyArray<readonly [name: string, what: string, example: string]> = [
  ["severity", "how bad", "severity:>=high"],
  ["status", "open, acknowledged, resolved, dismissed", "status:open,acknowledged"],
  ["age", "since it last happened", "age:<24h"],
  ["first", "when it first happened", "first:>=2026-01-31"],
  ["last", "when it last happened", "last:>=2026-01-31"],
  ["count", "how often it happened", "count:>=10"],
  ["rule", "rule id", "rule:reverse-shell"],
  ["workload", "namespace/kind/name, or the container's name, or host", "workload:*storefront"],
  ["namespace", "Kubernetes namespace", "namespace:payments"],
  ["pod", "pod name", "pod:storefront-*"],
  ["container", "container name", "container:web"],
  ["container.id", "container id", "container.id:4f2a*"],
  ["in-container", "whether it happened in a container at all", "in-container:no"],
  ["image", "image as the runtime names it", "image:*redis*"],
  ["process", "command name", "process:sh"],
  ["executable", "path of the program", "executable:/tmp/*"],
  ["user", "user it ran as", "user:root"],
  ["object", "file or address it was about", "object:/etc/shadow"],
  ["node", "the machine", "node:*vmss000002"],
  ["cluster", "the cluster", "cluster:prod"],
  ["identity", "who used the API", "identity:serviceaccount:shop/*"],
  ["source", "address the API was used from", "source:203.0.113.*"],
  ["agent", "what the API was used with", "agent:kubectl*"],
  ["owner", "who answers for the workload", "owner:payments"],
  ["tenant", "whose it is", "tenant:team-a"],
  ["reaches", "another workload or tenant it reaches into", "reaches:*"],
  ["tactic", "ATT&CK tactic", 'tactic:"Credential Access"'],
  ["technique", "ATT&CK technique id", "technique:T1552*"],
  ["loss", "whether lost events may have affected it", "loss:yes"],
  ["id", "the alert's id", "id:s4hk*"],
];
