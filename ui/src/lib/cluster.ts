// What screens say about clusters, workloads, identities and exposure, in words.
// Nothing here draws.
import type { ClusterRow, Gap, Right, WorkloadImage, WorkloadRow } from "../gen/dockreeve/v1/dockreeve_pb";
import { ago, duration, ms, plural } from "./time";

export interface Power {
  label: string;
  why: string; // why it matters, in one sentence
  grave: boolean; // enough by itself to take the node or the cluster
}

const GRANTS: Readonly<Record<string, readonly [label: string, why: string, grave?: boolean]>> = {
  "cluster-admin": ["cluster admin", "may do anything to everything", true],
  escalate: ["escalate roles", "may give itself rights that it does not hold", true],
  impersonate: ["impersonate", "may act as other users, groups or service accounts", true],
  webhooks: ["admission webhooks", "may change or stop whatever is written to the API", true],
  "approve-csr": ["approve certificates", "may issue itself a certificate of any user", true],
  "create-tokens": ["create tokens", "may take tokens of other service accounts", true],
  "read-secrets": ["read secrets", "may read the values of secrets", true],
  exec: ["exec into pods", "may run commands in pods, and so become what they are", true],
  "nodes-proxy": ["kubelet API", "may run commands in every pod through the kubelet, past the audit log", true],
  "create-pods": ["create pods", "may start pods with any service account of the namespace"],
  "write-nodes": ["write nodes", "may change nodes, and move pods by their labels and taints"],
  "write-volumes": ["write volumes", "may create volumes that are folders of the host"],
  ephemeral: ["ephemeral containers", "may put a container into a pod that runs"],
  wildcard: ["wildcard", "holds a * on verbs, resources or groups: what is added later too"],
  "delete-events": ["delete events", "may remove traces"],
  "write-kube-config": ["write kube-system settings", "may change configuration in kube-system"],
};

const POD: Readonly<Record<string, readonly [label: string, why: string, grave?: boolean]>> = {
  privileged: ["privileged", "a privileged container is the host's root in all but name", true],
  hostPID: ["host PID", "sees and signals every process of the node", true],
  hostNetwork: ["host network", "uses the node's addresses: network policies do not hold it"],
  hostIPC: ["host IPC", "shares memory with the node's processes"],
  SYS_ADMIN: ["SYS_ADMIN", "a capability that nearly amounts to root of the host", true],
  SYS_PTRACE: ["SYS_PTRACE", "may read and change other processes"],
  SYS_MODULE: ["SYS_MODULE", "may load kernel modules", true],
  NET_ADMIN: ["NET_ADMIN", "may change network settings"],
  NET_RAW: ["NET_RAW", "may forge packets"],
  BPF: ["BPF", "may load programs into the kernel", true],
};

const said = (table: typeof GRANTS, word: string): Power => {
  const [label, why, grave] = (Object.hasOwn(table, word) ? table[word] : undefined) ?? [word, ""];
  return { label, why, grave: grave === true };
};

/** A dangerous right of an identity. A word that is not known stays itself. */
export const grantSays = (word: string): Power => said(GRANTS, word);
/** A power of a pod. */
export const powerSays = (word: string): Power => said(POD, word.replace(/^CAP_/, ""));
/** A host path that a pod mounts. */
export const mountSays = (path: string): Power => ({ label: path, why: "a folder or file of the node", grave: /^\/($|etc|proc|root|var\/run|run|var\/lib\/kubelet|var\/lib\/containerd)|\.sock$/.test(path) });

export interface Reach {
  label: string; // in a cell
  from: string; // where a request starts
  why: string;
  outside: boolean;
}
const REACH: Readonly<Record<string, Reach>> = {
  internet: { label: "internet", from: "Internet", why: "from any address", outside: true },
  restricted: { label: "restricted", from: "Some addresses outside", why: "from the addresses that are let in", outside: true },
  private: { label: "private", from: "Private network", why: "through an internal load balancer or gateway", outside: false },
  "node-port": { label: "node port", from: "Whoever reaches a node", why: "on every node's address", outside: false },
  "host-port": { label: "host port", from: "Whoever reaches its node", why: "on the address of the nodes it runs on", outside: false },
  cluster: { label: "cluster", from: "Inside the cluster", why: "from inside the cluster only", outside: false },
  none: { label: "none", from: "Nobody", why: "nothing listens, or a policy lets nobody in", outside: false },
};
/** How far something can be reached; what is not known says so. */
export const reachSays = (word: string): Reach => (Object.hasOwn(REACH, word) ? REACH[word]! : { label: "not assessed", from: "Not assessed", why: word && word !== "unknown" ? word : "what exposes it could not be told", outside: false });

