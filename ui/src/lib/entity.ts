// One entity, one address. Names come from clusters: a user may be called
// "https://issuer.example#alice", and servers on the way fold "//" and ".." of a
// path, encoded or not. So a slash within a name is written as %2F before the
// address is encoded, which leaves %252F on the wire.

/** One segment of a path, decoded; one that cannot be is taken as it stands. */
export function part(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

const step = (s: string): string => encodeURIComponent(s.replace(/[%/]/g, (c) => (c === "%" ? "%25" : "%2F"))).replace(/%3A/g, ":").replace(/%40/g, "@");
const plain = /^[A-Za-z0-9][\w.:~-]*\/[A-Za-z][\w-]*\/[A-Za-z0-9][\w.:~-]*$/;
/** A key of three plain steps (shop/Deployment/web) keeps its slashes; any other is one step. */
const steps = (key: string): string => (plain.test(key) ? key.split("/").map(step).join("/") : step(key));

/** What an address's step, or steps, stand for: the inverse of what the functions below write. */
export const keyOf = (rest: string): string => rest.split("/").map((s) => part(s).replace(/%(25|2F)/g, (_, c) => (c === "25" ? "%" : "/"))).join("/");

export const clusterAddress = (name: string): string => `/clusters/${step(name)}`;
export const workloadAddress = (cluster: string, key: string): string => `/workloads/${step(cluster)}/${steps(key)}`;
export const identityAddress = (cluster: string, key: string): string => `/identities/${step(cluster)}/${step(key)}`;
export const exposureAddress = (cluster: string, key: string): string => `/exposure/${step(cluster)}/${steps(key)}`;
export const governedAddress = (id: string): string => `/governance/${step(id)}`;
export const controlAddress = (id: string): string => `/compliance/${step(id)}`;
export const recommendationAddress = (key: string): string => `/recommendations/${step(key)}`;
export const auditAddress = (id: string): string => `/audit/${step(id)}`;

/** A key as the server has it: characters that lib/text wrote as \u{…} are themselves again. */
export const unseen = (key: string): string => key.replace(/\\u\{([0-9a-f]{1,4})\}/g, (_, h: string) => String.fromCharCode(parseInt(h, 16)));

export interface IdentityName {
  kind: string; // service account, user, group, node, anonymous
  namespace: string;
  name: string;
}

const KINDS: Readonly<Record<string, string>> = { serviceaccount: "service account", user: "user", group: "group", node: "node" };

/** The parts of an identity's key: "serviceaccount:shop/web" is a service account web of shop. */
export function identityName(key: string): IdentityName {
  const at = key.indexOf(":");
  const word = key.slice(0, Math.max(0, at));
  const kind = Object.hasOwn(KINDS, word) ? KINDS[word]! : "";
  if (!kind) return { kind: key === "anonymous" ? "anonymous" : "", namespace: "", name: key };
  const rest = key.slice(at + 1);
  const slash = kind === "service account" ? rest.indexOf("/") : -1;
  return { kind, namespace: slash < 0 ? "" : rest.slice(0, slash), name: rest.slice(slash + 1) };
}

/** The parts of namespace/Kind/name, and of Kind/namespace/name where kindFirst. */
export function objectName(key: string, kindFirst = false): { kind: string; namespace: string; name: string } {
  const [a = "", b = "", ...rest] = key.split("/");
  if (rest.length === 0) return kindFirst && b ? { kind: a, namespace: "", name: b } : { kind: "", namespace: b ? a : "", name: b || a };
  return kindFirst ? { kind: a, namespace: b, name: rest.join("/") } : { kind: b, namespace: a, name: rest.join("/") };
}
