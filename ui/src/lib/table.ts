// Exports: exactly the columns shown, in the order shown.

export interface Field {
  key: string;
  value: string | number;
}

/**
 * RFC 4180 CSV. Cells come from containers, so one that a spreadsheet would run
 * as a formula gets a leading apostrophe.
 */
export function csv(rows: readonly Field[][]): string {
  if (rows.length === 0) return "";
  const head = rows[0]!.map((f) => cell(f.key)).join(",");
  return [head, ...rows.map((r) => r.map((f) => (typeof f.value === "number" ? String(f.value) : cell(f.value))).join(","))].join("\r\n") + "\r\n";
}

function cell(v: string): string {
  const safe = /^[=+\-@\t\r]/.test(v) ? `'${v}` : v;
  return /[",\r\n]/.test(safe) || safe !== v ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** The same rows as a JSON array of objects. */
export const json = (rows: readonly Field[][]): string =>
  JSON.stringify(rows.map((r) => Object.fromEntries(r.map((f) => [f.key, f.value]))), null, 2) + "\n";
