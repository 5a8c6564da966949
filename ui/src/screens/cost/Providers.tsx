import type { Money, ProtectionSum } from "../../gen/govern";
import { known } from "../../lib/govern";
import { num } from "../../lib/time";
import { NotAssessed } from "../../parts/bits";
import { Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";

const PARTS: ReadonlyArray<readonly [key: "plan" | "scans" | "ingestion" | "agents" | "total", says: string]> = [["plan", "Plan"], ["scans", "Scans beyond the plan"], ["ingestion", "Log ingestion"], ["agents", "CPU and memory that agents reserve"], ["total", "Together"]];
const perCore = (m: Money, vcores: number): Money => (known(m) && vcores > 0 ? { ...m, micros: m.micros / vcores } : { ...m, notAssessed: m.notAssessed || "no vCores are known" });

/** What protection costs by Defender, by Dockreeve and by both, side by side. */
export function Providers({ of }: { of: readonly ProtectionSum[] }) {
  if (of.length === 0) return <p><NotAssessed why="no cluster's protection could be priced" /></p>;
  const name = (p: ProtectionSum) => p.provider[0]!.toUpperCase() + p.provider.slice(1);
  return (
    <>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Protection by provider">
        <table className="plain providers">
          <thead>
            <tr><th><span className="sr">Part</span></th>{of.map((p) => <th key={p.provider} className="n" colSpan={2}>{name(p)}{p.hypothetic && <span className="muted"> if it were on</span>}</th>)}</tr>
            <tr className="sub"><th>Part</th>{of.flatMap((p) => [<th key={`${p.provider} a`} className="n">all</th>, <th key={`${p.provider} b`} className="n">per vCore</th>])}</tr>
          </thead>
          <tbody>
            {PARTS.map(([k, says]) => <tr key={k} className={k === "total" ? "sum" : ""}><th scope="row">{says}</th>{of.flatMap((p) => [<td key={`${p.provider} a`} className="n nowrap"><Sum of={p[k]} /></td>, <td key={`${p.provider} b`} className="n nowrap"><Sum of={perCore(p[k], p.vcores)} what={`${says}, per vCore`} /></td>])}</tr>)}
            <tr><th scope="row">vCores</th>{of.map((p) => <td key={p.provider} className="n" colSpan={2}>{num(Math.round(p.vcores))}</td>)}</tr>
            <tr><th scope="row">Clusters</th>{of.map((p) => <td key={p.provider} className="n" colSpan={2}>{num(p.clusters)}{p.notAssessed > 0 && <span className="amber" data-tip="their protection could not be priced, and is in no sum"><Warn size={13} />{num(p.notAssessed)} not assessed</span>}</td>)}</tr>
          </tbody>
        </table>
      </div>
      <ul className="reasons muted small">{of.filter((p) => p.note).map((p) => <li key={p.provider}>{name(p)}: {p.note}</li>)}<li>Each amount's source and date are on its hover; the prices used stand under Prices.</li></ul>
    </>
  );
}
