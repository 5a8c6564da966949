import type { ClusterRow } from "../../gen/dockreeve/v1/dockreeve_pb";
import { useNow } from "../../lib/clock";
import { clusterState } from "../../lib/cluster";
import { clusterAddress } from "../../lib/entity";
import { Ago, End, Link } from "../../parts/bits";
import { Warn } from "../../parts/icons";

/** What of each cluster is watched, short enough for a window. */
export function ClusterTable({ of, onGo }: { of: readonly ClusterRow[]; onGo?: () => void }) {
  const now = useNow();
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Clusters">
      <table className="plain">
        <thead><tr><th>Cluster</th><th>Agent</th><th className="n">Nodes watched</th><th>API server</th><th className="n">Gaps</th></tr></thead>
        <tbody>{of.slice(0, 50).map((c) => {
          const s = clusterState(c, now);
          const Say = ({ good, children }: { good: boolean; children: React.ReactNode }) => (good ? <span>{children}</span> : <span className="amber"><Warn size={13} />{children}</span>);
          return (
            <tr key={c.name}>
              <td className="node-name"><Link to={clusterAddress(c.name)} {...(onGo ? { onClick: onGo } : {})}><End>{c.name}</End></Link></td>
              <td className="nowrap"><Say good={s.watched}>{s.inspected ? "inspected once" : <>{s.watched ? "" : "silent, "}<Ago ns={c.reported} suffix /></>}</Say></td>
              <td className="n nowrap"><Say good={s.nodesAll}>{s.nodes}</Say></td>
              <td><Say good={s.api}>{s.apiSays}</Say></td>
              <td className="n"><Say good={c.gaps.length === 0}>{c.gaps.length}</Say></td>
            </tr>
          );
        })}</tbody>
      </table>
    </div>
  );
}
