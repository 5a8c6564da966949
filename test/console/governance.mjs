// The rooms of governance in Chromium, against the mock: what is covered, whose it is,
// what it costs, what fails, what to do next, and whether it works. Run by browser.mjs.

/** Registers the tests; t holds what browser.mjs shares. */
export function governance({ test, open, drive, base, ready, rows, axe, shot, is, same, fits, exportOf, results }) {
  const mockOnly = { mockOnly: true };
  const step = (s) => encodeURIComponent(s.replace(/[%/]/g, (c) => (c === "%" ? "%25" : "%2F"))).replace(/%3A/g, ":");
  const settled = (page) => page.waitForFunction(() => document.querySelector("main h1") && !document.querySelector("main .skeleton"));
  const idOf = (page, name) => page.$$eval(".grid-row[data-id]", (l, n) => l.map((r) => r.dataset.id).find((x) => x.endsWith(`/${n}`)), name);

  test("governance: coverage with denominators above, a row for each cluster, every cell leads to its evidence", async () => {
    const { context, page } = await open();
    await page.goto(base + "/governance");
    await ready(page);
    await page.waitForSelector(".figures");
    is((await rows(page)).every((r) => r.h === 32), "a row is not 32 px");
    same(await page.evaluate(() => { const g = document.querySelector(".grid"); return g.scrollWidth <= g.clientWidth; }), true, "the columns at first do not fit in 1280 px");
    const strip = (await page.innerText(".coverage")).replace(/\s+/g, " ");
    for (const part of [/Production protected \d+ % \d+ of \d+/, /Defender profile enabled \d+ % \d+ of \d+/, /Protected by any \d+ %/, /Owned \d+ %/, /goal: 100 % of production/, /\d+ clusters below it/, /\d+ unknown/, /Azure read 2 h ago/]) is(part.test(strip), `the strip lacks ${part}: ${strip}`);
    const marks = await page.$$eval(".grid-row[data-id] .prot", (l) => l.map((x) => [x.className.replace("prot prot-", ""), x.getAttribute("aria-label")]));
    for (const s of ["closed", "open", "unknown"]) is(marks.some((m) => m[0] === s), `no protection is ${s}`);
    is(marks.every((m) => m[1].length > 12 && (m[0] !== "unknown" || m[1].includes("not assessed"))), "a mark does not say what it means");
    const [row] = JSON.parse(await exportOf(page, "JSON"));
    for (const k of ["cluster", "owner", "protection_inside", "score", "month_to_date", "currency", "price_date", "security_cost"]) is(k in row, `the export lacks ${k}`);
    await page.goto(`${base}/governance?q=onboarded:no`);
    await ready(page);
    is(/ by risk × money/.test(await page.innerText(".counts-line")), "the order of the list is not told");
    same([...new Set(await page.$$eval(".grid-row[data-id] .c-critical", (l) => l.map((x) => x.textContent.slice(0, 1))))], ["?"], "a cluster that nobody looks into has a number of vulnerabilities");
    const dark = JSON.parse(await exportOf(page, "JSON"));
    is(dark.length > 0 && dark.every((r) => r.critical_running === "not assessed"), "the export has a nought for what is not assessed");
    await page.goto(`${base}/governance?q=cluster:prod-westeurope`);
    await ready(page);
    for (const [cell, want] of [["c-owner", "tab=ownership"], ["c-protection", "/governance/"], ["c-score", "tab=compliance"], ["c-money", "tab=cost"], ["c-security", "tab=cost"], ["c-risk", "/governance/"], ["c-anomaly", "tab=cost"], ["c-critical", "tab=vulnerabilities"]]) is((await page.getAttribute(`.grid-row[data-id] .${cell} a`, "href")).includes(want), `${cell} does not lead to ${want}`);
    for (const [order, first] of [["score", ".c-score"], ["cost", ".c-money"]]) { await page.goto(`${base}/governance?order=${order}`); await ready(page); is(/\d/.test(await page.innerText(`.grid-row[data-id] ${first}`)), `order ${order} begins with what is not assessed`); }
    await context.close();
  }, mockOnly);

  test("governance: filter in the address, its error named, keyboard to a cluster and back", async () => {
    const { context, page } = await open();
    await page.goto(base + "/governance");
    await ready(page);
    await page.keyboard.press("/");
    await page.keyboard.type("nosuchfield:1");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".filters .field-error >> text=nosuchfield");
    await page.click('[aria-label="clear the filter"]');
    await page.click(".chip >> text=Not protected");
    await page.waitForFunction(() => location.search.includes("protected:no"));
    await page.reload();
    await page.waitForSelector('.chip[aria-pressed="true"]');
    await ready(page);
    const list = await rows(page);
    for (const k of ["j", "j", "Enter"]) await page.keyboard.press(k);
    await page.waitForSelector(".protections");
    is(new URL(page.url()).pathname === `/governance/${step(list[1].id)}`, `Enter opens ${page.url()}`);
    await page.keyboard.press("Escape");
    await ready(page);
    same(await page.$eval(".grid-row.active", (r) => r.dataset.id), list[1].id, "Esc does not come back to the row");
    is(page.url().includes("protected:no"), "the filter is lost on the way back");
    await context.close();
  }, mockOnly);

  test("governance: the search box finds owners, clusters under governance and subscriptions", async () => {
    const { context, page } = await open();
    await page.goto(base + "/playbook");
    await settled(page);
    for (const [words, hit, to] of [["payments", "owner: its clusters", /\/governance\?q=owner:payments/], ["prod-westeurope", "governance, ", /\/governance\/.*prod-westeurope/], ["sub-search-dev", "subscription, ", /\/governance\?q=subscription:sub-search-dev/]]) {
      await page.keyboard.press("Control+k");
      await page.fill("[role=combobox]", words);
      await page.click(`.hit:has-text("${hit}")`);
      await page.waitForFunction((re) => new RegExp(re).test(decodeURIComponent(location.pathname + location.search)), to.source);
    }
    await context.close();
  }, mockOnly);

  test("governance: what is below the goal, changed, and not onboarded is named, with the command", async () => {
    const { context, page } = await open();
    for (const [show, want] of [["below", /could not be read: they count as not covered[\s\S]*az aks update/], ["drift", /profile, worse[\s\S]*on → off/], ["onboard", /dockreeve cluster join/], ["plan", /403 AuthorizationFailed[\s\S]*export-role/], ["gaps", /bills of 9 clusters/]]) {
      await page.goto(`${base}/governance?q=production:yes&show=${show}`);
      await page.waitForSelector("dialog[open] .body");
      const text = await page.innerText("dialog[open]");
      is(want.test(text), `${show} lacks ${want}: ${text.slice(0, 400)}`);
      await axe(page, `governance ${show}`);
      if (show === "onboard") is(await page.$("dialog .command .copy"), "the command cannot be copied");
      await page.keyboard.press("Escape");
      await page.waitForFunction(() => !document.querySelector("dialog[open]") && !location.search.includes("show") && location.search.includes("production"));
    }
    await context.close();
  }, mockOnly);

  test("governance: one cluster with proof, command, canaries, chain of ownership, money and history", async () => {
    const { context, page } = await open({ height: 900 });
    await page.goto(base + "/governance?q=cluster:prod-westeurope");
    await ready(page);
    const at = `${base}/governance/${step(await idOf(page, "prod-westeurope"))}`;
    for (const [tab, want] of [["protection", ["Proof:", "came back in", "not assessed: no test image", "ContainerSensor"]], ["ownership", ["the cluster's own tags", "who holds Owner"]], ["vulnerabilities", ["Workloads that run them", "What controls say of its images"]], ["compliance", ["fail", "not assessed"]], ["cost", ["Protection by provider", "Standard_D8ds_v5", "vCore and month", "bill, "]], ["history", ["Compliance score", "Cost, EUR a day", "days that were evaluated"]]]) {
      await page.goto(`${at}?tab=${tab}`);
      await page.waitForSelector("[role=tabpanel]");
      const text = await page.innerText(".page");
      for (const w of want) is(text.includes(w), `${tab} lacks ${w}`);
      await axe(page, `governance cluster ${tab}`);
      await shot(page, `governance-cluster-${tab}`);
    }
    await page.goto(`${at}?tab=compliance`);
    await page.click(".results .opener button >> nth=0");
    await page.waitForSelector(".evidence-table >> text=authorizedIPRanges");
    await page.goto(`${base}/governance?q=onboarded:no`);
    await ready(page);
    await page.click(".grid-row[data-id] .c-name a >> nth=0");
    await page.waitForSelector(".onboard .command >> text=dockreeve cluster join");
    await page.goto(`${base}/governance/${step("/subscriptions/none")}`);
    await page.waitForSelector("text=There is no such cluster");
    await context.close();
  }, mockOnly);

  test("cost: a date and a currency on every figure, what is not known is not nought, files to take away", async () => {
    const { context, page } = await open({ height: 900 });
    await page.goto(base + "/cost");
    await page.waitForSelector(".chart svg");
    const head = await page.innerText("main header");
    is(/EUR from 20\d\d-\d\d-\d\d to/.test(head) && /looks like mining/.test(head) && /kept apart: 1.204 USD/.test(head), `the head: ${head}`);
    is(await page.$$eval(".alloc .money", (l) => l.length > 10 && l.every((x) => /\d{4}-\d\d-\d\d/.test(x.dataset.tip) && /EUR/.test(x.textContent))), "a figure lacks its date or currency");
    await page.focus(".chart");
    await page.keyboard.press("ArrowLeft");
    is(/^20\d\d-\d\d-\d\d: billed not assessed, protection [\d\u202f]+ EUR/.test(await page.innerText(".chart-read")), "a day that is not billed yet has a bill");
    await page.keyboard.press("ArrowLeft");
    is(/^20\d\d-\d\d-\d\d: billed [\d\u202f]+ EUR, protection/.test(await page.innerText(".chart-read")), "the chart cannot be read by keys");
    is((await page.$$(".chart .band.grave")).length === 1 && (await page.$$(".chart .mark")).length > 3, "what was unusual and alerts are not on the time axis");
    const odd = Number(await page.innerText('[role=tab][id$="anomalies"] .tab-count'));
    same((await page.$$(".chart .lane")).length, Math.min(8, odd), "what was unusual has no bar on the same axis");
    is(odd <= 8 || (await page.innerText(".chart figcaption")).includes(`${odd - 8} more`), "what is not drawn is not counted");
    is((await page.$$("main h1 a")).length > 0, "what the first line tells leads nowhere");
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=Showback CSV")]);
    const csv = await (await import("node:fs/promises")).readFile(await file.path(), "utf8");
    is(/^owner,cost,idle_share,protection,currency,/.test(csv) && csv.includes("not assessed: usage of its clusters is not measured"), `the showback file: ${csv.slice(0, 300)}`);
    for (const [tab, want] of [["protection", ["Defender", "Dockreeve", "Both", "per vCore", "no licence is charged"]], ["budgets", ["breaks on", "security and ingestion meters", "forecast past 110 %", "of the period over"]], ["anomalies", ["Looks like mining", "at risk", "an hour"]], ["ingestion", ["grew by 212 GB", "secrets listed by a service account", "usage table was not read"]], ["reconciled", ["+25.0 %", "80 % of list", "not assessed"]], ["prices", ["not verified", "told in a forum"]], ["gaps", ["3 rows not understood", "Cost Management Reader"]]]) {
      await page.goto(`${base}/cost?tab=${tab}`);
      await page.waitForSelector("[role=tabpanel]");
      const text = (await page.innerText("[role=tabpanel]")).replace(/\u202f/g, " ");
      for (const w of want) is(text.includes(w), `${tab} lacks ${w}: ${text.slice(0, 500)}`);
      await fits(page, `cost ${tab}`);
      await axe(page, `cost ${tab}`);
      await shot(page, `cost-${tab}`);
    }
    await context.close();
  }, mockOnly);

  test("compliance: from a score to a control to what was seen", async () => {
    const { context, page } = await open({ height: 900 });
    await page.goto(base + "/compliance");
    await page.waitForSelector(".controls");
    is(/SOC 2\s+not assessed/.test(await page.innerText(".frameworks")), "a benchmark of which nothing was assessed has a score");
    await page.click(".framework >> nth=2");
    await page.waitForFunction(() => location.search.includes("framework=pci-dss-4"));
    await page.fill('[aria-label="Search controls"]', "address ranges");
    await page.waitForFunction(() => document.querySelectorAll(".controls tbody tr").length < 6);
    await page.click(".controls .control-link >> nth=0");
    await page.waitForSelector(".results .opener");
    await page.click(".chip >> text=Fail");
    await page.waitForFunction(() => document.querySelector(".results .verdict-mark") && [...document.querySelectorAll(".results .verdict-mark")].every((v) => v.textContent === "fail"));
    is(/\d+ of 1\d\d results/.test(await page.innerText(".counts")), "the results lack their denominator");
    await page.click(".results .opener button >> nth=0");
    await page.waitForSelector(".evidence-table");
    await axe(page, "control");
    await page.click(".results td a >> nth=0");
    await page.waitForFunction(() => location.pathname.startsWith("/governance/"));
    await context.close();
  }, mockOnly);

  test("recommendations: ranked, due, told once, and a review is recorded", async () => {
    const { context, page } = await open();
    await page.goto(base + "/recommendations");
    await ready(page);
    is(page.url().includes("/recommendations") && (await page.inputValue(".filter-input input")) === "fixed:no", "what is fixed is among what is to do");
    const ranks = await page.$$eval(".grid-row[data-id] .c-rank", (l) => l.map((x) => Number(x.textContent)));
    is(ranks.length > 1 && ranks.every((r, i) => i === 0 || ranks[i - 1] >= r), `not in order of rank: ${ranks}`);
    is(/next one is overdue/.test(await page.innerText(".counts-line")), "that a review is overdue is not told");
    await page.click("text=They differ");
    await page.waitForFunction(() => location.search.includes("disagree"));
    await ready(page);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("j"); await page.keyboard.press("Enter");
    await page.waitForSelector("text=Defender and Dockreeve do not say the same");
    is(await page.$(".todo .command") && /overdue|due in/.test(await page.innerText(".kicker")), "no command, or no date");
    await axe(page, "recommendation");
    await page.keyboard.press("Escape");
    await ready(page);
    await page.click("text=Record a review");
    await page.waitForSelector("dialog[open] textarea");
    await axe(page, "review");
    await page.fill("dialog textarea", "with the owners");
    await page.click("dialog button[type=submit]");
    await page.waitForSelector(".counts-line >> text=by local administrator");
    await page.goto(base + "/playbook?tab=reviews");
    await page.waitForSelector("td >> text=with the owners");
    await page.goto(base + "/recommendations/none@nobody");
    await page.waitForSelector("text=There is no such recommendation");
    await context.close();
  }, mockOnly);

  test("playbook: figures with trend and denominator, checks that nobody can tick, pitfalls with instances", async () => {
    const { context, page } = await open({ height: 900 });
    await page.goto(base + "/playbook");
    await page.waitForSelector(".checks");
    const kpis = (await page.innerText(".kpis")).replace(/\s+/g, " ");
    for (const w of [/6\.4 days/, /88 of 141/, /not assessed no trend yet fewer than half/, /looks like a persistent threat/]) is(w.test(kpis), `the figures lack ${w}: ${kpis}`);
    same((await page.$$(".page input")).length, 0, "something can be ticked");
    for (const f of ["html", "pdf", "csv"]) is(await page.$(`a[href="/reports/playbook.${f}"]`), `no ${f} to take away`);
    await page.click(".check-head >> nth=0");
    await page.waitForSelector(".check-body >> text=Rule:");
    is(/could not be read, and count as not done/.test(await page.innerText(".check-body")), "what is unknown is not told");
    await axe(page, "playbook checks");
    await page.click(".tabs >> text=Pitfalls");
    await page.click(".check-head >> nth=2");
    await page.waitForSelector(".check-body .reflist a");
    await axe(page, "playbook pitfalls");
    await page.goto(base + "/playbook?tab=evidence");
    await page.waitForSelector(".command >> text=dockreeve report evidence");
    await context.close();
  }, mockOnly);

  test("governance: hostile names are text on every screen, and their pages can be reached", async () => {
    const { context, page } = await open();
    const { cluster } = await drive("hostile-governance");
    const shown = cluster.replace(/[\u0000\u202e]/g, (x) => `\\u{${x.charCodeAt(0).toString(16)}}`); // as the console writes it
    for (const path of ["/governance?order=-riskmoney", ...["protection", "ownership", "cost", "gaps"].map((tab) => `/governance/${step(shown)}?tab=${tab}`), "/governance?show=below"]) {
      await page.goto(base + path);
      await page.waitForSelector(".grid-row[data-id], .alert-head h1");
      await settled(page);
      same((await page.$$("main img, main script, main iframe")).length, 0, `${path}: markup became elements`);
      same(await page.evaluate(() => /[\u202e\u0000]/.test(document.body.innerHTML)), false, `${path}: a character that turns the text round is not shown as one`);
      await fits(page, path.slice(0, 40));
      is((await rows(page)).every((r) => r.h === 32), `${path}: a long name changes a row's height`);
    }
    await context.close();
  }, mockOnly);

  test("governance in light, dark and small, without serious findings", async () => {
    for (const scheme of ["light", "dark"]) for (const size of [{ width: 1280, height: 720 }, { width: 390, height: 844, scale: 2 }]) {
      const { context, page } = await open({ scheme, ...size });
      const small = size.width === 390 ? "small-" : "";
      await page.goto(`${base}/governance`);
      await ready(page);
      const one = await page.$eval(".grid-row[data-id]", (r) => r.dataset.id);
      for (const [name, path] of [["governance", "/governance"], ["governance-cluster", `/governance/${step(one)}`], ["governance-cluster-cost", `/governance/${step(one)}?tab=cost`], ["cost", "/cost"], ["compliance", "/compliance"], ["control", "/compliance/aks-network-00"], ["recommendations", "/recommendations"], ["recommendation", "/recommendations/aks-network-00@payments"], ["playbook", "/playbook"]]) {
        await page.goto(base + path);
        await settled(page);
        await fits(page, `${name} ${small}${scheme}`);
        await axe(page, `${name} ${small}${scheme}`);
        await shot(page, `${name}-${small}${scheme}`);
      }
      await context.close();
    }
  }, mockOnly);

  test("governance of 2,000 clusters: pages come as they are reached", async () => {
    const { context, page } = await open();
    await drive("tenant?clusters=2000");
    const sent = [];
    page.on("response", async (r) => { if (r.url().includes("ListGovernance")) sent.push(Number(r.headers()["content-length"] ?? (await r.body().catch(() => "")).length)); });
    await page.goto(base + "/governance");
    await ready(page);
    results.measured["governance of 2,000 clusters, from address to rows (ms)"] = Math.round(await page.evaluate(() => performance.now()));
    is(/2.001 of 2.001 clusters/.test((await page.innerText(".counts-line")).replace(/\s+/g, " ")), "not all are counted");
    const shown = (await page.$$(".grid-row[data-id]")).length;
    is(shown < 60 && sent.length <= 2, `${shown} rows drawn, ${sent.length} pages fetched at first`);
    await page.$eval(".grid", (g) => { g.scrollTop = g.scrollHeight; });
    await page.waitForFunction(() => document.querySelector(".grid-body").offsetHeight > 150 * 32);
    await page.keyboard.press("j");
    await page.goto(base + "/cost");
    await page.waitForSelector(".chart svg");
    await page.goto(base + "/compliance");
    await page.waitForSelector(".controls");
    await drive("tenant?clusters=200");
    await context.close();
  }, mockOnly);

  test("nothing evaluated yet teaches the next step", async () => {
    const { context, page } = await open();
    await drive("governance-empty");
    for (const path of ["governance", "cost", "compliance", "recommendations", "playbook"]) {
      await page.goto(`${base}/${path}`);
      await page.waitForSelector(".empty");
      const text = await page.innerText(".empty");
      for (const w of ["no cloud was read", "dockreeve azure collect -o snapshot.json", "dockreeve up --azure", "dockreeve demo tenant"]) is(text.includes(w), `${path} does not teach ${w}: ${text}`);
      await axe(page, `no ${path}`);
      await shot(page, `${path}-empty`);
    }
    await drive("governance-empty?v=0");
    await context.close();
  }, mockOnly);
}
