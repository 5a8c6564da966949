import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { sentence } from "../../api/client";
import { health } from "../../api/live";
import { type Alert, AlertStatus } from "../../gen/dockreeve/v1/dockreeve_pb";
import { useAtom } from "../../lib/atom";
import { useNow } from "../../lib/clock";
import { pillText } from "../../lib/merge";
import { addressOf, DEFAULT_VIEW, type View, viewOf } from "../../lib/query";
import { go } from "../../lib/route";
import { num, plural } from "../../lib/time";
import { Ago, End, Skeleton } from "../../parts/bits";
import { Retry, Up } from "../../parts/icons";
import { ColumnsMenu } from "../../parts/list/columns";
import { download, everyRow, EXPORT_MOST, ExportMenu } from "../../parts/list/export";
import { Grid, type Kept } from "../../parts/list/Grid";
import { useList } from "../../parts/list/useList";
import { SeverityMark, StatusMark } from "../../parts/marks";
import { say } from "../../parts/toast";
import { screenCommands, typing } from "../../shell/commands";
import { watching } from "../../shell/honesty";
import { COLUMNS, kept as columnsKept, place } from "./columns";
import { Empty } from "./Empty";
import { FilterBar } from "./FilterBar";
import { setStatus } from "./setStatus";
import { alertSource } from "./source";
import { StatusDialog } from "./StatusDialog";

// The row last stood on, for the way back from an alert.
let keptActive: string | null = null;
const keptScroll: Kept = { top: 0 };
export const standOn = (id: string): void => { keptActive = id; };

