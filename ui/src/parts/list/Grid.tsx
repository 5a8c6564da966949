import { memo, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Row as Ided } from "../../lib/merge";
import { nextOrder } from "../../lib/query";
import { go } from "../../lib/route";
import { reveal, slice } from "../../lib/window";
import { Down, Up } from "../icons";
import { type Column, minWidth } from "./columns";

const narrow = matchMedia("(max-width: 720px)");

/** Where a list was scrolled to, for the way back to it. */
export interface Kept { top: number }

interface Props<T extends Ided> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  order: string;
  firstOrder: string;
  ascending?: readonly string[]; // orders whose natural direction is upwards
  total: bigint;
  left: ReadonlySet<string>;
  active: string | null;
  loading: boolean;
  more: boolean;
  kept: Kept;
  pick?: { picked: ReadonlySet<string>; onPick: (id: string, range: boolean) => void; onPickAll: () => void };
  href: (row: T) => string;
  name: (row: T) => string; // for screen readers
  card: (row: T) => ReactNode; // the row on a phone
  onOrder: (order: string) => void;
  onActive: (id: string) => void;
  onEnd: () => void;
}

// Names may hold spaces, which would end the reference to the active row.
const rowID = (id: string) => `row-${encodeURIComponent(id)}`;

/** The virtualised rows. Every row has one height, so a row's place never depends on another's content. */
export function Grid<T extends Ided>(p: Props<T>) {
  const ref = useRef<HTMLDivElement>(null);
  const [small, setSmall] = useState(narrow.matches);
  const rowHeight = small ? 66 : 32;
  const head = small ? 0 : 30;
  const { kept } = p;
  const [view, setView] = useState({ top: kept.top, height: 600 });
  const count = p.rows.length;

  useEffect(() => {
    const f = () => setSmall(narrow.matches);
    narrow.addEventListener("change", f);
    return () => narrow.removeEventListener("change", f);
  }, []);
  useLayoutEffect(() => {
    const el = ref.current!;
    el.scrollTop = kept.top;
    const measure = () => setView({ top: el.scrollTop, height: el.clientHeight - head });
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(el);
    return () => watch.disconnect();
  }, [head, kept]);

  // The active row is kept in view when it changes, never when the list does.
  useLayoutEffect(() => {
    const i = p.active === null ? -1 : p.rows.findIndex((r) => r.id === p.active);
    const el = ref.current!;
    if (i >= 0) {
      const to = reveal(i, rowHeight, el.scrollTop, el.clientHeight - head);
      if (to !== el.scrollTop) el.scrollTop = to;
    }
    // eslint-disable-next-line
  }, [p.active, rowHeight, head]);

  const part = slice(count, rowHeight, view.top, view.height);
  useEffect(() => {
    if (p.more && !p.loading && part.to >= count - 20) p.onEnd();
  }, [part.to, count, p.more, p.loading, p.onEnd]);

  const pick = p.pick;
  const tracks = `${pick ? "34px " : ""}${p.columns.map((c) => c.width).join(" ")}`;
  const all = count > 0 && pick !== undefined && p.rows.every((r) => pick.picked.has(r.id));
  const some = pick !== undefined && pick.picked.size > 0 && !all;
  const width = small ? undefined : minWidth(p.columns, pick ? 34 : 0);
  return (
    <div ref={ref} className={`grid${small ? " small" : ""}${pick ? "" : " nopick"}`} role="grid" aria-label={p.label} aria-rowcount={p.total < 0n ? -1 : Number(p.total) + 1} {...(pick ? { "aria-multiselectable": true } : {})} tabIndex={0}
      aria-activedescendant={p.active && p.rows.slice(part.from, part.to).some((r) => r.id === p.active) ? rowID(p.active) : undefined}
      onScroll={(e) => { kept.top = e.currentTarget.scrollTop; setView({ top: e.currentTarget.scrollTop, height: e.currentTarget.clientHeight - head }); }}>
      <div role="rowgroup" className="grid-head" style={{ minWidth: width }}>
        <div role="row" aria-rowindex={1} className="grid-row head" style={{ gridTemplateColumns: small ? undefined : tracks }}>
          {pick && <div role="columnheader" className="pick" aria-label="selection"><input type="checkbox" aria-label={`select every one of ${p.label.toLowerCase()} that is loaded`} checked={all} ref={(el) => { if (el) el.indeterminate = some; }} onChange={pick.onPickAll} /></div>}
          {p.columns.map((c) => {
            const on = c.order !== undefined && p.order.replace("-", "") === c.order;
            const up = p.order.startsWith("-") !== (c.order !== undefined && (p.ascending ?? []).includes(c.order));
            return (
              <div key={c.key} role="columnheader" className={c.number ? "n" : ""} aria-sort={c.order ? (on ? (up ? "ascending" : "descending") : "none") : undefined}>
                {c.order ? <button type="button" onClick={() => p.onOrder(nextOrder(p.order, c.order!, p.firstOrder))} data-tip={`sort by ${(c.name ?? c.label).toLowerCase()}`}>{c.label}{on ? up ? <Up size={12} /> : <Down size={12} /> : null}</button> : <span {...(c.name ? { "data-tip": c.name } : {})}>{c.label}</span>}
              </div>
            );
          })}
        </div>
      </div>
      <div role="rowgroup" className="grid-body" style={{ height: count * rowHeight, minWidth: width }}>
        {p.rows.slice(part.from, part.to).map((a, i) => (
          <Line key={a.id} row={a} index={part.from + i} top={(part.from + i) * rowHeight} small={small} tracks={tracks} columns={p.columns as readonly Column<Ided>[]}
            active={a.id === p.active} picked={pick ? pick.picked.has(a.id) : null} left={p.left.has(a.id)} href={p.href as (r: Ided) => string} name={p.name as (r: Ided) => string} card={p.card as (r: Ided) => ReactNode}
            onActive={p.onActive} onPick={pick?.onPick} />
        ))}
      </div>
      {p.more && <div className="grid-more muted">{p.loading ? "Loading more…" : ""}</div>}
    </div>
  );
}

