// The made tenant in Chromium, against the real program: everything a governance lead asks,
// answered by what the server evaluated. Run by browser.mjs where DOCKREEVE_TENANT is set.
import { readFile } from "node:fs/promises";

/** Registers the tests; t holds what browser.mjs shares. */
export function tenant({ test, open, base, link, keep, ready, rows, axe, shot, is, same, fits, exportOf, results }) {
  const step = (s) => encodeURIComponent(s.replace(/[%/]/g, (c) => (c === "%" ? "%25" : "%2F"))).replace(/%3A/g, ":");
  const settled = (page) => page.waitForFunction(() => document.querySelector("main h1, main .grid-row[data-id]") && !document.querySelector("main .skeleton"));
  const plain = (s) => s.replace(/[\u202f\u00a0]/g, "").replace(/\s+/g, " ");
  const call = (page, method, body) => page.evaluate(async ([m, b]) => { const r = await fetch(`/dockreeve.v1.GovernanceService/${m}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(b) }); if (!r.ok) throw new Error(`${m}: ${r.status} ${await r.text()}`); return r.json(); }, [method, body]);
  let ev, all, report; // what the API says, read once
  const miner = () => all.find((c) => c.anomaly?.startsWith("mining"));

  test("the sign-in link opens the console", async () => {
    const { context, page } = await open();
    await page.goto(link);
    await page.waitForFunction(() => location.pathname !== "/signin");
    await page.waitForSelector("main");
    await keep(context);
    ev = JSON.parse((await call(page, "GetGovernance", {})).evaluationJson);
    all = (await call(page, "ListGovernance", { kind: "cluster", pageSize: 500 })).items.map((i) => JSON.parse(i.docJson));
    report = JSON.parse((await call(page, "GetCost", {})).reportJson);
    is(all.length > 50 && miner() && report.anomalies.some((a) => a.mining), `${all.length} clusters, or nobody mines`);
    await context.close();
  });

  test("governance: the strip and the bar say what the API says; filter, order, and every row to the last", async () => {
    const { context, page } = await open();
    await page.goto(base + "/governance");
    await ready(page);
    await page.waitForSelector(".figures");
    results.measured["made tenant, from address to rows (ms)"] = Math.round(await page.evaluate(() => performance.now()));
    const strip = plain(await page.innerText(".coverage"));
    for (const [name, r] of [["Production protected", ev.coverage.production], ["Defender profile enabled", ev.coverage.profile], ["Protected by any", ev.coverage.any], ["Subscriptions with the plan", ev.coverage.subscriptions], ["Owned", ev.coverage.owned]]) is(strip.includes(`${name} ${Math.round((r.n / r.of) * 100)} % ${r.n} of ${r.of}`), `${name} is not ${r.n} of ${r.of}: ${strip}`);
    is(strip.includes(`${ev.coverage.notOnboarded.length} not onboarded`) && strip.includes(`${ev.coverage.clusters.unknown} unknown`), `not onboarded or unknown: ${strip}`);
    const bar = plain(await page.innerText(".honesty"));
    is(bar.includes(`clusters protected ${ev.coverage.any.n} of ${ev.coverage.any.of}`) && /Azure read .*ago|Azure read now/.test(bar) && !/Nothing is watched/.test(bar), `the bar: ${bar}`);
    await page.click(".chip >> text=Production");
    await page.click(".chip >> text=Not protected");
    await page.waitForFunction(() => /production:yes/.test(decodeURIComponent(location.search)) && /protected:no/.test(decodeURIComponent(location.search)));
    const want = all.filter((c) => c.production && !c.protected.notAssessed && !c.protected.value).length;
    await page.waitForFunction((n) => new RegExp(`^${n} of`).test(document.querySelector(".counts-line")?.innerText.replace(/\s+/g, " ").trim() ?? ""), want);
    same(JSON.parse(await exportOf(page, "JSON")).length, want, "the export of a filter");
    await page.goto(base + "/governance");
    await ready(page);
    await page.click("role=columnheader >> text=Risk");
    await page.waitForFunction(() => /order=-?risk(&|$)/.test(location.search));
    await ready(page);
    const risks = JSON.parse(await exportOf(page, "JSON")).map((r) => Math.round(Number(r.risk) * 1e6)); // as the server keeps it
    is(risks.length === all.length && risks.every((r, i) => i === 0 || risks[i - 1] >= r), `not in order of risk, or not all: ${risks}`);
    const names = new Set(); // scrolled through, not exported
    for (let i = 0; i < 40 && names.size < all.length; i++) {
      for (const r of await rows(page)) { names.add(r.id); is(r.h === 32, "a row is not 32 px"); }
      await page.$eval(".grid", (g) => { g.scrollTop += g.clientHeight * 0.7; });
      await page.evaluate(() => new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f))));
    }
    same(names.size, all.length, "rows reached by scrolling");
    await context.close();
  });

  test("governance: cells lead to their evidence: results that fail, alerts, cost", async () => {
    const { context, page } = await open();
    const c = miner();
    await page.goto(`${base}/governance?q=cluster:${c.name}`);
    await ready(page);
    await page.click(".grid-row[data-id] .c-score a");
    await page.waitForSelector(".results .opener");
    await page.click(".chip >> text=fail");
    await page.waitForFunction(() => document.querySelectorAll(".results .verdict-mark").length > 0 && [...document.querySelectorAll(".results .verdict-mark")].every((v) => v.textContent === "fail"));
    await page.click(".results .opener button >> nth=0");
    await page.waitForSelector(".evidence-table");
    await page.goto(`${base}/governance?q=cluster:${c.name}`);
    await ready(page);
    await page.click(".grid-row[data-id] .c-alerts a");
    await page.waitForFunction((n) => location.pathname.startsWith("/alerts") && decodeURIComponent(location.search).includes(n), c.name);
    await ready(page);
    is((await page.innerText(".grid-body")).includes("miner"), "the alert of the miner is not among the alerts of its cluster");
    await page.goto(`${base}/governance?q=cluster:${c.name}`);
    await ready(page);
    await page.click(".grid-row[data-id] .c-money a");
    await page.waitForSelector(".chart svg");
    is((await page.$$(".chart .band.grave")).length > 0, "what looks like mining is not on the cluster's own axis");
    await context.close();
  });

  test("one cluster: each part with proof or command; the anomaly is a sentence; a command can be copied", async () => {
    const { context, page } = await open({ height: 900 });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const c = miner();
    for (const [tab, want] of [["protection", ["Proof:", "Canaries", "Defender plan"]], ["ownership", [c.ownership.owner, c.ownership.from]], ["compliance", ["fail"]], ["cost", ["Protection by provider", "Node pools", "A coin miner was started"]], ["history", ["Compliance score"]], ["gaps", [""]]]) {
      await page.goto(`${base}/governance/${step(c.id)}?tab=${tab}`);
      await page.waitForSelector("[role=tabpanel]");
      const text = await page.innerText(".page");
      for (const w of want) is(text.includes(w), `${tab} lacks ${w}: ${text.slice(0, 1500)}`);
      is(/looks as if somebody mines there/.test(text) && !/mining: [0-9a-f]{8}/.test(text), `the anomaly is an id: ${text.slice(0, 900)}`);
      await axe(page, `tenant cluster ${tab}`);
      await shot(page, `cluster-${tab}`);
    }
    await page.goto(`${base}/governance/${step(all.find((x) => [x.inside, x.images, x.runtime, x.enforcement].some((r) => r.do)).id)}`);
    await page.waitForSelector(".protections .command");
    await page.click(".protections .command .copy >> nth=0");
    is(/^(az|dockreeve|helm|kubectl) /.test(await page.evaluate(() => navigator.clipboard.readText())), "what is copied is no command");
    await context.close();
  });

  test("cost: the days, alerts on the same axis, every figure dated, mining named with its money per hour", async () => {
    const { context, page } = await open({ height: 900 });
    await page.goto(base + "/cost");
    await page.waitForSelector(".chart svg");
    const head = plain(await page.innerText("main header"));
    is(head.includes(plain(`${Math.round(report.billed.micros / 1e6)} ${report.billed.currency}`)) && head.includes(`bill of ${report.billed.asOf}`), `the head: ${head}`);
    is((await page.$$(".chart .mark")).length > 3 && (await page.$$(".chart .band.grave")).length > 0, "alerts and what looks like mining are not on the axis");
    is(await page.$$eval(".alloc .money", (l) => l.length > 10 && l.every((x) => /\d{4}-\d\d-\d\d/.test(x.dataset.tip) && /[A-Z]{3}/.test(x.textContent))), "a figure lacks its date or currency");
    const day = report.days.findLastIndex((d) => !d.notBilled && d.day <= report.billed.asOf), parts = report.allocated.map((x) => x.days[day]);
    same(parts.reduce((a, b) => a + b, 0), report.days[day].billed, "what a day is made of");
    await page.click(".stack summary");
    const row = plain(await page.innerText(`.stack tbody tr:has-text("${report.days[day].day}")`));
    is(row.includes(plain(`${Math.round(report.days[day].billed / 1e6)}`)) && (await page.$$(".stack thead th")).length === parts.length + 2, `the day and its parts: ${row}`);
    is((await page.$$(".stack .piece")).length > parts.length * day, "a day is not drawn by its parts");
    const dark = report.teams.filter((a) => a.usedWhy && a.coreHours === 0);
    is(dark.length > 0, "everybody is measured: nothing shows how not measured looks");
    for (const a of dark.slice(0, 2)) is(/not assessed not assessed not assessed$/.test(plain(await page.innerText(`.alloc tr:has-text("${a.key}")`)).trim()), `${a.key} has a nought for core-hours that nobody measured`);
    const csv = await (async () => { const [f] = await Promise.all([page.waitForEvent("download"), page.click("text=Showback CSV")]); return readFile(await f.path(), "utf8"); })();
    is(csv.split("\r\n").length >= report.teams.length && csv.includes("not assessed: "), `the showback file: ${csv.slice(0, 300)}`);
    const a = report.anomalies.find((x) => x.mining);
    for (const [tab, want] of [["protection", ["Defender", "Dockreeve", "per vCore"]], ["budgets", ["breaks on"]], ["anomalies", ["Looks like mining", `at risk ${(a.perHour.micros / 1e6).toFixed(2)} ${a.perHour.currency} an hour`, "A coin miner was started"]], ["ingestion", ["kube-audit"]], ["reconciled", ["Defender plan"]], ["prices", ["verified"]], ["gaps", ["rows of bills read"]]]) {
      await page.click(`[role=tab][id$="${tab}"]`);
      await page.waitForFunction((t) => new URLSearchParams(location.search).get("tab") === t, tab);
      const text = plain(await page.innerText("[role=tabpanel]"));
      for (const w of want) is(text.includes(w), `${tab} lacks ${w}: ${text.slice(0, 700)}`);
      await fits(page, `tenant cost ${tab}`);
      await axe(page, `tenant cost ${tab}`);
      await shot(page, `cost-${tab}`);
    }
    await context.close();
  });

  test("compliance: a control, where it was judged, and what was seen", async () => {
    const { context, page } = await open({ height: 900 });
    await page.goto(base + "/compliance");
    await page.waitForSelector(".controls");
    const counts = JSON.parse((await call(page, "GetCompliance", {})).resultsJson);
    for (const [label, f] of [["failing somewhere", (k) => k.fail > 0], ["exempt somewhere", (k) => k.exempt > 0]]) same(Number(await page.innerText(`.chip:has-text("${label}") .chip-count`)), Object.values(counts).filter(f).length, `controls ${label}`);
    await page.click(".controls .control-link >> nth=0");
    await page.waitForSelector(".results .opener");
    const id = decodeURIComponent(new URL(page.url()).pathname.split("/").at(-1));
    is(plain(await page.innerText(".counts")).includes(`of ${Object.values(counts[id]).reduce((a, b) => a + b, 0)} results`), "the results lack their denominator");
    await page.click(".chip >> text=Fail");
    await page.waitForFunction(() => document.querySelectorAll(".results .verdict-mark").length > 0 && [...document.querySelectorAll(".results .verdict-mark")].every((v) => v.textContent === "fail"));
    await page.click(".results .opener button >> nth=0");
    await page.waitForSelector(".evidence-table td");
    await axe(page, "tenant control");
    await shot(page, "control");
    await context.close();
  });

  test("recommendations: a review is recorded, and the playbook follows from the records alone", async () => {
    const { context, page } = await open();
    const check = async () => JSON.parse((await call(page, "GetGovernance", {})).evaluationJson).playbook.find((c) => c.id === "recommendations-reviewed");
    await page.goto(base + "/recommendations");
    await ready(page);
    const before = await check();
    is(before.ratio.of > 1, "no owner has anything to do");
    await page.click("text=Record a review");
    await page.waitForSelector("dialog[open] textarea");
    await page.fill("dialog textarea", "gone through with every owner");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(".counts-line >> text=by operator");
    await call(page, "Reevaluate", {});
    const after = await check();
    same([after.ratio.n, after.state], [after.ratio.of, "done"], "a review of everything leaves owners unreviewed");
    const forgotten = async () => JSON.parse((await call(page, "GetGovernance", {})).evaluationJson).pitfalls.find((c) => c.id === "set-and-forget").found.map((f) => f.name);
    is((await forgotten()).includes("Review of exemptions"), "nobody forgot the exemptions: the next step shows nothing");
    await page.goto(base + "/playbook?tab=reviews");
    await page.click("[role=tabpanel] >> text=Record a review");
    await page.selectOption("dialog[open] select", "exemptions");
    await page.click("dialog button[type=submit]");
    await page.waitForFunction(() => !document.querySelector("dialog[open]"));
    await call(page, "Reevaluate", {});
    is(!(await forgotten()).includes("Review of exemptions"), "a review of exemptions is recorded, and counts as forgotten");
    await page.waitForSelector("td >> text=gone through with every owner");
    is((await page.$$("[role=tabpanel] tbody tr")).length > 3, "reviews that the check counts are not listed");
    await page.goto(base + "/playbook");
    await page.waitForSelector(".checks");
    is(plain(await page.innerText(".check-done >> nth=0")).includes(`${after.ratio.n} of ${after.ratio.of}`), "the check does not show it");
    await context.close();
  });

  test("playbook: figures with denominators, files that are what they are called, nothing to tick", async () => {
    const { context, page } = await open({ height: 900 });
    await page.goto(base + "/playbook");
    await page.waitForSelector(".checks");
    same((await page.$$("main input, main [role=checkbox], main [role=switch]")).length, 0, "something can be ticked");
    const figures = (await page.$$eval(".kpis >> nth=0 >> .kpi", (l) => l.map((x) => x.innerText))).map(plain);
    same(figures.length, 4, "the four figures");
    is(figures.every((f) => /\d+ of \d+|not assessed/.test(f)), `a figure lacks its denominator: ${figures}`);
    for (const [f, type, begins] of [["html", "text/html", "<!doctype html"], ["pdf", "application/pdf", "%PDF-1."], ["csv", "text/csv", ""]]) {
      const r = await context.request.get(`${base}/reports/playbook.${f}`);
      const body = (await r.body()).toString("latin1");
      is(r.ok() && (r.headers()["content-type"] ?? "").startsWith(type) && body.toLowerCase().startsWith(begins.toLowerCase()), `${f}: ${r.status()} ${r.headers()["content-type"]} ${body.slice(0, 40)}`);
      if (f === "pdf") is(/%%EOF\s*$/.test(body), "the PDF has no end");
      if (f === "csv") is(body.split(/\r?\n/).length > 10 && body.split(/\r?\n/)[0].includes(","), `the CSV: ${body.slice(0, 200)}`);
    }
    await page.click(".check-head >> nth=0");
    await page.waitForSelector(".check-body >> text=Rule:");
    await axe(page, "tenant playbook checks");
    await page.click(".tabs >> text=Pitfalls");
    await page.click(".check-head >> nth=0");
    await page.waitForSelector(".check-body .reflist");
    await axe(page, "tenant pitfalls");
    await shot(page, "playbook-pitfalls");
    await context.close();
  });

  test("every screen in light, dark and small, without serious findings", async () => {
    for (const scheme of ["light", "dark"]) for (const size of [{ width: 1280, height: 720 }, { width: 390, height: 844, scale: 2 }]) {
      const { context, page } = await open({ scheme, ...size });
      const small = size.width === 390 ? "small-" : "";
      for (const [name, path] of [["governance", "/governance"], ["cluster", `/governance/${step(miner().id)}`], ["cost", "/cost"], ["compliance", "/compliance"], ["recommendations", "/recommendations"], ["playbook", "/playbook"]]) {
        await page.goto(base + path);
        await settled(page);
        await fits(page, `${name} ${small}${scheme}`);
        await axe(page, `tenant ${name} ${small}${scheme}`);
        await shot(page, `${name}-${small}${scheme}`);
      }
      await context.close();
    }
  });
}
