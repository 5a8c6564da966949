import type { Money, ProtectionSum } from "../../gen/govern";
import { amount, known } from "../../lib/govern";
import { num } from "../../lib/time";
import { NotAssessed } from "../../parts/bits";
import { Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";

const PARTS: ReadonlyArray<readonly [key: "plan" | "scans" | "ingestion" | "agents" | "total", says: string]> = [["plan", "Plan"], ["scans", "Scans beyond the plan"], ["ingestion", "Log ingestion"], ["agents", "CPU and memory that agents reserve"], ["total", "Together"]];

/** An amount by vCore, "" where it means nothing. */
export const perCore = (m: Money, vcores: number): string => (known(m) && vcores > 0 && m.micros !== 0 ? `${amount(m.micros / vcores)} per vCore` : "");

/** What protection costs by Defender, by Dockreeve and by both, side by side: as it is, and were it on. */
export function Providers({ of }: { of: readonly ProtectionSum[] }) {
  if (of.length === 0) return <p><NotAssessed why="no cluster's protection could be priced" /></p>;
  const name = (p: ProtectionSum) => p.provider[0]!.toUpperCase() + p.provider.slice(1);
  const key = (p: ProtectionSum) => `${p.provider} ${p.hypothetic ? "would" : "is"}`;
  return (
    <>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Protection by provider">
        <table className="plain providers">
          <thead><tr><th>Part</th>{of.map((p) => <th key={key(p)} className="n">{name(p)}<p className="muted small">{p.hypothetic ? "were it on everywhere" : "as it is on"}</p></th>)}</tr></thead>
          <tbody>
            {PARTS.map(([k, says]) => <tr key={k} className={k === "total" ? "sum" : ""}><th scope="row">{says}</th>{of.map((p) => <td key={key(p)} className="n"><Sum of={p[k]} what={says} /><p className="muted small nowrap">{perCore(p[k], p.vcores)}</p></td>)}</tr>)}
            <tr><th scope="row">vCores</th>{of.map((p) => <td key={key(p)} className="n">{num(Math.round(p.vcores))}</td>)}</tr>
            <tr><th scope="row">Clusters</th>{of.map((p) => <td key={key(p)} className="n">{num(p.clusters)}{p.notAssessed > 0 && <p className="amber small" data-tip="their protection could not be priced, and is in no sum"><Warn size={12} />{num(p.notAssessed)} not assessed</p>}</td>)}</tr>
          </tbody>
        </table>
      </div>
      <p className="muted small">Each amount's source and date are on its hover; the prices used stand under Prices.</p>
      {of.some((p) => p.note) && <details className="small"><summary>What is left out of these sums, and why</summary><ul className="reasons">{of.filter((p) => p.note).map((p) => <li key={key(p)} className="wrap"><b>{name(p)}{p.hypothetic ? ", were it on" : ""}:</b> {p.note}</li>)}</ul></details>}
    </>
  );
}
