import type { Reconciliation } from "../../gen/govern";
import { known, list, type Names, scopeName } from "../../lib/govern";
import { End, NotAssessed } from "../../parts/bits";
import { Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";

const SAYS: Readonly<Record<string, string>> = { "defender-plan": "Defender plan", "defender-scans": "Defender scans", ingestion: "Log ingestion", compute: "Compute" };

/** What was computed from prices beside what was billed: the difference, and why. */
export function Reconciled({ of, names }: { of: readonly Reconciliation[]; names: Names }) {
  if (of.length === 0) return <p><NotAssessed why="nothing was both computed and billed" /></p>;
  const rows = [...of].sort((a, b) => Number(b.finding) - Number(a.finding) || Math.abs(b.difference) - Math.abs(a.difference));
  return (
    <>
      <p className="muted small">A difference above 2 % is a finding: a price, a size or a commitment is not as it was taken to be.</p>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Computed against billed">
        <table className="plain wide-table">
          <thead><tr><th>What</th><th>Scope</th><th className="n">Computed</th><th className="n">Billed</th><th className="n">Difference</th><th>Known causes</th></tr></thead>
          <tbody>{rows.map((r, i) => (
            <tr key={i}>
              <td className="nowrap">{SAYS[r.what] ?? r.what}</td><td className="node-name"><End tip={r.scope}>{scopeName(r.scope, names)}</End></td>
              <td className="n nowrap"><Sum of={r.computed} /></td><td className="n nowrap"><Sum of={r.billed} /></td>
              <td className="n nowrap">{!known(r.billed) || !known(r.computed) ? <NotAssessed /> : r.finding ? <span className="amber"><Warn size={13} />{signed(r.difference)}</span> : signed(r.difference)}</td>
              <td className="wrap">{list(r.why).length ? list(r.why).join("; ") : !known(r.billed) ? <span className="muted">{r.billed.notAssessed}</span> : r.finding ? <span className="muted">none is known: compare the prices under Prices with your price sheet</span> : <span className="faint">–</span>}</td>
            </tr>
          ))}</tbody>
        </table>
      </div>
    </>
  );
}
const signed = (v: number): string => `${v > 0 ? "+" : v < 0 ? "−" : "±"}${(Math.abs(v) * 100).toFixed(1)} %`;
