// A table of one page: filter and order in the address bar, pages appended when
// asked, fetched again in place when something changed.
import { useCallback, useEffect, useRef, useState } from "react";
import { aborted, Code, isCode, sentence } from "../../api/client";
import { go } from "../../lib/route";

const PAGE = 100;
const MOST = 500; // the largest page the API gives

export interface Part<T> {
  rows: T[];
  next: string;
  total: bigint;
  totalAll: bigint;
}

interface State<T> {
  part: Part<T> | null;
  loading: boolean;
  error: string;
  filterError: string;
}

/** search is the address's; told counts changes; fetch gets what to ask for. */
export function useTable<T>(search: string, told: number, fetch: (q: { filter: string; order: string; pageSize: number; cursor: string }, signal: AbortSignal) => Promise<Part<T>>) {
  const p = new URLSearchParams(search);
  const filter = p.get("q") ?? "";
  const order = p.get("order") ?? "";
  const [state, setState] = useState<State<T>>({ part: null, loading: true, error: "", filterError: "" });
  const stop = useRef<AbortController | null>(null);
  const shown = useRef(0);
  const ask = useRef(fetch);
  ask.current = fetch;

  const load = useCallback((cursor: string) => {
    stop.current?.abort();
    const mine = (stop.current = new AbortController());
    setState((s) => ({ ...s, loading: true }));
    // Rows that were appended stay when the table is fetched again, as far as one page reaches.
    ask.current({ filter, order, cursor, pageSize: cursor ? PAGE : Math.min(MOST, Math.max(PAGE, shown.current)) }, mine.signal).then((r) => setState((s) => {
      const part = cursor && s.part ? { ...r, rows: [...s.part.rows, ...r.rows] } : r;
      shown.current = part.rows.length;
      return { part, loading: false, error: "", filterError: "" };
    })).catch((err) => {
      if (aborted(err)) return;
      const bad = isCode(err, Code.InvalidArgument);
      setState((s) => ({ ...s, loading: false, error: bad ? "" : sentence(err), filterError: bad ? sentence(err) : "" }));
    });
  }, [filter, order]);
  useEffect(() => { shown.current = 0; }, [filter, order]);
  useEffect(() => { load(""); return () => stop.current?.abort(); }, [load, told]);

  const put = useCallback((next: { filter?: string; order?: string }) => {
    const n = new URLSearchParams(search);
    const f = next.filter ?? filter, o = next.order ?? order;
    if (f) n.set("q", f); else n.delete("q");
    if (o) n.set("order", o); else n.delete("order");
    go(`${location.pathname}${n.size ? `?${n}` : ""}`, true);
  }, [search, filter, order]);
  const more = state.part?.next ? () => load(state.part!.next) : undefined;
  return { ...state, filter, order, put, more, reload: () => load("") };
}
