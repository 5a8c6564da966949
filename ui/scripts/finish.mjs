// Runs after `vite build`: adds the licences of what was bundled, and the hash of
// the sources, which a Go test compares with the sources committed beside it.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = join(fileURLToPath(new URL(".", import.meta.url)), "..");
const files = (dir) => readdirSync(join(root, dir), { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? files(`${dir}/${e.name}`) : [`${dir}/${e.name}`]));

// The same list as sources() in ui_test.go.
const sources = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "scripts/finish.mjs", ...files("public"), ...files("src")]
  .filter((f) => !f.endsWith(".test.ts"))
  .sort();
const sha = (data) => createHash("sha256").update(data).digest("hex");
const list = sources.map((f) => `${sha(readFileSync(join(root, f)))}  ${f}\n`).join("");
writeFileSync(join(root, "dist/source.sha256"), sha(list) + "\n");

const bundled = Object.keys(JSON.parse(readFileSync(join(root, "package.json"))).dependencies).concat("scheduler").sort();
const notices = bundled.map((name) => {
  const dir = join(root, "node_modules", name);
  const pkg = JSON.parse(readFileSync(join(dir, "package.json")));
  const file = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f));
  return `${name} ${pkg.version} (${pkg.license})\n\n${file ? readFileSync(join(dir, file), "utf8").trim() : "Licence text: see the package."}\n`;
});
writeFileSync(join(root, "dist/THIRD-PARTY.txt"), "The console contains these packages, under these licences.\n\n" + notices.join("\n" + "-".repeat(72) + "\n\n"));

let raw = 0, packed = 0;
for (const f of files("dist").filter((f) => /\.(js|css|html|svg|woff2)$/.test(f))) {
  const data = readFileSync(join(root, f));
  raw += statSync(join(root, f)).size;
  packed += f.endsWith(".woff2") ? data.length : gzipSync(data, { level: 9 }).length;
}
console.log(`bundle: ${(raw / 1024).toFixed(0)} KiB, ${(packed / 1024).toFixed(0)} KiB compressed`);
if (packed > 1024 * 1024) throw new Error("the bundle is over 1 MB compressed: take something out");
