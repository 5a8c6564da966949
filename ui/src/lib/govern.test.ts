import { describe, expect, it } from "vitest";
import type { Money, Ratio } from "../gen/govern";
import { showback } from "../screens/cost/showback";
import { apart, line, merged, perDay, scale, tickTexts, stacked } from "./chart";
import { amount, anomalySays, burn, byDay, canaryState, change, doc, entries, gapSays, known, money, moneyTip, once, percent, points, scopeName, score, share, shortOwner, together, told, total, yes } from "./govern";

const eur = (v: number, more: Partial<Money> = {}): Money => ({ micros: Math.round(v * 1e6), currency: "EUR", asOf: "2026-11-25", source: "bill", ...more });
const none: Money = { micros: 0, currency: "", notAssessed: "no bill was read" };

describe("names", () => {
  const id = "5fc90cca-6fb6-4598-a13b-ebd8c856025e";
  it("tells object ids short, and leaves every other owner as it is", () => {
    expect([id, `${id}, ${id.replace("5", "6")}`, "payments", `${id}, payments`, "unowned", ""].map(shortOwner)).toEqual(["id 5fc90cca", "id 5fc90cca + 1", "payments", `${id}, payments`, "unowned", ""]);
  });
  it("tells an anomaly without its id", () => {
    expect(["mining: 1d64d0733cd629ba", "core-hours: 1d64d0733cd629ba", "spend: 1d64d0733cd629ba", "spend 90 EUR instead of 40"].map(anomalySays)).toEqual(["it looks as if somebody mines there", "its core-hours are unusual", "its spend is unusual", "spend 90 EUR instead of 40"]);
  });
  it("calls a subscription by its name where that was read", () => {
    const names = new Map([[id, "sub-finance"]]);
    expect([`/subscriptions/${id.toUpperCase()}`, id, "/subscriptions/other", "x"].map((s) => scopeName(s, names))).toEqual(["sub-finance", "sub-finance", "other", "x"]);
  });
});

describe("money", () => {
  it("has digits as its size asks for, and its sign", () => {
    expect([1284.4, 99.5, 0.27, 0.0021, 0, -12.3].map((v) => amount(v * 1e6))).toEqual(["1\u202f284", "99.50", "0.27", "0.002100", "0", "−12.30"]);
    expect(amount(-0.0000001 * 1e6)).toBe("0.000000");
  });
  it("is never a nought where it is not known", () => {
    expect(known(none)).toBe(false);
    expect(money(none)).toBe("not assessed");
    expect(money(undefined)).toBe("not assessed");
    expect(moneyTip(none)).toContain("no bill was read");
    expect(money(eur(0))).toBe("0 EUR");
  });
  it("tells source and date on its hover", () => expect(moneyTip(eur(12), "budget")).toBe("budget\n12.00 EUR\nbill, of 2026-11-25"));
  it("divides only what is of one currency", () => {
    expect(share(eur(5), eur(20))).toBe(0.25);
    expect(share(eur(5), eur(20, { currency: "USD" }))).toBeNull();
    expect(share(none, eur(20))).toBeNull();
    expect(share(eur(5), eur(0))).toBeNull();
  });
});

describe("a budget", () => {
  it.each([[50, 90, "within"], [50, 95, "near"], [50, 101, "over"], [101, 100, "over"], [101, 120, "over"]] as const)("%d spent and %d forecast of 100 is %s", (spent, fore, state) => {
    expect(burn(eur(spent), eur(100), eur(fore)).state).toBe(state);
  });
  it("without a forecast is judged by what is spent, and says so", () => {
    const b = burn(eur(50), eur(100), none);
    expect(b.state).toBe("within");
    expect(b.text).toContain("not assessed");
  });
  it("that is not known is neither held nor broken", () => {
    expect(burn(eur(50), none, eur(60))).toMatchObject({ state: "none", spent: null });
    expect(burn(none, eur(100), none).state).toBe("none");
  });
});