export function AlertsScreen({ search }: { search: string }) {
  const view = useMemo(() => viewOf(search), [search]);
  const { state, reload, more, patch } = useList(alertSource, view);
  const [active, setActiveState] = useState<string | null>(keptActive);
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const [asking, setAsking] = useState<AlertStatus | null>(null);
  const shown = useAtom(columnsKept.shown);
  const columns = useMemo(() => COLUMNS.filter((c) => shown.includes(c.key)), [shown]);
  const s = useAtom(health)?.status ?? null;
  const now = useNow();
  const list = state.list;
  const rows = useMemo(() => (list ? list.order.map((id) => list.rows.get(id)!) : []), [list]);
  const left = useMemo(() => new Set(list?.pending.left), [list]);
  const pill = list ? pillText(list.pending) : "";
  const anchor = useRef<string | null>(null);

  // The filter is always in the address bar, the default one too.
  useEffect(() => { if (!new URLSearchParams(search).has("q")) go(addressOf(view), true); }, [search, view]);
  useEffect(() => { document.title = "Alerts · Dockreeve"; }, []);

  const setActive = useCallback((id: string) => { keptActive = id; setActiveState(id); }, []);
  const show = useCallback((v: View) => { keptScroll.top = 0; setPicked(new Set()); go(addressOf(v)); }, []);
  const onFilter = useCallback((filter: string) => { if (filter === state.view.filter) void reload(); else show({ ...state.view, filter }); }, [state.view, show, reload]);
  const pick = useCallback((id: string, range: boolean) => {
    setActive(id);
    const from = anchor.current;
    setPicked((was) => {
      const next = new Set(was);
      const ids = rows.map((r) => r.id);
      const a = from ? ids.indexOf(from) : -1;
      const b = ids.indexOf(id);
      if (range && a >= 0) for (const x of ids.slice(Math.min(a, b), Math.max(a, b) + 1)) next.add(x);
      else if (next.has(id)) next.delete(id);
      else next.add(id);
      return next;
    });
    anchor.current = id;
  }, [rows, setActive]);
  const pickAll = useCallback(() => setPicked((was) => (rows.every((r) => was.has(r.id)) ? new Set() : new Set(rows.map((r) => r.id)))), [rows]);
  const renew = useCallback(() => { keptScroll.top = 0; document.querySelector(".grid")?.scrollTo({ top: 0 }); void reload(); }, [reload]);

  const targets = useCallback((): Alert[] => (picked.size > 0 ? rows.filter((r) => picked.has(r.id)) : rows.filter((r) => r.id === active)), [picked, rows, active]);
  const act = useCallback((to: AlertStatus) => {
    if (targets().length === 0) return say("No alert is chosen: move to one with j and k, or select some with x");
    if (to === AlertStatus.DISMISSED || to === AlertStatus.RESOLVED) setAsking(to);
    else void setStatus(targets(), to, "", patch).then((ok) => { if (ok) setPicked(new Set()); });
  }, [targets, patch]);

  const keys = useRef<(e: KeyboardEvent) => void>(() => undefined);
  keys.current = (e) => {
    if (typing(e) || e.ctrlKey || e.metaKey || e.altKey) return;
    const i = rows.findIndex((r) => r.id === active);
    const move = (to: number) => { const r = rows[Math.max(0, Math.min(rows.length - 1, to))]; if (r) setActive(r.id); };
    const onControl = /^(BUTTON|A)$/.test((e.target as HTMLElement).tagName);
    switch (e.key) {
      case "j": case "ArrowDown": move(i + 1); break;
      case "k": case "ArrowUp": move(i < 0 ? 0 : i - 1); break;
      case "PageDown": move(i + 15); break;
      case "PageUp": move(i - 15); break;
      case "Home": move(0); break;
      case "End": move(rows.length - 1); break;
      case "Enter": if (onControl || i < 0) return; go(`/alerts/${rows[i]!.id}`); break;
      case "x": case "X": case " ": if (i < 0 || (e.key === " " && onControl)) return; pick(rows[i]!.id, e.shiftKey); break;
      case "a": act(AlertStatus.ACKNOWLEDGED); break;
      case "s": act(AlertStatus.DISMISSED); break;
      case "r": act(AlertStatus.RESOLVED); break;
      case "o": act(AlertStatus.OPEN); break;
      case "n": if (pill) renew(); break;
      case "/": dispatchEvent(new Event("dockreeve:filter")); break;
      case "Escape": if (picked.size) setPicked(new Set()); else return; break;
      default: return;
    }
    e.preventDefault();
  };
  useEffect(() => {
    const f = (e: KeyboardEvent) => keys.current(e);
    addEventListener("keydown", f);
    return () => removeEventListener("keydown", f);
  }, []);

  const save = async (as: "csv" | "json") => {
    const chosenRows = rows.filter((r) => picked.has(r.id));
    try {
      const { rows: all, cut } = chosenRows.length ? { rows: chosenRows, cut: false } : await everyRow(alertSource, state.view);
      download("alerts", all, columns, as, new Date());
      say(`${plural(all.length, "alert")} written${cut ? `: the first ${num(EXPORT_MOST)}, there are more; narrow the filter for the rest` : ""}`);
    } catch (err) {
      say(`Nothing was exported: ${sentence(err)}`);
    }
  };
  const saveRef = useRef(save);
  saveRef.current = save;
  useEffect(() => {
    screenCommands.set([
      { name: "Export these alerts as CSV", run: () => void saveRef.current("csv") },
      { name: "Export these alerts as JSON", run: () => void saveRef.current("json") },
      { name: "Filter alerts", hint: "/", run: () => setTimeout(() => dispatchEvent(new Event("dockreeve:filter"))) },
    ]);
    return () => screenCommands.set([]);
  }, []);

  const denominator = watching(s, now);
  return (
    <div className="alerts">
      <div className="bar">
        <h1>Alerts</h1>
        <FilterBar filter={state.view.filter} error={state.filterError} onFilter={onFilter} />
      </div>
      <div className="bar second">
        {picked.size > 0 ? (
          <div className="bulk" role="toolbar" aria-label="Selected alerts">
            <b>{num(picked.size)} selected</b>
            <button type="button" className="btn" onClick={() => act(AlertStatus.ACKNOWLEDGED)}>Acknowledge<kbd>a</kbd></button>
            <button type="button" className="btn" onClick={() => act(AlertStatus.DISMISSED)}>Dismiss<kbd>s</kbd></button>
            <button type="button" className="btn" onClick={() => act(AlertStatus.RESOLVED)}>Resolve<kbd>r</kbd></button>
            <button type="button" className="btn" onClick={() => act(AlertStatus.OPEN)}>Open again<kbd>o</kbd></button>
            <button type="button" className="btn plain" onClick={() => setPicked(new Set())}>Clear<kbd>Esc</kbd></button>
          </div>
        ) : (
          <p className="counts clip" aria-live="off">{list ? <>{state.totalAll === 0n ? "No alert is stored" : <><b>{num(state.total)}</b> of {plural(state.totalAll, "alert")}</>}{denominator && <span className="muted"> · {denominator}</span>}</> : <span className="muted">Asking the server…</span>}</p>
        )}
        <div className="grow" />
        <ColumnsMenu columns={COLUMNS} kept={columnsKept} />
        <ExportMenu note={`${picked.size ? `${num(picked.size)} selected` : `${num(state.total)} alerts that match`}, the ${columns.length} columns shown, in this order`} save={(as) => void save(as)} />
      </div>
      <div className="table-wrap">
        {pill && <button type="button" className="pill" onClick={renew} data-tip="bring the list up to date (n)"><Up size={14} /><span aria-live="polite">{pill}</span></button>}
        {state.error && (
          <div className="notice bad list-error" role="alert">
            <p>The list could not be {list ? "brought up to date" : "fetched"}: {state.error} {list ? "What is shown is as it last was." : "The command line may still work: dockreeve alerts list"}</p>
            <button type="button" className="btn" onClick={() => void reload()}><Retry />Try again</button>
          </div>
        )}
        {!list && state.loading && <Skeleton what="alerts" />}
        {list && rows.length === 0 && !state.filterError && <Empty state={state} onFilter={onFilter} />}
        {list && rows.length > 0 && (
          <Grid label="Alerts" rows={rows} columns={columns} order={state.view.order} firstOrder={DEFAULT_VIEW.order} total={state.total} left={left} active={active} loading={state.loading} more={state.cursor !== ""} kept={keptScroll}
            pick={{ picked, onPick: pick, onPickAll: pickAll }} href={href} name={name} card={card}
            onOrder={(order) => show({ ...state.view, order })} onActive={setActive} onEnd={more} />
        )}
      </div>
      {asking !== null && (
        <StatusDialog to={asking} count={targets().length} onClose={() => setAsking(null)} onDone={(why) => {
          const rows = targets();
          const to = asking;
          setAsking(null);
          void setStatus(rows, to, why, patch).then((ok) => { if (ok) setPicked(new Set()); });
        }} />
      )}
    </div>
  );
}

// Not made anew for each drawing, so that rows that did not change are not drawn again.
const href = (a: Alert) => `/alerts/${a.id}`;
const name = (a: Alert) => a.title;
const card = (a: Alert) => <>
  <SeverityMark of={a.severity} />
  <a href={`/alerts/${a.id}`} tabIndex={-1} className="text"><b className="clip">{a.title}</b><span className="muted two">{a.summary}</span></a>
  <span className="side"><Ago ns={a.lastSeen} /><StatusMark of={a.status} /><End>{place(a).main}</End></span>
</>;
