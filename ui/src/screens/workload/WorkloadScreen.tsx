import { useEffect } from "react";
import { clusters } from "../../api/client";
import type { Alert, ExposureRow, GetWorkloadResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import { listed, reachSays, tlsOf, verdictOf } from "../../lib/cluster";
import { clusterAddress, exposureAddress, identityAddress, workloadAddress } from "../../lib/entity";
import { pretty } from "../../lib/json";
import { AUDIT, filtered, quote, WORKLOADS } from "../../lib/query";
import { num, plural } from "../../lib/time";
import { Ago, Copy, End, Link, NotAssessed, Since } from "../../parts/bits";
import { Chain, ClusterLink, IdentityLink, ImageName, ImageVerdict, Owner, Powers, ReachMark } from "../../parts/cluster";
import { Crumb, Nothing, NotUpToDate, useEntity, useEntityKeys } from "../../parts/entity";
import { Warn } from "../../parts/icons";
import { SeverityMark, StatusMark } from "../../parts/marks";
import { Rights } from "../identity/parts";
import { alertsOf, workloadSource } from "../workloads/WorkloadsScreen";

/** One workload at its stable address, /workloads/<cluster>/<namespace>/<Kind>/<name>. */
export default function WorkloadScreen({ cluster, id }: { cluster: string; id: string }) {
  const row = `${cluster}/${id}`;
  const e = useEntity<GetWorkloadResponse>(row, ["cluster", "alert", "image"], async (k, signal) => {
    const at = k.startsWith(`${cluster}/`) ? cluster.length : k.indexOf("/");
    const r = await clusters.getWorkload({ cluster: k.slice(0, at), key: k.slice(at + 1) }, signal ? { signal } : undefined);
    return r.workload ? r : null;
  });
  useEntityKeys(workloadSource, row, (r) => { const w = workloadSource.kept?.list?.rows.get(r); return w ? workloadAddress(w.cluster, w.key) : WORKLOADS.path; });
  const g = e.got, w = g?.workload;
  useEffect(() => { document.title = `${w?.name ?? "Workload"} · Dockreeve`; }, [w]);
  const crumb = <Crumb source={workloadSource} title="Workloads" name={id} address={workloadAddress(cluster, id)} />;
  if (!g || !w) return <div className="page">{crumb}<Nothing of={e} what="the workload" gone={<p>It may have been deleted, or no agent reports from its cluster. <Link to={WORKLOADS.path}>All workloads</Link></p>} /></div>;
  const v = verdictOf(w);
  return (
    <div className="page image">
      {crumb}
      <header className="alert-head">
        <p className="kicker"><span className="muted">{w.kind}</span><b className="wrap">{w.namespace}/{w.name}</b>{w.platform && <span className="tag-line" data-tip="of the distribution or its add-ons, not of a team">platform</span>}<span className="muted">in</span><ClusterLink name={w.cluster} /></p>
        <h1>{says(g)}</h1>
        <div className="acts">
          <Link className="btn" to={alertsOf(w)}>Alerts</Link>
          {w.identity && <Link className="btn" to={filtered(AUDIT, `cluster:${quote(w.cluster)} identity:${quote(w.identity)}`)}>What it did through the API</Link>}
          <Link className="btn" to={filtered(WORKLOADS, `cluster:${quote(w.cluster)} namespace:${quote(w.namespace)}`)}>Its namespace</Link>
        </div>
        <NotUpToDate of={e} />
      </header>
      <dl className="dl wide-facts">
        <div><dt>owner</dt><dd><span className="wrap"><Owner of={w.owner} from={w.ownerFrom} quiet={w.platform} />{w.ownerFrom && w.owner !== "unowned" && <span className="muted">, {w.ownerFrom}</span>}</span></dd></div>
        <div><dt>tenant</dt><dd>{w.tenant ? <span className="wrap">{w.tenant}{w.sharedWith.length > 0 && <span className="amber"><Warn size={13} />shares nodes with {listed(w.sharedWith, 3)}</span>}</span> : <span className="muted">none configured</span>}</dd></div>
        <div><dt>pods</dt><dd>{w.schedule ? <span>{plural(w.pods, "pod")}, at <span className="mono">{w.schedule}</span></span> : <span>{w.ready} of {w.wanted} ready</span>}</dd></div>
        <div><dt>reach</dt><dd><ReachMark of={w.reach} word /></dd></div>
        <div><dt>known as</dt><dd>{w.apps.length ? w.apps.join(", ") : <span className="muted">nothing known</span>}</dd></div>
        <div><dt>created</dt><dd><span className="wrap">{w.created > 0n ? <Ago ns={w.created} suffix /> : <NotAssessed why="not told" />}{g.via && <span className="muted">, by <bdi>{g.via}</bdi></span>}</span></dd></div>
      </dl>
      <div className="columns">
        <div className="evidence">
          <section aria-labelledby="s-reach"><h2 id="s-reach">How it is reached</h2><Ways of={g} /></section>
          <section aria-labelledby="s-images"><h2 id="s-images">Images <span className="muted">{v.of === 0 ? "" : `${v.known} of ${v.of} assessed`}</span></h2><Images of={g} /></section>
          <section aria-labelledby="s-alerts"><h2 id="s-alerts">Alerts</h2><AlertTable of={g.alerts} none="No alert is about it." all={alertsOf(w)} total={w.alertsOpen} /></section>
          <section aria-labelledby="s-pods"><h2 id="s-pods">Pods <span className="muted">{g.podsTotal > g.pods.length ? `the newest ${g.pods.length} of ${num(g.podsTotal)}` : num(g.podsTotal)}</span></h2><Pods of={g} /></section>
          <section aria-labelledby="s-rights"><h2 id="s-rights">What its identity may do</h2>{g.rights.length === 0 ? <p>{w.identity ? "Its identity holds no right beyond what everybody has." : <NotAssessed why="which identity it runs as is not known" />}</p> : <Rights of={g.rights} more={0} cluster={w.cluster} audited={null} short />}</section>
          {g.templateJson && <section aria-labelledby="s-json"><h2 id="s-json">Template</h2><details><summary>As it is kept: reduced, without secret values</summary><div className="code"><pre tabIndex={0}>{pretty(g.templateJson).text}</pre><Copy text={g.templateJson} what="template" /></div></details></section>}
        </div>
        <div className="facts">
          <section aria-labelledby="s-could"><h2 id="s-could">What it could reach</h2><Could of={g} /></section>
          <section aria-labelledby="s-id"><h2 id="s-id">Identity</h2>
            {w.identity ? <><p className="big-ref"><IdentityLink cluster={w.cluster} of={w.identity} /></p>
              <p className={g.tokenMounted ? "" : "muted"}>{g.tokenMounted ? "Its token is mounted: whoever runs code in a container may act as it." : "Its token is not mounted."}</p>
              {w.grants.length > 0 ? <p className="tagset"><Powers of={w.grants} kind="grants" /></p> : <p className="muted">It holds no dangerous right.</p>}</> : <p><NotAssessed why="which identity it runs as is not known" /></p>}</section>
          <section aria-labelledby="s-pow"><h2 id="s-pow">Powers of its pods</h2>{w.powers.length + w.mounts.length === 0 ? <p className="muted">None that matter: no host namespace, privilege or folder of the node.</p> : <p className="tagset"><Powers of={w.powers} kind="powers" /><Powers of={w.mounts} kind="mounts" /></p>}</section>
          <section aria-labelledby="s-sec"><h2 id="s-sec">Secrets it uses</h2>{g.secrets.length === 0 ? <p className="muted">It names none.</p> : <ul className="names">{g.secrets.map((s) => <li key={s}><Link to={filtered(AUDIT, `cluster:${quote(w.cluster)} resource:secrets namespace:${quote(w.namespace)} name:${quote(s)}`)} data-tip="who read it through the API"><End mono>{s}</End></Link></li>)}</ul>}</section>
        </div>
      </div>
    </div>
  );
}

/** The sentence at the top: how far it is reached, and what it holds that matters. */
export function says(g: GetWorkloadResponse): string {
  const w = g.workload!;
  const r = reachSays(w.reach);
  const parts = [w.reach === "internet" ? "Reached from the internet" : w.reach === "restricted" ? "Reached from some addresses outside" : w.reach === "none" ? "Reached by nobody" : w.reach === "cluster" ? "Reached from inside the cluster only" : r.label === "not assessed" ? "How far it is reached is not assessed" : `Reached ${r.why}`];
  if (w.powers.includes("privileged")) parts.push("runs privileged");
  else if (w.powers.length) parts.push(`may use ${listed(w.powers, 3)} of its node`);
  if (w.grants.includes("cluster-admin")) parts.push("may do anything in the cluster");
  else if (w.grants.length) parts.push(`its identity holds ${plural(w.grants.length, "dangerous right")}`);
  const v = verdictOf(w);
  parts.push(v.known === 0 ? "its images are not assessed" : w.kev > 0n ? `${plural(w.kev, "known exploited vulnerability", "known exploited vulnerabilities")} in its images` : w.critical > 0n ? `${plural(w.critical, "critical vulnerability", "critical vulnerabilities")} in its images` : v.known < v.of ? `${v.of - v.known} of its ${v.of} images not assessed` : "no critical vulnerability is known in its images");
  return `${parts.join("; ")}.`;
}

function Ways({ of }: { of: GetWorkloadResponse }) {
  const w = of.workload!;
  if (of.exposures.length === 0) return <><Chain reach={w.reach} path={[]} workloads={[w.key]} cluster={w.cluster} here={w.key} /><p className="muted">{w.reach === "cluster" || w.reach === "none" ? "No service, ingress, gateway or host port lets anybody in from outside." : reachSays(w.reach).label === "not assessed" ? `Not assessed: ${reachSays(w.reach).why}.` : "No object on the way is known."}</p></>;
  return <ul className="ways">{of.exposures.map((x) => <li key={x.key}><Way of={x} here={w.key} /></li>)}</ul>;
}

/** One way in, with what matters of it. */
export function Way({ of, here = "" }: { of: ExposureRow; here?: string }) {
  const at = [...of.hosts, ...of.addresses];
  return (
    <>
      <Chain reach={of.reach} note={<>{at[0]}{at.length > 1 && ` +${at.length - 1}`}{of.ports.length > 0 && <> {of.ports.slice(0, 2).join(", ")}</>}</>} path={of.path} workloads={of.workloads} cluster={of.cluster} here={here} />
      <p className="way-facts"><span>{tlsOf(of) === "yes" ? "TLS" : tlsOf(of) === "no" ? <span className="amber"><Warn size={13} />no TLS</span> : "TLS not assessed"}</span>{of.sources.length > 0 && <span>only from <span className="mono">{listed(of.sources, 3)}</span></span>}{of.policy && <span>{of.policy}</span>}{here && <Link to={exposureAddress(of.cluster, of.key)}>this way in</Link>}{of.notAssessed && <span className="amber"><Warn size={13} />not assessed: {of.notAssessed}</span>}</p>
    </>
  );
}

function Images({ of }: { of: GetWorkloadResponse }) {
  const all = of.workload!.images;
  if (all.length === 0) return <p><NotAssessed why="it names no image" /></p>;
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Images it runs">
      <table className="plain">
        <thead><tr><th>Container</th><th>Image</th><th>Vulnerabilities</th><th>Runs for</th><th className="n">Pods</th></tr></thead>
        <tbody>{all.map((i, k) => (
          <tr key={k}><td><span className="clip fix" data-tip={i.container}>{i.container}</span>{i.role && <span className="muted small">{i.role}</span>}</td><td className="loc"><ImageName of={i} /></td><td><ImageVerdict of={i} />{i.scanned > 0n && <p className="muted small">scanned <Ago ns={i.scanned} suffix /></p>}</td><td className="nowrap">{i.since > 0n ? <Since ns={i.since} /> : <span className="muted">not seen running</span>}</td><td className="n">{num(i.pods)}</td></tr>
        ))}</tbody>
      </table>
    </div>
  );
}

