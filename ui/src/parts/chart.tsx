// Plots by day: few lines, named at their ends, with alerts and what was unusual on
// the same axis. The same numbers stand in a table below, for those who cannot see it.
import { type ReactNode, useState, useSyncExternalStore } from "react";
import type { Severity } from "../gen/dockreeve/v1/dockreeve_pb";
import { apart, dayTicks, line, merged, place, scale, type Span } from "../lib/chart";
import { go } from "../lib/route";
import { num } from "../lib/time";
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
  limit?: { value: number; name: string };
  height?: number;
  note?: ReactNode;
}

const DAY = 864e5;
const narrow = matchMedia("(max-width: 720px)");

function useNarrow(): boolean {
  return useSyncExternalStore((f) => { narrow.addEventListener("change", f); return () => narrow.removeEventListener("change", f); }, () => narrow.matches);
}
const SHAPE: Record<string, string> = { critical: "M-3-6H3L6-3V3L3 6H-3L-6 3V-3z", high: "M0-6 6 5H-6z", medium: "M0-6 6 0 0 6-6 0z", low: "M0-5a5 5 0 1 1 0 10A5 5 0 0 1 0-5z" };

export function DayChart({ title, days, series: all, unit, format, marks = [], bands = [], limit, height = 150, note }: Props) {
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
  const foot = inside.length ? 38 : 20;
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
  const say = (i: number) => `${days[i]}: ${series.map((k) => `${k.name} ${k.values[i] == null ? "not assessed" : `${format(k.values[i]!)} ${unit}`}`).join(", ")}`;
  return (
    <figure className="chart" tabIndex={0} role="group" aria-label={`${title}, by day; left and right read it`} onKeyDown={key} onBlur={() => setRead(null)}>
      <p className="chart-read" aria-live="polite">{read === null ? <span className="muted">{title}, {unit} by day, {days[0]} to {days.at(-1)}</span> : say(read)}</p>
      <svg viewBox={`0 0 ${W} ${height + foot + 10}`} aria-hidden="true" onPointerMove={move} onPointerLeave={() => setRead(null)}>
        <g transform={`translate(${LEFT} 8)`}>
          {merged(bands).map((b, i) => <rect key={i} className={`band${b.grave ? " grave" : ""}`} x={at(b.from)} width={Math.max(3, at(b.to) - at(b.from))} y={-4} height={height + 4}><title>{b.title}</title></rect>)}
          {s.ticks.map((t) => <g key={t}><path className="rule" d={`M0 ${y(t)}H${inner}`} /><text className="tick-y" x={-8} y={y(t) + 4}>{format(t)}</text></g>)}
          {limit && <g><path className="limit" d={`M0 ${y(limit.value)}H${inner}`} /><text x={4} y={y(limit.value) - 4}>{limit.name}</text></g>}
          {dayTicks(days, small ? 4 : 6).map((i) => <text key={i} className="tick-x" x={x[i]} y={height + 16}>{days[i]!.slice(5)}</text>)}
          {series.map((k, i) => <g key={k.name}><path className={`curve${k.strong ? " strong" : ""}${k.dashed ? " dashed" : ""}`} d={line(x, k.values.map((v) => (v === null ? null : y(v))))} /><text className={k.strong ? "strong" : ""} x={inner + 8} y={ends[i]! + 4}>{k.name}</text></g>)}
          {read !== null && <path className="cursor" d={`M${x[read]} 0V${height}`} />}
          {inside.map((m, i) => <g key={i} className={`mark sev-${severityName(m.severity)}`} transform={`translate(${at(m.at)} ${height + 30})`} onClick={() => go(m.to)}><path d={SHAPE[severityName(m.severity)] ?? SHAPE.low} /><title>{`${m.title}${m.miner ? " (mining)" : ""}`}</title></g>)}
          {inside.length > 0 && <text className="tick-y" x={-8} y={height + 34}>alerts</text>}
        </g>
      </svg>
      {note && <figcaption className="muted small">{note}</figcaption>}
      <details className="small"><summary>The same as a table</summary>
        <div className="scroll-x chart-table" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
          <table className="plain"><thead><tr><th>Day</th>{series.map((k) => <th key={k.name} className="n">{k.name}, {unit}</th>)}</tr></thead>
            <tbody>{days.map((d, i) => <tr key={d}><td className="nowrap">{d}</td>{series.map((k) => <td key={k.name} className="n">{k.values[i] == null ? "not assessed" : format(k.values[i]!)}</td>)}</tr>).reverse()}</tbody></table>
        </div>
      </details>
    </figure>
  );
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
