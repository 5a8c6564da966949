import type { ReactNode } from "react";
import type { Field } from "../../lib/table";
import { Download } from "../../parts/icons";
import { download } from "../../parts/list/export";

/** What a table says as a whole, and the file of all its rows. */
export function TableHead<T>({ says, csv, rows, of }: { says: ReactNode; csv: string; rows: readonly T[]; of: (row: T) => Field[] }) {
  return (
    <div className="table-bar">
      <p>{says}</p><span className="grow" />
      <button type="button" className="btn" disabled={rows.length === 0} onClick={() => download(csv, rows, [{ values: of }], "csv", new Date())}><Download size={14} />CSV</button>
    </div>
  );
}