export function AlertTable({ of, none, all, total }: { of: readonly Alert[]; none: string; all: string; total: bigint }) {
  if (of.length === 0) return <p className="muted">{none}</p>;
  return (
    <>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="The newest alerts">
        <table className="plain alert-rows"><tbody>{of.slice(0, 8).map((a) => (
          <tr key={a.id}><td className="sev-cell"><SeverityMark of={a.severity} /></td><td className="alert-cell"><Link to={`/alerts/${a.id}`}><span className="clip"><b>{a.title}</b> <span className="muted">{a.summary}</span></span></Link></td><td className="nowrap"><StatusMark of={a.status} /></td><td className="n nowrap"><Ago ns={a.lastSeen} suffix /></td></tr>
        ))}</tbody></table>
      </div>
      <p className="foot"><Link to={all}>{total > 0n ? `All of them, ${num(total)} open` : "All of them"}</Link></p>
    </>
  );
}

function Pods({ of }: { of: GetWorkloadResponse }) {
  if (of.pods.length === 0) return <p className="muted">{of.podsTotal === 0 ? "It has no pod now." : <NotAssessed why="its pods are not told" />}</p>;
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Its pods">
      <table className="plain">
        <thead><tr><th>Pod</th><th>Phase</th><th>Node</th><th>Address</th><th className="n">Restarts</th><th className="n">Started</th></tr></thead>
        <tbody>{of.pods.map((p) => (
          <tr key={p.uid || p.name}><td className="loc"><End tip={`${p.name}\n${p.uid}`}>{p.name}</End></td><td className="nowrap">{p.reason ? <span className="amber" data-tip={p.phase}><Warn size={13} />{p.reason}</span> : p.phase}</td><td className="loc">{p.node ? <Link to={`${clusterAddress(of.workload!.cluster)}?tab=nodes`} className="ref"><End>{p.node}</End></Link> : <NotAssessed why="not placed yet" />}</td><td className="mono nowrap">{p.ip || "–"}</td><td className="n">{num(p.restarts)}</td><td className="n nowrap">{p.started > 0n ? <Ago ns={p.started} suffix /> : "–"}</td></tr>
        ))}</tbody>
      </table>
    </div>
  );
}

