// Times as people read them. The API speaks Unix nanoseconds; screens show a
// relative time and keep the exact one, UTC and local, a hover away.

/** Unix nanoseconds → Unix milliseconds, fractions kept to the microsecond. */
export const ms = (ns: bigint): number => Number(ns / 1000n) / 1000;

/** A duration in milliseconds, in at most two units: "640 ms", "12 s", "3 h 12 m", "9 d". */
export function duration(span: number): string {
  const v = Math.max(0, span);
  if (v < 1) return `${Math.round(v * 1000)} µs`;
  if (v < 1000) return `${Math.round(v)} ms`;
  const s = Math.floor(v / 1000);
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return m < 10 && s % 60 ? `${m} m ${s % 60} s` : `${m} m`;
  const h = Math.floor(m / 60);
  if (h < 48) return m % 60 ? `${h} h ${m % 60} m` : `${h} h`;
  const d = Math.floor(h / 24);
  return d < 10 && h % 24 ? `${d} d ${h % 24} h` : `${d} d`;
}

/** How long ago, in one unit, short enough for a 72 px column: "now", "12 s", "3 m", "5 h", "9 d". */
export function ago(at: number, now: number): string {
  const s = Math.floor((now - at) / 1000);
  if (s < 1) return "now";
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

const pad = (n: number, w = 2) => String(n).padStart(w, "0");

/** Exact UTC, to the millisecond. */
export function utc(at: number): string {
  const d = new Date(at);
  return `${d.toISOString().slice(0, 23).replace("T", " ")} UTC`;
}

/** Exact local time with its offset. */
export function local(at: number): string {
  const d = new Date(at);
  const off = -d.getTimezoneOffset();
  const zone = `${off < 0 ? "−" : "+"}${pad(Math.floor(Math.abs(off) / 60))}:${pad(Math.abs(off) % 60)}`;
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())} local (UTC${zone})`;
}

/** What a hover shows for a time. */
export const exact = (ns: bigint): string => (ns === 0n ? "not assessed" : `${utc(ms(ns))}\n${local(ms(ns))}`);

/** A count with thin separators: 1 284 511. */
export function num(n: bigint | number): string {
  return n.toString().replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** "1 node", "3 nodes". */
export const plural = (n: bigint | number, one: string, many = one + "s"): string => `${num(n)} ${BigInt(n) === 1n ? one : many}`;
