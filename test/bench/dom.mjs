// The list of alerts in a real Chromium: tells, as one JSON line each, when a row's count changed in the DOM.
//
//   DOCKREEVE_URL, DOCKREEVE_LINK   a running server and a fresh sign-in link
//   CHROMIUM                        the browser
//   ROWS                            how many rows must be there before it says {"ready":true}
//
// Ends when its standard input does.
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const repo = join(fileURLToPath(new URL(".", import.meta.url)), "../..");
const { chromium } = createRequire(join(repo, "ui/package.json"))("playwright-core");
const base = process.env.DOCKREEVE_URL.replace(/\/$/, "");
const rows = Number(process.env.ROWS);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
// High enough that every row is rendered.
const page = await browser.newPage({ viewport: { width: 1280, height: 32 * rows + 600 }, locale: "en-GB" });
page.setDefaultTimeout(30_000);
await page.goto(process.env.DOCKREEVE_LINK);
await page.waitForSelector(".grid-row[data-id]");
await page.exposeFunction("tell", (lines) => process.stdout.write(lines.map((l) => JSON.stringify(l) + "\n").join("")));
await page.goto(`${base}/alerts?q=${encodeURIComponent("executable:/tmp/busybox-d*")}`);
await page.waitForFunction((n) => document.querySelectorAll(".grid-row[data-id] .c-count").length >= n, rows);
await page.evaluate(() => {
  const last = new Map();
  const look = () => {
    const at = performance.timeOrigin + performance.now(); // before anything that takes time
    const changed = [];
    for (const cell of document.querySelectorAll(".grid-row[data-id] .c-count")) {
      const id = cell.parentElement.dataset.id;
      const count = Number(cell.textContent.replace(/\D/g, ""));
      if (last.get(id) !== count) changed.push({ id, count, at });
      last.set(id, count);
    }
    if (changed.length) window.tell(changed);
  };
  new MutationObserver(look).observe(document.querySelector(".grid-body"), { subtree: true, childList: true, characterData: true });
  look();
});
process.stdout.write('{"ready":true}\n');
process.stdin.resume();
await new Promise((end) => process.stdin.on("end", end));
await browser.close();
