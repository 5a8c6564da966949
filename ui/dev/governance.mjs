// Governance, cost and compliance for the development mock: a made tenant, the same at
// each start. GOVERN names a file of a real evaluation instead: see README.md.
import { readFileSync } from "node:fs";
import { ns } from "./data.mjs";
import { compile } from "./images.mjs";

let seed = 55119;
const rnd = () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const int = (n) => Math.floor(rnd() * n);
const pick = (l) => l[int(l.length)];
const H = 36e5, DAY = 864e5, NS = 1e6;
const bad = (message) => Object.assign(new Error(message), { code: "invalid_argument", http: 400 });
const gone = (message) => Object.assign(new Error(message), { code: "not_found", http: 404 });
const EVIL = `<img src=x onerror="fetch('https://evil.example/')">\u202eevil\u0000"'`;
const day = (t) => new Date(t).toISOString().slice(0, 10);
const SEVERITY = ["informational", "low", "medium", "high", "critical"];

export function makeGovernance(now, { count = 200, alerts = [] } = {}) {
  const today = Math.floor(now / DAY) * DAY;
  const money = (v, source = "bill", asOf = day(now - DAY)) => ({ micros: Math.round(v * 1e6), currency: "EUR", asOf, source });
  const no = (why) => ({ micros: 0, currency: "", notAssessed: why });
  const teams = ["payments", "shop", "search", "platform", "data", "identity", "logistics"];
  const subs = Array.from({ length: 26 }, (_, i) => ({ id: `/subscriptions/5d1f0000-aaaa-bbbb-cccc-${String(i).padStart(12, "0")}`, name: `sub-${teams[i % 7]}-${["prod", "stage", "dev", "shared"][i % 4]}-${String(i).padStart(2, "0")}`, denied: i === 23, plan: i % 6 !== 5 }));
  const yes = { value: true }, nope = { value: false };
  const row = (state, why, more = {}) => ({ state, why, ...more });
  const clusters = [];
  const costs = new Map();
  for (let i = 0; i < count; i++) {
    const s = subs[i % subs.length];
    const env = ["production", "production", "staging", "development", "production", "unknown"][int(6)];
    const production = env === "production" || env === "unknown";
    const owner = rnd() < 0.1 ? "unowned" : pick(teams);
    const here = i === 0 ? "prod-westeurope" : i === 1 ? "stage-neu" : rnd() < 0.55 ? `aks-${owner}-${env.slice(0, 4)}-${i}` : "";
    const name = i === 0 ? "prod-westeurope" : i === 1 ? "stage-neu" : `aks-${owner === "unowned" ? "misc" : owner}-${env.slice(0, 4)}-${i}`;
    const id = i === 2 ? "lab" : `${s.id}/resourcegroups/rg-${owner}/providers/microsoft.containerservice/managedclusters/${name}`;
    const denied = s.denied;
    const plan = denied ? { value: false, notAssessed: "Microsoft.Security/pricings of the subscription was refused: 403 AuthorizationFailed" } : s.plan ? yes : nope;
    const profile = denied ? { value: false, notAssessed: "the subscription could not be read" } : { value: s.plan && rnd() < 0.86 };
    const own = here ? yes : nope;
    const sensor = here ? { seen: profile.value && rnd() < 0.95, at: (now - 5 * 6e4) * NS, where: ["kube-system/DaemonSet/microsoft-defender-collector-ds"], ready: 5, wanted: profile.value && i % 17 === 3 ? 6 : 5 } : { seen: false, notAssessed: "Dockreeve does not see this cluster itself" };
    const by = [profile.value && "defender", here && "dockreeve"].filter(Boolean);
    const fix = `az aks update --resource-group rg-${owner} --name ${name} --enable-defender`;
    const r = (closed, why, proof, at, does) => denied && !here ? row("not-assessed", "the subscription could not be read, and Dockreeve does not see the cluster") : closed ? row("closed", why, { by, proof, at: at * NS }) : row("open", does.why, { do: does.do });
    const inside = r(by.length > 0, "a sensor runs on every node and its canary came back", `canary exec of ${day(now)} became alert`, now - int(20) * H, { why: "neither the Defender profile nor Dockreeve's sensor runs on its nodes", do: fix });
    const imagesRow = here || plan.value ? r(true, "every running image was scanned within 7 days", "42 of 42 running digests scanned", now - int(80) * H, {}) : r(false, "", "", 0, { why: "no registry that it pulls from is scanned", do: `az security pricing create --name Containers --tier standard --subscription ${s.id.split("/")[2]}` });
    const audit = here ? rnd() < 0.8 : false;
    const runtime = here && audit ? r(true, "the audit log comes in and its canary became a finding", "canary audit", now - int(26) * H, {}) : by.length && rnd() < 0.5 ? r(true, "the Defender profile is on, and its sensor was seen in the cluster", "DaemonSet ready 5 of 5", now - int(30) * H, {}) : r(false, "", "", 0, { why: here ? "the API server is not watched: no audit log comes in" : "runtime alerts of this cluster go nowhere that was read", do: here ? "dockreeve cluster --help" : fix });
    const enforcement = rnd() < 0.3 ? r(true, "a dry run of a privileged pod was denied", "denied by azure-policy-validating-webhook", now - int(30) * H, {}) : here ? r(false, "", "", 0, { why: "the policy add-on is off: nothing refuses what must not run", do: `az aks enable-addons --addons azure-policy --resource-group rg-${owner} --name ${name}` }) : row("not-assessed", "the policy add-on is on, but no dry run could be sent: the cluster is not onboarded");
    const cores = 8 * (1 + int(40));
    const perDay = cores * (1.05 + rnd() * 0.5);
    const spike = i % 23 === 4;
    const lost = i % 19 === 7;
    const days = Array.from({ length: 60 }, (_, k) => { const t = today - (59 - k) * DAY; const weekday = new Date(t).getUTCDay(); const f = (weekday % 6 === 0 ? 0.9 : 1) * (0.96 + rnd() * 0.08) * (spike && k > 52 ? 1.9 : 1); return { day: day(t), billed: Math.round(perDay * f * 1e6), protection: Math.round(cores * 0.23 * (plan.value ? 1 : 0.12) * 1e6), idle: Math.round(perDay * f * (0.2 + rnd() * 0.1) * 1e6), nodes: Math.ceil(cores / 8) * (spike && k > 52 ? 2 : 1), vcores: cores * (spike && k > 52 ? 2 : 1) }; });
    const dom = new Date(now).getUTCDate();
    const mtd = days.slice(-dom).reduce((n, d) => n + d.billed, 0) / 1e6;
    const forecast = (mtd / dom) * 30;
    const budget = rnd() < 0.6 ? money(Math.round((forecast * (0.8 + rnd() * 0.6)) / 100) * 100, "budget", day(now)) : no("no budget applies to it alone");
    const protection = ["defender", "dockreeve"].filter((p) => by.includes(p)).map((p) => { const dfd = p === "defender"; const pl = dfd ? cores * 6.33 * dom / 30 : 0, sc = dfd ? int(30) * 0.27 : 0, ing = cores * (dfd ? 0.9 : 0.15) * dom / 30, ag = cores * (dfd ? 1.1 : 0.5) * dom / 30; const src = dfd ? "list price" : "computed"; return { provider: p, plan: money(pl, src, "2026-11-01"), scans: money(sc, src, "2026-11-01"), ingestion: money(ing, "bill"), agents: money(ag, "computed"), total: money(pl + sc + ing + ag, "computed"), vcores: cores }; });
    const security = protection.reduce((n, p) => n + p.total.micros / 1e6, 0);
    const anomaly = spike ? `spend ${Math.round(perDay * 1.9)} EUR a day instead of ${Math.round(perDay)}, since ${day(now - 7 * DAY)}` : "";
    const score = denied && !here ? undefined : 0.45 + rnd() * 0.5;
    const critical = here ? int(9) * int(3) : undefined;
    const open = ["inside", "images", "runtime", "enforcement"].filter((n) => ({ inside, images: imagesRow, runtime, enforcement })[n].state === "open").length;
    const risk = Math.min(100, open * 16 + (critical ?? 3) * 2 + (production ? 12 : 0) + (spike ? 12 : 0));
    const c = {
      id, name, kind: i === 2 ? "other" : i % 29 === 9 ? "arc" : "aks", subscription: s.id, subscriptionName: s.name, resourceGroup: `rg-${owner}`, location: pick(["westeurope", "northeurope", "germanywestcentral"]), ...(here ? { here } : {}), version: pick(["1.33.6", "1.34.2", "1.32.9"]), ...(i % 31 === 5 ? { stopped: true } : {}),
      environment: env, environmentFrom: env === "unknown" ? "no tag env or environment, and no management group says it: counts as production" : pick(["tag env of the cluster", "management group mg-landing", "tag environment of the resource group"]), production,
      ownership: { owner, from: owner === "unowned" ? "no tag owner on cluster, resource group or subscription; no Owner role is held by a person or group" : pick(["tag owner of the cluster", "tag owner of the resource group", "role Owner of the subscription"]), ...(owner !== "unowned" ? { businessUnit: pick(["retail", "core", "finance"]), costCentre: `CC-${4000 + int(90)}` } : {}), ...(owner === "unowned" ? { missing: ["owner", "costCentre"], suggested: [{ owner: pick(teams), why: "41 of 52 workloads in it name this owner" }, { owner: "identity", why: "its members made 12 of the last 14 changes, says the Activity Log" }] } : rnd() < 0.2 ? { missing: ["costCentre"], invalid: { businessUnit: "Reatil" } } : {}) },
      plan, planFrom: denied ? "" : `subscription ${s.name}`, extensions: denied ? [] : ["ContainerRegistriesVulnerabilityAssessments", "AgentlessDiscoveryForKubernetes", "AgentlessVmScanning", "ContainerSensor", "ContainerIntegrityContribution"].map((n, k) => ({ name: n, enabled: plan.value && k !== i % 7 })),
      profile, sensor, policyAddon: denied ? { value: false, notAssessed: "the subscription could not be read" } : { value: enforcement.state !== "open" }, auditExport: denied ? { value: false, notAssessed: "diagnostic settings were refused: 403" } : { value: audit, ...(audit ? { kinds: [rnd() < 0.5 ? "kube-audit" : "kube-audit-admin"], to: ["event-hub", "workspace"] } : {}), ...(audit && i % 2 ? { loses: ["secrets read by get and list", "discovery of rights"] } : {}) }, registryScan: plan, agents: own,
      inside, images: imagesRow, runtime, enforcement,
      ...(here ? { canaries: [{ kind: "exec", node: "aks-user-000001", sent: (now - 3 * H) * NS, seen: (now - 3 * H + 900) * NS, every: 24 * H * NS }, { kind: "audit", sent: (now - 4 * H) * NS, ...(audit ? { seen: (now - 4 * H + 2100) * NS } : {}), every: 24 * H * NS }, { kind: "image", notAssessed: "no test image is configured" }, { kind: "denial", sent: (now - 40 * H) * NS, ...(enforcement.state === "closed" ? { seen: (now - 40 * H) * NS } : {}), every: 24 * H * NS }], canaryAge: 3 * H * NS } : {}),
      protected: denied && !here ? { value: false, notAssessed: "the subscription could not be read" } : { value: inside.state === "closed" && runtime.state === "closed" && imagesRow.state === "closed" }, firstSeen: (now - (3 + int(300)) * DAY) * NS, ...(inside.state === "open" ? { uncoveredSince: (now - int(40) * DAY) * NS } : {}), ...(here ? {} : { onboard: `dockreeve cluster join --cluster ${name} --resource-id ${id}` }),
      ...(score === undefined ? {} : { scores: [{ framework: "cis-aks-1.8", pass: Math.round(score * 40), fail: 40 - Math.round(score * 40), notAssessed: here ? 5 : 14, exempt: 1, manual: 6, ratio: score }, { framework: "mcsb", pass: Math.round(score * 22), fail: 22 - Math.round(score * 22), notAssessed: 4, exempt: 0, manual: 0, ratio: score }], score, ...(i % 3 ? { scoreChange7d: (rnd() - 0.4) * 0.1 } : {}) }),
      ...(critical === undefined ? {} : { critical, ...(critical > 8 ? { exploited: 1 + int(2) } : {}), alertsOpen: int(4) * int(2) }), monthToDate: lost ? no("the bill of its subscription was not read: 403") : money(mtd), budget: lost ? no("no bill") : budget, forecast: lost ? no("no bill") : money(forecast, "estimate"), security: lost || !protection.length ? no(lost ? "no bill" : "nothing protects it") : money(security, "computed"), ...(anomaly ? { anomaly } : {}), risk, riskMoney: risk * (lost ? 100 : mtd), riskWhy: [`${open} protections open`, critical ? `${critical} critical vulnerabilities run` : "", production ? "production" : ""].filter(Boolean),
      gaps: here ? [] : [{ what: `what runs in ${name}`, reason: "its agents do not report here", remedy: `dockreeve cluster join --cluster ${name}` }],
    };
    clusters.push(c);
    costs.set(id, { monthToDate: c.monthToDate, forecast: c.forecast, budget: c.budget, protection, perVCore: protection.length ? money(security / cores, "computed") : no("nothing protects it"), share: mtd ? security / mtd : 0, ...(lost ? { shareWhy: "no bill of it was read" } : {}), vcores: cores, idle: money(mtd * 0.22, "computed"), days: lost ? [] : days, pools: [{ pool: "system", size: "Standard_D4ds_v5", vcpus: 4, nodes: 2, hours: 48 * dom, vcoreDays: 8 * dom, compute: money(mtd * 0.1) }, { pool: "user", size: "Standard_D8ds_v5", vcpus: 8, nodes: Math.ceil(cores / 8), hours: 24 * dom * Math.ceil(cores / 8), vcoreDays: cores * dom, compute: money(mtd * 0.7) }, ...(spike ? [{ pool: "gpu9", size: "Standard_NC99x_v9", vcpus: 0, nodes: 3, hours: 500, vcoreDays: 0, spot: true, compute: money(mtd * 0.2) }] : [])], gaps: spike ? [{ what: "vCPUs of pool gpu9", reason: "the size Standard_NC99x_v9 is in no table that is known", remedy: "dockreeve azure collect -o snapshot.json" }] : [] });
  }
  const hostile = structuredClone(clusters[3]);
  Object.assign(hostile, { id: `/subscriptions/x/${EVIL}/..//`, name: EVIL, environment: EVIL, environmentFrom: EVIL, subscriptionName: EVIL, risk: 1, riskMoney: 1, anomaly: EVIL, onboard: `az aks ${EVIL}`, gaps: [{ what: EVIL, reason: EVIL, remedy: EVIL }], riskWhy: [EVIL] });
  hostile.ownership = { owner: EVIL, from: EVIL, invalid: { [EVIL]: EVIL }, suggested: [{ owner: EVIL, why: EVIL }] };
  hostile.inside = { state: "open", why: EVIL, do: EVIL, proof: EVIL };
  costs.set(hostile.id, costs.get(clusters[3].id));
  if (count) clusters.push(hostile);

  // Coverage
  const ref = (c, why, does) => ({ kind: "cluster", id: c.id, name: c.name, why, ...(does ? { do: does } : {}) });
  const ratio = (of, test, unknown, why, does, goal) => { const n = of.filter(test), u = of.filter(unknown), missing = of.filter((x) => !test(x)); return { n: n.length, of: of.length, unknown: u.length, ...(goal ? { goal } : {}), missing: missing.slice(0, 500).map((c) => ref(c, unknown(c) ? "could not be read" : why(c), does?.(c))), more: Math.max(0, missing.length - 500) }; };
  const isProt = (c) => c.protected.value && !c.protected.notAssessed, unProt = (c) => Boolean(c.protected.notAssessed);
  const openWhy = (c) => ["inside", "images", "runtime", "enforcement"].filter((n) => c[n].state === "open").map((n) => c[n].why).join("; ") || "not protected";
  const openDo = (c) => ["inside", "images", "runtime"].map((n) => c[n].do).find(Boolean);
  const production = clusters.filter((c) => c.production);
  const byEnv = (e) => ratio(clusters.filter((c) => c.environment === e), isProt, unProt, openWhy, openDo);
  const coverage = () => ({
    subscriptions: { n: subs.filter((s) => s.plan && !s.denied).length, of: subs.length, unknown: 1, goal: 1, missing: subs.filter((s) => !s.plan || s.denied).map((s) => ({ kind: "subscription", id: s.id, name: s.name, why: s.denied ? "reading its plan was refused: 403 AuthorizationFailed" : "the plan Containers is on the free tier", do: s.denied ? "dockreeve azure export-role -o role.json" : `az security pricing create --name Containers --tier standard --subscription ${s.id.split("/")[2]}` })) },
    clusters: ratio(clusters, isProt, unProt, openWhy, openDo), production: ratio(production, isProt, unProt, openWhy, openDo, 1), profile: ratio(clusters, (c) => c.profile.value, (c) => Boolean(c.profile.notAssessed), () => "the Defender profile is off", openDo), any: ratio(clusters, (c) => c.inside.state === "closed", (c) => c.inside.state === "not-assessed", openWhy, openDo), owned: ratio(clusters, (c) => c.ownership.owner !== "unowned", () => false, (c) => c.ownership.from),
    rows: Object.fromEntries(["inside", "images", "runtime", "enforcement"].map((n) => [n, ratio(clusters, (c) => c[n].state === "closed", (c) => c[n].state === "not-assessed", (c) => c[n].why)])), byEnvironment: Object.fromEntries(["production", "staging", "development", "unknown"].map((e) => [e, byEnv(e)])), byProvider: {},
    notOnboarded: clusters.filter((c) => !c.here).slice(0, 500).map((c) => ref(c, `${c.environment}, in ${c.subscriptionName}`, c.onboard)),
    drift: clusters.length < 60 ? [] : [{ ...ref(clusters[5], "securityProfile.defender was taken away"), what: "profile", before: "on", after: "off", worse: true, since: (now - 9 * H) * NS }, { ...ref(clusters[8], ""), what: "agents", before: "all nodes", after: "4 of 5 nodes", worse: true, since: (now - 3 * H) * NS }, { ...ref(clusters[11], ""), what: "owner", before: "unowned", after: "payments", worse: false, since: (now - 20 * H) * NS }, { ...ref(clusters[12], "new since yesterday"), what: "appeared", before: "", after: "not protected", worse: true, since: (now - 14 * H) * NS }],
  });

  // Controls and results
  const families = [["network", "5.4", "high"], ["identity", "5.1", "critical"], ["pods", "4.2", "high"], ["logging", "2.1", "medium"], ["nodes", "3.1", "medium"], ["secrets", "4.4", "high"], ["images", "5.5", "high"]];
  const titles = ["Only known address ranges reach the API server", "Local accounts are off", "No container runs privileged", "The audit log leaves the cluster", "Kubelet refuses anonymous requests", "Secrets are not passed as environment variables", "Images come from registries that are scanned", "Network policies limit traffic between namespaces", "Rights are given by Azure roles", "Host namespaces are not shared", "Logs are kept for 90 days", "Kubeconfig files are readable by root only", "Keys of etcd are held in a vault", "Images are signed"];
  const controls = Array.from({ length: 51 }, (_, i) => { const f = families[i % 7]; return { id: `aks-${f[0]}-${String(i).padStart(2, "0")}`, title: titles[i % titles.length] + (i >= titles.length ? `, part ${Math.floor(i / titles.length) + 1}` : ""), why: "Whoever gets a foothold otherwise gets further than he must: one sentence that says how.", remediation: [`az aks update --name NAME --resource-group GROUP --setting-${i}`, "Then look again: the next evaluation verifies it."], severity: f[2], effort: 1 + (i % 3), needs: i % 5 === 4 ? ["node"] : i % 2 ? ["kubernetes"] : ["arm"], ...(i % 9 === 8 ? { manual: true } : {}), maps: { "cis-aks-1.8": [`${f[1]}.${1 + (i % 5)}`], "pci-dss-4": ["1.4.1", "2.2.6"].slice(0, 1 + (i % 2)), "nist-800-53": ["AC-6"], mcsb: i % 2 ? ["PA-1"] : [] }, ...(i % 3 ? {} : { assessments: ["a-b-c"] }) }; });
  const results = [];
  for (const k of controls) for (const c of clusters.slice(0, 120)) {
    const v = k.manual ? "not-assessed" : !c.here && k.needs[0] !== "arm" ? "not-assessed" : rnd() < (c.score ?? 0.6) ? "pass" : rnd() < 0.04 ? "exempt" : "fail";
    results.push({ control: k.id, cluster: c.id, resource: c.id, verdict: v, reason: v === "pass" ? "what was seen is as it must be" : v === "fail" ? `${3 + int(9)} objects are not as they must be` : v === "exempt" ? "would fail, and may" : k.manual ? "a person has to look" : "the cluster is not onboarded: its objects are not seen", ...(v === "pass" || v === "fail" || v === "exempt" ? { evidence: [{ where: c.id, field: "properties.apiServerAccessProfile.authorizedIPRanges", value: v === "pass" ? "198.51.100.0/24" : "(none)", from: k.needs[0] }], checked: 40, ...(v === "fail" ? { failing: 3 } : {}) } : {}), at: (now - int(30) * H) * NS, ...(v === "exempt" ? { exempted: "alice@example.com until 2027-01-31: legacy load balancer" } : {}), _owner: c.ownership.owner, _name: c.name, _sev: k.severity, _fw: Object.keys(k.maps) });
  }
  const counts = () => Object.fromEntries(controls.map((k) => { const mine = results.filter((r) => r.control === k.id); const n = (v) => mine.filter((r) => r.verdict === v).length; return [k.id, { pass: n("pass"), fail: n("fail"), "not-assessed": n("not-assessed"), exempt: n("exempt") }]; }));
  const frameworks = ["cis-aks-1.8", "mcsb", "pci-dss-4", "iso-27001", "soc2", "nist-800-53"];
  const sc = (f, base) => { const of = 30 + int(20), pass = Math.round(of * base); return { framework: f, pass, fail: of - pass, notAssessed: 3 + int(12), exempt: int(3), manual: 5, ratio: pass / of }; };
  const scores = { "": frameworks.map((f, i) => f === "soc2" ? { framework: f, pass: 0, fail: 0, notAssessed: 18, exempt: 0, manual: 0, ratio: 0 } : sc(f, 0.6 + i * 0.05)), ...Object.fromEntries(teams.map((t) => [`owner:${t}`, frameworks.slice(0, 2).map((f) => sc(f, 0.5 + rnd() * 0.4))])) };
  const trend = (n, base, step, noise, of) => Array.from({ length: n }, (_, i) => ({ at: (today - (n - 1 - i) * DAY) * NS, value: base + step * i + (rnd() - 0.5) * noise, ...(of ? { of } : {}) }));
  const history = Object.fromEntries(frameworks.filter((f) => f !== "soc2").map((f, i) => [f, trend(60, 0.5 + i * 0.04, 0.002, 0.01)]));

  // Recommendations
  const recommendations = controls.filter((k) => !k.manual).flatMap((k, i) => [teams[i % 7], teams[(i + 3) % 7]].map((owner, j) => { const mine = clusters.filter((c) => c.ownership.owner === owner).slice(0, 1 + int(12)); const overdue = (i + j) % 4 === 0; return { id: i % 8 === 5 ? `defender:${k.id}` : k.id, title: k.title, why: k.why, do: k.remediation, sources: i % 8 === 5 ? ["defender"] : i % 3 === 0 ? ["dockreeve", "defender"] : ["dockreeve"], severity: k.severity, owner, resources: mine.map((c) => ref(c, "3 objects are not as they must be")), count: mine.length, workloads: int(200), effort: k.effort, rank: Math.round(1000 / (i + 1 + j)) / 10, firstSeen: (now - (10 + i) * DAY) * NS, due: (now + (overdue ? -3 : 20) * DAY) * NS, ...(overdue ? { overdue: true } : {}), ...(i % 10 === 9 ? { fixed: (now - 2 * DAY) * NS } : {}), ...(i % 6 === 0 ? { disagree: `Defender says ${mine[0]?.name ?? "a cluster"} is healthy; here the field reads (none) since yesterday` } : {}), maps: k.maps }; }));
  let reviews = [{ id: "r1", subject: "recommendations", by: "alice@example.com", at: (now - 41 * DAY) * NS, nextDue: (now - 11 * DAY) * NS, note: "went through the top twenty with the owners", items: 61 }, { id: "r2", subject: "exemptions", scope: "", by: "bob@example.com", at: (now - 12 * DAY) * NS, nextDue: (now + 18 * DAY) * NS, items: 4 }];

  // KPIs, playbook, pitfalls
  const kpis = [
    { id: "mttr-critical", title: "Time to remedy critical vulnerabilities that run", unit: "days", value: 6.4, n: 88, of: 141, better: "down", rule: "Median of the days from the first pod that ran the vulnerable image to the last one replaced, over clocks closed in the last 90 days. Workloads that were deleted are not counted as remedied.", trend: trend(12, 9, -0.2, 0.8, 141), by: teams.map((t) => ({ name: t, values: { p50: 2 + int(9), p90: 12 + int(30), open: int(40), n: 5 + int(20) } })), note: "53 clocks still run; the oldest for 71 days" },
    { id: "defender-profile", title: "Clusters with the Defender profile enabled", unit: "percent", value: 71.4, n: 142, of: 199, better: "up", rule: "Clusters whose ARM document says that the profile is enabled, of all relevant clusters. Those that could not be read stay in the denominator.", trend: trend(12, 60, 1, 1, 199) },
    { id: "high-alerts", title: "High-severity runtime alerts per node-day", unit: "alerts per node-day", value: 0.031, n: 214, of: 6880, better: "down", rule: "Alerts of high and critical severity in 7 days, by node-days that a sensor watched.", trend: trend(10, 0.02, 0.001, 0.004, 6880), by: [{ name: "2026-W47", values: { n: 214, nodeDays: 6880 } }, { name: "2026-W46", values: { n: 160, nodeDays: 6790 } }], note: "+31 % against the week before: rule reverse-shell-dup at shop/Deployment/storefront; the image did not change and one address is behind it: looks like a persistent threat" },
    { id: "compliance", title: "Compliance score, CIS AKS 1.8", unit: "percent", n: 0, of: 51, better: "up", rule: "Passed controls of those that passed or failed.", notAssessed: "fewer than half of the controls could be assessed: 24 of 51 need clusters that are not onboarded" },
  ];
  const check = (id, title, state, n, of, rule, more = {}) => ({ id, title, state, ratio: { n, of, ...(more.unknown ? { unknown: more.unknown } : {}), goal: 1, missing: more.missing ?? [], ...(more.notAssessed ? { notAssessed: more.notAssessed } : {}) }, rule, ...(more.found ? { found: more.found } : {}), ...(more.note ? { note: more.note } : {}) });
  const playbook = [
    check("plan", "The plan is on for all relevant subscriptions", "open", 21, 26, "Subscriptions that hold a cluster or a registry and whose pricing Containers is Standard, of all that hold one. One that cannot be read counts as not on.", { unknown: 1, missing: coverage().subscriptions.missing }),
    check("profile", "The profile is deployed to every production cluster", "open", 88, 131, "Production clusters whose profile is enabled and whose sensor was seen in them.", { missing: coverage().profile.missing.slice(0, 40) }),
    check("gates", "Scan results block in CI", "open", 512, 840, "Running digests that passed a gate, of all running digests."),
    check("triage", "Triage is in use", "done", 204, 214, "High alerts of the last 30 days that were acknowledged inside their SLA; the goal is 95 %."),
    check("tags", "Owner tags are set", "open", 180, 200, "Clusters whose owner is known from a tag, of all."),
    check("reviews", "Recommendations are reviewed", "not-assessed", 0, 0, "Owners whose recommendations have a review that is not past its next date.", { notAssessed: "no review was recorded in the last 30 days by any of 7 owners" }),
  ];
  const pitfalls = [
    check("low-ignored", "Low severities that were ignored and later belonged to an attack", "open", 2, 61, "Alerts of low severity, dismissed or left open for 7 days, whose workload is part of a later incident.", { found: [{ kind: "alert", id: alerts[0]?.alert?.id ?? "a", name: "Package manager run in a container", why: "dismissed 9 days before the reverse shell on the same workload" }] }),
    check("untuned", "Rules untuned or over-tuned", "open", 3, 214, "Rules that make more than a tenth of all alerts and were never looked at, and suppressions that keep quiet more than 1 000 a month.", { found: [{ kind: "rule", id: "shell-in-container", name: "shell-in-container", why: "41 % of all alerts; none was ever acknowledged", do: "dockreeve rules explain shell-in-container" }] }),
    check("control-plane", "The control plane is not watched", "open", 57, 200, "Clusters whose audit log comes to nobody that judges it.", { found: clusters.filter((c) => !c.auditExport.value).slice(0, 30).map((c) => ref(c, c.auditExport.notAssessed ?? "no diagnostic setting exports kube-audit", c.onboard)) }),
    check("forget", "Set and forgotten", "done", 0, 4, "Scans older than 7 days, agents silent for 15 minutes, exemptions past their date, reviews overdue.", { note: "watched since 2026-09-14" }),
  ];
  const evaluation = () => ({ at: (now - 22 * 6e4) * NS, tenantID: "72f988bf", tenantAt: (now - 2 * H) * NS, clusters: null, subscriptions: null, coverage: coverage(), scores: { "": scores[""] }, kpis, playbook, pitfalls, recommendations: null, findings: null, gaps: [{ what: `subscription ${subs[23].name}`, reason: "403 AuthorizationFailed: Reader is missing", remedy: "dockreeve azure export-role -o role.json" }, { what: "bills of 9 clusters", reason: "Cost Management Reader is missing at 1 subscription", remedy: "" }], day: { at: 0, values: null } });

  // Money
  const allocated = (days) => {
    const names = [...teams, "unowned"].slice(0, 8), series = [...names.map((key) => ({ kind: "team", key, days: [] })), { kind: "rest", days: [] }, { kind: "idle", days: [] }, { kind: "shared", days: [] }];
    for (const d of days) {
      let left = d.billed - d.idle;
      series.forEach((s, i) => { const v = s.kind === "idle" ? d.idle : i === series.length - 1 ? left : Math.round(left * 0.14); s.days.push(v); if (s.kind !== "idle") left -= v; });
    }
    return series;
  };
  const report = () => {
    const ids = clusters.map((c) => c.id).filter((id) => costs.has(id));
    const sumDays = Array.from({ length: 60 }, (_, k) => { const d = { day: day(today - (59 - k) * DAY), billed: 0, protection: 0, idle: 0, nodes: 0, vcores: 0 }; for (const id of ids) { const x = costs.get(id).days[k]; if (x) for (const f of ["billed", "protection", "idle", "nodes", "vcores"]) d[f] += x[f]; } return d; });
    const total = sumDays.reduce((n, d) => n + d.billed, 0) / 1e6;
    const alloc = (key, more) => { const c = 2000 + rnd() * 30000; return { key, ...more, coreHours: c / 0.04, requested: c / 0.045, used: c / 0.11, cost: money(c), idleShare: money(c * 0.24, "computed"), protection: money(c * 0.07, "computed") }; };
    const sum = (p, n, vc) => { const k = p === "defender" ? [6.33, 0.14, 0.9, 1.1] : p === "dockreeve" ? [0, 0, 0.15, 0.5] : [6.33, 0.14, 1.0, 1.6]; return { provider: p, plan: p === "dockreeve" ? money(0, "no licence is charged", day(now)) : money(k[0] * vc, "list price", "2026-11-01"), scans: money(k[1] * vc, "list price", "2026-11-01"), ingestion: money(k[2] * vc, "bill"), agents: money(k[3] * vc, "computed"), total: money(k.reduce((a, b) => a + b) * vc, "computed"), vcores: vc, clusters: n, notAssessed: 9, ...(p === "both" ? { hypothetic: true, note: "what both would cost, were they on everywhere" } : {}) }; };
    return {
      from: (today - 59 * DAY) * NS, to: (today + DAY) * NS, currency: "EUR", billed: money(total), clusters: null,
      teams: [...teams, "unowned"].map((t) => alloc(t, { owner: t, ...(t === "data" ? { usedWhy: "usage of its clusters is not measured: allocated by requests alone" } : {}) })), namespaces: Array.from({ length: 60 }, (_, i) => alloc(`${clusters[i % 20]?.name}/${pick(["shop", "payments", "search", "ci", "monitoring"])}-${i}`, { cluster: clusters[i % 20]?.id, namespace: `ns-${i}`, owner: pick(teams) })),
      days: sumDays, allocated: allocated(sumDays), protection: [sum("defender", 142, 3904), sum("dockreeve", 110, 2980), sum("both", 199, 5100)],
      reconciled: [{ what: "defender-plan", scope: subs[0].name, computed: money(8124), billed: money(8101), difference: 0.0028, finding: false }, { what: "defender-plan", scope: subs[4].name, computed: money(2210), billed: money(1768), difference: 0.25, finding: true, why: ["negotiated price: the meter was billed at 80 % of list"] }, { what: "ingestion", scope: "all workspaces", computed: money(1480), billed: money(1612), difference: -0.082, finding: true, why: ["rows of other tables share the workspace"] }, { what: "compute", scope: subs[23].name, computed: money(9100), billed: no("the bill was not read: 403"), difference: 0, finding: false }],
      budgets: [{ id: "b1", name: "platform-monthly", scope: subs[3].name, amount: money(42000, "budget", day(now)), spent: money(39400), forecast: money(47100, "estimate"), burn: 0.938, expected: 0.84, thresholds: [{ percent: 80, crossed: true }, { percent: 100, crossed: false }, { percent: 110, forecasted: true, crossed: true }], breach: day(now + 2 * DAY) }, { id: "b2", name: "security-and-ingestion", scope: "all", security: true, amount: money(36000, "budget", day(now)), spent: money(21000), forecast: money(25400, "estimate"), burn: 0.583, expected: 0.84, thresholds: [{ percent: 90, crossed: false }] }, { id: "b3", name: "payments-prod", scope: subs[0].name, amount: money(9000, "budget", day(now)), spent: money(9410), forecast: money(11200, "estimate"), burn: 1.045, expected: 0.84, thresholds: [{ percent: 80, crossed: true }, { percent: 100, crossed: true }], breach: day(now - 2 * DAY) }],
      anomalies: clusters.filter((c) => c.anomaly && c !== hostile).map((c, i) => ({ id: `an-${i}`, series: ["spend", "nodes", "core-hours"][i % 3], cluster: c.id, key: c.id, from: (today - 7 * DAY) * NS, to: (today + DAY) * NS, expected: 210, got: 402, unit: ["EUR a day", "nodes", "core-hours a day"][i % 3], score: 7.2 - i * 0.3, perHour: money(8.4 + i), causes: i === 0 ? ["pool gpu9 was created by carol@example.com, says the Activity Log", "alert: miner connected to a pool"] : ["scale-out of pool user"], ...(i === 0 ? { mining: true } : {}), evidence: alerts.slice(0, 2).map((a) => a.alert.id) })),
      increases: [{ cluster: clusters[4]?.id ?? "", table: "kube-audit", gb: 212, before: money(310), after: money(905), more: money(595), text: `${clusters[4]?.name}: kube-audit grew by 212 GB, which costs 595 EUR more than the month before` }, { cluster: clusters[9]?.id ?? "", table: "ContainerLogV2", gb: 88, before: money(120), after: money(362), more: money(242), text: `${clusters[9]?.name}: ContainerLogV2 grew by 88 GB, which costs 242 EUR more than the month before` }],
      ingestion: clusters.slice(0, 14).map((c, i) => i === 5 ? { cluster: c.id, category: "kube-audit", gbPerDay: 0, money: no("x"), cheaper: no("x"), notAssessed: "its workspace's usage table was not read" } : { cluster: c.id, category: i % 3 ? "kube-audit" : "kube-audit-admin", table: "AKSAudit", gbPerDay: 1 + rnd() * 14, money: money(40 + rnd() * 700), cheaper: i % 3 ? money(10 + rnd() * 60) : no("it is the cheaper one already"), ...(i % 3 ? { loses: ["secrets listed by a service account", "discovery of own rights"] } : {}) }),
      idle: money(total * 0.22, "computed"), shared: money(total * 0.08, "computed"), unassigned: money(total * 0.03), others: [{ micros: 1204e6, currency: "USD", asOf: day(now - DAY), source: "bill" }], gaps: [{ what: "bills of 9 clusters", reason: "Cost Management Reader is missing at 1 subscription", remedy: "dockreeve azure export-role -o role.json" }], rows: 48_211, bad: 3,
      prices: [{ key: "defender.vcore-month", unit: "vCore-month", amount: 6_330_000, currency: "EUR", asOf: "2026-11-01", source: "Azure retail prices API", verified: true }, { key: "defender.image-scan", unit: "image", amount: 270_000, currency: "EUR", asOf: "2026-03-01", source: "told in a forum", verified: false }, { key: "logs.analytics-gb", region: "westeurope", unit: "1 GB", amount: 2_760_000, currency: "EUR", asOf: "2026-11-01", source: "Azure retail prices API", verified: true }],
    };
  };

  let empty = false;
  const F = (get, free = false) => ({ get, free });
  const tri = (get) => F((c) => { const a = get(c); return a.notAssessed ? "unknown" : a.value ? "yes" : "no"; });
  const b = (get) => ({ type: "bool", get });
  const n = (get) => ({ type: "number", get });
  const burn = (c) => { const s = c.monthToDate.micros, f = Math.max(s, c.forecast.micros), g = c.budget.micros; return c.budget.notAssessed || !g || c.monthToDate.notAssessed ? "none" : f > g ? "over" : f > g * 0.9 ? "near" : "within"; };
  const kinds = {
    cluster: { rows: () => clusters, key: (c) => c.id, fields: { cluster: F((c) => [c.name, c.id], true), owner: F((c) => c.ownership.owner, true), environment: F((c) => c.environment, true), production: b((c) => c.production), protected: tri((c) => c.protected), profile: tri((c) => c.profile), plan: tri((c) => c.plan), agents: tri((c) => c.agents), inside: F((c) => c.inside.state), images: F((c) => c.images.state), runtime: F((c) => c.runtime.state), enforcement: F((c) => c.enforcement.state), onboarded: b((c) => Boolean(c.here)), subscription: F((c) => [c.subscriptionName, c.subscription], true), kind: F((c) => c.kind), location: F((c) => c.location), score: n((c) => c.score), critical: n((c) => c.critical), alerts: n((c) => c.alertsOpen), anomaly: b((c) => Boolean(c.anomaly)), over: b((c) => burn(c) === "over"), risk: n((c) => c.risk), uncovered: { type: "age", get: (c) => (c.uncoveredSince ?? 0) / NS || now }, gap: F((c) => (c.gaps ?? []).map((g) => g.what)), cost: n((c) => c.monthToDate.micros / 1e6) },
      orders: { riskmoney: (c) => c.riskMoney, risk: (c) => c.risk, environment: (c) => c.environment, forecast: (c) => c.forecast.micros, name: (c) => c.name, owner: (c) => c.ownership.owner, score: (c) => c.score ?? -1, critical: (c) => c.critical ?? -1, alerts: (c) => c.alertsOpen ?? -1, cost: (c) => c.monthToDate.micros, security: (c) => c.security.micros }, up: ["name", "owner", "environment"] },
    subscription: { rows: () => subs.map((x) => ({ id: x.id, name: x.name, relevant: yes, plan: x.denied ? { value: false, notAssessed: "reading its plan was refused: 403" } : { value: x.plan }, clusters: clusters.filter((c) => c.subscription === x.id).length, registries: 1, owner: { owner: "unowned", from: "no tag" } })), key: (x) => x.id, fields: { name: F((x) => x.name, true), id: F((x) => x.id, true) }, orders: { name: (x) => x.name }, up: ["name"] },
    recommendation: { rows: () => recommendations, key: (r) => `${r.id}@${r.owner}`, fields: { id: F((r) => r.id, true), title: F((r) => r.title, true), owner: F((r) => r.owner, true), severity: { type: "ranked", words: SEVERITY, get: (r) => r.severity }, source: F((r) => r.sources), overdue: b((r) => Boolean(r.overdue)), disagree: b((r) => Boolean(r.disagree)), fixed: b((r) => Boolean(r.fixed)), effort: n((r) => r.effort) }, orders: { rank: (r) => r.rank, severity: (r) => SEVERITY.indexOf(r.severity), due: (r) => r.due, owner: (r) => r.owner, title: (r) => r.title, count: (r) => r.count, workloads: (r) => r.workloads, effort: (r) => r.effort }, up: ["owner", "title"] },
    result: { rows: () => results, key: (r) => `${r.control}@${r.resource}`, fields: { control: F((r) => r.control, true), verdict: F((r) => r.verdict), cluster: F((r) => [r.cluster, r._name], true), resource: F((r) => r.resource), owner: F((r) => r._owner), severity: { type: "ranked", words: SEVERITY, get: (r) => r._sev }, framework: F((r) => r._fw) }, orders: { control: (r) => r.control, verdict: (r) => ["fail", "not-assessed", "exempt", "pass", "not-applicable"].indexOf(r.verdict), cluster: (r) => r._name }, up: ["control", "verdict", "cluster"] },
  };
  const shown = (d) => JSON.stringify(d, (k, v) => (k.startsWith("_") ? undefined : v));
  const why = { notAssessed: "no cloud was read, and no snapshot was handed in", remedy: "dockreeve azure collect -o snapshot.json" };
  const api = {
    "GovernanceService/GetGovernance": () => (empty ? { evaluationJson: "", at: "0", ...why } : { evaluationJson: shown(evaluation()), at: ns(now - 22 * 6e4) }),
    "GovernanceService/ListGovernance": (q) => {
      const k = kinds[q.kind];
      if (!k) throw bad(`kind "${q.kind}": want cluster, subscription, result, recommendation or finding`);
      if (empty) return { items: [], total: "0", totalAll: "0", at: "0", notAssessed: [{ what: "governance", reason: why.notAssessed, remedy: why.remedy }] };
      const name = (q.order || Object.keys(k.orders)[0]).replace(/^-/, ""), key = k.orders[name];
      if (!key) throw bad(`there is no such order for this list: "${q.order}": ${Object.keys(k.orders).join(", ")}`);
      const all = k.rows(), sign = ((q.order ?? "").startsWith("-") ? -1 : 1) * (k.up.includes(name) ? -1 : 1);
      const hit = all.filter(compile(q.filter, k.fields)).map((r) => [key(r), r]).sort(([a], [c]) => sign * (a < c ? 1 : a > c ? -1 : 0)).map(([, r]) => r);
      const from = Number(q.cursor || 0), size = q.pageSize || 100;
      return { items: hit.slice(from, from + size).map((r) => ({ key: k.key(r), docJson: shown(r) })), nextCursor: from + size < hit.length ? String(from + size) : "", total: String(hit.length), totalAll: String(all.length), at: ns(now - 22 * 6e4) };
    },
    "GovernanceService/GetGovernanceCluster": (q) => {
      const c = clusters.find((x) => x.id === q.id);
      if (!c || empty) throw gone(`cluster "${q.id}": it was in no evaluation; list them with dockreeve coverage`);
      const mine = report().anomalies.filter((a) => a.cluster === c.id);
      return { clusterJson: shown(c), costJson: shown(costs.get(c.id)), resultsJson: shown(results.filter((r) => r.cluster === c.id)), historyJson: shown({ score: trend(60, (c.score ?? 0.6) - 0.1, 0.0017, 0.02), protected: trend(60, c.protected.value ? 1 : 0, 0, 0), cost: (costs.get(c.id)?.days ?? []).map((d) => ({ at: Date.parse(d.day) * NS, value: d.billed / 1e6 })) }), anomaliesJson: shown(mine), alerts: c.here ? alerts.slice(0, 6).map((a) => a.alert) : [] };
    },
    "GovernanceService/GetCost": () => (empty ? { reportJson: "", at: "0", ...why } : { reportJson: shown(report()), at: ns(now - 22 * 6e4), alerts: alerts.slice(0, 9).map((a, i) => ({ id: a.alert.id, title: a.alert.title, severity: a.alert.severity, at: ns(today - (2 + i * 2) * DAY + 9 * H), cluster: clusters[4]?.id ?? "", miner: i === 0 })) }),
    "GovernanceService/GetCompliance": () => (empty ? { notAssessed: why.notAssessed } : { controlsJson: shown(controls), scoresJson: shown(scores), historyJson: shown(history), resultsJson: shown(counts()), at: ns(now - 22 * 6e4) }),
    "GovernanceService/ListReviews": () => ({ reviewsJson: shown(empty ? [] : reviews) }),
    "GovernanceService/AddReview": (q) => {
      if (!["recommendations", "exemptions", "suppressions", "access", "rules"].includes(q.subject)) throw bad(`subject "${q.subject}": want recommendations, exemptions, suppressions, access or rules`);
      const r = { id: `r${reviews.length + 1}`, subject: q.subject, scope: q.scope ?? "", by: "local administrator", at: Date.now() * NS, nextDue: Number(q.nextDue) || (Date.now() + 30 * DAY) * NS, note: q.note ?? "", items: recommendations.length };
      reviews = [r, ...reviews];
      return { reviewJson: shown(r) };
    },
  };
  if (process.env.GOVERN) real(JSON.parse(readFileSync(process.env.GOVERN, "utf8")));
  /** Puts a real evaluation in the place of the invented one: {evaluation, cost, results, controls, reviews}. */
  function real(d) {
    for (const [l, v] of [[clusters, d.evaluation.clusters], [results, d.results], [controls, d.controls], [recommendations, d.evaluation.recommendations]]) l.splice(0, l.length, ...(v ?? []));
    costs.clear();
    for (const [id, c] of Object.entries(d.cost?.clusters ?? {})) costs.set(id, c);
    const byID = new Map(clusters.map((c) => [c.id, c])), ctl = new Map(controls.map((k) => [k.id, k]));
    for (const r of results) Object.assign(r, { _owner: byID.get(r.cluster)?.ownership.owner ?? "", _name: byID.get(r.cluster)?.name ?? r.resource, _sev: ctl.get(r.control)?.severity ?? "", _fw: Object.keys(ctl.get(r.control)?.maps ?? {}) });
    const ev = { ...d.evaluation, clusters: null, recommendations: null, findings: null };
    api["GovernanceService/GetGovernance"] = () => ({ evaluationJson: shown(ev), at: String(ev.at) });
    api["GovernanceService/GetCost"] = () => ({ reportJson: shown({ ...d.cost, clusters: null }), at: String(ev.at), alerts: (d.alerts ?? []).filter((a) => a.severity === "high" || a.severity === "critical").slice(0, 200).map((a) => ({ id: a.id, title: a.title, severity: `SEVERITY_${a.severity.toUpperCase()}`, at: String(a.first), cluster: a.cluster ?? "", miner: a.miner ?? false })) });
    api["GovernanceService/GetGovernanceCluster"] = (q) => { const c = byID.get(q.id); if (!c) throw gone(`cluster "${q.id}": it was in no evaluation`); return { clusterJson: shown(c), costJson: costs.has(c.id) ? shown(costs.get(c.id)) : "", resultsJson: shown(results.filter((r) => r.cluster === c.id)), historyJson: "{}", anomaliesJson: shown((d.cost?.anomalies ?? []).filter((a) => a.cluster === c.id)), alerts: [] }; };
    api["GovernanceService/GetCompliance"] = () => ({ controlsJson: shown(controls), scoresJson: shown(ev.scores), historyJson: "{}", resultsJson: shown(counts()), at: String(ev.at) });
    reviews = d.reviews ?? [];
  }
  return { api, empty: (v) => { empty = v; }, hostile: () => ({ cluster: hostile.id }) };
}
