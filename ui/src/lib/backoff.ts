/** Wait before try n (from 0): 0.5 s doubling to 15 s, spread by ±20 % so that many consoles do not return at once. */
export function backoff(n: number, random: () => number = Math.random): number {
  const base = Math.min(15_000, 500 * 2 ** Math.min(n, 10));
  return Math.round(base * (0.8 + 0.4 * random()));
}
