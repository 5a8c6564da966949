import { describe, expect, it } from "vitest";
import { backoff } from "./backoff";
import { foldable, split, steps, tellsMore } from "./lineage";
import { append, compare, pillText, shown, update } from "./merge";
import { addressOf, choose, chosen, DEFAULT_VIEW, nextOrder, quote, SEVERITIES, STATUSES, terms, viewOf, withField, withTerm } from "./query";
import { csv, json } from "./table";
import { reveal as revealText, visible } from "./text";
import { ago, duration, exact, ms, num, plural, utc } from "./time";
import { reveal, slice } from "./window";

const row = (id: string, n = 0) => ({ id, n });
const ids = (...list: string[]) => list.map((id) => row(id));

describe("a live list", () => {
  it("changes values in place and moves nothing", () => {
    const s = compare(shown(ids("a", "b", "c"), true), [row("c", 9), row("new"), row("a", 1), row("b")], new Set(["c", "new", "a"]));
    expect(s.order).toEqual(["a", "b", "c"]);
    expect(s.rows.get("c")?.n).toBe(9);
    expect(s.pending).toEqual({ added: ["new"], moved: ["c"], left: [] });
    expect(pillText(s.pending)).toBe("1 new · 1 moved");
  });
  it("keeps a row that no longer matches until asked", () => {
    const s = compare(shown(ids("a", "b", "c"), true), ids("a", "c"), new Set(["b"]));
    expect(s.order).toEqual(["a", "b", "c"]);
    expect(s.pending.left).toEqual(["b"]);
    expect(pillText(s.pending)).toBe("1 no longer matches");
    const back = compare(s, ids("a", "b", "c"), new Set(["b"]));
    expect(back.pending.left).toEqual([]);
  });
  it("does not call a row of the next page new", () => {
    const s = compare(shown(ids("a", "b", "c"), false), ids("a", "c", "d"), new Set(["b"]));
    expect(s.pending).toEqual({ added: [], moved: [], left: ["b"] });
    const t = compare(shown(ids("a", "b", "c"), false), ids("new", "a", "b"), new Set(["new"]));
    expect(t.pending).toEqual({ added: ["new"], moved: [], left: [] });
  });
  it("appends a page without showing a row twice, and forgets what it brought", () => {
    const s = compare(shown(ids("a", "b"), false), ids("a", "x", "b"), new Set(["x"]));
    const t = append(s, ids("b", "x", "c"), true);
    expect(t.order).toEqual(["a", "b", "x", "c"]);
    expect(t.pending.added).toEqual([]);
  });
  it("ignores a change of a row that is not shown", () => {
    const s = shown(ids("a"), true);
    expect(update(s, ids("z"))).toBe(s);
  });
  it("never moves, drops or doubles a row, whatever arrives", () => {
    let seed = 7;
    const rnd = (n: number) => ((seed = (Math.imul(seed, 48271) >>> 0) % 2147483647) % n);
    for (let i = 0; i < 500; i++) {
      const all = Array.from({ length: 12 }, (_, k) => `r${k}`);
      const some = () => all.filter(() => rnd(3) > 0).sort(() => rnd(3) - 1);
      const start = some();
      const s = compare(shown(ids(...start), rnd(2) === 0), ids(...some()), new Set(some()));
      expect(s.order).toEqual(start);
      expect(new Set(s.pending.added).size).toBe(s.pending.added.length);
      for (const id of s.pending.added) expect(start).not.toContain(id);
      for (const id of [...s.pending.moved, ...s.pending.left]) expect(start).toContain(id);
    }
  });
});

