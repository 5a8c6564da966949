import { useEffect, useState } from "react";
import { aborted, clusters } from "../../api/client";
import type { AuditRow, GetIdentityResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import { didWhat } from "../../lib/audit";
import { grantSays, listed, modelName } from "../../lib/cluster";
import { auditAddress, identityAddress, identityName } from "../../lib/entity";
import { AUDIT, filtered, IDENTITIES, quote } from "../../lib/query";
import { num, plural } from "../../lib/time";
import { Ago, Copy, End, Link, NotAssessed } from "../../parts/bits";
import { ClusterLink, Owner, Powers, WorkloadLink } from "../../parts/cluster";
import { Crumb, Nothing, NotUpToDate, useEntity, useEntityKeys } from "../../parts/entity";
import { Warn } from "../../parts/icons";
import { Learning } from "../cluster/ClusterScreen";
import { alertsBy, identitySource, LastUsed } from "../identities/IdentitiesScreen";
import { AlertTable } from "../workload/WorkloadScreen";
import { Rights, Uses } from "./parts";

/** One identity at its stable address, /identities/<cluster>/<kind:name>. */
export default function IdentityScreen({ cluster, id }: { cluster: string; id: string }) {
  const row = `${cluster}/${id}`;
  const e = useEntity<GetIdentityResponse>(row, ["cluster", "alert"], async (k, signal) => {
    const at = k.startsWith(`${cluster}/`) ? cluster.length : k.indexOf("/");
    const r = await clusters.getIdentity({ cluster: k.slice(0, at), key: k.slice(at + 1) }, signal ? { signal } : undefined);
    return r.identity ? r : null;
  });
  useEntityKeys(identitySource, row, (r) => { const i = identitySource.kept?.list?.rows.get(r); return i ? identityAddress(i.cluster, i.key) : IDENTITIES.path; });
  const g = e.got, i = g?.identity;
  const n = identityName(id);
  const name = n.namespace ? `${n.namespace}/${n.name}` : n.name;
  useEffect(() => { document.title = `${name || "Identity"} · Dockreeve`; }, [name]);
  const crumb = <Crumb source={identitySource} title="Identities" name={id} address={identityAddress(cluster, id)} />;
  if (!g || !i) return <div className="page">{crumb}<Nothing of={e} what="the identity" gone={<p>No right is given to it and no request by it was audited. <Link to={IDENTITIES.path}>All identities</Link> · <Link to={filtered(AUDIT, `identity:${quote(id)}`)}>what it did</Link></p>} /></div>;
  const why = i.usageNotAssessed;
  return (
    <div className="page image">
      {crumb}
      <header className="alert-head">
        <p className="kicker"><span className="muted">{n.kind || i.kind}</span><b className="wrap">{name}</b>{i.platform && <span className="tag-line" data-tip="of the distribution, not of a team">platform</span>}<span className="muted">in</span><ClusterLink name={i.cluster} /></p>
        <h1>{says(g)}</h1>
        <div className="acts">
          <Link className="btn" to={filtered(AUDIT, `cluster:${quote(i.cluster)} identity:${quote(i.key)}`)}>Its requests</Link>
          <Link className="btn" to={alertsBy(i)}>Alerts</Link>
        </div>
        <NotUpToDate of={e} />
      </header>
      <dl className="dl wide-facts">
        <div><dt>owner</dt><dd><span className="wrap"><Owner of={i.owner} from={i.ownerFrom} quiet={i.platform} />{i.ownerFrom && i.owner !== "unowned" && <span className="muted">, {i.ownerFrom}</span>}</span></dd></div>
        <div><dt>tenant</dt><dd>{i.tenant ? <span className="wrap">{i.tenant}</span> : <span className="muted">none</span>}{i.crosses.length > 0 && <span className="amber"><Warn size={13} />has rights in {listed(i.crosses, 4)}</span>}</dd></div>
        <div><dt>scope</dt><dd>{i.scope === "unknown" ? <NotAssessed why="no binding names it" /> : <>{i.scope || "none"}, {plural(i.rights, "right")}</>}</dd></div>
        <div><dt>last used</dt><dd><LastUsed i={i} long /></dd></div>
        <div><dt>requests</dt><dd>{why ? <NotAssessed why={why} /> : <span>{num(i.requests)}, of them {num(i.denied)} refused{i.firstUsed > 0n && <span className="muted">, since <Ago ns={i.firstUsed} suffix /></span>}</span>}</dd></div>
        {i.cloudId && <div><dt>cloud identity</dt><dd><End mono>{i.cloudId}</End><Copy text={i.cloudId} what="cloud identity" /></dd></div>}
      </dl>
      <div className="columns">
        <div className="evidence">
          <section aria-labelledby="s-can"><h2 id="s-can">What it can do</h2>{i.scope === "unknown" ? <p><NotAssessed why="no binding names it and its cluster does not tell of it: what its groups let it do is not known" /></p> : g.rights.length === 0 ? <p>It holds no right beyond what everybody has.</p> : <Rights of={g.rights} more={g.moreRights} cluster={i.cluster} audited={why ? false : true} />}</section>
          <section aria-labelledby="s-alerts"><h2 id="s-alerts">Alerts</h2><AlertTable of={g.alerts} none="No alert is about it." all={alertsBy(i)} total={i.alertsOpen} /></section>
        </div>
        <div className="facts">
          <section aria-labelledby="s-danger"><h2 id="s-danger">Why it matters</h2>{i.grants.length === 0 ? <p className="muted">It holds no right that would let it take more.</p> : <ul className="grants">{i.grants.map((w) => { const p = grantSays(w); return <li key={w}><Powers of={[w]} kind="grants" /><span className="muted">{p.why}</span></li>; })}</ul>}</section>
          <section aria-labelledby="s-odd"><h2 id="s-odd">What was unusual</h2><Unusual of={g} /></section>
          <section aria-labelledby="s-runs"><h2 id="s-runs">What runs as it</h2>{i.workloads.length === 0 ? <p className="muted">{i.kind === "ServiceAccount" ? "No workload runs as it now." : "Workloads run as service accounts only."}</p> : <ul className="names">{i.workloads.slice(0, 20).map((w) => <li key={w}><WorkloadLink cluster={i.cluster} of={w} /></li>)}{i.workloads.length > 20 && <li className="muted">and {i.workloads.length - 20} more</li>}</ul>}</section>
          {g.baselines.length > 0 && <section aria-labelledby="s-base"><h2 id="s-base">What is usual is learned by</h2><Learning of={g.baselines} /></section>}
        </div>
      </div>
      <div className="columns below"><section aria-labelledby="s-did"><h2 id="s-did">What it has done</h2>{why && g.uses.length > 0 && <p className="amber"><Warn size={14} />Not all of it: {why}</p>}<Uses of={g.uses} cluster={i.cluster} identity={i.key} why={why} /></section></div>
    </div>
  );
}

function says(g: GetIdentityResponse): string {
  const i = g.identity!;
  const can = i.scope === "unknown" ? "What it may do is not assessed" : i.grants.includes("cluster-admin") ? "May do anything in the cluster" : i.grants.length ? `May ${listed(i.grants.slice(0, 3).map((w) => grantSays(w).label), 3)}${i.grants.length > 3 ? ` and ${i.grants.length - 3} things more` : ""}${i.scope === "cluster" ? " in the whole cluster" : ""}` : i.rights > 0 ? "Holds rights, none of them dangerous" : "Holds no right of its own";
  const did = i.usageNotAssessed ? "whether it uses them is not assessed" : i.lastUsed === 0n ? "never seen using the API" : `${plural(i.requests, "request")} audited${i.denied > 0n ? `, ${num(i.denied)} refused` : ""}`;
  return `${can}; ${did}${i.unusual.length ? "; something it did was unusual" : ""}.`;
}

/** What a model found unusual: which, and the requests themselves where they are kept. */
function Unusual({ of }: { of: GetIdentityResponse }) {
  const i = of.identity!;
  const [rows, setRows] = useState<AuditRow[] | null>(null);
  const odd = i.unusual.length > 0;
  useEffect(() => {
    if (!odd) return;
    const stop = new AbortController();
    clusters.listAudit({ filter: `cluster:${quote(i.cluster)} identity:${quote(i.key)} unusual:${i.unusual.map(quote).join(",")}`, pageSize: 5 }, { signal: stop.signal }).then((r) => setRows(r.events)).catch((err) => { if (!aborted(err)) setRows([]); });
    return () => stop.abort();
  }, [odd, i.cluster, i.key, i.unusual.join()]);
  if (!odd) return <p className="muted">{i.usageNotAssessed ? <NotAssessed why={i.usageNotAssessed} /> : "Nothing, in the last seven days."}</p>;
  return (
    <>
      <ul className="reasons">{i.unusual.map((m) => <li key={m} className="amber"><Warn size={13} />{modelName(m)}</li>)}</ul>
      {rows && rows.length > 0 && <ul className="names">{rows.map((r) => <li key={r.id} className="odd"><Link to={auditAddress(r.id)}><span className="wrap">{didWhat(r)}</span></Link><span className="muted nowrap"><Ago ns={r.time} suffix /></span></li>)}</ul>}
      {rows && rows.length === 0 && <p className="muted">The requests themselves are kept no longer.</p>}
      <p><Link to={filtered(AUDIT, `cluster:${quote(i.cluster)} identity:${quote(i.key)} unusual:*`)}>All that was unusual of it</Link></p>
    </>
  );
}
