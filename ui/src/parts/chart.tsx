// Plots by day: few lines, named at their ends, with alerts and what was unusual on
// the same axis. The same numbers stand in a table below, for those who cannot see it.
import { type ReactNode, useState, useSyncExternalStore } from "react";
import type { Severity } from "../gen/dockreeve/v1/dockreeve_pb";
import { apart, dayTicks, type Lane, line, merged, perDay, place, scale, type Span, tickTexts } from "../lib/chart";
import { addressOf, ALERTS } from "../lib/query";
import { go } from "../lib/route";
import { num } from "../lib/time";
import { Link } from "./bits";
import { severityName } from "./marks";

export interface Series {
  name: string;
  values: ReadonlyArray<number | null>;
  strong?: boolean;
  dashed?: boolean;
}
export interface Mark { at: number; title: string; severity: Severity; to: string; miner: boolean } // at in Unix milliseconds

interface Props {
  title: string;
  days: readonly string[]; // YYYY-MM-DD, oldest first
  series: readonly Series[];
  unit: string;
  format: (v: number) => string;
  marks?: readonly Mark[];
  bands?: readonly Span[];
  unusual?: readonly Lane[]; // each in a row below, named, and leading to its causes
  partial?: string; // the day that is not over: told, not drawn
  limit?: { value: number; name: string };
  height?: number;
  note?: ReactNode;
}

const DAY = 864e5;
const narrow = matchMedia("(max-width: 720px)");

function useNarrow(): boolean {
  return useSyncExternalStore((f) => { narrow.addEventListener("change", f); return () => narrow.removeEventListener("change", f); }, () => narrow.matches);
}
const MANY = 24; // marks beyond which those of a day are one
const LANES = 8;
/** Alerts that first came on a day. */
const alertsOf = (day: string): string => addressOf({ ...ALERTS.view, filter: `first:>=${day} first:<${new Date(Date.parse(`${day}T00:00:00Z`) + DAY).toISOString().slice(0, 10)}` });
const SHAPE: Record<string, string> = { critical: "M-3-6H3L6-3V3L3 6H-3L-6 3V-3z", high: "M0-6 6 5H-6z", medium: "M0-6 6 0 0 6-6 0z", low: "M0-5a5 5 0 1 1 0 10A5 5 0 0 1 0-5z" };