describe("the filter text", () => {
  it("is split into terms as typed", () => {
    expect(terms('severity:>=high -status:dismissed "two words" tactic:"Credential Access" x,y').map((t) => [t.neg, t.field, t.op, t.value])).toEqual([
      [false, "severity", ">=", "high"], [true, "status", "", "dismissed"], [false, "", "", "two words"], [false, "tactic", "", "Credential Access"], [false, "", "", "x,y"],
    ]);
  });
  it("gives a list for any text", () => {
    for (const t of ["", " ", '"', "-", "a:", ':"', "a:>=", '\\"', "((", "severity:"]) expect(Array.isArray(terms(t))).toBe(true);
  });
  it("keeps what a click does not touch", () => {
    expect(withField("foo severity:low -status:open  bar", "severity", ["severity:>=high"])).toBe("foo severity:>=high -status:open bar");
    expect(withField("foo", "age", ["age:<1h"])).toBe("foo age:<1h");
    expect(withField("age:<1h", "age", [])).toBe("");
    expect(withField("in-container:no -in-container:yes x", "in-container", [])).toBe("x");
    expect(withTerm("a b", "b")).toBe("a b");
  });
  it("reads and writes which values are let through, both ways alike", () => {
    expect([...chosen("severity:>=high", "severity", SEVERITIES)]).toEqual(["high", "critical"]);
    expect([...chosen("-status:resolved -status:dismissed", "status", STATUSES)]).toEqual(["open", "acknowledged"]);
    expect([...chosen("status:open,resolved", "status", STATUSES)]).toEqual(["open", "resolved"]);
    for (const [field, all, ranked] of [["severity", SEVERITIES, true], ["status", STATUSES, false]] as const) {
      for (let bits = 1; bits < 1 << all.length; bits++) {
        const want = new Set<string>(all.filter((_, i) => bits & (1 << i)));
        expect(chosen(choose(field, all, want, ranked).join(" "), field, all)).toEqual(want);
      }
    }
  });
  it("quotes what has a meaning in the grammar", () => {
    expect(quote("shop/web-1")).toBe("shop/web-1");
    for (const v of ["a b", "-x", "a:b", "a,b", "x*", "(a)", ">3", 'say "hi"', ""]) expect(quote(v)).toMatch(/^".*"$/);
    expect(terms(`x:${quote('a "b" \\c')}`)[0]?.value).toBe('a "b" \\c');
  });
});

describe("the address bar", () => {
  it("holds filter and order, and reads them back", () => {
    for (const filter of ["", "severity:>=high -status:dismissed age:<7d", 'tactic:"Credential Access" a&b=c#d +x %20', "ü ☃"]) {
      for (const order of ["last_seen", "-count"]) {
        const at = addressOf({ filter, order });
        expect(viewOf(at.slice(at.indexOf("?")))).toEqual({ filter, order });
      }
    }
    expect(addressOf({ filter: "severity:high status:open", order: "last_seen" })).toBe("/alerts?q=severity:high+status:open");
    expect(viewOf("")).toEqual(DEFAULT_VIEW);
  });
  it("turns a column round, then lets it go", () => {
    expect([nextOrder("last_seen", "count"), nextOrder("count", "count"), nextOrder("-count", "count"), nextOrder("-last_seen", "last_seen")]).toEqual(["count", "-count", "last_seen", "last_seen"]);
  });
});

describe("times", () => {
  it("are short and carry a unit", () => {
    expect([0.25, 640, 12_000, 95_000, 3_600_000, 11_520_000, 9 * 86_400_000].map(duration)).toEqual(["250 µs", "640 ms", "12 s", "1 m 35 s", "1 h", "3 h 12 m", "9 d"]);
    const now = 1_800_000_000_000;
    expect([0, 12_000, 200_000, 5 * 3_600_000, 9 * 86_400_000, -5000].map((d) => ago(now - d, now))).toEqual(["now", "12 s", "3 m", "5 h", "9 d", "now"]);
  });
  it("keep the exact moment", () => {
    expect(utc(ms(1_795_474_279_957_113_000n))).toBe("2026-11-23 22:51:19.957 UTC");
    expect(exact(0n)).toBe("not assessed");
    expect(exact(1_795_474_279_957_113_000n)).toMatch(/UTC\n.*local/);
  });
  it("count with separators and the right noun", () => {
    expect(num(1284511n)).toBe("1\u202f284\u202f511");
    expect([plural(1, "node"), plural(0n, "node"), plural(2, "match", "matches")]).toEqual(["1 node", "0 nodes", "2 matches"]);
  });
});

