import type { ReactNode } from "react";
import type { Atom } from "../../lib/atom";
import { remembered, useAtom } from "../../lib/atom";
import type { Field } from "../../lib/table";
import { Menu } from "../bits";
import { Chevron, Columns as ColumnsIcon } from "../icons";

export interface Column<T> {
  key: string;
  label: string;
  name?: string; // the label where there is room for it
  width: string; // a grid track
  order?: string; // the API's order key, when the list can be sorted by it
  number?: boolean;
  main?: boolean; // what the row is about: links to it and cannot be taken away
  cell: (row: T) => ReactNode;
  values: (row: T) => Field[]; // what an export writes for it
}

/** The narrowest a table of these columns gets before it scrolls sideways, in px. */
export const minWidth = <T,>(columns: readonly Column<T>[], before: number): number => columns.reduce((n, c) => n + Number(/\d+/.exec(c.width)![0]) + 10, before + 20);

/** Which columns this browser shows; anything else that is stored is forgotten. */
export function columnsKept<T>(key: string, columns: readonly Column<T>[], first: readonly string[]): { shown: Atom<readonly string[]>; reset: () => void } {
  const known = new Set(columns.map((c) => c.key));
  const shown = remembered<readonly string[]>(key, first, (v): v is readonly string[] => Array.isArray(v) && v.length > 0 && v.every((k) => typeof k === "string" && known.has(k)));
  return { shown, reset: () => shown.set(first) };
}

export function ColumnsMenu<T>({ columns, kept }: { columns: readonly Column<T>[]; kept: { shown: Atom<readonly string[]>; reset: () => void } }) {
  const shown = useAtom(kept.shown);
  return (
    <Menu name="columns" right label={<><ColumnsIcon size={14} /><span className="wide-only">Columns</span><Chevron size={12} /></>} className="btn plain">
      {() => <>
        {columns.map((c) => <label key={c.key} className="item"><input type="checkbox" checked={shown.includes(c.key)} disabled={c.main === true} onChange={() => kept.shown.set(shown.includes(c.key) ? shown.filter((k) => k !== c.key) : [...shown, c.key])} />{c.name ?? c.label}</label>)}
        <hr /><button type="button" className="item" onClick={kept.reset}>As at first</button>
      </>}
    </Menu>
  );
}