/** Whether a way in is encrypted. Only what speaks HTTP itself can tell; a service passes bytes on. */
export const tlsOf = (x: { tls: boolean; kind: string }): "yes" | "no" | "not assessed" => (x.tls ? "yes" : /Ingress|Gateway|Route/.test(x.kind) ? "no" : "not assessed");

const RISKS: Readonly<Record<string, string>> = {
  "no-password": "no password is asked", "trust-auth": "trusts whoever connects", "any-source": "any address is let in", "broad-source": "a broad range of addresses is let in", "plain-text": "nothing is encrypted",
};
/** A risk of an exposure, in words. */
export const riskSays = (word: string): string => (Object.hasOwn(RISKS, word) ? RISKS[word]! : word);

/** "get, list and watch secrets". */
export function listed(words: readonly string[], most = 6): string {
  const shown = words.slice(0, most);
  const more = words.length - shown.length;
  if (more > 0) return `${shown.join(", ")} and ${more} more`;
  return shown.length < 2 ? shown.join("") : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}

/** What one rule allows: "get and list secrets", "anything with everything". */
export function rightSays(r: Pick<Right, "verbs" | "groups" | "resources" | "names" | "urls">): string {
  const verbs = r.verbs.includes("*") ? "do anything with" : listed(r.verbs, 8) || "nothing with";
  const groups = r.groups.filter((g) => g !== "" && g !== "*");
  const group = groups.length === 1 ? `.${groups[0]}` : "";
  const what = r.resources.includes("*") ? (r.groups.includes("*") ? "everything" : groups.length ? `everything of ${listed(groups, 4)}` : "everything of the core API")
    : `${listed(r.resources.map((x) => x + group), 8)}${groups.length > 1 ? ` of ${listed(groups, 4)}` : ""}`;
  const parts = [];
  if (r.resources.length) parts.push(`${verbs} ${what}${r.names.length ? `, only ${listed(r.names, 4)}` : ""}`);
  if (r.urls.length) parts.push(`${r.verbs.includes("*") ? "ask anything of" : listed(r.verbs)} ${listed(r.urls, 6)}`);
  return parts.join("; ") || "nothing";
}

/** Whether what an agent last said is old: it is away, or has stopped. */
export const SILENT = 3 * 60_000;

export interface ClusterState {
  watched: boolean; // its agent reports
  inspected: boolean; // looked at once, never watched
  api: boolean; // its API server is watched
  apiSays: string;
  apiShort: string; // for a cell
  nodes: string; // "9 of 11"
  nodesAll: boolean;
}

/** What is watched of one cluster, now. */
export function clusterState(c: ClusterRow, now: number): ClusterState {
  const inspected = c.agent === "";
  const kind = c.auditAs === "kube-audit-admin" ? " (reads are not in it)" : "";
  const since = c.auditSince > 0n ? ` for ${duration(Math.max(60_000, Math.floor((now - ms(c.auditSince)) / 60_000) * 60_000))}` : "";
  return {
    watched: !inspected && c.connected, inspected, api: c.auditMode !== "",
    apiSays: c.auditMode === "" ? "not watched" : `${c.auditMode}${c.auditAs ? `, ${c.auditAs}${kind}` : ""}${since}`,
    apiShort: c.auditMode === "" ? "not watched" : `${c.auditMode}${since}${c.auditAs === "kube-audit-admin" ? ", no reads" : ""}`,
    nodes: `${c.nodesWatched} of ${c.nodes}`, nodesAll: c.nodes > 0 && c.nodesWatched >= c.nodes,
  };
}

/** How many kinds of objects the agent cannot keep up with, or has never read. */
export const behindIn = (c: Pick<ClusterRow, "gaps">): number => c.gaps.filter((g) => /^(what changed since |not read yet)/.test(g.reason)).length;

