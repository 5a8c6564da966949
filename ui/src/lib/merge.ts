// How a live list changes without moving. What is shown keeps its order until
// the reader asks for the new one; values change in place; what is new, moved or
// gone is only counted.

export interface Row {
  id: string;
}

export interface Shown<T extends Row> {
  order: readonly string[];
  rows: ReadonlyMap<string, T>;
  complete: boolean; // no further page exists
  pending: Pending;
}

export interface Pending {
  added: readonly string[]; // match and belong among the shown rows, but are not among them
  moved: readonly string[]; // shown, and would stand elsewhere
  left: readonly string[]; // shown, and no longer match
}

export const NOTHING: Pending = { added: [], moved: [], left: [] };

/** A list as just fetched. */
export function shown<T extends Row>(rows: readonly T[], complete: boolean): Shown<T> {
  return { order: rows.map((r) => r.id), rows: new Map(rows.map((r) => [r.id, r])), complete, pending: NOTHING };
}

/** The next page, appended. A row that moved between pages is shown once, where it was first. */
export function append<T extends Row>(s: Shown<T>, page: readonly T[], complete: boolean): Shown<T> {
  const rows = new Map(s.rows);
  const order = [...s.order];
  for (const r of page) {
    if (!rows.has(r.id)) order.push(r.id);
    rows.set(r.id, r);
  }
  const have = new Set(page.map((r) => r.id));
  return { order, rows, complete, pending: { ...s.pending, added: s.pending.added.filter((id) => !have.has(id)) } };
}

/** Values changed, places kept. Rows that are not shown are ignored. */
export function update<T extends Row>(s: Shown<T>, changed: readonly T[]): Shown<T> {
  const hits = changed.filter((r) => s.rows.has(r.id));
  if (hits.length === 0) return s;
  const rows = new Map(s.rows);
  for (const r of hits) rows.set(r.id, r);
  return { ...s, rows };
}

/**
 * Compares what is shown with the first rows of the same list fetched again.
 * changed are the ids the stream named. No row moves.
 */
export function compare<T extends Row>(s: Shown<T>, fresh: readonly T[], changed: ReadonlySet<string>): Shown<T> {
  const next = update(s, fresh);
  const place = new Map(s.order.map((id, i) => [id, i]));
  const at = fresh.map((r) => place.get(r.id) ?? -1);
  const last = at.reduce((max, p, i) => (p >= 0 ? i : max), -1);
  const added = fresh.filter((_, i) => at[i] === -1 && (s.complete || i < last)).map((r) => r.id);
  const stay = new Set(increasing(at.filter((p) => p >= 0)));
  const moved = at.filter((p) => p >= 0 && !stay.has(p)).map((p) => s.order[p]!);
  const here = new Set(fresh.map((r) => r.id));
  const left = s.order.filter((id) => !here.has(id) && (changed.has(id) || s.pending.left.includes(id)));
  return { ...next, pending: { added, moved, left } };
}

/** A longest increasing subsequence: the rows that can be said not to have moved. */
function increasing(list: readonly number[]): number[] {
  const tails: number[] = [];
  const from: number[] = [];
  const prev: number[] = [];
  list.forEach((v, i) => {
    let lo = 0, hi = tails.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (tails[mid]! < v) lo = mid + 1;
      else hi = mid;
    }
    tails[lo] = v;
    from[lo] = i;
    prev[i] = lo > 0 ? from[lo - 1]! : -1;
  });
  const out: number[] = [];
  for (let i = tails.length ? from[tails.length - 1]! : -1; i >= 0; i = prev[i]!) out.push(list[i]!);
  return out.reverse();
}

/** What the pill says; "" when what is shown is what is. */
export function pillText(p: Pending): string {
  const parts = [];
  if (p.added.length) parts.push(`${p.added.length} new`);
  if (p.moved.length) parts.push(`${p.moved.length} moved`);
  if (p.left.length) parts.push(`${p.left.length} no longer match${p.left.length === 1 ? "es" : ""}`);
  return parts.join(" · ");
}
