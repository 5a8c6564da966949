// An audit event and the facts computed about it, read out of JSON that comes
// from a cluster: every member may be missing, of another kind, or hostile.
import type { AuditRow } from "../gen/dockreeve/v1/dockreeve_pb";
import { identityName } from "./entity";
import { unrevealed } from "./json";
import { reveal } from "./text";

/** event.AuditFacts; see the Go type for what each means. */
export interface AuditFacts {
  cluster: string; actor: string; actorName: string; by: string; platform: boolean; actorWorkload: string; actorTenant: string; actorOwner: string;
  from: string; fromPod: string; fromNode: string; fromWorkload: string; fromTenant: string;
  tokenPod: string; tokenNode: string; elsewhere: boolean;
  target: string; targetTenant: string; targetOwner: string; crossTenant: boolean;
  grants: string[]; grantsTo: string[]; grantsScope: string; grantsNew: boolean;
  powers: string[]; mounts: string[]; images: string[]; newImages: string[]; tools: string[];
  exposure: string; ports: string[]; apps: string[]; risks: string[];
  unusual: string[]; why: string[]; learned: number;
  secretsRead: number; denied: number; probes: number; deleted: number;
  notAssessed: string[];
}

export interface AuditEvent {
  auditID: string; verb: string; uri: string; user: string; groups: string[]; impersonated: string;
  sources: string[]; agent: string;
  resource: string; namespace: string; name: string; // resource.group/subresource
  code: number; decision: string; reason: string; stage: string; level: string; message: string;
  facts: AuditFacts | null;
}

type Doc = Record<string, unknown>;
const isDoc = (v: unknown): v is Doc => typeof v === "object" && v !== null && !Array.isArray(v);
const doc = (v: unknown): Doc => (isDoc(v) ? v : {});
const str = (v: unknown): string => (typeof v === "string" ? v : "");
const num = (v: unknown): number => (typeof v === "number" && Number.isFinite(v) ? v : typeof v === "string" && /^-?\d{1,15}$/.test(v) ? Number(v) : 0);
const strs = (v: unknown, most = 200): string[] => (Array.isArray(v) ? v.filter((x): x is string => typeof x === "string").slice(0, most) : []);

function parse(text: string): unknown {
  try {
    const v: unknown = JSON.parse(unrevealed(text));
    reveal(v);
    return v;
  } catch {
    return undefined;
  }
}

export function factsOf(v: unknown): AuditFacts | null {
  if (!isDoc(v)) return null;
  const s = (k: keyof AuditFacts) => str(v[k]), l = (k: keyof AuditFacts) => strs(v[k]), n = (k: keyof AuditFacts) => num(v[k]), b = (k: keyof AuditFacts) => v[k] === true;
  return {
    cluster: s("cluster"), actor: s("actor"), actorName: s("actorName"), by: s("by"), platform: b("platform"), actorWorkload: s("actorWorkload"), actorTenant: s("actorTenant"), actorOwner: s("actorOwner"),
    from: s("from"), fromPod: s("fromPod"), fromNode: s("fromNode"), fromWorkload: s("fromWorkload"), fromTenant: s("fromTenant"),
    tokenPod: s("tokenPod"), tokenNode: s("tokenNode"), elsewhere: b("elsewhere"),
    target: s("target"), targetTenant: s("targetTenant"), targetOwner: s("targetOwner"), crossTenant: b("crossTenant"),
    grants: l("grants"), grantsTo: l("grantsTo"), grantsScope: s("grantsScope"), grantsNew: b("grantsNew"),
    powers: l("powers"), mounts: l("mounts"), images: l("images"), newImages: l("newImages"), tools: l("tools"),
    exposure: s("exposure"), ports: l("ports"), apps: l("apps"), risks: l("risks"),
    unusual: l("unusual"), why: l("why"), learned: n("learned"),
    secretsRead: n("secretsRead"), denied: n("denied"), probes: n("probes"), deleted: n("deleted"), notAssessed: l("notAssessed"),
  };
}

