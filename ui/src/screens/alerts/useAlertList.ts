// The list of alerts as one screen holds it: pages fetched by cursor, changes
// told by the stream compared in the background, nothing moved until asked.
import { useCallback, useEffect, useRef, useState } from "react";
import { aborted, alerts, Code, isCode, sentence } from "../../api/client";
import { onChange } from "../../api/live";
import type { Alert, Watched } from "../../gen/dockreeve/v1/dockreeve_pb";
import { append, compare, shown, type Shown, update } from "../../lib/merge";
import { addressOf, DEFAULT_VIEW, type View } from "../../lib/query";

const PAGE = 100;
const MOST = 500; // the largest page the API gives
const CALM = 250; // ms between two comparisons under a storm of changes
const SINGLE = 20; // rows fetched one by one when they fell out of the page

export interface ListState {
  view: View;
  list: Shown<Alert> | null; // null until the first answer
  cursor: string;
  total: bigint;
  totalAll: bigint;
  watched: Watched | undefined;
  loading: boolean;
  error: string;
  filterError: string; // the server's sentence about the filter text
}

// What was on the screen is there again when the reader comes back from an alert.
let kept: ListState | null = null;

/** Ids in the order last shown, for j and k on an alert's own page. */
export const lastOrder = (): readonly string[] => kept?.list?.order ?? [];

/** Where the list was, for the way back to it. */
export const lastAddress = (): string => addressOf(kept?.view ?? DEFAULT_VIEW);

const fresh = (view: View): ListState => ({ view, list: null, cursor: "", total: 0n, totalAll: 0n, watched: undefined, loading: true, error: "", filterError: "" });
const same = (a: View, b: View) => a.filter === b.filter && a.order === b.order;

export function useAlertList(view: View) {
  const [state, setState] = useState<ListState>(() => (kept && same(kept.view, view) && kept.list ? kept : fresh(view)));
  const ref = useRef(state);
  const put = useCallback((s: ListState) => { ref.current = kept = s; setState(s); }, []);
  const loading = useRef<AbortController | null>(null);
  const waiting = useRef(new Set<string>());
  const timer = useRef(0);
  const last = useRef(0);

  const load = useCallback(async (v: View) => {
    loading.current?.abort();
    const stop = (loading.current = new AbortController());
    const before = ref.current;
    put({ ...before, view: v, loading: true, error: "", filterError: "" });
    try {
      const r = await alerts.listAlerts({ filter: v.filter, order: v.order, pageSize: PAGE }, { signal: stop.signal });
      put({ view: v, list: shown(r.alerts, r.nextCursor === ""), cursor: r.nextCursor, total: r.total, totalAll: r.totalAll, watched: r.watched, loading: false, error: "", filterError: "" });
    } catch (err) {
      if (aborted(err)) return;
      const bad = isCode(err, Code.InvalidArgument);
      put({ ...ref.current, view: v, loading: false, error: bad ? "" : sentence(err), filterError: bad ? sentence(err) : "" });
    }
  }, [put]);

  const more = useCallback(async () => {
    const s = ref.current;
    if (s.loading || !s.cursor || !s.list) return;
    const stop = (loading.current = new AbortController());
    put({ ...s, loading: true, error: "" });
    try {
      const r = await alerts.listAlerts({ filter: s.view.filter, order: s.view.order, pageSize: PAGE, cursor: s.cursor }, { signal: stop.signal });
      const now = ref.current;
      if (!now.list || !same(now.view, s.view)) return;
      put({ ...now, list: append(now.list, r.alerts, r.nextCursor === ""), cursor: r.nextCursor, total: r.total, totalAll: r.totalAll, watched: r.watched, loading: false });
    } catch (err) {
      if (!aborted(err)) put({ ...ref.current, loading: false, error: sentence(err) });
    }
  }, [put]);

  const look = useCallback(async () => {
    timer.current = 0;
    last.current = Date.now();
    const ids = waiting.current;
    waiting.current = new Set();
    const s = ref.current;
    if (!s.list || s.filterError) return;
    const size = Math.min(MOST, Math.max(PAGE, s.list.order.length));
    try {
      const r = await alerts.listAlerts({ filter: s.view.filter, order: s.view.order, pageSize: size });
      const now = ref.current;
      if (!now.list || !same(now.view, s.view)) return;
      const numbers = { total: r.total, totalAll: r.totalAll, watched: r.watched, error: "" };
      if (now.list.order.length === 0) {
        put({ ...now, ...numbers, list: shown(r.alerts, r.nextCursor === ""), cursor: r.nextCursor });
        return;
      }
      put({ ...now, ...numbers, list: compare(now.list, r.alerts, ids) });
      const here = new Set(r.alerts.map((a) => a.id));
      const gone = [...ids].filter((id) => ref.current.list!.rows.has(id) && !here.has(id)).slice(0, SINGLE);
      if (gone.length === 0) return;
      const each = await Promise.all(gone.map((id) => alerts.getAlert({ id }).then((x) => x.alert?.alert).catch(() => undefined)));
      if (ref.current.list) put({ ...ref.current, list: update(ref.current.list, each.filter((a): a is Alert => a !== undefined)) });
    } catch (err) {
      // The stream's own state says that the server is away; what was told is looked at again.
      for (const id of ids) waiting.current.add(id);
      if (!isCode(err, Code.Unavailable) && !aborted(err)) put({ ...ref.current, error: sentence(err) });
    }
  }, [put]);

  useEffect(() => onChange((t) => {
    for (const id of t.ids) waiting.current.add(id);
    timer.current ||= window.setTimeout(() => void look(), Math.max(0, CALM - (Date.now() - last.current)));
  }), [look]);

  useEffect(() => {
    if (ref.current.list && same(ref.current.view, view) && !ref.current.filterError && !ref.current.error) void look();
    else void load(view);
    return () => { loading.current?.abort(); if (timer.current) clearTimeout(timer.current); timer.current = 0; };
  }, [view.filter, view.order, load, look]);

  const patch = useCallback((rows: readonly Alert[]) => {
    if (ref.current.list) put({ ...ref.current, list: update(ref.current.list, rows) });
  }, [put]);

  return { state, reload: useCallback(() => load(ref.current.view), [load]), more, patch };
}
