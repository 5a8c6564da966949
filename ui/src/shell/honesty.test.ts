import type { Evaluation, Ratio } from "../gen/govern";
import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ClusterRowSchema, GapSchema, GetStatusResponseSchema } from "../gen/dockreeve/v1/dockreeve_pb";
import { assess, over, QUIET, watching } from "./honesty";

const NOW = 1_800_000_000_000;
const ns = (t: number) => BigInt(t) * 1_000_000n;
const good = () => create(GetStatusResponseSchema, {
  now: ns(NOW), rulesWatching: 8,
  watched: { since: ns(NOW - 11_520_000), lastEvent: ns(NOW - 1000), eventsSeen: 100n },
  nodes: [{ name: "n1", reporting: true, mode: "live", containers: 12n, since: ns(NOW - 11_520_000) }],
});
const live = { state: "live" } as const;

describe("the honesty bar", () => {
  it("is green only when nothing is missing", () => {
    expect(assess(good(), live, NOW).level).toBe("good");
  });
  it("names every gap", () => {
    const cases: Array<[string, (s: ReturnType<typeof good>) => void, string, string]> = [
      ["a node away", (s) => { s.nodes[0]!.reporting = false; }, "warn", "1 of 1 node not reporting"],
      ["a node blind", (s) => { s.nodes[0]!.notAssessed = "no eBPF"; }, "warn", "Kernel not watched on n1"],
      ["a replay", (s) => { s.nodes[0]!.mode = "replay"; }, "warn", "Replaying a recording, not watching live"],
      ["silence", (s) => { s.watched!.lastEvent = ns(NOW - QUIET - 60_000); }, "warn", "No event for 6 m"],
      ["a loss", (s) => { s.watched!.eventsLost = 1n; }, "warn", "1 event lost in 24 h"],
      ["a rule without its signal", (s) => { s.rulesNotAssessed = 3; }, "warn", "3 rules not assessed"],
      ["no rule", (s) => { s.rulesWatching = 0; }, "bad", "No rule is watching"],
      ["nothing watched", (s) => { s.watched!.since = 0n; }, "bad", "Nothing is watched"],
    ];
    for (const [name, change, level, headline] of cases) {
      const s = good();
      change(s);
      const a = assess(s, live, NOW);
      expect([name, a.level, a.headline]).toEqual([name, level, headline]);
    }
  });
  it("says the worst first and counts the rest", () => {
    const s = good();
    s.rulesNotAssessed = 1;
    s.watched!.eventsLost = 5n;
    const a = assess(s, { state: "lost", since: Date.now(), why: "", retryAt: 0 }, NOW);
    expect(a.level).toBe("bad");
    expect(a.headline).toBe("Connection lost just now");
    expect(a.reasons).toHaveLength(3);
    expect(assess(s, live, NOW).headline).toBe("2 gaps: 5 events lost in 24 h");
  });
  it("counts a gap of a cluster once, though its status, its document and its nodes tell of it", () => {
    const s = good();
    s.notAssessed = [{ what: "anonymising networks in prod", reason: "no list", remedy: "" }, { what: "kernels of prod", reason: "no sensor", remedy: "" }].map((g) => create(GapSchema, g));
    const prod = create(ClusterRowSchema, { name: "prod", agent: "1", connected: true, nodes: 3, auditMode: "webhook", gaps: [{ what: "anonymising networks", reason: "no list" }] });
    expect(assess(s, live, NOW, null, [prod]).reasons).toEqual(["anonymising networks in prod not assessed", "3 of 3 nodes of prod not watched"]);
  });
  it("is not green before the server has answered", () => {
    expect(assess(null, { state: "connecting" }, NOW).level).toBe("unknown");
    expect(assess(null, { state: "lost", since: NOW, why: "", retryAt: 0 }, NOW).level).toBe("bad");
  });
});

describe("the bar over governance", () => {
  const read = (any: Partial<Ratio>, gaps: Evaluation["gaps"] = []) => ({ coverage: { any: { n: 0, of: 0, ...any } }, gaps }) as Evaluation;
  const nothing = () => { const s = good(); s.watched!.since = 0n; return assess(s, live, NOW); };
  it("says what is not covered first, and keeps what sensors miss", () => {
    const a = over(read({ n: 39, of: 57 }), nothing());
    expect([a.level, a.headline]).toEqual(["warn", "18 of 57 clusters not protected"]);
    expect(a.reasons).toContain("no sensor of Dockreeve reports: nothing is watched live");
    expect(over(read({ notAssessed: "no rights" }), nothing()).headline).toBe("Coverage is not assessed: no rights");
  });
  it("is green only where all is protected, all was read, and sensors say the same", () => {
    expect(over(read({ n: 3, of: 3 }), assess(good(), live, NOW)).level).toBe("good");
    expect(over(read({ n: 3, of: 3 }), nothing()).level).toBe("warn");
    expect(over(read({ n: 3, of: 3 }, [{ what: "bills", reason: "403" }]), assess(good(), live, NOW)).headline).toBe("1 gap in what was read of the cloud");
  });
  it("stays as it is where nothing was evaluated or the server is away", () => {
    expect(over(null, nothing()).headline).toBe("Nothing is watched");
    expect(over(read({ n: 3, of: 3 }), assess(good(), { state: "lost", since: Date.now(), why: "", retryAt: 0 }, NOW)).headline).toBe("Connection lost just now");
  });
});

describe("the denominator", () => {
  it("says what was watched, how much and for how long", () => {
    expect(watching(good(), NOW)).toBe("watching 1 node, 12 containers for 3 h 12 m");
  });
  it("says why when nothing is", () => {
    const s = good();
    s.watched!.since = 0n;
    s.watched!.notAssessed = "not root";
    expect(watching(s, NOW)).toBe("nothing is watched: not root");
  });
});
