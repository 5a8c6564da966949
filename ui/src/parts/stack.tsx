// What each day's money became: bars of parts that add up to the day. Colour tells parts
// apart only beside their names, the reading line and the table.
import { type ReactNode, useState, useSyncExternalStore } from "react";
import { apart, dayTicks, place, scale, tickTexts, stacked } from "../lib/chart";
import { go } from "../lib/route";
import { Link } from "./bits";

export interface Piece {
  name: string;
  tone: string; // a class of govern.css: t0 to t7, rest, shared, idle, none
  values: readonly number[]; // one for each day
  address?: string;
}

interface Props {
  title: string;
  days: readonly string[]; // YYYY-MM-DD, oldest first
  unknown: readonly boolean[]; // days of which nothing is billed yet
  pieces: readonly Piece[]; // drawn from the bottom up
  unit: string;
  format: (v: number) => string;
  height?: number;
  note?: ReactNode;
}

const DAY = 864e5;
const READ = 5; // parts that the reading line names
const narrow = matchMedia("(max-width: 720px)");

export function StackChart({ title, days, unknown, pieces, unit, format, height = 190, note }: Props) {
  const [read, setRead] = useState<number | null>(null);
  const small = useSyncExternalStore((f) => { narrow.addEventListener("change", f); return () => narrow.removeEventListener("change", f); }, () => narrow.matches);
  const last = days.findLastIndex((_, i) => !unknown[i]);
  if (last < 0 || pieces.length === 0) return null;
  const [W, LEFT, RIGHT] = small ? [480, 54, 110] : [900, 64, 170];
  const inner = W - LEFT - RIGHT, wide = inner / days.length;
  const from = Date.parse(`${days[0]}T00:00:00Z`), to = Date.parse(`${days.at(-1)}T00:00:00Z`) + DAY;
  const bars = days.map((_, i) => stacked(pieces.map((p) => (unknown[i] ? 0 : p.values[i] ?? 0))));
  const s = scale(bars.map((b) => b.at(-1)?.[1] ?? 0));
  const y = (v: number) => Math.round((1 - v / s.top) * height * 10) / 10;
  const refunds = pieces.some((p) => p.values.some((v) => v < 0));
  const ends = apart(bars[last]!.map(([a, b]) => y((a + b) / 2)), height + 4);
  const at = (d: string) => place(Date.parse(`${d}T00:00:00Z`), from, to, inner);
  const move = (e: React.PointerEvent<SVGSVGElement>) => {
    const box = e.currentTarget.getBoundingClientRect();
    setRead(Math.max(0, Math.min(days.length - 1, Math.floor(((((e.clientX - box.left) / box.width) * W - LEFT) / inner) * days.length))));
  };
  const key = (e: React.KeyboardEvent) => {
    const step = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    e.preventDefault();
    setRead((r) => Math.max(0, Math.min(days.length - 1, (r ?? (step > 0 ? -1 : days.length)) + step)));
  };
  const sum = (i: number) => pieces.reduce((a, p) => a + (p.values[i] ?? 0), 0);
  const say = (i: number) => {
    if (unknown[i]) return `${days[i]}: nothing is billed yet`;
    const of = pieces.filter((p) => p.values[i]).sort((a, b) => b.values[i]! - a.values[i]!), more = of.slice(READ).reduce((a, p) => a + p.values[i]!, 0);
    return `${days[i]}: ${format(sum(i))} ${unit}; ${of.slice(0, READ).map((p) => `${p.name} ${format(p.values[i]!)}`).join(", ")}${of.length > READ ? `, ${of.length - READ} more ${format(more)}` : ""}`;
  };
  return (
    <figure className="chart stack" tabIndex={0} role="group" aria-label={`${title}, by day; left and right read it`} onKeyDown={key} onBlur={() => setRead(null)}>
      <p className="chart-read" aria-live="polite">{read === null ? <span className="muted">{title}, {unit} by day, {days[0]} to {days.at(-1)}</span> : say(read)}</p>
      <svg viewBox={`0 0 ${W} ${height + 34}`} aria-hidden="true" onPointerMove={move} onPointerLeave={() => setRead(null)}>
        <g transform={`translate(${LEFT} 8)`}>
          {s.ticks.map((t, k) => <g key={t}><path className="rule" d={`M0 ${y(t)}H${inner}`} /><text className="tick-y" x={-8} y={y(t) + 4}>{tickTexts(s.ticks, format)[k]}</text></g>)}
          {dayTicks(days, small ? 4 : 6).map((i) => <text key={i} className="tick-x" x={at(days[i]!) + wide / 2} y={height + 18}>{days[i]!.slice(5)}</text>)}
          {days.map((d, i) => <g key={d} className={read === i ? "on" : ""}>{bars[i]!.map(([a, b], k) => (b > a ? <rect key={k} className={`piece ${pieces[k]!.tone}`} x={at(d) + wide * 0.1} width={wide * 0.8} y={y(b)} height={Math.max(0.4, y(a) - y(b))} /> : null))}</g>)}
          {pieces.map((p, k) => { const to = p.address; return <g key={k} className={`end${to ? " to" : ""}`} {...(to ? { onClick: () => go(to) } : {})}><rect className={`piece ${p.tone}`} x={inner + 8} y={ends[k]! - 5} width={9} height={9} rx={2} /><text x={inner + 22} y={ends[k]! + 4}>{p.name.length > 22 ? `${p.name.slice(0, 21)}…` : p.name}</text></g>; })}
        </g>
      </svg>
      {(note || refunds) && <figcaption className="muted small">{note}{refunds && " Parts below nought, refunds mostly, are in the table and not drawn."}</figcaption>}
      <details className="small"><summary>The same as a table</summary>
        <div className="scroll-x chart-table wide" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
          <table className="plain"><thead><tr><th>Day</th><th className="n">all, {unit}</th>{pieces.map((p) => <th key={p.name} className="n">{p.address ? <Link to={p.address}>{p.name}</Link> : p.name}</th>)}</tr></thead>
            <tbody>{days.map((d, i) => <tr key={d}><td className="nowrap">{d}</td>{unknown[i] ? <td colSpan={pieces.length + 1} className="muted">nothing is billed yet</td> : <><td className="n">{format(sum(i))}</td>{pieces.map((p) => <td key={p.name} className="n">{format(p.values[i] ?? 0)}</td>)}</>}</tr>).reverse()}</tbody></table>
        </div>
      </details>
    </figure>
  );
}
