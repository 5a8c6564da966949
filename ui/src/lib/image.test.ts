import { describe, expect, it } from "vitest";
import { advised, advisoryID, bytes, fixSays, imageName, imageSays, percent, shortDigest, shortDistro, spread, useSays, useWord, whyRank } from "./image";
import { FINDING_FIELDS, IMAGE_FIELDS, PACKAGE_FIELDS, VULNERABILITY_FIELDS } from "./fields";
import { steps } from "./plot";
import { ALERTS, addressOf, filtered, imageAddress, IMAGES, nextOrder, toggleTerm, viewOf, VULNERABILITIES, vulnerabilityAddress } from "./query";
import { reveal } from "./text";

const now = Date.UTC(2026, 10, 26, 16);
const at = (ms: number) => BigInt(ms) * 1_000_000n;
const H = 3_600_000, D = 24 * H;
const digest = "sha256:4f2a91c0e3b14f2a91c0e3b14f2a91c0e3b14f2a91c0e3b14f2a91c0e3b14f2a";
const counts = (o: object) => ({ critical: 0n, high: 0n, medium: 0n, low: 0n, unrated: 0n, total: 0n, kev: 0n, fixable: 0n, inUse: 0n, ...o });
// eslint-disable-next-line @typescript-eslint/no-explicit-any
const image = (o: object = {}, r: object = {}): any => ({ image: { key: digest, name: "shop/web:1", names: [], running: 0n, workloads: [], notAssessed: "", gaps: 0, packages: 214n, secrets: 0n, malware: 0n, counts: counts({}), ...o }, running: [], ...r });
const run = (workload: string, node: string, until = 0n) => ({ workload, node, container: node + workload, name: "", since: 1n, until });

describe("names and sizes", () => {
  it("keeps the part of a digest that tells", () => {
    expect(shortDigest(digest)).toBe("4f2a91c0e3b1");
    expect(shortDigest("rootfs:/srv")).toBe("rootfs:/srv");
    expect(imageName({ name: "", key: digest })).toBe("4f2a91c0e3b1");
    expect(imageName({ name: digest, key: digest })).toBe("4f2a91c0e3b1");
    expect(imageName({ name: `shop/web@${digest}`, key: digest })).toBe(`shop/web@${digest}`);
  });
  it("writes sizes with a unit", () => {
    expect([0n, 999n, 1000n, 32n, 74_210_000n, 9_990_000n, 999_600_000n].map(bytes)).toEqual(["0 B", "999 B", "1.00 kB", "32 B", "74.2 MB", "9.99 MB", "1.00 GB"]);
  });
  it("shortens distributions", () => {
    expect(["Debian GNU/Linux 12 (bookworm)", "Alpine Linux v3.20", "Ubuntu 24.04.2 LTS", "Red Hat Enterprise Linux 9.4 (Plow)"].map(shortDistro)).toEqual(["Debian 12", "Alpine v3.20", "Ubuntu 24.04.2 LTS", "RHEL 9.4"]);
  });
  it("writes probabilities without pretending", () => {
    expect([0, 0.00004, 0.004, 0.12, 0.094, 1].map(percent)).toEqual(["0 %", "< 0.1 %", "0.4 %", "12 %", "9.4 %", "100 %"]);
  });
});

describe("use", () => {
  const use = (o: object) => ({ state: "", since: 0n, first: 0n, last: 0n, path: "", reason: "", ...o }) as never;
  it("says what was seen, and since when where nothing was", () => {
    expect(useSays(use({ state: "loaded", last: at(now - 3 * 60_000), path: "usr/lib/x/libssl.so.3" }), now)).toBe("loaded 3 m ago: usr/lib/x/libssl.so.3");
    expect(useSays(use({ state: "not-seen", since: at(now - 4 * D) }), now)).toBe("not seen loaded in 4 d of watching");
  });
  it("never says not used where nobody watched", () => {
    expect(useSays(use({}), now)).toBe("use not assessed: not running where this server watches");
    expect(useSays(undefined, now)).toMatch(/^use not assessed/);
    expect(useWord(undefined)).toBe("not assessed");
    expect(useSays(use({ reason: "no eBPF here" }), now)).toBe("use not assessed: no eBPF here");
  });
});

