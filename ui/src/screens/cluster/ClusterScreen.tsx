import { useEffect } from "react";
import { clusters } from "../../api/client";
import type { Baseline, ClusterNamespace, ClusterNode, GetClusterResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import { useNow } from "../../lib/clock";
import { behindIn, clusterState, cores, gib, learned, modelName, modelSays } from "../../lib/cluster";
import { clusterAddress } from "../../lib/entity";
import { addressOf, ALERTS, AUDIT, CLUSTERS, EXPOSURE, filtered, IDENTITIES, quote, WORKLOADS } from "../../lib/query";
import { exact, ms, num, plural } from "../../lib/time";
import { Ago, Copy, End, Link, NotAssessed, Since } from "../../parts/bits";
import { GapList, Owner } from "../../parts/cluster";
import { Crumb, Nothing, NotUpToDate, useEntity, useEntityKeys } from "../../parts/entity";
import { Check, Warn } from "../../parts/icons";
import { type Tab, Tabs } from "../../parts/Tabs";
import { AlertsBySeverity, clusterSource, LastWord } from "../clusters/ClustersScreen";

/** One cluster at its stable address, /clusters/<name>. */
export default function ClusterScreen({ name, search }: { name: string; search: string }) {
  const e = useEntity<GetClusterResponse>(name, ["cluster", "status"], async (k, signal) => { const r = await clusters.getCluster({ name: k }, signal ? { signal } : undefined); return r.cluster ? r : null; }, (t) => t.ids.size === 0 || t.ids.has(name));
  useEntityKeys(clusterSource, name, clusterAddress);
  const now = useNow();
  const c = e.got?.cluster;
  useEffect(() => { document.title = `${c?.name ?? "Cluster"} · Dockreeve`; }, [c]);
  const crumb = <Crumb source={clusterSource} title="Clusters" name={name} address={clusterAddress(name)} />;
  if (!e.got || !c) return <div className="page">{crumb}<Nothing of={e} what="the cluster" gone={<p><Link to={CLUSTERS.path}>All clusters</Link></p>} /></div>;
  const s = clusterState(c, now);
  const stale = behindIn(c);
  const of = `cluster:${quote(c.name)}`;
  const blind = e.got.nodes.filter((n) => !n.watched).length;
  const tabs: Tab[] = [
    { key: "nodes", label: "Nodes", count: num(e.got.nodes.length), warn: blind > 0, body: () => <Nodes of={e.got!.nodes} cluster={c.name} /> },
    { key: "namespaces", label: "Namespaces", count: num(e.got.namespaces.length), body: () => <Namespaces of={e.got!.namespaces} cluster={c.name} /> },
    { key: "baselines", label: "Learned", count: num(e.got.baselines.length), body: () => <Baselines of={e.got!.baselines} api={s.api} /> },
    { key: "gaps", label: "Not assessed", count: num(c.gaps.length), warn: c.gaps.length > 0, body: () => <GapList of={c.gaps} none="Nothing of it that is known is left out." /> },
  ];
  return (
    <div className="page image">
      {crumb}
      <header className="alert-head">
        <p className="kicker"><b className="wrap">{c.name}</b><span className="muted">{[c.platform, c.version].filter(Boolean).join(" ") || "platform not known"}</span></p>
        <h1>{plural(c.workloads, "workload")} in {plural(c.namespaces, "namespace")}, {plural(c.pods, "pod")} on {plural(c.nodes, "node")}; {c.exposed === 0 ? "nothing is seen exposed to the internet" : `${plural(c.exposed, "way")} in from the internet`}.</h1>
        <div className="acts">
          <Link className="btn" to={filtered(WORKLOADS, of)}>Workloads</Link>
          <Link className="btn" to={filtered(IDENTITIES, of)}>Identities</Link>
          <Link className="btn" to={filtered(EXPOSURE, of)}>Exposure</Link>
          <Link className="btn" to={filtered(AUDIT, of)}>Audit</Link>
          <Link className="btn" to={addressOf({ ...ALERTS.view, filter: of })}>Alerts</Link>
        </div>
        <NotUpToDate of={e} />
      </header>
      <ul className="cover" aria-label="What is watched">
        <Cover good={s.watched && stale === 0} title="Inventory">{s.watched && stale > 0 ? <>not up to date: the agent reports, but what changed in {plural(stale, "kind")} of objects is not known: <Link to={`${clusterAddress(c.name)}?tab=gaps`}>see since when, and why</Link></> : s.inspected ? <>looked at once, <Ago ns={c.reported} suffix />: what changed since is not known</> : s.watched ? <>kept without a break {c.since > 0n ? <>for <Since ns={c.since} /></> : "since a time that is not told"}; last word <LastWord c={c} long /></> : <>its agent is silent; last word <LastWord c={c} long /></>}</Cover>
        <Cover good={s.nodesAll} title="Nodes">the kernel of {s.nodes} is watched{s.nodesAll ? "" : <>: <Link to={`${clusterAddress(c.name)}?tab=nodes`}>see which not, and why</Link></>}</Cover>
        <Cover good={s.api} title="API server">{s.api ? <>watched by {s.apiSays}; {num(c.audited)} events{c.auditLast > 0n && <>, the last one <Ago ns={c.auditLast} suffix /></>}</> : "not watched: who does what through it is not assessed"}</Cover>
      </ul>
      <dl className="dl wide-facts">
        <div><dt>open alerts</dt><dd><AlertsBySeverity c={c} /></dd></div>
        <div><dt>unowned</dt><dd>{c.unowned === 0 ? <span>none of {plural(c.workloads, "workload")}</span> : <Link to={filtered(WORKLOADS, `owner:unowned ${of}`)}>{plural(c.unowned, "workload")}</Link>}</dd></div>
        <div><dt>tenants</dt><dd>{c.tenants > 0 ? num(c.tenants) : <span className="muted">none configured</span>}</dd></div>
        <div><dt>agent</dt><dd>{c.agent || <span className="muted">none: inspected from outside</span>}</dd></div>
        <div><dt>API server at</dt><dd>{c.server ? <><End mono>{c.server}</End><Copy text={c.server} what="address" /></> : <NotAssessed why="not told" />}</dd></div>
        <div><dt>uid</dt><dd>{c.uid ? <><End mono>{c.uid}</End><Copy text={c.uid} what="uid" /></> : <NotAssessed why="not told" />}</dd></div>
        {c.resourceId && <div className="full"><dt>resource id</dt><dd><End mono>{c.resourceId}</End><Copy text={c.resourceId} what="resource id" /></dd></div>}
      </dl>
      <Tabs of={tabs} search={search} address={clusterAddress(c.name)} label="Parts of the cluster" />
    </div>
  );
}

const Cover = ({ good, title, children }: { good: boolean; title: string; children: React.ReactNode }) => <li className={good ? "good" : "warn"}>{good ? <Check /> : <Warn />}<b>{title}</b><span>{children}</span></li>;

function Nodes({ of, cluster }: { of: readonly ClusterNode[]; cluster: string }) {
  if (of.length === 0) return <p><NotAssessed why="its nodes are not told: may the agent list nodes?" /></p>;
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Nodes">
      <table className="plain wide-table">
        <thead><tr><th>Node</th><th>Kernel watched</th><th>OS image</th><th>Kernel</th><th>Kubelet</th><th>Runtime</th><th className="n">Pods</th><th>Size</th><th>Tenants</th><th>Owner</th></tr></thead>
        <tbody>
          {of.map((n) => (
            <tr key={n.name}>
              <td className="node-name"><End tip={`${n.name}\n${n.addresses.join("\n")}`}>{n.name}</End>{!n.ready && <p className="amber small"><Warn size={12} />not ready</p>}</td>
              <td className="state">{n.watched ? <span className="row"><Check size={14} />{n.since > 0n ? <>for <Since ns={n.since} /></> : "yes"}</span> : <span className="amber"><Warn size={13} /><span>not watched: {n.notAssessed || "no sensor reports from it"}</span></span>}</td>
              <td><span className="clip fix" data-tip={n.osImage}>{n.osImage || "not told"}</span></td>
              <td className="nowrap"><span className="clip fix" data-tip={n.kernel}>{n.kernel || "not told"}</span></td>
              <td className="nowrap">{n.kubelet || "not told"}</td>
              <td className="nowrap"><span className="clip fix" data-tip={n.runtime}>{n.runtime || "not told"}</span></td>
              <td className="n"><Link to={addressOf({ ...ALERTS.view, filter: `node:${quote(n.name)}` })} data-tip="alerts of this node">{num(n.pods)}</Link></td>
              <td className="nowrap" data-tip={`${n.instanceType || "instance type not told"}, ${n.arch}`}>{n.cpuMillicores > 0n ? `${cores(n.cpuMillicores)} cores, ${gib(n.memoryBytes)}` : "not told"}</td>
              <td><Tenants of={n.tenants} cluster={cluster} /></td>
              <td><Owner of={n.owner} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Tenants({ of, cluster }: { of: readonly string[]; cluster: string }) {
  if (of.length === 0) return <span className="faint">–</span>;
  return <span className="tenants">{of.slice(0, 3).map((t, i) => <span key={t}>{i > 0 && ", "}<Link to={filtered(WORKLOADS, `cluster:${quote(cluster)} tenant:${quote(t)}`)}><bdi className="wrap">{t}</bdi></Link></span>)}{of.length > 3 && <span className="muted" data-tip={of.slice(3).join("\n")}> +{of.length - 3}</span>}{of.length > 1 && <p className="muted small">shared</p>}</span>;
}

function Namespaces({ of, cluster }: { of: readonly ClusterNamespace[]; cluster: string }) {
  if (of.length === 0) return <p><NotAssessed why="its namespaces are not told: may the agent list namespaces?" /></p>;
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Namespaces">
      <table className="plain wide-table">
        <thead><tr><th>Namespace</th><th>Owner</th><th>Owner read from</th><th>Tenant</th><th>Isolated</th><th>Pod security</th><th className="n">Pods</th><th>Exists for</th></tr></thead>
        <tbody>
          {of.map((n) => (
            <tr key={n.name}>
              <td className="loc"><Link to={filtered(WORKLOADS, `cluster:${quote(cluster)} namespace:${quote(n.name)}`)}><End>{n.name}</End></Link></td>
              <td><Owner of={n.owner} from={n.ownerFrom} /></td>
              <td><span className="clip fix muted" data-tip={n.ownerFrom}>{n.ownerFrom || "–"}</span></td>
              <td>{n.tenant ? <span className="clip fix">{n.tenant}</span> : <span className="faint">–</span>}</td>
              <td className="state">{n.isolatedNotAssessed ? <NotAssessed why={n.isolatedNotAssessed} /> : n.isolated ? <span className="row"><Check size={14} />yes</span> : <span data-tip="no network policy limits what reaches all its pods">no</span>}</td>
              <td>{n.podSecurity || <span className="muted" data-tip="no label enforces a level">none enforced</span>}</td>
              <td className="n">{num(n.pods)}</td>
              <td className="nowrap">{n.since > 0n ? <Since ns={n.since} /> : <span className="muted">not told</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Progress({ of: b, now }: { of: Baseline; now: number }) {
  const p = learned(b.since, b.readyAt, b.ready, now);
  if (b.ready) return <span className="row"><Check size={14} />judges</span>;
  return (
    <span>
      <span className="progress" role="img" aria-label={p === null ? "progress not known" : `${Math.floor(p * 100)} % learned`}><span style={{ width: `${Math.round((p ?? 0) * 100)}%` }} /></span>
      <span className="small muted" data-tip={b.readyAt > 0n ? exact(b.readyAt) : undefined}>learning{p === null ? "" : ` ${Math.floor(p * 100)} %`}{b.readyAt > 0n && ms(b.readyAt) > now ? `, ready in ${Math.max(1, Math.ceil((ms(b.readyAt) - now) / 3.6e6))} h` : ", judges nothing yet"}</span>
    </span>
  );
}

/** The same for the models that judge one identity, where there is little room. */
export function Learning({ of }: { of: readonly Baseline[] }) {
  const now = useNow();
  return <ul className="learning">{of.map((b) => <li key={b.model}><b>{modelName(b.model)}</b><span className="muted">{num(b.known)} habits of {num(b.events)} events{b.since > 0n && <>, since <Ago ns={b.since} suffix /></>}</span><Progress of={b} now={now} /></li>)}</ul>;
}

/** What is usual here, as learned: how much, for how long, and when it will judge. */
export function Baselines({ of, api }: { of: readonly Baseline[]; api: boolean }) {
  const now = useNow();
  if (of.length === 0) return <p><NotAssessed why={api ? "nothing has been learned yet" : "the API server is not watched, so what is usual cannot be learned"} /></p>;
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Learned">
      <table className="plain">
        <thead><tr><th>Model</th><th>Learns</th><th>Since</th><th className="n">From events</th><th className="n">Habits known</th><th>State</th></tr></thead>
        <tbody>
          {of.map((b) => {
            return (
              <tr key={b.model}>
                <td><b>{modelName(b.model)}</b></td><td>{modelSays(b.model) || <span className="muted">not described</span>}</td>
                <td className="nowrap">{b.since > 0n ? <Ago ns={b.since} suffix /> : <NotAssessed why="no event yet" />}</td>
                <td className="n">{num(b.events)}</td><td className="n">{num(b.known)}</td>
                <td className="state"><Progress of={b} now={now} /></td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
