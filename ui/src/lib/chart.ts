// Plots over time: where lines, marks and labels stand. Nothing here draws.

export interface Scale {
  top: number; // value at the upper edge
  ticks: number[]; // round values from 0 on
}

/** Round numbers that reach over the largest value. */
export function scale(values: readonly number[], want = 3): Scale {
  const max = Math.max(0, ...values.filter(Number.isFinite));
  if (max === 0) return { top: 1, ticks: [0] };
  const rough = max / want;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough)!;
  const count = Math.ceil(max / step - 1e-9);
  return { top: step * count, ticks: Array.from({ length: count + 1 }, (_, i) => step * i) };
}

/** What stands at each tick: without ".00" where no tick has anything behind the point. */
export function tickTexts(ticks: readonly number[], format: (v: number) => string): string[] {
  const said = ticks.map(format);
  return said.every((t) => !t.includes(".") || /\.0+$/.test(t)) ? said.map((t) => t.replace(/\.0+$/, "")) : said;
}

/** A line through (x, y); a value that is not known breaks it. */
export function line(xs: readonly number[], ys: ReadonlyArray<number | null>): string {
  let out = "", pen = false;
  ys.forEach((y, i) => {
    if (y === null || !Number.isFinite(y)) { pen = false; return; }
    out += `${pen ? "L" : "M"}${round(xs[i]!)} ${round(y)}`;
    pen = true;
  });
  return out;
}

export const round = (v: number): number => Math.round(v * 10) / 10;

/** Where t of [from, to] stands on a width. */
export const place = (t: number, from: number, to: number, width: number): number => round(Math.max(0, Math.min(1, (t - from) / Math.max(1, to - from))) * width);

/** Labels at these heights, moved apart so that none covers another, kept within height. */
export function apart(ys: readonly number[], height: number, gap = 13): number[] {
  const out = [...ys];
  const order = out.map((_, i) => i).sort((a, b) => out[a]! - out[b]!);
  for (let k = 1; k < order.length; k++) out[order[k]!] = Math.max(out[order[k]!]!, out[order[k - 1]!]! + gap);
  const over = Math.max(0, ...out) - height;
  return over > 0 ? out.map((y) => y - over) : out;
}

/** Days to name on an axis: the first, the last, and the first of each week or month between. */
export function dayTicks(days: readonly string[], most = 6): number[] {
  const step = Math.max(1, Math.ceil(days.length / most));
  return days.map((_, i) => i).filter((i) => i % step === 0);
}

export interface Span { from: number; to: number; title: string; grave: boolean }

/** Spans that touch become one, so that many at once are no darker than one; grave ones stay apart from others. */
export function merged(spans: readonly Span[]): Span[] {
  const out: Span[] = [];
  for (const s of [...spans].sort((a, b) => Number(a.grave) - Number(b.grave) || a.from - b.from)) {
    const last = out.at(-1);
    if (last && last.grave === s.grave && s.from <= last.to) out[out.length - 1] = { ...last, to: Math.max(last.to, s.to), title: last.title.includes(s.title) ? last.title : `${last.title}\n${s.title}` };
    else out.push({ ...s });
  }
  return out;
}

/** Something unusual on the time axis of its own row; to in Unix milliseconds, address where its causes stand. */
export interface Lane extends Span { label: string; address: string }

/** Things of one day as one, by day of YYYY-MM-DD, in the order of days. */
export function perDay<T extends { at: number }>(things: readonly T[]): Array<[day: string, of: T[]]> {
  const by = new Map<string, T[]>();
  for (const t of [...things].sort((a, b) => a.at - b.at)) {
    const d = new Date(t.at).toISOString().slice(0, 10), l = by.get(d);
    if (l) l.push(t); else by.set(d, [t]);
  }
  return [...by];
}

/** Where each part of a bar begins and ends, from the bottom up. Parts below 0 have no height. */
export function stacked(values: readonly number[]): Array<[from: number, to: number]> {
  let at = 0;
  return values.map((v) => { const from = at; at += Math.max(0, v); return [from, at]; });
}
