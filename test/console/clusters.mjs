// The rooms of clusters in Chromium, against the mock: what runs, whose it is, what it
// may do, how it is reached, and who did what. Run by browser.mjs.

/** Registers the tests; t holds what browser.mjs shares. */
export function clusters({ test, open, drive, base, ready, rows, axe, shot, is, same, fits, exportOf }) {
  const C = "prod-westeurope";
  const settlement = `/identities/${C}/serviceaccount:payments%252Fsettlement`;
  const mockOnly = { mockOnly: true };
  const lists = { clusters: "clusters", workloads: "workloads", identities: "identities", audit: "requests", exposure: "ways in" };
  const step = (s) => encodeURIComponent(s.replace(/[%/]/g, (c) => (c === "%" ? "%25" : "%2F")));

  test("clusters: each list has rows of one line, its denominators, and an address for its filter", async () => {
    const { context, page } = await open();
    for (const [name, many] of Object.entries(lists)) {
      await page.goto(`${base}/${name}`);
      await ready(page);
      is((await rows(page)).every((r) => r.h === 32), `${name}: a row is not 32 px`);
      same(await page.evaluate(() => { const g = document.querySelector(".grid"); return g.scrollWidth <= g.clientWidth; }), true, `${name}: the columns at first do not fit in 1280 px`);
      await page.waitForSelector(".counts-line .amber");
      const line = (await page.innerText(".counts-line")).replace(/\u202f/g, "");
      is(/1 of 3 clusters report/.test(line) && new RegExp(`\\d+ (of \\d+ ${many}|${many} match)`).test(line), `${name}: a denominator is missing: ${line}`);
      await page.keyboard.press("/");
      await page.keyboard.type("nosuchfield:1");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".filters .field-error");
      is(/nosuchfield/.test(await page.innerText(".filters .field-error")), `${name}: the error does not name the field`);
      await page.click('[aria-label="clear the filter"]');
      await page.waitForFunction(() => !document.querySelector(".filters .field-error"));
      await page.click(".chip >> nth=0");
      await page.waitForFunction(() => location.search.includes("q="));
      await page.reload();
      await page.waitForSelector('.chip[aria-pressed="true"]');
      await page.keyboard.press("?");
      await page.waitForSelector(`dialog[open] >> text=Filter ${many}`);
      await page.keyboard.press("Escape");
    }
    await context.close();
  }, mockOnly);

  test("clusters: what is not watched is amber, with why, on the list, the page and the honesty bar", async () => {
    const { context, page } = await open();
    await page.goto(base + "/clusters");
    await ready(page);
    is(/not watched/.test(await page.innerText('[data-id="lab"] .c-api .amber')), "an API server that is not watched is not amber");
    is(/no reads/.test(await page.innerText('[data-id="stage-neu"] .c-api')), "the cheaper audit log does not say that reads are missing");
    same(await page.$$eval(".honesty dl .amber", (l) => l.map((x) => x.textContent)), ["1 of 3", "2 of 3"], "clusters and API servers in the bar");
    await page.click(".honesty .state");
    const panel = (await page.innerText("dialog[open]")).replace(/\s+/g, " ");
    is(/inspected once/.test(panel) && /silent, ([45]\d m|[1-9] h) ago/.test(panel) && /not watched/.test(panel), `the panel lacks clusters: ${panel}`);
    await axe(page, "what is watched of clusters");
    await page.keyboard.press("Escape");
    await page.click(`[data-id="${C}"] a >> nth=0`);
    await page.waitForSelector(".cover");
    const text = await page.innerText(".page");
    for (const part of ["the kernel of 5 of 7 is watched", "sensors are for Linux", "no sensor can run there", "Ubuntu 22.04.5", "5.15.0-1075-azure", "containerd://2.0.5", "v1.34.2"]) is(text.includes(part), `the cluster lacks ${part}`);
    for (const [tab, want] of [["namespaces", "not assessed: a policy selects pods by expressions"], ["baselines", "learning 71 %"], ["gaps", "traffic policies of the mesh"]]) {
      await page.goto(`${base}/clusters/${C}?tab=${tab}`);
      await page.waitForSelector(`[role=tabpanel] >> text=${want}`);
      await axe(page, `cluster ${tab}`);
    }
    await drive("silent");
    await page.waitForSelector(".cover .warn >> text=its agent is silent");
    await drive("silent");
    await page.waitForSelector(".cover .good >> text=kept without a break");
    await page.goto(base + "/clusters/nowhere");
    await page.waitForSelector("text=There is no such cluster");
    await context.close();
  }, mockOnly);

  test("clusters: a join token is made, shown once, and its refusal is told", async () => {
    const { context, page } = await open();
    await page.goto(base + "/clusters");
    await ready(page);
    await page.click("text=Join a cluster");
    is(await page.isDisabled("dialog button[type=submit]"), "a token can be made for no cluster");
    await page.fill("dialog input.input", "Not A Name");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog .field-error >> text=want lower-case letters");
    await page.fill("dialog input.input", "prod-neu");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog .command >> text=drj1.cluster.");
    await axe(page, "join token");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !document.querySelector("dialog[open]") && !location.search.includes("join"));
    is(!(await page.content()).includes("drj1."), "the token stays in the page");
    await context.close();
  }, mockOnly);

  test("workloads: keyboard to one and back, links wherever something is named, export without invented noughts", async () => {
    const { context, page } = await open({ height: 900 });
    await page.goto(base + "/workloads");
    await ready(page);
    const list = await rows(page);
    for (const k of ["j", "j", "j", "k", "Enter"]) await page.keyboard.press(k);
    await page.waitForSelector(".chain");
    same(new URL(page.url()).pathname, `/workloads/${list[1].id}`, "Enter does not open the workload's address");
    await page.keyboard.press("j");
    await page.waitForFunction((id) => location.pathname === `/workloads/${id}`, list[2].id);
    await page.keyboard.press("Escape");
    await ready(page);
    same(await page.$eval(".grid-row.active", (r) => r.dataset.id), list[1].id, "Esc does not come back to the row");
    await page.goto(`${base}/workloads?q=name:postgres`);
    await ready(page);
    is(/^not assessed: cannot be pulled/.test(await page.innerText(".c-images")), "no reason why the images are not assessed");
    const [row] = JSON.parse(await exportOf(page, "JSON"));
    is(row.critical === "not assessed" && row.why.includes("401") && row.owner === "unowned", `the export: ${JSON.stringify(row)}`);
    await page.goto(`${base}/workloads/${C}/shop/Deployment/storefront`);
    await page.waitForSelector(".chain");
    same(await page.$$eval(".chain >> nth=0 >> .chain-kind", (l) => l.map((x) => x.textContent)), ["from", "Ingress", "Service", "Deployment"], "the way in");
    for (const href of [`/clusters/${C}`, `/identities/${C}/`, "/images/sha256:", "/alerts/", `/exposure/${C}/Ingress/shop/storefront`, "/audit?q="]) is(await page.$(`.page a[href^="${href}"]`), `no link to ${href}`);
    await page.click("summary");
    await page.waitForSelector(".code pre");
    await page.click(`.chain + .way-facts a`);
    await page.waitForFunction(() => location.pathname.startsWith("/exposure/"));
    await page.waitForSelector(".wide-section .chain");
    await page.click(".acts a >> nth=0");
    await page.waitForFunction(() => location.pathname.endsWith("/shop/Deployment/storefront"));
    await context.close();
  }, mockOnly);

  test("identities: what it can do, has done, was unusual; what is not known is not nought", async () => {
    const { context, page } = await open({ height: 900 });
    await page.goto(base + "/identities?q=kind:Group");
    await ready(page);
    same(await page.$$eval(".grid-row[data-id] .c-requests", (l) => l.map((c) => c.textContent)), ["?"], "a group has a number of requests");
    await page.goto(base + settlement);
    await page.waitForSelector(".uses tbody tr");
    const text = await page.innerText(".page");
    for (const part of ["May read secrets", "has rights in team-b", "get secrets, only index-key", "never seen", "not assessed", "listed secrets", "payments/reconcile", "Secret access"]) is(text.includes(part), `the identity lacks ${part}`);
    await page.waitForSelector(".odd a");
    await page.fill('[aria-label="Search what it has done"]', "kube-system");
    await page.waitForFunction(() => document.querySelectorAll(".uses tbody tr").length === 1);
    await page.click(".uses a");
    await page.waitForFunction(() => decodeURIComponent(location.search.replace(/\+/g, " ")).includes("identity:"));
    await page.goto(`${base}/identities/${C}/${step("user:https://sts.windows.net/72f988bf/#bob/../admin")}`);
    await page.waitForSelector("h1 >> text=May impersonate");
    await context.close();
  }, mockOnly);

  test("audit: newest first, a new request waits in the pill, one request whole with its alert", async () => {
    const { context, page } = await open({ height: 900 });
    await page.goto(base + "/audit?q=identity:serviceaccount:payments/*");
    await ready(page);
    const before = (await rows(page)).slice(0, 12);
    const { id } = await drive("request");
    await page.waitForSelector(".pill >> text=1 new");
    same((await rows(page)).slice(0, 12), before, "rows moved under the cursor");
    await page.keyboard.press("n");
    await page.waitForFunction((x) => document.querySelector(".grid-body .grid-row")?.dataset.id === x, id);
    await page.goto(base + "/audit?q=resource:clusterrolebindings*");
    await ready(page);
    await page.keyboard.press("j"); await page.keyboard.press("Enter");
    await page.waitForSelector("#s-means");
    const text = await page.innerText(".page");
    for (const part of ["created clusterrolebindings.rbac.authorization.k8s.io", "the internet", "203.0.113.77", "used from elsewhere", "cluster admin", "not held before", "curl/8.9.1", "learning"]) is(text.includes(part), `the request lacks ${part}: ${text}`);
    await axe(page, "one request");
    await page.click('section[aria-labelledby="s-alerts"] a');
    await page.waitForSelector("text=Who did it, and from where");
    is(!(await page.$(".tree")), "an alert of the API server shows a process tree");
    await axe(page, "an alert of the API server");
    await shot(page, "alert-audit-light");
    await page.click("text=The request in Audit");
    await page.waitForSelector("#s-means");
    await page.goto(base + "/audit/gone");
    await page.waitForSelector("text=There is no such request");
    await context.close();
  }, mockOnly);

  test("search finds workloads, identities and clusters", async () => {
    const { context, page } = await open();
    await page.goto(base + "/health");
    await page.waitForSelector("text=Hops");
    for (const [words, want] of [["storefront", `/workloads/${C}/shop/Deployment/storefront`], ["alice@", `/identities/${C}/user:alice@example.com`], ["stage-neu", "/clusters/stage-neu"]]) {
      await page.keyboard.press("Control+k");
      await page.keyboard.type(words);
      const name = want.split("/").at(-1).replace(/^user:/, "");
      await page.click(`.hit:has(.start):has-text("${name}") >> nth=0`);
      await page.waitForFunction((w) => location.pathname === w, want);
      await page.waitForSelector("h1");
    }
    await context.close();
  }, mockOnly);

  test("clusters: hostile names are text on every screen, and their pages can be reached", async () => {
    const { context, page } = await open();
    const evil = await drive("hostile-cluster");
    const shown = (s) => s.replace(/[\u0000\u202e]/g, (x) => `\\u{${x.charCodeAt(0).toString(16)}}`); // as the console writes it
    for (const path of ["/workloads", "/identities", "/audit", "/exposure", `/workloads/${C}/${evil.workload}`, `/identities/${C}/${step(shown(evil.identity))}`, `/audit/${step(evil.audit)}`, `/exposure/${C}/${evil.exposure}`]) {
      await page.goto(base + path);
      await page.waitForSelector(".grid-row[data-id], .alert-head h1");
      same((await page.$$("main img, main script, main iframe")).length, 0, `${path}: markup became elements`);
      same(await page.evaluate(() => /[\u202e\u0000]/.test(document.querySelector("main").innerHTML)), false, `${path}: a character that turns the text round is not shown as one`);
      await fits(page, path.slice(0, 40));
      is((await rows(page)).every((r) => r.h === 32), `${path}: a long name changes a row's height`);
      if (path.startsWith("/audit/")) is(!/could not be read/.test(await page.innerText(".page")), "a hidden character makes an event unreadable");
    }
    await context.close();
  }, mockOnly);

  test("clusters in light, dark and small, without serious findings", async () => {
    const { id: alert } = await drive("audit-alert");
    for (const scheme of ["light", "dark"]) for (const size of [{ width: 1280, height: 800 }, { width: 390, height: 844, scale: 2 }]) {
      const { context, page } = await open({ scheme, ...size });
      const small = size.width === 390 ? "small-" : "";
      for (const name of Object.keys(lists)) {
        await page.goto(`${base}/${name}`);
        await ready(page);
        await fits(page, name);
        await axe(page, `${name} ${small}${scheme}`);
        await shot(page, `${name}-${small}${scheme}`);
      }
      for (const [name, path] of [["cluster", `/clusters/${C}`], ["workload", `/workloads/${C}/shop/Deployment/storefront`], ["workload-host", `/workloads/${C}/legacy/Pod/debug-shell`], ["identity", settlement], ["way-in", `/exposure/${C}/Gateway/search/internal`], ["alert-audit", `/alerts/${alert}`]]) {
        await page.goto(base + path);
        await page.waitForSelector(".alert-head h1");
        await page.waitForFunction(() => !document.querySelector("main .skeleton"));
        await fits(page, name);
        await axe(page, `${name} ${small}${scheme}`);
        await shot(page, `${name}-${small}${scheme}`);
      }
      await context.close();
    }
  }, mockOnly);

  test("no cluster at all teaches the next step", async () => {
    const { context, page } = await open();
    await drive("clusters-empty");
    for (const name of Object.keys(lists)) {
      await page.goto(`${base}/${name}`);
      await page.waitForSelector(".empty");
      const text = await page.innerText(".empty");
      is(name === "audit" ? /no API server is watched/.test(text) : /dockreeve cluster inspect --kubeconfig/.test(text), `${name}: the next step is not taught: ${text}`);
      await axe(page, `no ${name}`);
      await shot(page, `${name}-empty`);
    }
    same(await page.$$eval(".honesty dl dt", (l) => l.some((x) => /cluster/.test(x.textContent))), false, "the bar counts clusters where there are none");
    await context.close();
  }, mockOnly);
}
