// The screens of a real cluster in Chromium: what its API server holds, and an attack through
// it. Run by TestClusterScreensAgainstARealCluster, which made both and tells kubectl's counts.
//
//   DOCKREEVE_URL, DOCKREEVE_LINK   the server, and a fresh sign-in link
//   TRUTH                           JSON: pods, workloads, exposed, accounts, as kubectl counts them
//   CHROMIUM, OUT                   as for browser.mjs
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const repo = join(fileURLToPath(new URL(".", import.meta.url)), "../..");
const need = createRequire(join(repo, "ui/package.json"));
const { chromium } = need("playwright-core");
const axeSource = readFileSync(need.resolve("axe-core/axe.min.js"), "utf8");
const out = process.env.OUT ?? join(repo, "out/screenshots");
mkdirSync(out, { recursive: true });
const base = process.env.DOCKREEVE_URL.replace(/\/$/, "");
const truth = JSON.parse(process.env.TRUTH);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const wrong = [];
const is = (ok, what) => { if (!ok) { wrong.push(what); console.error(`wrong: ${what}`); } };
let cookies = null;
async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", timezoneId: "Europe/Berlin", ...options });
  if (cookies) await context.addCookies(cookies);
  const page = await context.newPage();
  page.on("pageerror", (e) => wrong.push(`uncaught: ${e}`));
  page.on("console", (m) => { if (/Content Security Policy|Uncaught|Warning:/.test(m.text())) wrong.push(m.text()); });
  page.setDefaultTimeout(60_000);
  return { context, page };
}

/** Opens a screen, waits for each text, and looks at it: axe, width, a picture. */
async function see(page, name, path, texts, look = true) {
  await page.goto(base + path);
  try {
    await page.waitForSelector("main h1, main .grid-row[data-id]", { state: "attached" }); // a narrow list hides its heading
    // The agent tells in its own time: what is told is on the screen without a reload.
    for (const t of texts) await page.waitForFunction(({ source, flags }) => new RegExp(source, flags).test(document.querySelector("main").innerText.replace(/[\u202f\u00a0]/g, " ").replace(/\s+/g, " ")), { source: t.source, flags: t.flags }, { timeout: 20_000 }).catch(() => is(false, `${name} does not say ${t}`));
    await page.waitForFunction(() => !document.querySelector("main .skeleton"));
  } catch (err) {
    is(false, `${name}: ${String(err).split("\n")[0]}`);
  }
  const text = (await page.innerText("main")).replace(/[\u202f\u00a0]/g, " ").replace(/\s+/g, " ");
  if (look) {
    is(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth + 1), `${name} is wider than its screen`);
    await page.evaluate(axeSource);
    const bad = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }).then((r) => r.violations.filter((v) => v.impact === "serious" || v.impact === "critical").map((v) => `${v.id} ${v.nodes[0].target.join(" ")}`)));
    is(bad.length === 0, `${name}: axe: ${bad.join("; ")}`);
    await page.screenshot({ path: join(out, `${name}.png`) });
  }
  return text;
}

const { context, page } = await open();
await page.goto(process.env.DOCKREEVE_LINK);
await page.waitForSelector("main h1, main .grid-row[data-id], main .empty", { state: "attached" });
cookies = await context.cookies();

// Every alert of the attack, with who did it and to what.
const alerts = await see(page, "alerts", "/alerts", [/All secrets listed/, /Cluster administrator's rights given away/, /Container with the powers of its node/, /Database without a password exposed/]);
is(/payments\/settlement/.test(alerts), "the alert of the stolen token does not name it");
is(/ClusterRoleBinding\/for-mallory/.test(alerts), "the alert of the binding does not name it");

const list = await see(page, "clusters", "/clusters", [/1 of 1 cluster/, /0 of 1 nodes watched/, /the API server is watched/]);
is(!/0 critical/.test(list), "no alert is counted on the cluster");
await see(page, "cluster", "/clusters/lab", [new RegExp(`${truth.workloads} workloads in \\d+ namespaces, ${truth.pods} pods on 1 node; ${truth.exposed} way in from the internet`), /kept without a break/, /the kernel of 0 of 1 is watched/, /watched by webhook/, /no sensor has reported from it/]);
await see(page, "workloads", "/workloads", [new RegExp(`${truth.workloads} of ${truth.workloads} workloads`), /shop\/cart/, /payments\/settlement/, /shop\/breakout/, /cluster ad/]);
await see(page, "workload", "/workloads/lab/payments/Deployment/settlement", [/may do anything in the cluster/, /team-payments/, /ClusterRoleBinding\/settlement-admin/, /not assessed/]);
await see(page, "workloads-filtered", "/workloads?q=power:privileged", [/1 of \d+ workloads/, /shop\/breakout/], false);
await see(page, "workloads-not-assessed", "/workloads?q=assessed:no", [new RegExp(`${truth.workloads} of ${truth.workloads} workloads`)], false);
await see(page, "identities", "/identities?q=kind:ServiceAccount", [new RegExp(`${truth.accounts} of \\d+ identities`), /payments\/settlement/]);
await see(page, "identity", "/identities/lab/serviceaccount:payments%252Fsettlement", [/May do anything in the cluster/, /listed secrets/, /has rights in red/, /All secrets listed/]);
await see(page, "identity-alice", "/identities/lab/user:alice@example.com", [/May impersonate, /, /1 refused/]);
// The administrator stands in no binding: its rights come with its certificate.
await see(page, "identity-admin", "/identities/lab/user:lab-admin", [/May do anything in the cluster/, /through system:masters/]);
const who = await see(page, "audit", "/audit?q=resource:secrets", [/payments\/settlement/, /listed secrets/, /refused 403/, /alice@example\.com/]);
is(!/No request/.test(who), "nothing was audited");
await see(page, "exposure", "/exposure", [/1 of 1 ways? in/, /shop\/cart/, /203\.0\.113\.9/, /redis/, /team-storefront/]);
await see(page, "way-in", "/exposure/lab/Service/shop/cart", [/Open from any address, to redis: any address is let in, no password is asked/, /firewalls outside the cluster/]);
await see(page, "health", "/health", [/kernels of lab/, /no sensor has reported from 1 of 1 nodes/, /cluster\/lab/]);

// From the alert to the request and to the identity.
await page.goto(`${base}/alerts?q=${encodeURIComponent('identity:"serviceaccount:payments/settlement"')}`);
await page.click(".grid-row[data-id] >> nth=0");
await page.waitForSelector(".alert-head h1");
const alert = new URL(page.url()).pathname;
await see(page, "alert", alert, [/Who did it, and from where/, /payments\/settlement/, /list secrets/, /Why it fired/, /tenant blue/i]);
await page.click("text=The request in Audit");
await page.waitForFunction(() => location.pathname.startsWith("/audit"));
await page.waitForSelector("main >> text=payments/settlement");

for (const [name, options] of [["dark", { colorScheme: "dark" }], ["small", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }]]) {
  const w = await open(options);
  for (const [screen, path] of [["alerts", "/alerts"], ["clusters", "/clusters"], ["cluster", "/clusters/lab"], ["workloads", "/workloads"], ["workload", "/workloads/lab/payments/Deployment/settlement"], ["identities", "/identities"], ["identity", "/identities/lab/serviceaccount:payments%252Fsettlement"], ["audit", "/audit"], ["exposure", "/exposure"], ["alert", alert]]) await see(w.page, `${screen}-${name}`, path, []);
  await w.context.close();
}
await browser.close();
console.log(wrong.length ? `${wrong.length} things are wrong` : "every screen tells what the cluster holds");
process.exitCode = wrong.length ? 1 : 0;
