import { useEffect } from "react";
import { clusters } from "../../api/client";
import type { ExposureRow } from "../../gen/dockreeve/v1/dockreeve_pb";
import { listed, reachSays, riskSays, tlsOf } from "../../lib/cluster";
import { exposureAddress, objectName } from "../../lib/entity";
import { EXPOSURE, filtered, quote } from "../../lib/query";
import { plural } from "../../lib/time";
import { Ago, Copy, Link, NotAssessed } from "../../parts/bits";
import { ClusterLink, Owner, ReachMark, WorkloadLink } from "../../parts/cluster";
import { Crumb, Nothing, NotUpToDate, useEntity, useEntityKeys } from "../../parts/entity";
import { Warn } from "../../parts/icons";
import { exposureSource } from "../exposures/ExposuresScreen";
import { Way } from "../workload/WorkloadScreen";

/** One way in at its stable address, /exposure/<cluster>/<Kind>/<namespace>/<name>. */
export default function ExposureScreen({ cluster, id }: { cluster: string; id: string }) {
  const row = `${cluster}/${id}`;
  const e = useEntity<ExposureRow | "gone">(row, ["cluster"], async (_, signal) => {
    const n = objectName(id, true);
    let cursor = "";
    do { // the API has no call for one; its namespace and name leave few
      const r = await clusters.listExposures({ filter: `cluster:${quote(cluster)} name:${quote(n.name)}${n.namespace ? ` namespace:${quote(n.namespace)}` : ""}`, pageSize: 500, cursor }, signal ? { signal } : undefined);
      const hit = r.exposures.find((x) => x.key === id);
      if (hit) return hit;
      cursor = r.nextCursor;
    } while (cursor);
    return "gone";
  });
  useEntityKeys(exposureSource, row, (r) => { const x = exposureSource.kept?.list?.rows.get(r); return x ? exposureAddress(x.cluster, x.key) : EXPOSURE.path; });
  const x = e.got === "gone" ? null : e.got;
  useEffect(() => { document.title = `${x?.name ?? "Exposure"} · Dockreeve`; }, [x]);
  const crumb = <Crumb source={exposureSource} title="Exposure" name={id} address={exposureAddress(cluster, id)} />;
  const all = <p><Link to={EXPOSURE.path}>All ways in</Link></p>;
  if (e.got === "gone") return <div className="page">{crumb}<div className="notice warn" role="alert"><h2><Warn />There is no such way in</h2><p>It may have been closed, or no agent reports from its cluster.</p>{all}</div></div>;
  if (!x) return <div className="page">{crumb}<Nothing of={e} what="the way in" gone={all} /></div>;
  const r = reachSays(x.reach);
  return (
    <div className="page image">
      {crumb}
      <header className="alert-head">
        <p className="kicker"><span className="muted">{x.kind}</span><b className="wrap">{x.namespace ? `${x.namespace}/` : ""}{x.name}</b><span className="muted">in</span><ClusterLink name={x.cluster} /></p>
        <h1>{r.label === "not assessed" ? "How far it reaches is not assessed" : `Open ${r.why}`}{x.apps.length ? `, to ${listed(x.apps)}` : ""}{x.risks.length ? `: ${listed(x.risks.map(riskSays))}` : ""}.</h1>
        <div className="acts">{x.workloads.slice(0, 1).map((w) => <span key={w} className="btn"><WorkloadLink cluster={x.cluster} of={w} /></span>)}<Link className="btn" to={filtered(EXPOSURE, `cluster:${quote(x.cluster)} namespace:${quote(x.namespace)}`)}>Its namespace</Link></div>
        <NotUpToDate of={e} />
      </header>
      <section className="stack wide-section" aria-label="The way in"><Way of={x} /></section>
      <dl className="dl wide-facts">
        <div><dt>reach</dt><dd><ReachMark of={x.reach} word /></dd></div>
        <div><dt>owner</dt><dd><span className="wrap"><Owner of={x.owner} />{x.tenant && <span className="muted">, tenant {x.tenant}</span>}</span></dd></div>
        <div><dt>exists for</dt><dd>{x.created > 0n ? <Ago ns={x.created} /> : <NotAssessed why="not told" />}</dd></div>
        <div><dt>hosts</dt><dd><Many of={x.hosts} none="none named" /></dd></div>
        <div><dt>addresses</dt><dd><Many of={x.addresses} none="none given yet" mono /></dd></div>
        <div><dt>ports</dt><dd><Many of={x.ports} none="none named" mono /></dd></div>
        <div><dt>let in</dt><dd>{x.sources.length ? <Many of={x.sources} none="" mono /> : r.outside ? <b>any address</b> : <span>any that gets there</span>}</dd></div>
        <div><dt>TLS</dt><dd>{tlsOf(x) === "yes" ? "ends here" : tlsOf(x) === "no" ? <span className="amber"><Warn size={13} />no</span> : <NotAssessed why="it passes bytes on; what stands behind may encrypt" />}</dd></div>
        <div><dt>network policy</dt><dd>{x.policy || <span className="muted">none on the way</span>}</dd></div>
        <div><dt>behind it</dt><dd>{x.workloads.length ? plural(x.workloads.length, "workload") : <span className="muted">nothing</span>}</dd></div>
        {x.notAssessed && <div className="full"><dt>not assessed</dt><dd><span className="wrap">{x.notAssessed}</span></dd></div>}
      </dl>
    </div>
  );
}

const Many = ({ of, none, mono = false }: { of: readonly string[]; none: string; mono?: boolean }) => (of.length ? <><span className={mono ? "mono wrap" : "wrap"} data-tip={of.length > 4 ? of.join("\n") : undefined}>{listed(of, 4)}</span><Copy text={of.join(", ")} what="them" /></> : <span className="muted">{none}</span>);