/** What whoever takes this workload gets further to, as far as is known. */
function Could({ of }: { of: GetWorkloadResponse }) {
  const w = of.workload!;
  const node = w.powers.some((p) => ["privileged", "hostPID", "SYS_ADMIN", "CAP_SYS_ADMIN"].includes(p)) || w.mounts.length > 0;
  const nodes = new Set(of.pods.map((p) => p.node).filter(Boolean));
  const out: React.ReactNode[] = [];
  if (node) out.push(<><b>Its {nodes.size === 1 ? "node" : `${nodes.size || ""} nodes`}</b>, by {listed([...w.powers, ...w.mounts.map((m) => `the mount of ${m}`)], 4)}{w.sharedWith.length > 0 && <>, and on {nodes.size === 1 ? "it" : "them"} pods of <b>{listed(w.sharedWith, 4)}</b></>}.</>);
  if (of.tokenMounted && w.grants.length) out.push(<><b>The API</b> as <Link to={identityAddress(w.cluster, w.identity)}>its identity</Link>: {listed(w.grants, 6)}.</>);
  if (of.secrets.length) out.push(<><b>{plural(of.secrets.length, "secret")}</b> that it uses: {listed(of.secrets, 4)}.</>);
  if (out.length === 0) return <p className="muted">Neither its node, the API nor a secret, by what is known of its powers, rights and mounts. What network policies and the cloud let through is not weighed here.</p>;
  return <><ul className="reasons">{out.map((x, i) => <li key={i}>{x}</li>)}</ul><p className="muted small">By its powers, rights and mounts. The network and the cloud are not weighed.</p></>;
}
