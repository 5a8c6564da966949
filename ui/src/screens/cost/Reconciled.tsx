import { useState } from "react";
import type { Reconciliation } from "../../gen/govern";
import { known, list, moneys, type Names, scopeName, total } from "../../lib/govern";
import { filtered, GOVERNANCE, quote } from "../../lib/query";
import { num } from "../../lib/time";
import { End, Link, NotAssessed } from "../../parts/bits";
import { Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";
import { TableHead } from "./TableHead";

const SAYS: Readonly<Record<string, string>> = { "defender-plan": "Defender plan", "defender-scans": "Defender scans", ingestion: "Log ingestion", compute: "Compute" };
const says = (what: string): string => (Object.hasOwn(SAYS, what) ? SAYS[what]! : what);
const compared = (r: Reconciliation): boolean => known(r.computed) && known(r.billed);
const MOST = 200;

/** What was computed from prices beside what was billed: as sums, then what is off or not known; what agrees is a click away. */
export function Reconciled({ of, names }: { of: readonly Reconciliation[]; names: Names }) {
  const [all, setAll] = useState(false);
  if (of.length === 0) return <p><NotAssessed why="nothing was both computed and billed" /></p>;
  const rows = [...of].sort((a, b) => Number(b.finding) - Number(a.finding) || Number(compared(a)) - Number(compared(b)) || Math.abs(b.difference) - Math.abs(a.difference));
  const agree = rows.filter((r) => compared(r) && !r.finding).length;
  const shown = (all ? rows : rows.filter((r) => r.finding || !compared(r))).slice(0, MOST);
  return (
    <>
      <TableHead says={<span className="muted">A difference above 2 % is a finding: a price, a size or a commitment is not as it was taken to be.</span>} csv="computed-against-billed" rows={rows} of={(r) => [{ key: "what", value: says(r.what) }, { key: "scope", value: r.scope }, ...moneys("computed", r.computed), ...moneys("billed", r.billed), { key: "currency", value: r.billed.currency }, { key: "difference", value: compared(r) ? r.difference : "not assessed" }, { key: "finding", value: r.finding ? "yes" : "no" }, { key: "causes", value: list(r.why).join("; ") }]} />
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Computed against billed, together">
        <table className="plain sums">
          <thead><tr><th>Together</th><th className="n">Compared</th><th className="n">Above 2 %</th><th className="n">Not assessed</th><th className="n">Computed</th><th className="n">Billed</th><th className="n">Difference</th></tr></thead>
          <tbody>{[...new Set(of.map((r) => r.what))].map((what) => {
            const mine = of.filter((r) => r.what === what), both = mine.filter(compared);
            const c = total(both.map((r) => r.computed)).sum, b = total(both.map((r) => r.billed)).sum;
            const off = mine.filter((r) => r.finding).length;
            return <tr key={what}><th scope="row">{says(what)}</th><td className="n">{num(both.length)} of {num(mine.length)}</td><td className="n">{off ? <span className="amber"><Warn size={13} />{num(off)}</span> : "0"}</td><td className="n">{num(mine.length - both.length)}</td><td className="n nowrap"><Sum of={c} /></td><td className="n nowrap"><Sum of={b} /></td><td className="n nowrap">{known(c) && known(b) && b.micros > 0 && c.currency === b.currency ? signed(c.micros / b.micros - 1) : <NotAssessed />}</td></tr>;
          })}</tbody>
        </table>
      </div>
      <h2>{all ? "One by one" : "What is off, or could not be compared"}</h2>
      {shown.length === 0 ? <p className="muted">Nothing: all that was compared is within 2 %.</p> : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Computed against billed">
          <table className="plain wide-table">
            <thead><tr><th>What</th><th>Scope</th><th className="n">Computed</th><th className="n">Billed</th><th className="n">Difference</th><th>{all ? "Known causes, and how it was computed" : "Known causes"}</th></tr></thead>
            <tbody>{shown.map((r, i) => { const name = scopeName(r.scope, names); return (
              <tr key={i}>
                <td className="nowrap">{says(r.what)}</td><td className="node-name">{names.has(r.scope.split("/").at(-1)!.toLowerCase()) ? <Link to={filtered(GOVERNANCE, `subscription:${quote(name)}`)}><End tip={r.scope}>{name}</End></Link> : <End tip={r.scope}>{name}</End>}</td>
                <td className="n nowrap"><Sum of={r.computed} /></td><td className="n nowrap"><Sum of={r.billed} /></td>
                <td className="n nowrap">{!compared(r) ? <NotAssessed /> : r.finding ? <span className="amber"><Warn size={13} />{signed(r.difference)}</span> : signed(r.difference)}</td>
                <td className="wrap">{list(r.why).length ? list(r.why).join("; ") : !known(r.billed) ? <span className="muted">{r.billed.notAssessed}</span> : r.finding ? <span className="muted">none is known: compare the prices under Prices with your price sheet</span> : <span className="faint">–</span>}</td>
              </tr>
            ); })}</tbody>
          </table>
        </div>
      )}
      {agree > 0 && <p><button type="button" className="btn" onClick={() => setAll(!all)}>{all ? "Hide what agrees" : `Show also the ${num(agree)} within 2 %`}</button>{shown.length === MOST && <span className="muted"> The first {num(MOST)} are shown; the file has all.</span>}</p>}
    </>
  );
}
const signed = (v: number): string => { const said = (Math.abs(v) * 100).toFixed(1); return `${said === "0.0" ? "±" : v > 0 ? "+" : "−"}${said} %`; };
