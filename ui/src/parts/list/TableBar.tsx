import type { ReactNode } from "react";
import { type FieldHint, VALUES } from "../../lib/fields";
import { terms, toggleTerm } from "../../lib/query";
import { num, plural } from "../../lib/time";
import { Down, Retry, Up } from "../icons";
import { FilterInput } from "./FilterInput";
import type { useTable } from "./useTable";

type Table = Pick<ReturnType<typeof useTable<unknown>>, "part" | "loading" | "error" | "filterError" | "filter" | "order" | "put" | "more" | "reload">;

interface Props {
  of: Table;
  one: string;
  many: string;
  fields: readonly FieldHint[];
  example: string;
  chips: ReadonlyArray<readonly [label: string, term: string]>;
  tools?: ReactNode;
}

/** The filter of a table within a page, with what it lets through. */
export function TableBar({ of, one, many, fields, example, chips, tools }: Props) {
  const on = (filter: string) => { if (filter === of.filter) of.reload(); else of.put({ filter }); };
  const parts = terms(of.filter);
  return (
    <>
      <div className="table-bar">
        <FilterInput label={`Filter ${many}`} example={example} fields={fields} values={VALUES} filter={of.filter} error={of.filterError} onFilter={on} />
        {chips.map(([label, term]) => {
          const set = parts.some((t) => t.text === term);
          return <button key={term} type="button" className={`chip${set ? " on" : ""}`} aria-pressed={set} data-tip={term} onClick={() => on(toggleTerm(of.filter, term))}>{label}</button>;
        })}
        {tools}
      </div>
      {of.error && <div className="notice bad" role="alert"><p>{of.error}</p><button type="button" className="btn" onClick={of.reload}><Retry />Try again</button></div>}
      {of.part && <p className="counts"><b>{num(of.part.total)}</b> of {plural(of.part.totalAll, one, many)}</p>}
    </>
  );
}

/** What stands below a table that has more rows. */
export function TableEnd({ of }: { of: Table }) {
  if (!of.part || !of.more) return null;
  return <p className="foot"><button type="button" className="btn" disabled={of.loading} onClick={of.more}>{of.loading ? "Loading…" : "Show more"}</button><span className="muted">{num(of.part.rows.length)} of {num(of.part.total)} shown</span></p>;
}

/** A column's head that sorts: natural, turned round, the table's own order. */
export function SortHead({ of, order, label, number = false, up = false }: { of: Table; order: string; label: string; number?: boolean; up?: boolean }) {
  const on = of.order.replace("-", "") === order;
  const rising = of.order.startsWith("-") !== up;
  return (
    <th className={number ? "n" : ""} aria-sort={on ? (rising ? "ascending" : "descending") : "none"}>
      <button type="button" className="sort" onClick={() => of.put({ order: !on ? order : of.order.startsWith("-") ? "" : `-${order}` })} data-tip={`sort by ${label.toLowerCase()}`}>{label}{on ? rising ? <Up size={12} /> : <Down size={12} /> : null}</button>
    </th>
  );
}
