// Images, packages and vulnerabilities for the development mock: invented, the
// same at each start. Ids that look like CVEs are made up; none is meant to be a real one.
import { containers, ns } from "./data.mjs";

let seed = 77031;
const rnd = () => { // its own sequence, so that the alerts stay the same whatever is added here
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const int = (n) => Math.floor(rnd() * n);
const pick = (list) => list[int(list.length)];
const hex = (n) => Array.from({ length: n }, () => int(16).toString(16)).join("");
const DAY = 864e5;
const SEV = ["UNSPECIFIED", "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"];
export const WORDS = ["unrated", "informational", "low", "medium", "high", "critical"];
const bad = (message) => Object.assign(new Error(message), { code: "invalid_argument", http: 400 });
const gone = (message) => Object.assign(new Error(message), { code: "not_found", http: 404 });

// The part of the query grammar that the console uses, over any fields.
export function compile(text, fields) {
  const tests = [];
  for (const m of (text ?? "").matchAll(/(-)?(?:([a-z_][a-z_.-]*):)?((?:>=|<=|>|<|=)?)("(?:[^"\\]|\\.)*"|\S+)/gi)) {
    const [, neg, name, op, raw] = m;
    const quoted = raw.startsWith('"');
    const values = (quoted ? [raw.slice(1, -1).replace(/\\(.)/g, "$1")] : raw.split(",")).map((v) => v.toLowerCase());
    let t;
    if (!name) t = (x) => Object.values(fields).some((f) => f.free && [f.get(x)].flat().some((s) => values.some((v) => (s ?? "").toLowerCase().includes(v))));
    else {
      const f = fields[name] ?? Object.values(fields).find((y) => y.alias === name);
      if (!f) throw bad(`filter, character ${m.index + 1}: no field is called "${name}" here; fields are ${Object.keys(fields).join(", ")}`);
      const order = (got, want) => ({ ">=": got >= want, "<=": got <= want, ">": got > want, "<": got < want })[op] ?? got === want;
      const words = f.words ?? (f.type === "bool" ? ["no", "yes"] : null);
      if (words) {
        const want = values.map((v) => { const i = words.findIndex((w) => w === v || (v.length > 2 && w.startsWith(v))); if (i < 0) throw bad(`filter: ${name}:${v}: want one of ${words.join(", ")}`); return i; });
        t = (x) => { const g = f.get(x); const i = typeof g === "boolean" ? Number(g) : typeof g === "number" ? g : words.indexOf(g); return i >= 0 && want.some((w) => (f.type === "ranked" ? order(i, w) : i === w)); };
      } else if (f.type === "number") t = (x) => f.get(x) != null && values.some((v) => order(f.get(x), Number(v)));
      else if (f.type === "age") {
        const mm = /^(\d+)([smhdw])$/.exec(values[0]);
        if (!mm) throw bad(`filter: ${name}:${op}${values[0]}: write a number and a unit, as in ${name}:<7d`);
        const limit = Number(mm[1]) * { s: 1e3, m: 6e4, h: 36e5, d: DAY, w: 7 * DAY }[mm[2]];
        t = (x) => (op.startsWith(">") ? Date.now() - f.get(x) > limit : Date.now() - f.get(x) < limit);
      } else {
        const res = values.map((v) => (quoted ? (s) => s === v : ((re) => (s) => re.test(s))(new RegExp("^" + v.split("*").map((x) => x.replace(/[\\^$.|?+()[\]{}]/g, "\\$&")).join(".*") + "$", "s"))));
        t = (x) => { const got = [f.get(x)].flat().map((s) => (s ?? "").toLowerCase()); return (got.length ? got : [""]).some((s) => res.some((r) => r(s))); };
      }
    }
    tests.push(neg ? (x) => !t(x) : t);
  }
  return (x) => tests.every((t) => t(x));
}

const titles = ["Heap buffer overflow while parsing", "Use after free in", "Uncontrolled resource consumption in", "Path traversal when unpacking", "Prototype pollution through", "Improper certificate validation in", "Integer overflow in the size check of", "Server-side request forgery through", "Out-of-bounds read in", "Deserialisation of untrusted data in", "Command injection through the options of", "Race condition in"];
const names = {
  deb: ["openssl", "libssl3", "zlib1g", "libc6", "libcurl4", "curl", "bash", "coreutils", "perl-base", "libxml2", "libpng16-16", "libtiff6", "libwebp7", "libsqlite3-0", "libexpat1", "tar", "gzip", "dpkg", "apt", "libgnutls30", "libsystemd0", "util-linux", "libpam0g", "libkrb5-3", "libldap-2.5-0", "libgcrypt20", "libfreetype6", "libx11-6", "ncurses-base", "git"],
  apk: ["openssl", "busybox", "musl", "zlib", "libcurl", "libcrypto3", "apk-tools", "libxml2", "sqlite-libs", "expat"],
  npm: ["express", "lodash", "axios", "minimist", "semver", "ws", "tar", "follow-redirects", "json5", "qs", "undici", "cookie", "path-to-regexp", "braces", "micromatch", "word-wrap", "@babel/traverse", "@shop/ui-kit"],
  pypi: ["requests", "urllib3", "jinja2", "django", "flask", "werkzeug", "cryptography", "pillow", "numpy", "pyyaml", "setuptools", "gunicorn"],
  golang: ["stdlib", "golang.org/x/net", "golang.org/x/crypto", "golang.org/x/text", "google.golang.org/grpc", "github.com/gin-gonic/gin", "github.com/docker/docker"],
  maven: ["org.springframework:spring-web", "org.apache.logging.log4j:log4j-core", "com.fasterxml.jackson.core:jackson-databind", "org.yaml:snakeyaml", "io.netty:netty-handler", "ch.qos.logback:logback-core"],
};
const licences = { deb: [["GPL-2.0-or-later"], ["LGPL-2.1-or-later"], ["Apache-2.0"], ["BSD-3-Clause"], ["GPL-3.0-or-later"], []], apk: [["MIT"], ["Apache-2.0"], ["GPL-2.0-only"]], npm: [["MIT"], ["ISC"], ["BSD-3-Clause"], ["MIT"], ["Apache-2.0"]], pypi: [["Apache-2.0"], ["BSD-3-Clause"], ["MIT"], []], golang: [["BSD-3-Clause"], ["Apache-2.0"], ["MIT"]], maven: [["Apache-2.0"], ["EPL-2.0"]] };
const useReason = "no container of this image has been watched from its start";

export function makeImages(now, { images: imageCount = 500, vulnerabilities = 10500 } = {}) {
  const vulns = Array.from({ length: vulnerabilities }, (_, n) => {
    const r = rnd(), severity = r < 0.05 ? 5 : r < 0.26 ? 4 : r < 0.68 ? 3 : r < 0.9 ? 2 : 0;
    const kev = n < 24;
    const ghsa = rnd() < 0.12;
    const cve = `CVE-${2019 + int(8)}-${90000 + n}`;
    const cvss = severity ? Math.round(([0, 0, 2.5, 4.6, 7.2, 9.1][severity] + rnd() * 0.8) * 10) / 10 : 0;
    const epss = rnd() < 0.08 ? undefined : kev ? 0.4 + rnd() * 0.57 : Math.pow(rnd(), 9) * 0.9;
    return { n, id: ghsa ? `GHSA-${hex(4)}-${hex(4)}-${hex(4)}` : cve, aliases: ghsa ? [cve] : rnd() < 0.2 ? [`GHSA-${hex(4)}-${hex(4)}-${hex(4)}`] : [], severity: kev ? Math.max(4, severity) : severity, cvss: kev ? Math.max(cvss, 7.8) : cvss,
      vector: severity ? "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N" : "", epss, percentile: epss === undefined ? 0 : Math.min(0.999, Math.pow(epss, 0.12)), kev: kev ? { added: `2026-0${1 + int(9)}-${10 + int(18)}`, due: `2026-1${int(2)}-${10 + int(18)}`, ransomware: n % 4 === 0, action: "Apply the vendor's mitigations, or stop using the product where there are none." } : undefined,
      what: pick(titles), references: [`https://security.example.org/advisories/${cve}`, `https://vendor.example.com/bulletins/${n}`, ...(rnd() < 0.3 ? Array.from({ length: 6 }, (_, k) => `https://lists.example.net/${cve}/${k}`) : [])], published: now - Math.pow(rnd(), 2) * 1500 * DAY, packages: [] };
  });
  // Versions of packages, each with what it has.
  const packages = [];
  for (const [type, list] of Object.entries(names)) for (const name of list) for (let k = 0; k < (type === "deb" ? 18 : 14); k++) {
    const version = type === "deb" ? `${1 + int(9)}.${int(12)}.${int(20)}-${1 + int(4)}+deb${11 + int(2)}u${1 + int(5)}` : type === "apk" ? `${1 + int(5)}.${int(9)}.${int(9)}-r${int(6)}` : `${int(20)}.${int(12)}.${int(30)}`;
    packages.push({ type, name, version, has: [], licences: pick(licences[type]), next: version.replace(/\d+(?!.*\d)/, (d) => String(Number(d) + 1 + int(3))) });
  }
  for (const v of vulns) for (let k = 0; k < (rnd() < 0.8 ? 1 : 3); k++) {
    const p = v.n < 24 ? packages[(v.n * 13) % packages.length] : packages[Math.floor(Math.pow(rnd(), 1.6) * packages.length)];
    if (p.has.some((h) => h.v === v)) continue;
    const r = rnd(), status = r < 0.62 ? "fixed" : r < 0.84 ? "unfixed" : r < 0.93 ? "wont-fix" : r < 0.97 ? "deferred" : "end-of-life";
    p.has.push({ v, status, fixedIn: status === "fixed" ? p.next : "" });
    v.packages.push(p);
  }
  for (const v of vulns) if (!v.packages.length) { packages[0].has.push({ v, status: "unfixed", fixedIn: "" }); v.packages.push(packages[0]); }
  const of = (type, n) => { const all = packages.filter((p) => p.type === type); const out = new Map(); while (out.size < Math.min(n, new Set(all.map((p) => p.name)).size)) { const p = pick(all); if (!out.has(p.name)) out.set(p.name, p); } return [...out.values()]; };
  const bases = [["docker.io/library/debian:12", "Debian GNU/Linux 12 (bookworm)", "deb", 24], ["docker.io/library/debian:12-slim", "Debian GNU/Linux 12 (bookworm)", "deb", 14], ["docker.io/library/debian:11", "Debian GNU/Linux 11 (bullseye)", "deb", 26], ["docker.io/library/alpine:3.20", "Alpine Linux v3.20", "apk", 7], ["docker.io/library/alpine:3.22", "Alpine Linux v3.22", "apk", 7], ["docker.io/library/ubuntu:24.04", "Ubuntu 24.04.2 LTS", "deb", 20], ["gcr.io/distroless/static-debian12", "Debian GNU/Linux 12 (bookworm)", "deb", 2], ["", "", "deb", 0]]
    .map(([name, distro, type, n]) => ({ name, distro, packages: of(type, n), layers: [hex(64)], size: 5e6 + rnd() * 45e6, removes: int(60) }));
  const apps = ["storefront", "checkout-api", "settlement", "ledger", "catalogue", "search-indexer", "mailer", "gateway", "session-store", "report-builder", "fraud-scorer", "image-resizer", "price-feed", "audit-log", "notifier", "webhooks", "admin-ui", "identity", "scheduler", "exporter"];
  const teams = ["shop", "payments", "platform", "data", "ci"];
  const reasons = ["registry registry.example.com answered 401: no credential for it was found; log in with docker login, or scan it where it is built", "layer 4 of 7 is encrypted (ocicrypt) and no key was given", "the image was gone from the node before it could be read", "manifest unknown: the registry no longer has this digest"];
  const nodes = ["aks-user-14382954-vmss000002", "aks-user-14382954-vmss000004", "aks-user-14382954-vmss00000a"];
  const images = [];
  for (let n = 0; n < imageCount; n++) {
    const c = containers.filter((x) => x.image)[n]; // what alerts name is here too
    const base = n === 2 ? bases[2] : bases[Math.floor(Math.pow(rnd(), 1.3) * bases.length)];
    const team = pick(teams), app = pick(apps);
    const name = c?.image ?? (rnd() < 0.04 ? "" : rnd() < 0.1 ? `registry.example.com/mirrors/quay.io/very/deeply/nested/organisation/${app}-with-a-rather-long-name:${2026}.${int(12)}.${int(99)}-rc${int(9)}` : `registry.example.com/${team}/${app}:${1 + int(5)}.${int(20)}.${int(10)}`);
    const kinds = rnd() < 0.35 ? ["npm"] : rnd() < 0.4 ? ["golang"] : rnd() < 0.5 ? ["pypi"] : ["maven", "npm"];
    const own = kinds.flatMap((t) => of(t, 4 + int(14)));
    const notAssessed = !c && rnd() < 0.045 ? pick(reasons) : "";
    const running = c ? 1 + int(3) : rnd() < 0.22 ? 1 + int(6) : 0;
    const watched = running > 0 && rnd() < 0.85 ? now - (1 + rnd() * 9) * DAY : 0;
    const layers = [...base.layers.map((d) => ({ digest: `sha256:${d}`, diffId: `sha256:${hex(64)}`, size: base.size, createdBy: `/bin/sh -c #(nop) ADD file:${hex(32)} in /`, base: true })),
      ...["COPY --chown=app:app package.json package-lock.json /srv/app/", "RUN /bin/sh -c npm ci --omit=dev && npm cache clean --force", "COPY . /srv/app", "ENTRYPOINT [\"/usr/bin/tini\", \"--\"]"].map((createdBy, k) => ({ digest: `sha256:${hex(64)}`, diffId: `sha256:${hex(64)}`, size: k === 3 ? 32 : k === 1 ? 12e6 + rnd() * 90e6 : rnd() * 4e6, createdBy, base: false }))];
    const workload = c ? ["shop/Deployment/storefront", "shop/Deployment/checkout-api", "payments/StatefulSet/settlement", "shop/StatefulSet/cache-redis", "ci/Job/runner"][n] : `${team}/${pick(["Deployment", "StatefulSet", "DaemonSet"])}/${app}`;
    const runs = Array.from({ length: running }, (_, k) => ({ workload: k < 4 || rnd() < 0.5 ? workload : `${team}/Job/${app}-migrate`, node: nodes[k % 3], container: k === 0 && c ? c.id : hex(64), name: c?.name ?? app, since: now - rnd() * 20 * DAY, until: 0 }));
    if (running && rnd() < 0.5) runs.push({ workload, node: pick(nodes), container: hex(64), name: app, since: now - 40 * DAY, until: now - 21 * DAY });
    const scanned = notAssessed ? 0 : now - rnd() * 30 * DAY;
    images.push({ n, key: c?.digest ?? `sha256:${hex(64)}`, name, names: name ? [name, ...(rnd() < 0.3 ? [name.replace(/:[^:]*$/, ":latest")] : [])] : [], base, own, all: notAssessed ? [] : [...base.packages.map((p) => ({ p, layer: 0 })), ...own.map((p) => ({ p, layer: base.layers.length + 1 }))],
      platform: rnd() < 0.9 ? "linux/amd64" : "linux/arm64", distro: notAssessed ? "" : base.distro, created: now - rnd() * 300 * DAY, size: layers.reduce((s, l) => s + l.size, 0), first: now - rnd() * 90 * DAY, scanned, matched: scanned ? now - 41 * 60e3 : 0, notAssessed,
      gaps: notAssessed ? [] : rnd() < 0.06 ? [{ what: "layer 2, /srv/app/vendor.tar.zst", reason: "an archive within an archive within an archive: deeper than 3 is not read", remedy: "" }] : [], layers, runs, running, watched, owner: rnd() < 0.6 ? team : "", source: rnd() < 0.7 ? "registry" : rnd() < 0.5 ? "containerd" : "docker",
      gate: notAssessed ? "" : rnd() < 0.45 ? "passed" : rnd() < 0.25 ? "failed" : "",
      secrets: notAssessed || rnd() < 0.8 ? [] : Array.from({ length: 1 + int(3) }, (_, k) => ({ rule: ["aws-access-key", "private-key-pem", "npm-token"][k % 3], title: ["AWS access key id with its secret", "Private key", "npm access token"][k % 3], severity: `SEVERITY_${["CRITICAL", "HIGH", "HIGH"][k % 3]}`, path: ["srv/app/.env", "root/.ssh/id_ed25519", "srv/app/.npmrc"][k % 3], where: "", line: [4, 1, 2][k % 3], layer: base.layers.length + 1, deleted: k === 1, redacted: ["AKIA…7Q (20 characters)", "-----BEGIN … (411 characters)", "npm_…x9 (40 characters)"][k % 3] })),
      missteps: notAssessed ? [] : [{ check: "config-no-user", title: "Runs as root", severity: "SEVERITY_MEDIUM", detail: "The configuration sets no user, so its processes have every right that a container can have.", remedy: "Add a line USER to the Dockerfile, with a number above 0.", path: "" }, ...(rnd() < 0.4 ? [{ check: "config-setuid", title: "Programs that run as their owner, whoever starts them", severity: "SEVERITY_LOW", detail: "6 setuid files, of which an application needs none.", remedy: "RUN find / -perm -4000 -exec chmod u-s {} +", path: "usr/bin/newgrp" }] : [])],
      malware: n === 7 ? [{ path: "tmp/.cache/kdevtmpfsi", name: "XMRig miner", sha256: hex(64), list: "malware-2026-11.txt", layer: 4 }] : [] });
  }
  for (const v of vulns) v.first = now - Math.pow(rnd(), 1.5) * 80 * DAY;

  const useOf = (i, p) => {
    if (!i.watched) return { state: "", reason: i.running ? useReason : "not running where this server watches" };
    const loaded = (p.name.length * 7 + i.n) % 3 === 0;
    return loaded ? { state: "loaded", since: ns(i.watched), first: ns(i.watched + 6e4), last: ns(now - 3 * 6e4), path: p.type === "deb" ? `usr/lib/x86_64-linux-gnu/${p.name}.so.3` : `srv/app/node_modules/${p.name}/index.js` } : { state: "not-seen", since: ns(i.watched) };
  };
  const rank = (h, use) => (h.v.kev ? 300 + (h.v.kev.ransomware ? 50 : 0) : 0) + 250 * (h.v.epss ?? 0) + 200 * [0.35, 0.05, 0.15, 0.45, 0.75, 1][h.v.severity] + (h.v.vector ? 10 * h.v.cvss : 100 * 0.35) + (h.fixedIn ? 60 : 0) + (use.state === "loaded" ? 40 : use.state === "" ? 20 : 0);
  const cache = new Map();
  const findings = (i) => {
    let list = cache.get(i);
    if (!list) {
      list = i.all.flatMap(({ p, layer }) => { const use = useOf(i, p); return p.has.map((h) => ({ h, p, layer, use, rank: rank(h, use), first: Math.max(h.v.first, i.first) })); }).sort((a, b) => b.rank - a.rank);
      cache.set(i, list);
    }
    return list;
  };
  const count = (list) => {
    const c = { critical: 0, high: 0, medium: 0, low: 0, unrated: 0, total: list.length, kev: 0, fixable: 0, inUse: 0 };
    for (const f of list) { c[["unrated", "low", "low", "medium", "high", "critical"][f.h.v.severity]]++; if (f.h.v.kev) c.kev++; if (f.h.fixedIn) c.fixable++; if (f.use.state === "loaded") c.inUse++; }
    return c;
  };
  const text = (o) => Object.fromEntries(Object.entries(o).map(([k, v]) => [k, String(v)]));
  const counts = new Map();
  const countsOf = (i) => { let c = counts.get(i); if (!c) counts.set(i, (c = count(findings(i)))); return c; };
  const risk = (i) => { const c = countsOf(i); return (i.running ? 1e6 : 0) + c.kev * 1e4 + c.critical * 100 + c.high; };
  const imageMsg = (i) => ({ key: i.key, name: i.name, names: i.names, platform: i.platform, distro: i.distro, created: ns(i.created), size: String(Math.round(i.size)), firstSeen: ns(i.first), scannedAt: i.scanned ? ns(i.scanned) : "0", notAssessed: i.notAssessed, gaps: i.gaps.length, counts: text(countsOf(i)), packages: String(i.all.length), secrets: String(i.secrets.length), missteps: String(i.missteps.length), malware: String(i.malware.length),
    running: String(i.running), workloads: [...new Set(i.runs.filter((r) => !r.until).map((r) => r.workload))], base: i.notAssessed ? "" : i.base.name, matchedAt: i.matched ? ns(i.matched) : "0", source: i.source, gate: i.gate, use: i.watched ? { state: countsOf(i).inUse ? "loaded" : "not-seen", since: ns(i.watched) } : { state: "", reason: useReason } });
  const runMsg = (r) => ({ ...r, since: ns(r.since), until: r.until ? ns(r.until) : "0" });
  const findingMsg = (f) => ({ id: f.h.v.id, aliases: f.h.v.aliases, package: f.p.name, version: f.p.version, type: f.p.type, fixedIn: f.h.fixedIn, status: f.h.status, severity: `SEVERITY_${SEV[f.h.v.severity]}`, severityFrom: f.p.type === "deb" ? "debian" : "ghsa", cvss: f.h.v.cvss, vector: f.h.v.vector, epss: f.h.v.epss, epssPercentile: f.h.v.percentile, kev: f.h.v.kev, title: `${f.h.v.what} ${f.p.name}`, references: f.h.v.references,
    source: f.p.type === "deb" ? "debian" : `osv/${f.p.type}`, location: f.p.type === "deb" ? "var/lib/dpkg/status" : f.p.type === "apk" ? "lib/apk/db/installed" : `srv/app/node_modules/${f.p.name}/package.json`, layer: f.layer, use: f.use, rank: f.rank, firstDetected: ns(f.first), published: ns(f.h.v.published), purl: `pkg:${f.p.type}/${encodeURIComponent(f.p.name)}@${f.p.version}` });

  const worst = (i) => { const c = countsOf(i); return i.notAssessed || !c.total ? -1 : c.critical ? 5 : c.high ? 4 : c.medium ? 3 : c.low ? 2 : 0; };
  const useWord = (u) => (u.state === "loaded" ? "yes" : u.state === "not-seen" ? "no" : "unknown");
  const USE = ["yes", "no", "unknown"];
  const imageFields = {
    image: { free: true, alias: "name", get: (i) => i.names }, digest: { free: true, get: (i) => i.key }, severity: { type: "ranked", words: WORDS, alias: "sev", get: worst }, kev: { type: "bool", get: (i) => countsOf(i).kev > 0 }, fixable: { type: "bool", get: (i) => countsOf(i).fixable > 0 },
    in_use: { words: USE, get: (i) => (countsOf(i).inUse ? "yes" : i.watched ? "no" : "unknown") }, running: { type: "bool", get: (i) => i.running > 0 }, assessed: { type: "bool", get: (i) => !i.notAssessed }, id: { get: (i) => findings(i).flatMap((f) => [f.h.v.id, ...f.h.v.aliases]) }, package: { get: (i) => i.all.map((x) => x.p.name) },
    workload: { get: (i) => i.runs.filter((r) => !r.until).map((r) => r.workload) }, node: { get: (i) => i.runs.filter((r) => !r.until).map((r) => r.node) }, distro: { free: true, get: (i) => i.distro }, platform: { get: (i) => i.platform }, source: { get: (i) => i.source }, base: { free: true, get: (i) => i.base.name }, owner: { free: true, get: (i) => i.owner }, gate: { words: ["none", "failed", "passed"], get: (i) => i.gate || "none" },
    secrets: { type: "number", get: (i) => i.secrets.length }, malware: { type: "number", get: (i) => i.malware.length }, packages: { type: "number", get: (i) => i.all.length }, age: { type: "age", get: (i) => i.scanned || i.first }, scanned: { type: "age", get: (i) => i.scanned },
  };
  const findingFields = {
    severity: { type: "ranked", words: WORDS, get: (f) => f.h.v.severity }, id: { free: true, alias: "cve", get: (f) => [f.h.v.id, ...f.h.v.aliases] }, package: { free: true, get: (f) => f.p.name }, type: { get: (f) => f.p.type }, kev: { type: "bool", get: (f) => !!f.h.v.kev }, fixable: { type: "bool", get: (f) => !!f.h.fixedIn }, in_use: { words: USE, get: (f) => useWord(f.use) },
    status: { words: ["fixed", "unfixed", "wont-fix", "deferred", "end-of-life", "under-review"], get: (f) => f.h.status }, epss: { type: "number", get: (f) => f.h.v.epss }, cvss: { type: "number", get: (f) => f.h.v.cvss }, layer: { type: "number", get: (f) => f.layer }, location: { free: true, get: () => "" }, title: { free: true, get: (f) => `${f.h.v.what} ${f.p.name}` }, age: { type: "age", get: (f) => f.first },
  };
  const packageFields = { package: { free: true, alias: "name", get: (x) => x.p.name }, version: { free: true, get: (x) => x.p.version }, type: { get: (x) => x.p.type }, licence: { get: (x) => x.p.licences }, vulnerabilities: { type: "number", get: (x) => x.p.has.length }, in_use: { words: USE, get: (x) => useWord(x.use) }, layer: { type: "number", get: (x) => x.layer }, location: { free: true, get: () => "" } };

  // One row per vulnerability, remembered until something changes.
  let table = null;
  const rowsOf = () => {
    if (table) return table;
    const by = new Map();
    for (const i of images) {
      const seen = new Set();
      for (const f of findings(i)) {
        let r = by.get(f.h.v);
        if (!r) by.set(f.h.v, (r = { v: f.h.v, images: [], rank: 0, fixable: true, statuses: new Set(), packages: new Set(), used: new Set(), first: Infinity }));
        if (!seen.has(f.h.v)) { seen.add(f.h.v); r.images.push(i); }
        r.rank = Math.max(r.rank, f.rank); r.statuses.add(f.h.status); r.packages.add(f.p.name); r.first = Math.min(r.first, f.first);
        if (!f.h.fixedIn) r.fixable = false;
        if (f.use.state === "loaded") r.used.add(i);
      }
    }
    for (const r of by.values()) {
      r.running = r.images.filter((i) => i.running);
      r.workloads = new Set(r.running.flatMap((i) => i.runs.filter((x) => !x.until).map((x) => x.workload)));
      r.status = ["fixed", "under-review", "unfixed", "deferred", "wont-fix", "end-of-life"].find((s) => r.statuses.has(s));
      r.title = `${r.v.what} ${[...r.packages][0]}`;
    }
    return (table = by);
  };
  const rowFields = {
    severity: { type: "ranked", words: WORDS, get: (r) => r.v.severity }, id: { free: true, alias: "cve", get: (r) => [r.v.id, ...r.v.aliases] }, kev: { type: "bool", get: (r) => !!r.v.kev }, fixable: { type: "bool", get: (r) => r.fixable }, in_use: { words: USE, get: (r) => (r.used.size ? "yes" : r.images.every((i) => i.watched) ? "no" : "unknown") }, running: { type: "bool", get: (r) => r.running.length > 0 },
    status: { words: findingFields.status.words, get: (r) => r.status }, epss: { type: "number", get: (r) => r.v.epss }, cvss: { type: "number", get: (r) => r.v.cvss }, images: { type: "number", get: (r) => r.images.length }, title: { free: true, get: (r) => r.title }, package: { get: (r) => [...r.packages] }, image: { get: (r) => r.images.flatMap((i) => i.names) }, distro: { get: (r) => r.images.map((i) => i.distro) },
    workload: { get: (r) => [...r.workloads] }, owner: { get: (r) => r.running.map((i) => i.owner) }, age: { type: "age", get: (r) => r.first }, published: { type: "age", get: (r) => r.v.published },
  };
  const rowMsg = (r) => ({ id: r.v.id, severity: `SEVERITY_${SEV[r.v.severity]}`, cvss: r.v.cvss, epss: r.v.epss, epssPercentile: r.v.percentile, kev: r.v.kev, title: r.title, fixable: r.fixable, packages: [...r.packages].slice(0, 10), images: String(r.images.length), runningImages: String(r.running.length), workloads: String(r.workloads.size), imagesInUse: String(r.used.size), firstDetected: ns(r.first), published: ns(r.v.published), status: r.status, rank: r.rank });

  let state = "good";
  const started = now;
  const advisories = () => {
    const built = { good: now - 3 * 36e5, stale: now - 9 * DAY, failed: now - 3 * 36e5, missing: 0 }[state];
    if (!built) return { built: "0", notAssessed: "there is no advisory database at /var/lib/dockreeve/advisories.db", maxAge: ns(7 * DAY), feeds: [] };
    return { built: ns(built), stale: state === "stale", maxAge: ns(7 * DAY), version: "2026-11-26T13:00:00Z-7f3a91c2", matchedAt: ns(now - 41 * 6e4), rematchedImages: String(images.filter((i) => !i.notAssessed).length), updateError: state === "failed" ? "osv/npm: Get \"https://osv.example/npm/all.zip\": dial tcp: lookup osv.example: no such host" : "",
      feeds: [["debian", 71204, "MIT (tracker), DFSG"], ["alpine", 18333, "MIT"], ["osv/npm", 24551, "CC-BY-4.0"], ["osv/Go", 4120, "CC-BY-4.0"], ["osv/PyPI", 15882, "CC-BY-4.0"], ["osv/Maven", 6120, "CC-BY-4.0"], ["epss", 291440, "as published by FIRST"], ["kev", 1480, "CC0-1.0"]].map(([name, records, licence], k) => ({ name, records: String(records), date: ns(built - k * 36e5), fetched: ns(built), licence, error: state === "failed" && name === "osv/npm" ? "no such host; the data of 2 days ago are kept" : "" })) };
  };
  const coverage = () => {
    const run = images.filter((i) => i.running);
    return { running: String(run.length), runningAssessed: String(run.filter((i) => !i.notAssessed).length), notAssessed: run.filter((i) => i.notAssessed).slice(0, 50).map((i) => ({ what: i.name || i.key, reason: i.notAssessed })), advisories: advisories(), watching: true, gatedRunning: String(run.filter((i) => i.gate === "passed").length) };
  };
  const page = (rows, q, most = 100) => { const from = Number(q.cursor || 0), size = q.pageSize || most; return { rows: rows.slice(from, from + size), nextCursor: from + size < rows.length ? String(from + size) : "", total: String(rows.length) }; };
  const sorted = (rows, q, orders, first, up = []) => {
    const name = (q.order || first).replace(/^-/, ""), key = orders[name];
    if (!key) throw bad(`there is no such order for this list: "${q.order}": ${Object.keys(orders).join(", ")}`);
    const sign = ((q.order ?? "").startsWith("-") ? -1 : 1) * (up.includes(name) ? -1 : 1);
    const keyed = rows.map((r) => [key(r), r]);
    keyed.sort(([a], [b]) => sign * (a < b ? 1 : a > b ? -1 : 0));
    return keyed.map(([, r]) => r);
  };
  const find = (key) => { const i = images.find((x) => x.key === key); if (!i) throw gone(`no image ${key}: it was neither scanned nor seen running; list them with dockreeve images list`); return i; };

  const api = {
    "ImageService/ListImages": (q) => {
      const rows = sorted(images.filter(compile(q.filter, imageFields)), q, { risk, last_seen: (i) => i.scanned || i.first, first_seen: (i) => i.first, critical: (i) => countsOf(i).critical * 1e4 + countsOf(i).high, kev: (i) => countsOf(i).kev, in_use: (i) => countsOf(i).inUse, size: (i) => i.size, name: (i) => i.name }, "risk", ["name"]);
      const p = page(rows, q);
      return { images: p.rows.map(imageMsg), nextCursor: p.nextCursor, total: p.total, totalAll: String(images.length), coverage: coverage() };
    },
    "ImageService/GetImage": (q) => {
      const i = find(q.key);
      const list = findings(i);
      const c = countsOf(i);
      const licence = new Map();
      for (const { p } of i.all) for (const l of p.licences.length ? p.licences : [""]) licence.set(l, (licence.get(l) ?? 0) + 1);
      const history = i.notAssessed ? [] : [{ time: ns(i.matched), cause: "advisories of 2026-11-26", counts: text(c), appeared: list.slice(0, 5).map((f) => f.h.v.id), gone: [], appearedTotal: "7", goneTotal: "0" }, { time: ns(i.first + (now - i.first) * 0.6), cause: "advisories of 2026-10-30", counts: text({ ...c, total: Math.max(0, c.total - 7), high: Math.max(0, c.high - 3) }), appeared: list.slice(6, 8).map((f) => f.h.v.id), gone: list.slice(9, 13).map((f) => f.h.v.id), appearedTotal: "2", goneTotal: "4" }, { time: ns(i.first), cause: "first scan", counts: text({ ...c, total: Math.max(0, c.total - 5), high: Math.max(0, c.high - 5) }), appeared: list.slice(0, 50).map((f) => f.h.v.id), gone: [], appearedTotal: String(Math.max(0, c.total - 5)), goneTotal: "0" }];
      return { image: imageMsg(i), layers: i.notAssessed ? [] : i.layers.map((l, k) => ({ ...l, size: String(Math.round(l.size)), packages: String(i.all.filter((x) => x.layer === k).length), counts: text(count(list.filter((f) => f.layer === k))) })), secrets: i.secrets, missteps: i.missteps, malware: i.malware, base: i.notAssessed || !i.base.name ? undefined : { name: i.base.name, digest: `sha256:${i.base.layers[0]}`, layers: 1, newer: i.base.removes > 20 ? `sha256:${"ab".repeat(32)}` : "", removes: i.base.removes, adds: 2 },
        notAssessed: [...(i.notAssessed ? [{ what: "the whole image", reason: i.notAssessed }] : []), ...i.gaps], running: i.runs.map(runMsg), history,
        gates: i.gate ? [{ key: i.key, time: ns(now - 2 * DAY), passed: i.gate === "passed", commit: "9f2c41d07ab34e5f8c1d2e3f4a5b6c7d8e9f0a1b", pipeline: "shop/storefront, run 4127", policy: "fail-on=kev,high+fixable", reasons: i.gate === "passed" ? [] : list.filter((f) => f.h.v.kev).slice(0, 2).map((f) => `${f.h.v.id} in ${f.p.name} is known to be exploited`).concat("12 high vulnerabilities that have a fix"), url: "https://ci.example.com/shop/storefront/4127" }] : [],
        user: "", entrypoint: ["/usr/bin/tini", "--", "node", "/srv/app/server.js"], licences: [...licence].map(([l, n]) => ({ licence: l, packages: String(n) })).sort((a, b) => b.packages - a.packages) };
    },
    "ImageService/ListImageVulnerabilities": (q) => {
      const i = find(q.key);
      const rows = sorted(findings(i).filter(compile(q.filter, findingFields)), q, { rank: (f) => f.rank, severity: (f) => f.h.v.severity, package: (f) => f.p.name, first_detected: (f) => f.first, cvss: (f) => f.h.v.cvss, id: (f) => f.h.v.id, epss: (f) => f.h.v.epss ?? -1 }, "rank", ["package", "id"]);
      const p = page(rows, q);
      return { vulnerabilities: p.rows.map(findingMsg), nextCursor: p.nextCursor, total: p.total, totalAll: String(findings(i).length) };
    },
    "ImageService/ListImagePackages": (q) => {
      const i = find(q.key);
      const all = i.all.map((x) => ({ ...x, use: useOf(i, x.p) }));
      const p = page(all.filter(compile(q.filter, packageFields)), q);
      return { packages: p.rows.map((x) => ({ type: x.p.type, name: x.p.name, version: x.p.version, purl: `pkg:${x.p.type}/${encodeURIComponent(x.p.name)}@${x.p.version}`, licenses: x.p.licences, location: x.p.type === "deb" ? "var/lib/dpkg/status" : `srv/app/node_modules/${x.p.name}/package.json`, layer: x.layer, ownedBy: "", use: x.use, vulnerabilities: String(x.p.has.length) })), nextCursor: p.nextCursor, total: p.total, totalAll: String(all.length) };
    },
    "ImageService/ListVulnerabilities": (q) => {
      const all = [...rowsOf().values()];
      const rows = sorted(all.filter(compile(q.filter, rowFields)), q, { rank: (r) => r.rank, severity: (r) => r.v.severity, epss: (r) => r.v.epss ?? -1, cvss: (r) => r.v.cvss, images: (r) => r.images.length, running: (r) => r.running.length, in_use: (r) => r.used.size, first_detected: (r) => r.first, published: (r) => r.v.published, id: (r) => r.v.id }, "rank", ["id"]);
      const p = page(rows, q);
      return { vulnerabilities: p.rows.map(rowMsg), nextCursor: p.nextCursor, total: p.total, totalAll: String(all.length), coverage: coverage() };
    },
    "ImageService/GetVulnerability": (q) => {
      if (!q.id || q.id.length > 256) throw bad("id: want 1 to 256 bytes, as in CVE-2024-3094");
      const id = q.id.toLowerCase();
      const r = [...rowsOf().values()].find((x) => [x.v.id, ...x.v.aliases].some((y) => y.toLowerCase() === id));
      if (!r) return { coverage: coverage(), known: id === "cve-2014-0160", aliases: [] };
      const hit = [...r.images].sort((a, b) => b.running - a.running);
      return { vulnerability: rowMsg(r), aliases: r.v.aliases, references: r.v.references, affectedTotal: String(hit.length), coverage: coverage(), known: true,
        affected: hit.slice(0, 1000).map((i) => ({ image: imageMsg(i), findings: findings(i).filter((f) => f.h.v === r.v).map(findingMsg), running: i.runs.map(runMsg), owner: i.owner })) };
    },
    "ImageService/GetAdvisoryStatus": () => ({ status: advisories() }),
    "ImageService/GetRemediation": () => {
      if (images.length === 0) return { notAssessed: "no vulnerability has been detected in anything that runs: either nothing that runs is watched, or it has not been scanned" };
      const row = (group, severity, closed, p50, p90, goneN, open, o50, o90, max) => ({ group, severity: `SEVERITY_${severity}`, closed: String(closed), closedP50: ns(p50 * DAY), closedP90: ns(p90 * DAY), gone: String(goneN), open: String(open), openP50: ns(o50 * DAY), openP90: ns(o90 * DAY), openMax: ns(max * DAY) });
      return { since: ns(started - 63 * DAY), rows: [row("critical", "CRITICAL", 41, 3.2, 9.5, 6, 17, 12.4, 38, 61), row("high", "HIGH", 212, 8, 21, 19, 340, 19, 44, 63), row("medium", "MEDIUM", 388, 14, 40, 44, 1204, 27, 58, 63), row("low", "LOW", 90, 22, 51, 12, 2210, 31, 60, 63), row("unrated", "UNSPECIFIED", 12, 10, 30, 1, 93, 20, 40, 60), row("payments", "CRITICAL", 18, 2, 5, 1, 3, 4, 9, 11), row("shop", "CRITICAL", 20, 4, 11, 3, 8, 14, 40, 61), row("unowned", "CRITICAL", 3, 9, 14, 2, 6, 22, 49, 58)] };
    },
  };
  const fresh = () => { cache.clear(); counts.clear(); table = null; };
  const add = (over) => {
    const from = images.find((i) => i.running && !i.notAssessed) ?? images[0];
    const i = { ...from, n: images.length, key: `sha256:${hex(64)}`, first: Date.now(), scanned: Date.now(), matched: Date.now(), runs: from.runs.map((r) => ({ ...r })), all: [...from.all, { p: packages[0], layer: 1 }, { p: packages[13], layer: 1 }, { p: packages[26], layer: 1 }, { p: packages[39], layer: 1 }], ...over };
    images.push(i);
    table = null;
    return i;
  };
  return {
    api, images,
    of: () => images.map((i) => ({ msg: () => imageMsg(i) })),
    top: () => imageMsg([...images].sort((a, b) => risk(b) - risk(a))[0]),
    scan: () => add({ name: "registry.example.com/shop/storefront:4.13.0", names: ["registry.example.com/shop/storefront:4.13.0"] }).key,
    advisories: (s) => { state = s; },
    empty: () => { images.length = 0; fresh(); },
    hostile: () => {
      const evil = `<img src=x onerror="fetch('https://evil.example/')"><script>alert(1)</script>\u202eevil\u0000 javascript:alert(1) ${"A".repeat(3000)}`;
      const p = { type: "npm", name: evil, version: evil, has: [{ v: { ...vulns[0], id: `EVIL-2026-1"><script>alert(1)</script>`, aliases: [evil], what: evil, references: ["javascript:alert(1)", "https://evil.example/\u202egnp.exe", "data:text/html,<script>alert(1)</script>"], packages: [], vector: evil, kev: { added: evil, due: evil, ransomware: true, action: evil } }, status: "fixed", fixedIn: evil }], licences: [evil], next: evil };
      const i = add({ name: evil, names: [evil], distro: evil, base: { name: evil, distro: evil, packages: [], layers: [hex(64)], size: 1, removes: 30 }, owner: evil, source: evil, platform: evil, gaps: [{ what: evil, reason: evil, remedy: evil }], secrets: [{ rule: evil, title: evil, severity: "SEVERITY_HIGH", path: evil, line: 1, layer: 0, redacted: evil }], missteps: [{ check: evil, title: evil, severity: "SEVERITY_HIGH", detail: evil, remedy: evil, path: evil }], malware: [{ path: evil, name: evil, sha256: evil, list: evil, layer: 0 }], gate: "failed", all: [{ p, layer: 0 }], layers: [{ digest: evil, diffId: evil, size: 9, createdBy: evil, base: true }], runs: [{ workload: evil, node: evil, container: hex(64), name: evil, since: now - 1e6, until: 0 }], running: 1, risk: 9 });
      return i.key;
    },
  };
}
