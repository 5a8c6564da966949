import { memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Alert } from "../../gen/dockreeve/v1/dockreeve_pb";
import { nextOrder } from "../../lib/query";
import { go } from "../../lib/route";
import { reveal, slice } from "../../lib/window";
import { Ago, End } from "../../parts/bits";
import { Down, Up } from "../../parts/icons";
import { SeverityMark, StatusMark } from "../../parts/marks";
import { type Column, minWidth, place } from "./columns";

const narrow = matchMedia("(max-width: 720px)");

interface Props {
  rows: readonly Alert[];
  columns: readonly Column[];
  order: string;
  total: bigint;
  left: ReadonlySet<string>;
  active: string | null;
  picked: ReadonlySet<string>;
  loading: boolean;
  more: boolean;
  onOrder: (order: string) => void;
  onActive: (id: string) => void;
  onPick: (id: string, range: boolean) => void;
  onPickAll: () => void;
  onEnd: () => void;
}

// Where the list was scrolled to, for the way back from an alert.
let keptScroll = 0;
export const forgetScroll = (): void => { keptScroll = 0; };

/** The virtualised rows. Every row has one height, so a row's place never depends on another's content. */
export function AlertTable(p: Props) {
  const ref = useRef<HTMLDivElement>(null);
  const [small, setSmall] = useState(narrow.matches);
  const rowHeight = small ? 66 : 32;
  const head = small ? 0 : 30;
  const [view, setView] = useState({ top: keptScroll, height: 600 });
  const count = p.rows.length;

  useEffect(() => {
    const f = () => setSmall(narrow.matches);
    narrow.addEventListener("change", f);
    return () => narrow.removeEventListener("change", f);
  }, []);
  useLayoutEffect(() => {
    const el = ref.current!;
    el.scrollTop = keptScroll;
    const measure = () => setView({ top: el.scrollTop, height: el.clientHeight - head });
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(el);
    return () => watch.disconnect();
  }, [head]);

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

  const tracks = `34px ${p.columns.map((c) => c.width).join(" ")}`;
  const all = count > 0 && p.rows.every((r) => p.picked.has(r.id));
  const some = p.picked.size > 0 && !all;
  return (
    <div ref={ref} className={`grid${small ? " small" : ""}`} role="grid" aria-label="Alerts" aria-rowcount={Number(p.total) + 1} aria-multiselectable="true" tabIndex={0}
      aria-activedescendant={p.active && p.rows.slice(part.from, part.to).some((r) => r.id === p.active) ? `row-${p.active}` : undefined}
      onScroll={(e) => { keptScroll = e.currentTarget.scrollTop; setView({ top: e.currentTarget.scrollTop, height: e.currentTarget.clientHeight - head }); }}>
      <div role="rowgroup" className="grid-head" style={{ minWidth: small ? undefined : minWidth(p.columns) }}>
        <div role="row" aria-rowindex={1} className="grid-row head" style={{ gridTemplateColumns: small ? undefined : tracks }}>
          <div role="columnheader" className="pick" aria-label="selection"><input type="checkbox" aria-label="select every alert that is loaded" checked={all} ref={(el) => { if (el) el.indeterminate = some; }} onChange={p.onPickAll} /></div>
          {p.columns.map((c) => {
            const on = c.order && p.order.replace("-", "") === c.order;
            const turned = p.order.startsWith("-");
            return (
              <div key={c.key} role="columnheader" className={c.number ? "n" : ""} aria-sort={c.order ? (on ? (turned ? "ascending" : "descending") : "none") : undefined}>
                {c.order ? <button type="button" onClick={() => p.onOrder(nextOrder(p.order, c.order!))} data-tip={`sort by ${c.label.toLowerCase()}`}>{c.label}{on ? turned ? <Up size={12} /> : <Down size={12} /> : null}</button> : c.label}
              </div>
            );
          })}
        </div>
      </div>
      <div role="rowgroup" className="grid-body" style={{ height: count * rowHeight, minWidth: small ? undefined : minWidth(p.columns) }}>
        {p.rows.slice(part.from, part.to).map((a, i) => (
          <Row key={a.id} a={a} index={part.from + i} top={(part.from + i) * rowHeight} small={small} tracks={tracks} columns={p.columns}
            active={a.id === p.active} picked={p.picked.has(a.id)} left={p.left.has(a.id)} onActive={p.onActive} onPick={p.onPick} />
        ))}
      </div>
      {p.more && <div className="grid-more muted">{p.loading ? "Loading more…" : ""}</div>}
    </div>
  );
}

interface RowProps {
  a: Alert;
  index: number;
  top: number;
  small: boolean;
  tracks: string;
  columns: readonly Column[];
  active: boolean;
  picked: boolean;
  left: boolean;
  onActive: (id: string) => void;
  onPick: (id: string, range: boolean) => void;
}

const Row = memo(function Row({ a, index, top, small, tracks, columns, active, picked, left, onActive, onPick }: RowProps) {
  const to = `/alerts/${a.id}`;
  const open = (e: React.MouseEvent) => {
    const t = e.target as HTMLElement;
    if (t.closest("input, button, label") || getSelection()?.toString()) return;
    if (e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return; // a link of its own handles these
    e.preventDefault();
    onActive(a.id);
    go(to);
  };
  const pick = (
    <div role="gridcell" className="pick" onClick={(e) => { if (e.target === e.currentTarget) onPick(a.id, e.shiftKey); }}>
      <input type="checkbox" tabIndex={-1} checked={picked} aria-label={`select ${a.title}`} onChange={(e) => onPick(a.id, (e.nativeEvent as MouseEvent).shiftKey)} />
    </div>
  );
  const style = small ? { transform: `translateY(${top}px)` } : { transform: `translateY(${top}px)`, gridTemplateColumns: tracks };
  const name = `grid-row${active ? " active" : ""}${picked ? " picked" : ""}${left ? " left" : ""}`;
  return (
    <div id={`row-${a.id}`} data-id={a.id} role="row" aria-rowindex={index + 2} aria-selected={picked} className={name} style={style} onClick={open} {...(left ? { "data-tip": "no longer matches the filter; goes when the list is brought up to date" } : {})}>
      {pick}
      {small ? (
        <div role="gridcell" className="card">
          <SeverityMark of={a.severity} />
          <a href={to} tabIndex={-1} className="text"><b className="clip">{a.title}</b><span className="muted two">{a.summary}</span></a>
          <span className="side"><Ago ns={a.lastSeen} /><StatusMark of={a.status} /><End>{place(a).main}</End></span>
        </div>
      ) : columns.map((c) => (
        <div key={c.key} role="gridcell" className={`c-${c.key}${c.number ? " n" : ""}`}>
          {c.key === "alert" ? <a href={to} tabIndex={-1}>{c.cell(a)}</a> : c.cell(a)}
        </div>
      ))}
    </div>
  );
});