describe("a long list", () => {
  it("draws only what touches the viewport, and a margin", () => {
    expect(slice(1000, 32, 3200, 640, 2)).toEqual({ from: 98, to: 123 });
    expect(slice(3, 32, 99999, 640)).toEqual({ from: 0, to: 3 });
    expect(slice(0, 32, 0, 0)).toEqual({ from: 0, to: 0 });
  });
  it("scrolls as little as it can to show a row", () => {
    expect([reveal(0, 32, 100, 320), reveal(5, 32, 100, 320), reveal(20, 32, 0, 320)]).toEqual([0, 100, 352]);
  });
});

describe("exports", () => {
  const rows = [[{ key: "a", value: 'x,"y"' }, { key: "n", value: 3 }], [{ key: "a", value: "=cmd|' /c calc'!A1" }, { key: "n", value: -1 }]];
  it("quote cells and defuse formulas", () => {
    expect(csv(rows)).toBe('a,n\r\n"x,""y""",3\r\n"\'=cmd|\' /c calc\'!A1",-1\r\n');
    expect(csv([])).toBe("");
  });
  it("are plain objects in JSON", () => {
    expect(JSON.parse(json(rows))).toEqual([{ a: 'x,"y"', n: 3 }, { a: "=cmd|' /c calc'!A1", n: -1 }]);
  });
});

describe("a lineage", () => {
  const p = (name: string, inContainer: boolean) => ({ name, inContainer });
  it("reads from the oldest ancestor to the offender and marks the boundary", () => {
    const down = steps([p("sh", true), p("node", true), p("shim", false), p("init", false)]);
    expect(down.map((s) => [s.process.name, s.crosses, s.offender])).toEqual([["init", "", false], ["shim", "", false], ["node", "in", false], ["sh", "", true]]);
    expect(foldable(down)).toBe(2);
    expect(foldable(steps([p("sh", true), p("shim", false)]))).toBe(0);
    expect(foldable(steps(["a", "b", "c", "d", "e", "f"].map((n) => p(n, false))))).toBe(2);
  });
  it("keeps arguments whole", () => {
    expect(split("sh -c id; x")).toEqual(["sh", " -c id; x"]);
    expect(split("sh")).toEqual(["sh", ""]);
    expect([tellsMore("/bin/dash", "sh"), tellsMore("/usr/bin/bash", "bash"), tellsMore("", "x")]).toEqual([true, false, false]);
  });
});

it("retries ever more slowly, and never all at once", () => {
  expect([0, 1, 2, 20].map((n) => backoff(n, () => 0.5))).toEqual([500, 1000, 2000, 15000]);
  expect(backoff(0, () => 0)).toBe(400);
  expect(backoff(99, () => 1)).toBe(18000);
});

describe("text from containers", () => {
  it("shows what would hide or turn round", () => {
    expect(visible("a\u202eb\u0000\u200bc\ud800")).toBe("a\\u{202e}b\\u{0}\\u{200b}c\\u{d800}");
    expect(visible("naïve ☃ 😀\n\tדג")).toBe("naïve ☃ 😀\n\tדג");
  });
  it("is made so all through a message", () => {
    const m = { $typeName: "x", a: "\u202e", list: [{ b: "ok" }, "c\u0000"], n: 3n, none: undefined };
    revealText(m);
    expect(m).toEqual({ $typeName: "x", a: "\\u{202e}", list: [{ b: "ok" }, "c\\u{0}"], n: 3n, none: undefined });
  });
});
