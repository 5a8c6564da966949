// A lineage as a tree is read: from the oldest ancestor down to the offender.

export interface Ancestor {
  inContainer: boolean;
}

export interface Step<P> {
  process: P;
  depth: number;
  offender: boolean;
  crosses: "in" | "out" | ""; // a container boundary stands above this line
}

/** lineage is as the API gives it, the offender first. */
export function steps<P extends Ancestor>(lineage: readonly P[]): Step<P>[] {
  const down = [...lineage].reverse();
  return down.map((process, i) => {
    const above = down[i - 1];
    const crosses = above && above.inContainer !== process.inContainer ? (process.inContainer ? "in" : "out") : i === 0 && process.inContainer ? "in" : "";
    return { process, depth: i, offender: i === down.length - 1, crosses };
  });
}

/** Ancestors shown without asking, for an offender on the host. */
const NEAR = 3;

/**
 * How many of the oldest ancestors may be folded away so that the offending path
 * is in sight: those outside the container, or all but the nearest few. A single
 * line is never folded.
 */
export function foldable<P extends Ancestor>(down: readonly Step<P>[]): number {
  const inside = down.findIndex((s) => s.process.inContainer);
  const n = inside > 0 ? inside : down.length - 1 - NEAR;
  return n >= 2 ? n : 0;
}

/** Whether the executable's path says something the command line's first word does not. */
export function tellsMore(path: string, program: string): boolean {
  const base = (s: string) => s.slice(s.lastIndexOf("/") + 1);
  return path !== "" && base(path) !== base(program);
}

/** The arguments apart from the program: what follows argv[0]. */
export function split(cmdline: string): [string, string] {
  const i = cmdline.indexOf(" ");
  return i < 0 ? [cmdline, ""] : [cmdline.slice(0, i), cmdline.slice(i)];
}
