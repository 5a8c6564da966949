import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ClusterRowSchema, RightSchema, WorkloadRowSchema } from "../gen/dockreeve/v1/dockreeve_pb";
import { auditOf, didWhat, outcome, who } from "./audit";
import { abreast, clusterReasons, clusterState, covered, grantSays, learned, listed, mountSays, powerSays, reachSays, rightSays, tlsOf, verdictOf } from "./cluster";
import { auditAddress, clusterAddress, exposureAddress, identityAddress, identityName, keyOf, objectName, unseen, workloadAddress } from "./entity";
import { pretty } from "./json";
import { visible } from "./text";

const NOW = 1_800_000_000_000;
const ns = (t: number) => BigInt(t) * 1_000_000n;

describe("an address", () => {
  const names = ["shop/Deployment/web", "a/b/c.d-1", "serviceaccount:shop/web", "user:https://issuer.example#alice", "user:../../x", "user:50%/2F%252F", "user:Jane Doe", "user:ü\u{1f4a9}", "x//y", "shop/Deployment/", "/", "%", ".."];
  it("stands for exactly one key, whatever is in it", () => {
    for (const key of names) for (const f of [workloadAddress, identityAddress, exposureAddress]) {
      const path = f("prod/eu", key);
      const [, , cluster, ...rest] = path.split("/");
      expect([keyOf(cluster!), keyOf(rest.join("/"))]).toEqual(["prod/eu", key]);
      // What servers on the way fold or cut must not be in it, however often it is decoded once.
      expect(decodeURIComponent(path)).not.toMatch(/\/\/|\/\.\.\/|\?|#(?!alice)/);
      expect(path).not.toMatch(/[?# ]/);
    }
    for (const key of names) expect([keyOf(clusterAddress(key).slice(10)), keyOf(auditAddress(key).slice(7))]).toEqual([key, key]);
  });
  it("reads well where the key is plain", () => {
    expect(workloadAddress("prod", "shop/Deployment/web")).toBe("/workloads/prod/shop/Deployment/web");
    expect(identityAddress("prod", "user:alice@example.com")).toBe("/identities/prod/user:alice@example.com");
  });
  it("can be asked for as the server has it", () => {
    const key = "user:a\u202eb\u0000";
    expect(unseen(visible(key))).toBe(key);
    expect(unseen("user:plain")).toBe("user:plain");
  });
});

describe("names", () => {
  it("tell kind, namespace and name apart", () => {
    expect(identityName("serviceaccount:shop/web")).toEqual({ kind: "service account", namespace: "shop", name: "web" });
    expect(identityName("user:a/b:c")).toEqual({ kind: "user", namespace: "", name: "a/b:c" });
    expect(identityName("anonymous")).toEqual({ kind: "anonymous", namespace: "", name: "anonymous" });
    expect(identityName("constructor:x")).toEqual({ kind: "", namespace: "", name: "constructor:x" });
    expect(objectName("shop/Deployment/a/b")).toEqual({ namespace: "shop", kind: "Deployment", name: "a/b" });
    expect(objectName("Ingress/shop/web", true)).toEqual({ kind: "Ingress", namespace: "shop", name: "web" });
    expect(objectName("host")).toEqual({ kind: "", namespace: "", name: "host" });
  });
});

describe("what is watched of clusters", () => {
  const good = () => create(ClusterRowSchema, { name: "prod", agent: "0.4.0", connected: true, reported: ns(NOW), nodes: 3, nodesWatched: 3, auditMode: "webhook", auditSince: ns(NOW - 3_600_000) });
  it("is silent only when nothing is missing", () => {
    expect(clusterReasons([good()], NOW)).toEqual([]);
    expect(clusterState(good(), NOW)).toMatchObject({ watched: true, api: true, nodesAll: true, apiShort: "webhook for 1 h" });
  });
  it("names each gap once", () => {
    const c = good();
    Object.assign(c, { connected: false, reported: ns(NOW - 600_000), nodesWatched: 1, auditMode: "", gaps: [{ what: "API server of prod", reason: "", remedy: "" }, { what: "what goes on in prod", reason: "", remedy: "" }, { what: "mesh", reason: "", remedy: "" }] });
    expect(clusterReasons([c], NOW)).toEqual(["cluster prod is silent since 10 m", "API server of prod not watched", "2 of 3 nodes of prod not watched", "mesh in prod not assessed"]);
    const d = good();
    d.agent = "";
    expect(clusterReasons([d], NOW)).toEqual(["cluster prod was inspected once and is not watched"]);
    expect(covered([c, d, good()])).toEqual({ of: 3, clusters: 1, api: 2, nodes: 7, nodesOf: 9 });
  });
  it("never says that no node at all is full cover", () => {
    const c = good();
    c.nodes = c.nodesWatched = 0;
    expect(clusterState(c, NOW).nodesAll).toBe(false);
  });
  it("says that the cheaper audit log has no reads", () => {
    const c = good();
    c.auditAs = "kube-audit-admin";
    expect(clusterState(c, NOW).apiShort).toContain("no reads");
    expect(clusterState(c, NOW).apiSays).toContain("reads are not in it");
  });
});

describe("words", () => {
  it("that are not known stay themselves, and are not grave", () => {
    for (const f of [grantSays, powerSays]) expect(f("toString")).toEqual({ label: "toString", why: "", grave: false });
    expect(reachSays("unknown").label).toBe("not assessed");
    expect(reachSays("constructor").label).toBe("not assessed");
    expect(grantSays("cluster-admin").grave).toBe(true);
    expect(powerSays("CAP_SYS_ADMIN").grave).toBe(true);
  });
  it("tell which mounts give the node away", () => {
    expect(["/", "/etc/kubernetes", "/var/run/docker.sock", "/proc", "/data/app", "/etcetera-not"].map((p) => mountSays(p).grave)).toEqual([true, true, true, true, false, true]);
  });
  it("do not say that a service is in the clear: it cannot tell", () => {
    expect([tlsOf({ tls: true, kind: "Service" }), tlsOf({ tls: false, kind: "Ingress" }), tlsOf({ tls: false, kind: "HTTPRoute" }), tlsOf({ tls: false, kind: "Service" })]).toEqual(["yes", "no", "no", "not assessed"]);
  });
  it("make a sentence of a rule", () => {
    const r = (o: object) => rightSays(create(RightSchema, o));
    expect(r({ verbs: ["get", "list"], groups: [""], resources: ["secrets"] })).toBe("get and list secrets");
    expect(r({ verbs: ["*"], groups: ["*"], resources: ["*"] })).toBe("do anything with everything");
    expect(r({ verbs: ["patch"], groups: ["apps"], resources: ["deployments", "deployments/scale"], names: ["web"] })).toBe("patch deployments.apps and deployments/scale.apps, only web");
    expect(r({ verbs: ["get"], urls: ["/metrics"] })).toBe("get /metrics");
    expect(r({})).toBe("nothing");
    expect(listed(["a", "b", "c"], 2)).toBe("a, b and 1 more");
  });
  it("count an image that several containers run once", () => {
    const w = create(WorkloadRowSchema, { images: [{ digest: "sha256:1", counts: {} }, { digest: "sha256:1", counts: {} }, { image: "x", notAssessed: "waiting" }] });
    expect(verdictOf(w)).toEqual({ known: 1, of: 2, why: "waiting" });
    expect(verdictOf(create(WorkloadRowSchema, {})).why).toBe("it names no image");
  });
  it("show how far learning has come, and null where that is not known", () => {
    expect(learned(ns(NOW - 5000), ns(NOW + 5000), false, NOW)).toBeCloseTo(0.5);
    expect(learned(0n, ns(NOW), false, NOW)).toBeNull();
    expect(learned(0n, 0n, true, NOW)).toBe(1);
    expect(learned(ns(NOW - 10), ns(NOW - 5), false, NOW)).toBe(0.99);
  });
});

describe("an audit event", () => {
  const doc = { auditID: "1", verb: "list", requestURI: "/api/v1/secrets", user: { username: "u", groups: ["g", 4] }, sourceIPs: ["10.0.0.1"], objectRef: { resource: "deployments", apiGroup: "apps", subresource: "scale", namespace: "n", name: "x" }, responseStatus: { code: 403 }, annotations: { "authorization.k8s.io/decision": "forbid" }, dockreeve: { actor: "user", elsewhere: true, learned: "86400000000000", why: ["never before"], grants: "no list" } };
  it("is read bare and as the trace writes it", () => {
    for (const text of [JSON.stringify(doc), JSON.stringify({ type: "pluginevent", json: JSON.stringify(doc) })]) {
      const a = auditOf(text)!;
      expect([a.verb, a.resource, a.user, a.groups, a.code, a.decision]).toEqual(["list", "deployments.apps/scale", "u", ["g"], 403, "forbid"]);
      expect(a.facts).toMatchObject({ actor: "user", elsewhere: true, learned: 86400000000000, why: ["never before"], grants: [], by: "" });
    }
  });
  it("is none where it is none", () => {
    for (const text of ["", "{", "null", "[]", "4", '"x"', '{"type":"execve","process":{}}', '{"json":"{"}']) expect(auditOf(text)).toBeNull();
    expect(auditOf(JSON.stringify(doc), "[]")!.facts).toBeNull();
  });
  it("survives having its hidden characters shown on the way, and shows them", () => {
    const text = visible(JSON.stringify({ ...doc, userAgent: "a\u202eb" }));
    expect(() => JSON.parse(text) as unknown).toThrow();
    expect(auditOf(text)!.agent).toBe("a\\u{202e}b");
    expect(pretty(text)).toMatchObject({ valid: true });
    expect(pretty(text).text).toContain("a\\u{202e}b");
    expect(pretty("{x").valid).toBe(false);
  });
  it("reads in the past", () => {
    const s = (verb: string, resource: string, name = "", namespace = "n") => didWhat({ verb, resource, namespace, name });
    expect(s("list", "secrets")).toBe("listed secrets in n");
    expect(s("create", "pods/exec", "web-0")).toBe("ran a command in pods n/web-0");
    expect(s("get", "pods/log", "web-0")).toBe("read the log of pods n/web-0");
    expect(s("get", "deployments.apps/status", "web")).toBe("read deployments.apps/status n/web");
    expect(s("constructor", "", "")).toBe("did constructor on something in n");
    expect(s("get", "/api/v1/x", "", "")).toBe("read /api/v1/x");
    expect(didWhat({ verb: "patch", resource: "deployments.apps", namespace: "n", name: "" }, true)).toBe("changed deployments in n");
    expect(outcome({ code: 403, decision: "" })).toEqual({ word: "refused 403", bad: true });
    expect(outcome({ code: 0, decision: "" }).word).toBe("not told");
    expect(who("serviceaccount:a/b", "")).toBe("a/b");
    expect(who("", "")).toBe("nobody known");
  });
});

describe("a way in", () => {
  it("stands services side by side where an ingress leads to several", () => {
    expect(abreast(["Ingress/shop/shop", "Service/shop/storefront", "Service/shop/admin"])).toEqual([["Ingress/shop/shop"], ["Service/shop/storefront", "Service/shop/admin"]]);
    expect(abreast([])).toEqual([]);
  });
});