interface LineProps {
  row: Ided;
  index: number;
  top: number;
  small: boolean;
  tracks: string;
  columns: readonly Column<Ided>[];
  active: boolean;
  picked: boolean | null; // null = rows of this list are not picked
  left: boolean;
  href: (row: Ided) => string;
  name: (row: Ided) => string;
  card: (row: Ided) => ReactNode;
  onActive: (id: string) => void;
  onPick: ((id: string, range: boolean) => void) | undefined;
}

const Line = memo(function Line({ row, index, top, small, tracks, columns, active, picked, left, href, name, card, onActive, onPick }: LineProps) {
  const to = href(row);
  const open = (e: React.MouseEvent) => {
    const t = e.target as HTMLElement;
    if (t.closest("input, button, label, a[data-own]") || getSelection()?.toString()) return;
    if (e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return; // a link of its own handles these
    e.preventDefault();
    onActive(row.id);
    go(to);
  };
  const style = small ? { transform: `translateY(${top}px)` } : { transform: `translateY(${top}px)`, gridTemplateColumns: tracks };
  const cls = `grid-row${active ? " active" : ""}${picked ? " picked" : ""}${left ? " left" : ""}`;
  return (
    <div id={rowID(row.id)} data-id={row.id} role="row" aria-rowindex={index + 2} {...(picked === null ? {} : { "aria-selected": picked })} className={cls} style={style} onClick={open} {...(left ? { "data-tip": "no longer matches the filter; goes when the list is brought up to date" } : {})}>
      {picked !== null && (
        <div role="gridcell" className="pick" onClick={(e) => { if (e.target === e.currentTarget) onPick?.(row.id, e.shiftKey); }}>
          <input type="checkbox" tabIndex={-1} checked={picked} aria-label={`select ${name(row)}`} onChange={(e) => onPick?.(row.id, (e.nativeEvent as MouseEvent).shiftKey)} />
        </div>
      )}
      {small ? <div role="gridcell" className="card">{card(row)}</div> : columns.map((c) => (
        <div key={c.key} role="gridcell" className={`c-${c.key}${c.number ? " n" : ""}`}>
          {c.main ? <a href={to} tabIndex={-1}>{c.cell(row)}</a> : c.cell(row)}
        </div>
      ))}
    </div>
  );
});
