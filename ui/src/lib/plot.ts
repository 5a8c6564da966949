// A small step plot: values hold until the next change, up to now.

export interface Steps {
  paths: string[];
  ends: number[]; // y where each line ends, moved apart so that labels do not overlap
  marks: number[]; // x of each change
}

/** times in rising order, each series as long as times; x runs from the first time to now, y from 0 to the largest value. */
export function steps(times: readonly number[], series: ReadonlyArray<readonly number[]>, now: number, width: number, height: number, gap = 13): Steps {
  const first = times[0] ?? now;
  const span = Math.max(1, now - first);
  const top = Math.max(1, ...series.flat());
  const x = (t: number) => Math.round((Math.max(0, Math.min(1, (t - first) / span))) * width * 10) / 10;
  const y = (v: number) => Math.round((1 - v / top) * height * 10) / 10;
  const marks = times.map(x);
  const paths = series.map((s) => s.map((v, i) => (i === 0 ? `M${marks[0]} ${y(v)}` : `H${marks[i]}V${y(v)}`)).join("") + (s.length ? `H${x(now)}` : ""));
  const ends = series.map((s) => y(s.at(-1) ?? 0));
  const order = ends.map((_, i) => i).sort((a, b) => ends[a]! - ends[b]!);
  for (let k = 1; k < order.length; k++) {
    const above = ends[order[k - 1]!]!, i = order[k]!;
    if (ends[i]! - above < gap) ends[i] = above + gap;
  }
  const over = Math.max(0, ...ends) - height;
  if (over > 0) for (let k = 0; k < ends.length; k++) ends[k] = ends[k]! - over;
  return { paths, ends, marks };
}
