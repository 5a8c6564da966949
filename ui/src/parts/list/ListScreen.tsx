import { type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { sentence } from "../../api/client";
import { useAtom } from "../../lib/atom";
import { type FieldHint, VALUES } from "../../lib/fields";
import { pillText, type Row } from "../../lib/merge";
import { addressOf, RATINGS, terms, toggleTerm, type View, viewOf } from "../../lib/query";
import { go } from "../../lib/route";
import { num, plural } from "../../lib/time";
import { screenCommands, typing } from "../../shell/commands";
import { Skeleton } from "../bits";
import { Cross, Retry, Up } from "../icons";
import { say } from "../toast";
import { type Column, ColumnsMenu, type columnsKept } from "./columns";
import { download, everyRow, EXPORT_MOST, ExportMenu } from "./export";
import { FilterInput } from "./FilterInput";
import { Grid, type Kept } from "./Grid";
import { SeverityMenu } from "./SeverityMenu";
import { type ListState, type Source, useList } from "./useList";

/** What a list of one kind of thing is: everything that does not change while it is looked at. */
export interface ListKind<T extends Row, A> {
  source: Source<T, A>;
  title: string;
  one: string; // "image"
  many: string; // "images"
  fields: readonly FieldHint[];
  example: string;
  values?: Readonly<Record<string, readonly string[]>>; // to propose for a field that has few
  rated?: boolean; // rows have a severity to choose by
  chips: ReadonlyArray<readonly [label: string, term: string]>;
  columns: readonly Column<T>[];
  kept: ReturnType<typeof columnsKept>;
  scroll: Kept & { active: string | null };
  ascending: readonly string[];
  cli: string; // the command that lists the same, for when the console cannot
  href: (row: T) => string;
  name: (row: T) => string;
  card: (row: T) => ReactNode;
}

interface Props<T extends Row, A> {
  of: ListKind<T, A>;
  search: string;
  behind: (about: A | undefined) => ReactNode; // what stands behind the numbers
  empty: (state: ListState<T, A>) => ReactNode; // when nothing at all is stored
  counts?: (state: ListState<T, A>) => ReactNode; // how many there are, where a list tells that its own way
  none?: (state: ListState<T, A>) => string; // that none matches the filter
  tools?: ReactNode;
  above?: ReactNode;
}

/** A list with filter, chips, order, paging, live pill, keys and export. Rows are only read here. */
export function ListScreen<T extends Row, A>({ of, search, behind, empty, counts, none, tools, above }: Props<T, A>) {
  const { place } = of.source;
  const view = useMemo(() => viewOf(search, place), [search, place]);
  const { state, reload, more } = useList(of.source, view);
  const [active, setActiveState] = useState<string | null>(of.scroll.active);
  const shown = useAtom(of.kept.shown);
  const columns = useMemo(() => of.columns.filter((c) => shown.includes(c.key)), [of, shown]);
  const list = state.list;
  const rows = useMemo(() => (list ? list.order.map((id) => list.rows.get(id)!) : []), [list]);
  const left = useMemo(() => new Set(list?.pending.left), [list]);
  const pill = list ? pillText(list.pending) : "";
  useEffect(() => { document.title = `${of.title} · Dockreeve`; }, [of]);

  const setActive = useCallback((id: string) => { of.scroll.active = id; setActiveState(id); }, [of]);
  const show = useCallback((v: View) => { of.scroll.top = 0; go(addressOf(v, place)); }, [of, place]);
  const onFilter = useCallback((filter: string) => { if (filter === state.view.filter) void reload(); else show({ ...state.view, filter }); }, [state.view, show, reload]);
  const renew = useCallback(() => { of.scroll.top = 0; document.querySelector(".grid")?.scrollTo({ top: 0 }); void reload(); }, [of, reload]);

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
      case "Enter": if (onControl || i < 0) return; go(of.href(rows[i]!)); break;
      case "n": if (pill) renew(); break;
      case "/": dispatchEvent(new Event("dockreeve:filter")); break;
      default: return;
    }
    e.preventDefault();
  };
  const save = async (as: "csv" | "json") => {
    try {
      const { rows: all, cut } = await everyRow(of.source, state.view);
      download(of.many, all, columns, as, new Date());
      say(`${plural(all.length, of.one, of.many)} written${cut ? `: the first ${num(EXPORT_MOST)}, there are more; narrow the filter for the rest` : ""}`);
    } catch (err) {
      say(`Nothing was exported: ${sentence(err)}`);
    }
  };
  const saveRef = useRef(save);
  saveRef.current = save;
  useEffect(() => {
    const f = (e: KeyboardEvent) => keys.current(e);
    addEventListener("keydown", f);
    screenCommands.set([
      { name: `Export these ${of.many} as CSV`, run: () => void saveRef.current("csv") },
      { name: `Export these ${of.many} as JSON`, run: () => void saveRef.current("json") },
      { name: `Filter ${of.many}`, hint: "/", run: () => setTimeout(() => dispatchEvent(new Event("dockreeve:filter"))) },
    ]);
    return () => { removeEventListener("keydown", f); screenCommands.set([]); };
  }, [of]);

  const { filter } = state.view;
  const parts = terms(filter);
  return (
    <div className="alerts">
      <div className="bar">
        <h1>{of.title}</h1>
        <div className="filters">
          <FilterInput label={`Filter ${of.many}`} example={of.example} fields={of.fields} values={of.values ?? VALUES} filter={filter} error={state.filterError} onFilter={onFilter} />
          {of.rated && <SeverityMenu filter={filter} all={RATINGS} onFilter={onFilter} />}
        </div>
      </div>
      <div className="bar chips-bar">
        <div className="chip-row" role="group" aria-label="Filters to click">{of.chips.map(([label, term]) => {
          const on = parts.some((t) => t.text === term);
          return <button key={term} type="button" className={`chip${on ? " on" : ""}`} aria-pressed={on} data-tip={term} onClick={() => onFilter(toggleTerm(filter, term))}>{label}</button>;
        })}</div>
        {tools}
        <div className="large-only"><ColumnsMenu columns={of.columns} kept={of.kept} /></div>
        <ExportMenu note={`${state.total < 0n ? "the newest" : num(state.total)} ${of.many} that match, the ${columns.length} columns shown, in this order`} save={(as) => void save(as)} />
      </div>
      <div className="counts-line"><p className="counts" aria-live="off">{list ? <><span>{counts ? counts(state) : state.totalAll === 0n ? `No ${of.one} is stored` : <><b>{num(state.total)}</b> of {plural(state.totalAll, of.one, of.many)}</>}</span><span className="behind">{behind(state.about)}</span></> : <span className="muted">Asking the server…</span>}</p></div>
      {above}
      <div className="table-wrap">
        {pill && <button type="button" className="pill" onClick={renew} data-tip="bring the list up to date (n)"><Up size={14} /><span aria-live="polite">{pill}</span></button>}
        {state.error && (
          <div className="notice bad list-error" role="alert">
            <p>The list could not be {list ? "brought up to date" : "fetched"}: {state.error} {list ? "What is shown is as it last was." : <>The command line may still work: <code>{of.cli}</code></>}</p>
            <button type="button" className="btn" onClick={() => void reload()}><Retry />Try again</button>
          </div>
        )}
        {!list && state.loading && <Skeleton what={of.many} />}
        {list && rows.length === 0 && !state.filterError && (state.totalAll === 0n ? empty(state) : (
          <div className="empty">
            <h2>{none ? none(state) : `None of ${plural(state.totalAll, of.one, of.many)} matches this filter`}</h2>
            <p className="muted">Take a term away to see more:</p>
            <div className="chips">
              {parts.map((t, i) => <button key={i} type="button" className="btn mono" aria-label={`remove ${t.text}`} onClick={() => onFilter(parts.filter((_, j) => j !== i).map((x) => x.text).join(" "))}>{t.text}<Cross size={12} /></button>)}
              <button type="button" className="btn" onClick={() => onFilter("")}>Show all{none ? "" : ` ${num(state.totalAll)}`}</button>
            </div>
            <p className="muted">{behind(state.about)}</p>
          </div>
        ))}
        {list && rows.length > 0 && (
          <Grid label={of.title} rows={rows} columns={columns} order={state.view.order} firstOrder={place.view.order} ascending={of.ascending} total={state.total} left={left} active={active} loading={state.loading} more={state.cursor !== ""} kept={of.scroll}
            href={of.href} name={of.name} card={of.card} onOrder={(order) => show({ ...state.view, order })} onActive={setActive} onEnd={more} />
        )}
      </div>
    </div>
  );
}
