import type { ClusterRow, Point } from "../../gen/govern";
import { entries, list, points } from "../../lib/govern";
import { plural } from "../../lib/time";
import { count, DayChart } from "../../parts/chart";
import { byDay } from "../../lib/govern";

const SAYS: Readonly<Record<string, readonly [title: string, unit: string, scale: (v: number) => number]>> = {
  score: ["Compliance score", "of 100", points],
  cost: ["Cost", "a day", (v) => v],
};

/** What earlier evaluations kept of it. */
export function History({ of, c }: { of: Record<string, Point[]>; c: ClusterRow }) {
  const all = entries(of).filter(([, p]) => list(p).length > 0);
  if (all.length === 0) return <p className="muted">No earlier evaluation kept anything of it: history begins with the second day.</p>;
  return <>{all.map(([name, p]) => {
    const [title, unit, f] = SAYS[name] ?? [name, "", (v: number) => v];
    const d = byDay(p).filter(([k]) => name !== "cost" || !c.monthToDate.asOf || k <= c.monthToDate.asOf);
    if (name === "protected") return <p key={name}>Protected on <b>{d.filter(([, v]) => v > 0).length}</b> of {plural(d.length, "day")} that were evaluated, {d[0]?.[0]} to {d.at(-1)?.[0]}.</p>;
    return <DayChart key={name} title={title} unit={name === "cost" ? `${c.monthToDate.currency || "money"} a day` : unit} days={d.map(([k]) => k)} series={[{ name: name === "cost" ? "billed" : name, strong: true, values: d.map(([, v]) => f(v)) }]} format={count} height={90} />;
  })}</>;
}