describe("a share", () => {
  const r = (n: number, of: number, more: Partial<Ratio> = {}): Ratio => ({ n, of, ...more });
  it("keeps what is unknown in its denominator and names it", () => {
    const t = told(r(8, 10, { unknown: 2, goal: 1 }));
    expect(t).toMatchObject({ text: "8 of 10", percent: "80 %", met: false });
    expect(t.tip).toContain("2 could not be read");
  });
  it("of nothing is not assessed, not nought", () => {
    expect(told(r(0, 0))).toMatchObject({ value: null, text: "not assessed" });
    expect(told(undefined).value).toBeNull();
    expect(told(r(0, 5, { notAssessed: "no cloud was read" }))).toMatchObject({ value: null, tip: "no cloud was read" });
    expect(told(r(0, 5)).percent).toBe("0 %");
  });
  it("never rounds up to all, nor down to nothing", () => {
    expect(percent(0.999)).toBe("99.9 %");
    expect(percent(0.99999)).toBe("99.9 %");
    expect(percent(1)).toBe("100 %");
    expect(percent(0.0004)).toBe("< 0.1 %");
    expect(percent(0.004)).toBe("0.4 %");
  });
  it("of a benchmark leaves out what was not assessed, and tells it", () => {
    const t = score({ framework: "x", pass: 3, fail: 1, notAssessed: 9, exempt: 2, manual: 4, ratio: 0.75 });
    expect(t.percent).toBe("75 %");
    expect(t.tip).toContain("9 not assessed, 2 exempt, 4 by hand");
    expect(score({ framework: "x", pass: 0, fail: 0, notAssessed: 9, exempt: 0, manual: 0, ratio: 0 }).value).toBeNull();
  });
});

describe("documents", () => {
  it("show hidden characters and survive those that the API's client wrote as escapes", () => {
    expect(doc<{ a: string }>('{"a":"x\\u202ey"}')).toEqual({ a: "x\\u{202e}y" });
    expect(doc<{ a: string }>('{"a":"x\\u{202e}y"}')).toEqual({ a: "x\\u{202e}y" });
    expect(doc("")).toBeNull();
  });
  it("have lists and maps that may be null", () => {
    expect(entries(null)).toEqual([]);
    expect(entries({ b: 1, a: 2, c: undefined })).toEqual([["a", 2], ["b", 1]]);
  });
  it("say yes, no, or neither", () => {
    expect([yes({ value: true }), yes({ value: false }), yes({ value: true, notAssessed: "403" }), yes(undefined)]).toEqual(["yes", "no", "", ""]);
  });
  it("have points as days, the last of each", () => {
    const d = Date.parse("2026-11-25T10:00:00Z") * 1e6;
    expect(byDay([{ at: d + 9e12, value: 2 }, { at: d, value: 1 }, { at: d - 864e11, value: 0 }])).toEqual([["2026-11-24", 0], ["2026-11-25", 2]]);
  });
  it("tell changes with a sign, and none as none", () => expect([change(2.4), change(-2.4, 1), change(0.04, 1), points(0.5)]).toEqual(["+2", "−2.4", "±0", 50]));
});

describe("a showback file", () => {
  it("carries currency and date, and no nought for what is not known", () => {
    const f = Object.fromEntries(showback({ key: "shop", coreHours: 10, requested: 9, used: 0, usedWhy: "not measured", cost: eur(12), idleShare: none, protection: eur(0) }, "owner").map((x) => [x.key, x.value]));
    expect(f).toMatchObject({ owner: "shop", cost: 12, idle_share: "not assessed", protection: 0, currency: "EUR", price_date: "2026-11-25", used_core_hours: "not assessed: not measured" });
  });
});

describe("a chart", () => {
  it("stacks parts from the bottom, and gives those below nought no height", () => {
    expect(stacked([3, 0, -2, 4])).toEqual([[0, 3], [3, 3], [3, 3], [3, 7]]);
    expect(stacked([])).toEqual([]);
  });

  it("has round ticks that reach over the largest value", () => {
    expect(scale([41_200, 3])).toEqual({ top: 60_000, ticks: [0, 20_000, 40_000, 60_000] });
    expect(scale([0, 0])).toEqual({ top: 1, ticks: [0] });
    expect(tickTexts([0, 50, 100], (v) => (v < 100 && v > 0 ? v.toFixed(2) : String(v)))).toEqual(["0", "50", "100"]);
    expect(tickTexts([0, 2.5, 5], (v) => v.toFixed(2))).toEqual(["0.00", "2.50", "5.00"]);
    for (const v of [0.003, 1, 7.1, 99, 100, 12_345_678]) expect(scale([v]).top).toBeGreaterThanOrEqual(v);
  });
  it("breaks its line where a value is not known", () => expect(line([0, 10, 20, 30], [1, null, 2, 3])).toBe("M0 1M20 2L30 3"));
  it("moves labels apart within its height", () => {
    const y = apart([50, 52, 60], 60);
    expect(Math.max(...y)).toBeLessThanOrEqual(60);
    expect(y[1]! - y[0]!).toBeGreaterThanOrEqual(13);
    expect(y[2]! - y[1]!).toBeGreaterThanOrEqual(13);
  });
  it("draws days that several things made unusual once, mining apart and last", () => {
    const s = (from: number, to: number, grave = false) => ({ from, to, title: `${from}`, grave });
    expect(merged([s(3, 6, true), s(1, 4), s(2, 8), s(9, 10)]).map((x) => [x.from, x.to, x.grave])).toEqual([[1, 8, false], [9, 10, false], [3, 6, true]]);
  });
});