describe("one image in a sentence", () => {
  it("tells where it runs, what is exploited, and what a newer base would remove", () => {
    const r = image({ running: 3n, workloads: ["payments/web"], counts: counts({ total: 80n, kev: 3n }) }, { running: [run("payments/web", "n1"), run("payments/web", "n2")], base: { name: "debian:12", newer: "sha256:00", removes: 41, adds: 0, digest: "", layers: 1 } });
    expect(imageSays(r, 2n)).toBe("Runs as payments/web on 2 nodes; 3 vulnerabilities known to be exploited, 2 of them in packages that are loaded; base debian:12 has a newer build that removes 41");
    expect(imageSays(r, null)).toContain("whether their packages are loaded is not assessed");
    expect(imageSays(r, 3n)).toContain("all of them in packages");
    expect(imageSays(r, 0n)).toContain("none seen in a package that is loaded");
  });
  it("counts nothing where there is no verdict", () => {
    const s = imageSays(image({ notAssessed: "layer 4 is encrypted", running: 1n, workloads: ["a/b"] }), null);
    expect(s).toBe("Runs as a/b; not assessed: layer 4 is encrypted");
    expect(s).not.toMatch(/\b(0|no vulnerability)\b/);
  });
  it("gives a nothing its denominator and its gaps", () => {
    expect(imageSays(image(), null)).toBe("Not seen running; no vulnerability is known in its 214 packages");
    expect(imageSays(image({ gaps: 2 }), null)).toContain("2 parts of it could not be assessed");
    expect(imageSays(image({}, { running: [run("a/b", "n", 9n)] }), null)).toContain("Ran before, and no longer does");
  });
});

describe("why something ranks where it does", () => {
  const v = (o: object) => ({ kev: undefined, epss: undefined, severity: 0, cvss: 0, vector: "", fixedIn: "", status: "unfixed", use: undefined, ...o }) as never;
  it("names every part, the unknown ones too", () => {
    expect(whyRank(v({}))).toEqual(["no score of how likely exploitation is", "nobody has rated it, which counts as nearly medium", "whether it is loaded is not known, which counts half"]);
    expect(whyRank(v({ kev: { ransomware: true }, epss: 0.68, severity: 4, vector: "CVSS:3.1/x", cvss: 7.8, fixedIn: "2", use: { state: "loaded" } }))).toEqual(["known to be exploited, by ransomware too", "68 % likely to be exploited within 30 days", "rated high", "CVSS 7.8", "a fixed version can be had", "its package is loaded"]);
  });
  it("has a word for every state of a fix", () => {
    expect(["unfixed", "wont-fix", "deferred", "end-of-life", "under-review", "fixed", ""].map((status) => fixSays({ fixedIn: "", status }))).toEqual(["no fix yet", "will not be fixed", "fix deferred", "end of life: none will come", "under review", "fixed, version not told", "not assessed"]);
  });
  it("tells how far one is spread", () => {
    expect(spread(12n, 3n, ["a", "b"])).toBe("in 12 images, 3 of them running as a and b");
    expect(spread(1n, 0n, [])).toBe("in 1 image, which is not seen running");
    expect(spread(9n, 4n, ["a", "b", "c", "d"])).toBe("in 9 images, 4 of them running as a, b, c and 1 more");
  });
});

