import { alerts } from "../../api/client";
import type { Alert } from "../../gen/dockreeve/v1/dockreeve_pb";
import type { View } from "../../lib/query";
import { csv, json } from "../../lib/table";
import type { Column } from "./columns";

/** The most rows one file holds. */
export const EXPORT_MOST = 10_000;

/** Every row the view matches now, in its order, page by page. cut says that there were more. */
export async function everyRow(view: View): Promise<{ rows: Alert[]; cut: boolean }> {
  const rows: Alert[] = [];
  let cursor = "";
  do {
    const r = await alerts.listAlerts({ filter: view.filter, order: view.order, pageSize: 500, cursor });
    rows.push(...r.alerts);
    cursor = r.nextCursor;
  } while (cursor && rows.length < EXPORT_MOST);
  return { rows: rows.slice(0, EXPORT_MOST), cut: cursor !== "" || rows.length > EXPORT_MOST };
}

/** Hands the reader a file with the given rows and exactly the columns shown. */
export function download(rows: readonly Alert[], columns: readonly Column[], as: "csv" | "json", now: Date): void {
  const table = rows.map((a) => columns.flatMap((c) => c.values(a)));
  const body = as === "csv" ? csv(table) : json(table);
  const url = URL.createObjectURL(new Blob([body], { type: as === "csv" ? "text/csv;charset=utf-8" : "application/json" }));
  const a = document.createElement("a");
  a.href = url;
  a.download = `dockreeve-alerts-${now.toISOString().slice(0, 19).replace(/[:T]/g, "-")}Z.${as}`;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