export function DayChart({ title, days, series: all, unit, format, marks = [], bands = [], unusual = [], partial, limit, height = 150, note }: Props) {
  const [read, setRead] = useState<number | null>(null);
  const series = all.filter((k) => k.values.some((v) => v !== null)); // one of which nothing is known has no line
  const small = useNarrow();
  const [W, LEFT, RIGHT] = small ? [480, 54, 82] : [900, 64, 116];
  if (days.length < 2) return <p className="muted">{title}: {days.length === 0 ? "no day is known yet" : "one day is known; a line needs two"}.</p>;
  const inner = W - LEFT - RIGHT;
  const first = Date.parse(`${days[0]}T00:00:00Z`), last = Date.parse(`${days.at(-1)}T00:00:00Z`) + DAY;
  const s = scale([...series.flatMap((x) => x.values.filter((v): v is number => v !== null)), ...(limit ? [limit.value] : [])]);
  const x = days.map((d) => place(Date.parse(`${d}T12:00:00Z`), first, last, inner));
  const y = (v: number) => Math.round((1 - v / s.top) * height * 10) / 10;
  const at = (t: number) => place(t, first, last, inner);
  const ends = apart(series.map((k) => y(k.values.findLast((v) => v !== null) ?? 0)), height + 4);
  const inside = marks.filter((m) => m.at >= first && m.at < last);
  const crowded = inside.length > MANY;
  const daily = perDay(inside);
  const odd = unusual.filter((u) => u.to > first && u.from < last).sort((a, b) => Number(b.grave) - Number(a.grave) || a.from - b.from), lanes = odd.slice(0, LANES);
  const below = 22 + (inside.length ? (crowded ? 32 : 20) : 0);
  const foot = below + lanes.length * 16 + (lanes.length ? 4 : 0);
  const cut = partial === undefined ? -1 : days.indexOf(partial);
  const move = (e: React.PointerEvent<SVGSVGElement>) => {
    const box = e.currentTarget.getBoundingClientRect();
    const px = ((e.clientX - box.left) / box.width) * W - LEFT;
    setRead(Math.max(0, Math.min(days.length - 1, Math.floor((px / inner) * days.length))));
  };
  const key = (e: React.KeyboardEvent) => {
    const step = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    e.preventDefault();
    setRead((r) => Math.max(0, Math.min(days.length - 1, (r ?? (step > 0 ? -1 : days.length)) + step)));
  };
  const say = (i: number) => `${days[i]}: ${series.map((k) => `${k.name} ${k.values[i] == null ? "not assessed" : `${format(k.values[i]!)} ${unit}`}`).join(", ")}${i === cut ? "; the day is not over" : ""}`;
  return (
    <figure className="chart" tabIndex={0} role="group" aria-label={`${title}, by day; left and right read it`} onKeyDown={key} onBlur={() => setRead(null)}>
      <p className="chart-read" aria-live="polite">{read === null ? <span className="muted">{title}, {unit} by day, {days[0]} to {days.at(-1)}</span> : say(read)}</p>
      <svg viewBox={`0 0 ${W} ${height + foot + 10}`} aria-hidden="true" onPointerMove={move} onPointerLeave={() => setRead(null)}>
        <g transform={`translate(${LEFT} 8)`}>
          {merged(bands).map((b, i) => <rect key={i} className={`band${b.grave ? " grave" : ""}`} x={at(b.from)} width={Math.max(3, at(b.to) - at(b.from))} y={-4} height={height + 4}><title>{b.title}</title></rect>)}
          {s.ticks.map((t, k) => <g key={t}><path className="rule" d={`M0 ${y(t)}H${inner}`} /><text className="tick-y" x={-8} y={y(t) + 4}>{tickTexts(s.ticks, format)[k]}</text></g>)}
          {limit && <g><path className="limit" d={`M0 ${y(limit.value)}H${inner}`} /><text x={4} y={y(limit.value) - 4}>{limit.name}</text></g>}
          {dayTicks(days, small ? 4 : 6).map((i) => <text key={i} className="tick-x" x={x[i]} y={height + 16}>{days[i]!.slice(5)}</text>)}
          {series.map((k, i) => <g key={k.name}><path className={`curve${k.strong ? " strong" : ""}${k.dashed ? " dashed" : ""}`} d={line(x, k.values.map((v, j) => (v === null || j === cut ? null : y(v))))} /><text className={k.strong ? "strong" : ""} x={inner + 8} y={ends[i]! + 4}>{k.name}</text></g>)}
          {read !== null && <path className="cursor" d={`M${x[read]} 0V${height}`} />}
          {crowded && daily.map(([d, l]) => { const worst = l.reduce((a, b) => (b.severity > a.severity ? b : a)); return <g key={d} className={`mark sev-${severityName(worst.severity)}`} transform={`translate(${at(Date.parse(`${d}T12:00:00Z`))} ${height + 30})`} onClick={() => go(l.length === 1 ? l[0]!.to : alertsOf(d))}><path d={SHAPE[severityName(worst.severity)] ?? SHAPE.low} /><text className="mark-count" y={17}>{l.length}</text><title>{`${d}: ${l.length === 1 ? "1 alert" : `${l.length} alerts`}\n${l.slice(0, 8).map((m) => m.title).join("\n")}${l.length > 8 ? `\nand ${l.length - 8} more` : ""}`}</title></g>; })}
          {lanes.map((u, r) => { const from = at(u.from), to = Math.max(at(u.to), from + 6), top = height + below + r * 16, wide = to - from > u.label.length * 6 + 12; return (
            <g key={r} className={`lane${u.grave ? " grave" : ""}`} onClick={() => go(u.address)}><rect x={from} y={top} width={to - from} height={12} rx={3} /><text {...(wide ? { x: from + 6, y: top + 10 } : from > u.label.length * 6 + 8 ? { x: from - 5, y: top + 10, className: "before" } : { x: to + 5, y: top + 10 })}>{u.label}</text><title>{u.title}</title></g>
          ); })}
          {lanes.length > 0 && <text className="tick-y" x={-8} y={height + below + 10}>unusual</text>}
          {!crowded && inside.map((m, i) => <g key={i} className={`mark sev-${severityName(m.severity)}`} transform={`translate(${at(m.at)} ${height + 30})`} onClick={() => go(m.to)}><path d={SHAPE[severityName(m.severity)] ?? SHAPE.low} /><title>{`${m.title}${m.miner ? " (mining)" : ""}`}</title></g>)}
          {inside.length > 0 && <text className="tick-y" x={-8} y={height + 34}>alerts</text>}
        </g>
      </svg>
      {note && <figcaption className="muted small">{note}{odd.length > LANES && ` ${num(odd.length - LANES)} more that were unusual are not drawn.`}</figcaption>}
      <details className="small"><summary>The same as a table</summary>
        <div className="scroll-x chart-table" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
          <table className="plain"><thead><tr><th>Day</th>{series.map((k) => <th key={k.name} className="n">{k.name}, {unit}</th>)}{inside.length > 0 && <th>Alerts that first came</th>}</tr></thead>
            <tbody>{days.map((d, i) => <tr key={d}><td className="nowrap">{d}{i === cut && <span className="muted"> not over</span>}</td>{series.map((k) => <td key={k.name} className="n">{k.values[i] == null ? "not assessed" : format(k.values[i]!)}</td>)}{inside.length > 0 && <DayAlerts day={d} of={daily.find(([x]) => x === d)?.[1] ?? []} />}</tr>).reverse()}</tbody></table>
        </div>
      </details>
    </figure>
  );
}