/** Reads an audit event, bare or as the trace writes it (its JSON within "json"). null when it is none. */
export function auditOf(text: string, factsText = ""): AuditEvent | null {
  let v = parse(text);
  if (isDoc(v) && typeof v["json"] === "string") v = parse(v["json"]);
  if (!isDoc(v) || !(str(v["auditID"]) || isDoc(v["objectRef"]) || str(v["requestURI"]))) return null;
  const user = doc(v["user"]), by = doc(v["impersonatedUser"]), ref = doc(v["objectRef"]), status = doc(v["responseStatus"]), notes = doc(v["annotations"]);
  const resource = str(ref["resource"]), group = str(ref["apiGroup"]), sub = str(ref["subresource"]);
  return {
    auditID: str(v["auditID"]), verb: str(v["verb"]), uri: str(v["requestURI"]), user: str(user["username"]), groups: strs(user["groups"], 50), impersonated: str(by["username"]),
    sources: strs(v["sourceIPs"], 16), agent: str(v["userAgent"]),
    resource: resource ? `${resource}${group ? `.${group}` : ""}${sub ? `/${sub}` : ""}` : "", namespace: str(ref["namespace"]), name: str(ref["name"]),
    code: num(status["code"]), message: str(status["message"]), decision: str(notes["authorization.k8s.io/decision"]), reason: str(notes["authorization.k8s.io/reason"]), stage: str(v["stage"]), level: str(v["level"]),
    facts: factsOf(factsText ? parse(factsText) : v["dockreeve"]),
  };
}

const DID: Readonly<Record<string, string>> = { get: "read", list: "listed", watch: "watched", create: "created", update: "changed", patch: "changed", delete: "deleted", deletecollection: "deleted many", post: "posted to", put: "put to", head: "asked for", connect: "connected to", impersonate: "acted as", approve: "approved", sign: "signed", bind: "bound", escalate: "escalated" };
const SPECIAL: Readonly<Record<string, string>> = { exec: "ran a command in", attach: "attached to", portforward: "forwarded a port to", proxy: "went through the proxy of", token: "took a token of", ephemeralcontainers: "put a container into", log: "read the log of", eviction: "evicted", binding: "bound", approval: "approved", scale: "scaled", status: "changed the status of" };

type Said = Pick<AuditRow, "verb" | "resource" | "namespace" | "name">;

/** "read secrets shop/db", "ran a command in pods shop/web-0": what was done, in the past. short leaves the API group out. */
export function didWhat(a: Said, short = false): string {
  const [full = "", sub = ""] = a.resource.startsWith("/") ? [a.resource] : a.resource.split("/");
  const res = short && !full.startsWith("/") ? full.replace(/\..*/s, "") : full;
  const special = a.verb !== "get" || sub === "log" || sub === "exec" || sub === "proxy" || sub === "attach" || sub === "portforward" ? (Object.hasOwn(SPECIAL, sub) ? SPECIAL[sub] : undefined) : undefined;
  const verb = special ?? (Object.hasOwn(DID, a.verb) ? DID[a.verb] : `did ${a.verb || "something"} on`);
  const where = [a.namespace, a.name].filter(Boolean).join("/");
  return `${verb} ${res || "something"}${sub && !special ? `/${sub}` : ""}${a.name ? ` ${where}` : a.namespace ? ` in ${a.namespace}` : ""}`;
}

/** Who, short: "web of shop", "alice@example.com". */
export function who(identity: string, user: string): string {
  const n = identityName(identity);
  return n.kind === "service account" ? `${n.namespace}/${n.name}` : n.name || user || "nobody known";
}

/** Whether a request was refused, and how that reads. */
export function outcome(a: Pick<AuditRow, "code" | "decision">): { word: string; bad: boolean } {
  if (a.decision === "forbid" || a.code === 403 || a.code === 401) return { word: a.code ? `refused ${a.code}` : "refused", bad: true };
  if (a.code >= 400) return { word: `failed ${a.code}`, bad: false };
  if (a.code > 0) return { word: String(a.code), bad: false };
  return { word: a.decision === "allow" ? "allowed" : "not told", bad: false };
}

const FROM: Readonly<Record<string, string>> = { loopback: "its own machine", node: "node", pod: "pod", private: "a private address", internet: "the internet", unknown: "not assessed" };
/** Where a request came from, in words. */
export const fromSays = (from: string): string => (Object.hasOwn(FROM, from) ? FROM[from]! : from || "not assessed");
