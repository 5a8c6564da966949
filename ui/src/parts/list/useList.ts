// A list as one screen holds it: pages fetched by cursor, changes told by the
// stream compared in the background, nothing moved until asked.
import { useCallback, useEffect, useRef, useState } from "react";
import { aborted, Code, isCode, sentence } from "../../api/client";
import { onChange } from "../../api/live";
import { append, compare, type Row, shown, type Shown, update } from "../../lib/merge";
import { addressOf, type Place, type View } from "../../lib/query";

const PAGE = 100;
export const MOST = 500; // the largest page the API gives
const CALM = 250; // ms between two comparisons under a storm of changes
const CALM_WHOLE = 2000; // the same where each change may be of any row
const SINGLE = 20; // rows fetched one by one when they fell out of the page

export interface Asked {
  filter: string;
  order: string;
  pageSize: number;
  cursor?: string;
}

export interface Page<T, A> {
  rows: T[];
  next: string;
  total: bigint;
  totalAll: bigint;
  about: A | undefined; // what stands behind these numbers
}

/** Where a list comes from. One object for each list, kept for the life of the page. */
export interface Source<T extends Row, A> {
  place: Place;
  kinds: readonly string[]; // of changes that concern it
  whole?: boolean; // a change names no row of it: any may have changed
  page: (q: Asked, signal?: AbortSignal) => Promise<Page<T, A>>;
  one?: (id: string) => Promise<T | undefined>;
  kept?: ListState<T, A>; // what was on the screen is there again when the reader comes back
}

export interface ListState<T extends Row, A> {
  view: View;
  list: Shown<T> | null; // null until the first answer
  cursor: string;
  total: bigint;
  totalAll: bigint;
  about: A | undefined;
  loading: boolean;
  error: string;
  filterError: string; // the server's sentence about the filter text
}

/** Ids in the order last shown, for j and k on a row's own page. */
export const lastOrder = <T extends Row, A>(s: Source<T, A>): readonly string[] => s.kept?.list?.order ?? [];

/** Where the list was, for the way back to it. */
export const lastAddress = <T extends Row, A>(s: Source<T, A>): string => addressOf(s.kept?.view ?? s.place.view, s.place);

const fresh = <T extends Row, A>(view: View): ListState<T, A> => ({ view, list: null, cursor: "", total: 0n, totalAll: 0n, about: undefined, loading: true, error: "", filterError: "" });
const same = (a: View, b: View) => a.filter === b.filter && a.order === b.order;

export function useList<T extends Row, A>(source: Source<T, A>, view: View) {
  const [state, setState] = useState<ListState<T, A>>(() => (source.kept && same(source.kept.view, view) && source.kept.list ? source.kept : fresh(view)));
  const ref = useRef(state);
  const put = useCallback((s: ListState<T, A>) => { ref.current = source.kept = s; setState(s); }, [source]);
  const loading = useRef<AbortController | null>(null);
  const waiting = useRef(new Set<string>());
  const many = useRef(false); // a change that named no row: any may have changed
  const timer = useRef(0);
  const last = useRef(0);

  const load = useCallback(async (v: View) => {
    loading.current?.abort();
    const stop = (loading.current = new AbortController());
    const before = ref.current;
    put({ ...before, view: v, loading: true, error: "", filterError: "" });
    try {
      const r = await source.page({ filter: v.filter, order: v.order, pageSize: PAGE }, stop.signal);
      put({ view: v, list: shown(r.rows, r.next === ""), cursor: r.next, total: r.total, totalAll: r.totalAll, about: r.about, loading: false, error: "", filterError: "" });
    } catch (err) {
      if (aborted(err)) return;
      const bad = isCode(err, Code.InvalidArgument);
      put({ ...ref.current, view: v, loading: false, error: bad ? "" : sentence(err), filterError: bad ? sentence(err) : "" });
    }
  }, [put, source]);

  const more = useCallback(async () => {
    const s = ref.current;
    if (s.loading || !s.cursor || !s.list) return;
    const stop = (loading.current = new AbortController());
    put({ ...s, loading: true, error: "" });
    try {
      const r = await source.page({ filter: s.view.filter, order: s.view.order, pageSize: PAGE, cursor: s.cursor }, stop.signal);
      const now = ref.current;
      if (!now.list || !same(now.view, s.view)) return;
      put({ ...now, list: append(now.list, r.rows, r.next === ""), cursor: r.next, total: r.total, totalAll: r.totalAll, about: r.about, loading: false });
    } catch (err) {
      if (!aborted(err)) put({ ...ref.current, loading: false, error: sentence(err) });
    }
  }, [put, source]);

  const look = useCallback(async () => {
    timer.current = 0;
    last.current = Date.now();
    const ids = waiting.current;
    const all = many.current;
    waiting.current = new Set();
    many.current = false;
    const s = ref.current;
    if (!s.list || s.filterError) return;
    const size = Math.min(MOST, Math.max(PAGE, s.list.order.length));
    try {
      const r = await source.page({ filter: s.view.filter, order: s.view.order, pageSize: size });
      const now = ref.current;
      if (!now.list || !same(now.view, s.view)) return;
      const numbers = { total: r.total, totalAll: r.totalAll, about: r.about, error: "" };
      if (now.list.order.length === 0) {
        put({ ...now, ...numbers, list: shown(r.rows, r.next === ""), cursor: r.next });
        return;
      }
      // Where the whole list was fetched, a row that is not in it matches no longer, told or not.
      put({ ...now, ...numbers, list: compare(now.list, r.rows, all && r.next === "" ? new Set(now.list.order) : ids) });
      const here = new Set(r.rows.map((a) => a.id));
      const gone = [...ids].filter((id) => ref.current.list!.rows.has(id) && !here.has(id)).slice(0, SINGLE);
      const one = source.one;
      if (gone.length === 0 || !one) return;
      const each = await Promise.all(gone.map((id) => one(id).catch(() => undefined)));
      if (ref.current.list) put({ ...ref.current, list: update(ref.current.list, each.filter((a): a is Awaited<T> => a !== undefined)) });
    } catch (err) {
      // The stream's own state says that the server is away; what was told is looked at again.
      for (const id of ids) waiting.current.add(id);
      many.current ||= all;
      if (!isCode(err, Code.Unavailable) && !aborted(err)) put({ ...ref.current, error: sentence(err) });
    }
  }, [put, source]);

  useEffect(() => onChange(source.kinds, (t) => {
    for (const id of t.ids) waiting.current.add(id);
    many.current ||= t.many || t.reset || source.whole === true;
    timer.current ||= window.setTimeout(() => void look(), Math.max(0, (source.whole ? CALM_WHOLE : CALM) - (Date.now() - last.current)));
  }), [look, source]);

  useEffect(() => {
    if (ref.current.list && same(ref.current.view, view) && !ref.current.filterError && !ref.current.error) void look();
    else void load(view);
    return () => { loading.current?.abort(); if (timer.current) clearTimeout(timer.current); timer.current = 0; };
  }, [view.filter, view.order, load, look]);

  const patch = useCallback((rows: readonly T[]) => {
    if (ref.current.list) put({ ...ref.current, list: update(ref.current.list, rows) });
  }, [put]);

  return { state, reload: useCallback(() => load(ref.current.view), [load]), more, patch };
}