/** The marks of a day as links, for those who use no pointer. */
function DayAlerts({ day, of }: { day: string; of: readonly Mark[] }) {
  if (of.length === 0) return <td className="faint">–</td>;
  return <td className="wrap">{of.slice(0, 2).map((m, i) => <span key={i}>{i > 0 && ", "}<Link to={m.to}>{m.title}</Link></span>)}{of.length > 2 && <>, <Link to={alertsOf(day)}>all {num(of.length)}</Link></>}</td>;
}

/** A line no larger than a word: which way a number went. Its text says it too. */
export function Spark({ values, says, width = 84, height = 20 }: { values: readonly number[]; says: string; width?: number; height?: number }) {
  if (values.length < 2) return <span className="faint small" data-tip="a trend needs two values">no trend yet</span>;
  const lo = Math.min(...values), hi = Math.max(...values), span = hi - lo || 1;
  const xs = values.map((_, i) => 2 + (i / (values.length - 1)) * (width - 6));
  const ys = values.map((v) => (hi === lo ? height / 2 : 3 + (1 - (v - lo) / span) * (height - 6)));
  return <svg className="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={says} data-tip={says}><path d={line(xs, ys)} /><circle cx={xs.at(-1)} cy={ys.at(-1)} r="2" /></svg>;
}

/** A share as a bar, with its goal as a line across it. */
export function Meter({ value, goal, met, says }: { value: number | null; goal?: number | undefined; met: boolean; says: string }) {
  return (
    <span className={`meter${value === null ? " unknown" : goal === undefined ? "" : met ? " met" : " unmet"}`} role="img" aria-label={says}>
      {value !== null && <span className="fill" style={{ width: `${Math.max(0, Math.min(1, value)) * 100}%` }} />}
      {goal !== undefined && goal > 0 && goal < 1 && <span className="goal" style={{ left: `${goal * 100}%` }} />}
    </span>
  );
}

export const count = (v: number): string => (Math.abs(v) >= 1000 ? num(Math.round(v)) : v % 1 === 0 ? String(v) : v.toFixed(Math.abs(v) < 10 ? 1 : 0));
