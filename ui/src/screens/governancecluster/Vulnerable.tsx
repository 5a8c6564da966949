import { clusters } from "../../api/client";
import type { WorkloadRow } from "../../gen/dockreeve/v1/dockreeve_pb";
import type { ClusterRow, Result } from "../../gen/govern";
import { workloadAddress } from "../../lib/entity";
import { filtered, quote, WORKLOADS } from "../../lib/query";
import { num, plural } from "../../lib/time";
import { End, Link, NotAssessed, Skeleton } from "../../parts/bits";
import { Owner } from "../../parts/cluster";
import { useEntity } from "../../parts/entity";
import { Results } from "../compliance/Results";

const OF_IMAGES = /vulnerab|image|registr/; // controls that say something of what runs
const FEW = 25;

/** What stands behind the number of critical vulnerabilities: the workloads that run them, and what controls say of its images. */
export function Vulnerable({ of: c, results }: { of: ClusterRow; results: readonly Result[] }) {
  const filter = `cluster:${quote(c.here ?? "")} critical:>0`;
  const e = useEntity<{ rows: readonly WorkloadRow[]; total: bigint; known: bigint }>(`vulnerable ${c.here ?? ""}`, ["governance"], async (_, signal) => {
    if (!c.here) return { rows: [], total: 0n, known: 0n };
    const opt = signal ? { signal } : undefined;
    const [hit, all] = await Promise.all([clusters.listWorkloads({ filter, order: "risk", pageSize: FEW }, opt), clusters.listWorkloads({ filter: `cluster:${quote(c.here)}`, pageSize: 1 }, opt)]);
    return { rows: hit.workloads, total: hit.total, known: all.total };
  });
  const mine = results.filter((r) => OF_IMAGES.test(r.control));
  return (
    <>
      <p>{c.critical === undefined ? <NotAssessed why={c.here ? "what runs in it was not scanned" : "it is not onboarded, so nobody knows what runs in it"} /> : <><b>{plural(c.critical, "critical vulnerability", "critical vulnerabilities")}</b> in what runs there and was scanned{c.exploited ? <>, <b>{num(c.exploited)} known to be exploited</b></> : c.critical > 0 ? ", none of them known to be exploited" : ""}.</>}</p>
      {c.here && <>
        <h2>Workloads that run them</h2>
        {!e.got ? (e.error ? <p className="field-error" role="alert">They could not be fetched: {e.error.text}</p> : <Skeleton what="workloads" lines={3} />)
          : e.got.known === 0n ? <p><NotAssessed why={c.critical === undefined ? "this server holds no inventory of it" : "this server was told the number alone: no inventory of the cluster is kept here, which would name the workloads"} /></p>
          : e.got.rows.length === 0 ? <p className="muted">None of {plural(e.got.known, "workload")} runs one, as far as their images were scanned.</p> : (
          <div className="scroll-x" tabIndex={0} role="region" aria-label="Workloads that run critical vulnerabilities">
            <table className="plain"><thead><tr><th>Workload</th><th>Owner</th><th>Images</th><th className="n">Critical</th><th className="n">Known to be exploited</th></tr></thead>
              <tbody>{e.got.rows.map((w) => <tr key={w.key}><td className="node-name"><Link to={workloadAddress(w.cluster, w.key)}><End tip={w.key}>{`${w.namespace}/${w.name}`}</End></Link></td><td><Owner of={w.owner} /></td><td className="node-name"><End tip={w.images.map((i) => i.image).join("\n")}>{w.images[0]?.image ?? "none"}</End></td><td className="n"><b>{num(w.critical)}</b></td><td className="n">{w.kev > 0n ? <b>{num(w.kev)}</b> : <span className="faint">0</span>}</td></tr>)}</tbody></table>
          </div>
        )}
        {e.got && e.got.total > BigInt(e.got.rows.length) && <p><Link to={filtered(WORKLOADS, filter)}>All {num(e.got.total)} workloads</Link></p>}
      </>}
      <h2>What controls say of its images</h2>
      <Results of={mine} none="No control that judges images was evaluated at it." />
    </>
  );
}