describe("advisories", () => {
  const a = (o: object) => ({ built: at(now - 3 * H), notAssessed: "", stale: false, maxAge: at(7 * D), feeds: [], version: "1", matchedAt: 0n, rematchedImages: 0n, updateError: "", ...o }) as never;
  it("is good only when nothing is wrong", () => {
    expect(advised(a({}), now)).toEqual({ level: "good", short: "3 h old", why: "" });
    expect(advised(null, now).level).toBe("unknown");
    expect(advised(a({ built: 0n }), now)).toMatchObject({ level: "warn", short: "missing" });
    expect(advised(a({ stale: true }), now).why).toBe("older than the 7 d allowed");
    expect(advised(a({ updateError: "no such host" }), now)).toMatchObject({ level: "warn", why: "the last update failed: no such host" });
    expect(advised(a({ feeds: [{ error: "" }, { error: "gone" }] }), now).why).toBe("1 of 2 feeds could not be read");
  });
  it("knows ids as people paste them", () => {
    expect([" cve-2024-3094 ", "GHSA-ABCD-1234-ef56", "rhsa-2024:1234", "DSA-5678-1"].map(advisoryID)).toEqual(["CVE-2024-3094", "GHSA-abcd-1234-ef56", "RHSA-2024:1234", "DSA-5678-1"]);
    expect(["cve-2024", "openssl", "severity:>=high", "CVE-2024-3094 and more", ""].map(advisoryID)).toEqual(["", "", "", "", ""]);
  });
});

describe("addresses", () => {
  it("reads back what it writes, for each list", () => {
    for (const place of [ALERTS, IMAGES, VULNERABILITIES]) for (const filter of ["", "severity:>=high running:yes", 'title:"a, b & c" 100%'])
      expect(viewOf(new URL(addressOf({ filter, order: "name" }, place), "http://x").search, place)).toEqual({ filter, order: "name" });
    expect(addressOf(IMAGES.view, IMAGES)).toBe("/images");
    expect(addressOf({ ...ALERTS.view, filter: "" })).toBe("/alerts?q=");
    expect(filtered(IMAGES, "kev:yes")).toBe("/images?q=kev:yes");
  });
  it("gives each entity one address, whatever its name holds", () => {
    expect(imageAddress(digest)).toBe(`/images/${digest}`);
    expect(vulnerabilityAddress("a/../b?c#d")).toBe("/vulnerabilities/a%2F..%2Fb%3Fc%23d");
  });
  it("turns orders and chips", () => {
    expect([nextOrder("risk", "name", "risk"), nextOrder("name", "name", "risk"), nextOrder("-name", "name", "risk")]).toEqual(["name", "-name", "risk"]);
    expect(toggleTerm("a severity:high", "kev:yes")).toBe("a severity:high kev:yes");
    expect(toggleTerm("kev:yes a", "kev:yes")).toBe("a");
    expect(toggleTerm("kev:no a", "kev:yes")).toBe("kev:yes a");
  });
  it("proposes fields once", () => {
    for (const list of [IMAGE_FIELDS, FINDING_FIELDS, PACKAGE_FIELDS, VULNERABILITY_FIELDS]) {
      expect(new Set(list.map(([n]) => n)).size).toBe(list.length);
      for (const [name, , example] of list) expect(example.startsWith(`${name}:`)).toBe(true);
    }
  });
});

describe("text of a message", () => {
  it("is made visible in lists and in keys of maps, and bytes are left alone", () => {
    const m = { $typeName: "x", list: [{ $typeName: "y", name: "a\u202eb" }], map: { "k\u202e": "v\u0000", ok: "w" }, bytes: new Uint8Array([0]) };
    reveal(m);
    expect(m).toEqual({ $typeName: "x", list: [{ $typeName: "y", name: "a\\u{202e}b" }], map: { "k\\u{202e}": "v\\u{0}", ok: "w" }, bytes: new Uint8Array([0]) });
  });
});

describe("a step plot", () => {
  it("holds a value until the next change, and up to now", () => {
    const s = steps([0, 50], [[10, 5], [0, 0]], 100, 200, 100);
    expect(s.marks).toEqual([0, 100]);
    expect(s.paths).toEqual(["M0 0H100V50H200", "M0 100H100V100H200"]);
  });
  it("keeps labels apart and within", () => {
    const { ends } = steps([0], [[10], [10], [9]], 1, 100, 50, 13);
    const sorted = [...ends].sort((a, b) => a - b);
    for (let i = 1; i < sorted.length; i++) expect(sorted[i]! - sorted[i - 1]!).toBeGreaterThanOrEqual(12.9);
    expect(Math.max(...ends)).toBeLessThanOrEqual(50);
  });
  it("survives one point and a clock behind", () => {
    expect(steps([100], [[0]], 50, 10, 10).paths).toEqual(["M0 10H0"]);
  });
});