export interface Covered { clusters: number; of: number; api: number; nodes: number; nodesOf: number }

/** The denominators of everything that is told about clusters. */
export function covered(all: readonly ClusterRow[]): Covered {
  const sum = (f: (c: ClusterRow) => number) => all.reduce((n, c) => n + f(c), 0);
  return { of: all.length, clusters: sum((c) => (c.connected && c.agent !== "" ? 1 : 0)), api: sum((c) => (c.auditMode ? 1 : 0)), nodes: sum((c) => c.nodesWatched), nodesOf: sum((c) => c.nodes) };
}

/** Why the honesty bar is not green on account of clusters, the worst first. */
export function clusterReasons(all: readonly ClusterRow[], now: number): string[] {
  const out: string[] = [];
  for (const c of all) {
    if (c.agent === "") out.push(`cluster ${c.name} was inspected once and is not watched`);
    else if (!c.connected) out.push(`cluster ${c.name} is silent${c.reported > 0n ? ` since ${ago(ms(c.reported), now)}` : ""}`);
  }
  for (const c of all) if (c.auditMode === "") out.push(`API server of ${c.name} not watched`);
  for (const c of all) if (c.nodes > c.nodesWatched) out.push(`${c.nodes - c.nodesWatched} of ${plural(c.nodes, "node")} of ${c.name} not watched`);
  // What is said above has a gap of its own in each cluster's list.
  for (const c of all) for (const g of c.gaps) if (!/^(API server of|what (changes|goes on) in) /.test(g.what)) out.push(`${g.what.endsWith(` ${c.name}`) ? g.what : `${g.what} in ${c.name}`} not assessed`);
  return [...new Set(out)];
}

/** How many of a workload's images have a verdict, and why the others have none. */
export function verdictOf(w: Pick<WorkloadRow, "images" | "verdictNotAssessed">): { known: number; of: number; why: string } {
  const digests = new Map<string, WorkloadImage>();
  for (const i of w.images) digests.set(i.digest || i.image, i);
  const all = [...digests.values()];
  const without = all.filter((i) => !i.counts || i.notAssessed);
  return { known: all.length - without.length, of: all.length, why: without[0]?.notAssessed || w.verdictNotAssessed || (all.length ? "not known to the scanner" : "it names no image") };
}

/** The steps of a way in, with those of one kind that follow each other side by side: an
    ingress leads to this service or to that, not through one to the other. */
export function abreast(path: readonly string[]): string[][] {
  const out: string[][] = [];
  for (const key of path) {
    const last = out[out.length - 1];
    if (last && last[0]!.split("/")[0] === key.split("/")[0]) last.push(key);
    else out.push([key]);
  }
  return out;
}

/** A gap for a hover. */
export const gapText = (g: Gap): string => `${g.what}: ${g.reason}`;

/** Cores of millicores, and gibibytes: as Kubernetes counts them. */
export const cores = (milli: bigint): string => (milli % 1000n === 0n ? `${milli / 1000n}` : `${(Number(milli) / 1000).toFixed(1)}`);
export const gib = (n: bigint): string => { const v = Number(n) / 2 ** 30; return `${v < 10 ? v.toFixed(1) : Math.round(v)} GiB`; };

const MODELS: Readonly<Record<string, readonly [name: string, what: string, short: string]>> = {
  "pod-deployment": ["Pod deployments", "who usually starts pods, where and of which images", "pods"],
  "secret-access": ["Secret access", "who usually reads which secrets", "secrets"],
  "service-account": ["Service accounts", "what each service account usually asks of the API", "account"],
};
export const modelName = (m: string): string => (Object.hasOwn(MODELS, m) ? MODELS[m]![0] : m);
export const modelShort = (m: string): string => (Object.hasOwn(MODELS, m) ? MODELS[m]![2] : m);
export const modelSays = (m: string): string => (Object.hasOwn(MODELS, m) ? MODELS[m]![1] : "");

/** How far learning has come, 0 to 1; null where no end is told. */
export function learned(since: bigint, until: bigint, ready: boolean, now: number): number | null {
  if (ready) return 1;
  if (since === 0n || until <= since) return null;
  return Math.min(0.99, Math.max(0, (now - ms(since)) / (ms(until) - ms(since))));
}