it("gaps of one cause stand together; another remedy is another gap", () => {
  const gaps = [{ what: "budgets", reason: "403", remedy: "export-role" }, { what: "costs", reason: "403", remedy: "export-role" }, { what: "budgets", reason: "403", remedy: "export-role" }, { what: "costs", reason: "403" }];
  expect(together(gaps)).toEqual([{ whats: ["budgets", "costs"], reason: "403", remedy: "export-role" }, { whats: ["costs"], reason: "403", remedy: "" }]);
  expect(together(gaps).flatMap((g) => g.whats.map(gapSays))).toContain("bills");
  expect(gapSays("constructor")).toBe("constructor");
});

it("a canary that came back is stale once two were due since; one that did not is lost after a while, and never back", () => {
  const H = 36e11, now = 1e18;
  const k = (more: object) => canaryState({ kind: "exec", every: 24 * H, ...more }, now);
  expect(k({ sent: now - 4 * H, seen: now - 4 * H + 1 })).toBe("back");
  expect(k({ sent: now - 49 * H, seen: now - 49 * H + 1 })).toBe("stale");
  expect(k({ sent: now - 4 * H, seen: now - 28 * H })).toBe("lost");
  expect(k({ sent: now - 6e10 })).toBe("waiting");
  expect(k({ sent: now - 4 * H })).toBe("lost");
  expect(k({})).toBe("not-assessed");
  expect(k({ sent: now - 4 * H, seen: now - 3 * H, notAssessed: "no agent" })).toBe("not-assessed");
});

it("what must not run and was let in is never a canary that came back", () => {
  const now = 1e18, H = 36e11;
  const k = (more: object) => canaryState({ kind: "denial", every: 24 * H, sent: now - H, ...more }, now);
  expect(k({ denied: now - H, by: "azure-policy" })).toBe("denied");
  expect(k({ denied: now - 25 * H, by: "azure-policy", answer: "created" })).toBe("let-through");
  expect(k({ answer: "created" })).toBe("let-through");
  expect(k({ sent: now - 50 * H, denied: now - 50 * H, by: "azure-policy" })).toBe("stale");
  expect(k({ seen: now - H + 1 })).toBe("back");
});

it("why a cluster was not read is told once on its page", () => {
  expect(once("as it was read last; now not: 403", "403")).toBe("as it was read last; now not: see above");
  expect(once("tag owner of the cluster", undefined)).toBe("tag owner of the cluster");
});

it("a sum says what is not in it, and never adds two currencies", () => {
  expect(total([eur(1), eur(2), none])).toMatchObject({ left: 1, sum: { micros: 3e6, currency: "EUR", asOf: "2026-11-25", notAssessed: "in part: 1 of 3 are not known, or of another currency" } });
  expect(total([eur(1), eur(2), eur(9, { currency: "USD" })]).sum).toMatchObject({ micros: 3e6, currency: "EUR" });
  expect(total([eur(1), eur(2, { asOf: "2026-10-01" })])).toMatchObject({ left: 0, sum: { micros: 3e6, asOf: "2026-10-01" } });
  expect(known(total([none]).sum)).toBe(false);
});

it("alerts of a day are one mark, in the order of days", () => {
  const m = (at: string) => ({ at: Date.parse(at) });
  expect(perDay([m("2026-11-02T23:59:59Z"), m("2026-11-01T10:00:00Z"), m("2026-11-02T00:00:00Z")]).map(([d, l]) => [d, l.length])).toEqual([["2026-11-01", 1], ["2026-11-02", 2]]);
});
