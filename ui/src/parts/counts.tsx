import type { SeverityCounts } from "../gen/dockreeve/v1/dockreeve_pb";
import { Severity } from "../gen/dockreeve/v1/dockreeve_pb";
import { num } from "../lib/time";
import { SeverityMark } from "./marks";

const few = (n: bigint) => (n < 10_000n ? num(n) : `${num(n / 1000n)}k`);

/** Vulnerabilities by severity, compact: shape, letter and number, each at its own place so that rows compare. */
export function Counts({ of, packages }: { of: SeverityCounts | undefined; packages?: bigint }) {
  if (!of) return <span className="muted">not assessed</span>;
  const all: Array<[Severity, bigint, string]> = [[Severity.CRITICAL, of.critical, "critical"], [Severity.HIGH, of.high, "high"], [Severity.MEDIUM, of.medium, "medium"], [Severity.LOW, of.low, "low"]];
  const text = `${all.map(([, n, name]) => `${num(n)} ${name}`).join(", ")}${of.unrated > 0n ? `, ${num(of.unrated)} not rated` : ""}${packages !== undefined ? `; in ${num(packages)} packages` : ""}`;
  return (
    <span className="sevs" role="img" aria-label={text} data-tip={text}>
      {all.map(([s, n, name]) => <span key={name} className={n === 0n ? "none" : ""}><SeverityMark of={s} word="" size={14} /><span className="num">{few(n)}</span></span>)}
    </span>
  );
}
