import type { Row } from "../../lib/merge";
import type { View } from "../../lib/query";
import { csv, json } from "../../lib/table";
import { Menu } from "../bits";
import { Chevron, Download } from "../icons";
import type { Column } from "./columns";
import { MOST, type Source } from "./useList";

/** The most rows one file holds. */
export const EXPORT_MOST = 10_000;

/** Every row the view matches now, in its order, page by page. cut says that there were more. */
export async function everyRow<T extends Row, A>(source: Source<T, A>, view: View): Promise<{ rows: T[]; cut: boolean }> {
  const rows: T[] = [];
  let cursor = "";
  do {
    const r = await source.page({ filter: view.filter, order: view.order, pageSize: MOST, cursor });
    rows.push(...r.rows);
    cursor = r.next;
  } while (cursor && rows.length < EXPORT_MOST);
  return { rows: rows.slice(0, EXPORT_MOST), cut: cursor !== "" || rows.length > EXPORT_MOST };
}

/** Hands the reader a file with the given rows and exactly these columns. */
export function download<T>(what: string, rows: readonly T[], columns: ReadonlyArray<Pick<Column<T>, "values">>, as: "csv" | "json", now: Date): void {
  const table = rows.map((a) => columns.flatMap((c) => c.values(a)));
  const body = as === "csv" ? csv(table) : json(table);
  const url = URL.createObjectURL(new Blob([body], { type: as === "csv" ? "text/csv;charset=utf-8" : "application/json" }));
  const a = document.createElement("a");
  a.href = url;
  a.download = `dockreeve-${what}-${now.toISOString().slice(0, 19).replace(/[:T]/g, "-")}Z.${as}`;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function ExportMenu({ note, save }: { note: string; save: (as: "csv" | "json") => void }) {
  return (
    <Menu name="export" right label={<><Download size={14} /><span className="wide-only">Export</span><Chevron size={12} /></>} className="btn plain">
      {(close) => <>
        <p className="note">{note}</p>
        <button type="button" className="item" onClick={() => { close(); save("csv"); }}>CSV</button>
        <button type="button" className="item" onClick={() => { close(); save("json"); }}>JSON</button>
      </>}
    </Menu>
  );
}
