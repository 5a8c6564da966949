import { useEffect, useState } from "react";
import { clusters, sentence } from "../../api/client";
import { known } from "../../api/live";
import type { ClusterRow, CreateJoinTokenResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import { useAtom } from "../../lib/atom";
import { useNow } from "../../lib/clock";
import { behindIn, clusterState, covered, gapText } from "../../lib/cluster";
import { CLUSTER_FIELDS, CLUSTER_VALUES } from "../../lib/clusterFields";
import { clusterAddress } from "../../lib/entity";
import { addressOf, ALERTS, CLUSTERS, EXPOSURE, filtered, quote, WORKLOADS } from "../../lib/query";
import { go } from "../../lib/route";
import { exact, ms, num, utc } from "../../lib/time";
import { Ago, Command, Dialog, End, Link } from "../../parts/bits";
import { ClusterCoverage, dash, NoCluster, text } from "../../parts/cluster";
import { Keys, Warn } from "../../parts/icons";
import { type Column, columnsKept } from "../../parts/list/columns";
import { type ListKind, ListScreen } from "../../parts/list/ListScreen";
import type { Source } from "../../parts/list/useList";
import { SeverityMark } from "../../parts/marks";

type Row = ClusterRow & { id: string };

export const clusterSource: Source<Row, null> = {
  place: CLUSTERS,
  kinds: ["cluster", "alert"],
  whole: true,
  page: async (q, signal) => {
    const r = await clusters.listClusters(q, signal ? { signal } : undefined);
    return { rows: r.clusters.map((c) => ({ ...c, id: c.name })), next: r.nextCursor, total: r.total, totalAll: r.totalAll, about: null };
  },
};

/** A link within a row, for a count that has a list of its own. */
const Count = ({ n, to, tip }: { n: number | bigint; to: string; tip: string }) => (BigInt(n) === 0n ? <span className="faint" data-tip={tip}>0</span> : <Link data-own="" tabIndex={-1} to={to} data-tip={tip}>{num(n)}</Link>);
const of = (c: ClusterRow) => `cluster:${quote(c.name)}`;

export function Api({ c }: { c: ClusterRow }) {
  const s = clusterState(c, useNow());
  return s.api
    ? <span className="clip" data-tip={`${num(c.audited)} events${c.auditSince > 0n ? ` since\n${exact(c.auditSince)}` : ""}${c.auditLast > 0n ? `\nthe last one\n${exact(c.auditLast)}` : ""}`}>{s.apiShort}</span>
    : <span className="amber"><Warn size={13} />not watched</span>;
}

export function AlertsBySeverity({ c, own = false }: { c: ClusterRow; own?: boolean }) {
  const rest = c.alertsOpen - c.alertsCritical - c.alertsHigh;
  const tip = `${num(c.alertsOpen)} open: ${num(c.alertsCritical)} critical, ${num(c.alertsHigh)} high, ${num(rest)} of lower severity`;
  return (
    <Link data-own="" to={addressOf({ ...ALERTS.view, filter: `${of(c)} status:open` })} className="sevs triple" data-tip={tip} {...(own ? { tabIndex: -1 } : {})}>
      <span className={c.alertsCritical ? "" : "none"}><SeverityMark of={5} word="" size={14} />{num(c.alertsCritical)}<span className="sr"> critical</span></span>
      <span className={c.alertsHigh ? "" : "none"}><SeverityMark of={4} word="" size={14} />{num(c.alertsHigh)}<span className="sr"> high</span></span>
      <span className={rest ? "" : "none"}>+{num(rest)}<span className="sr"> of lower severity</span></span>
    </Link>
  );
}

/** When its agent last spoke, and whether that is how it should be. */
export function LastWord({ c, long = false }: { c: ClusterRow; long?: boolean }) {
  if (c.agent === "") return <span className="amber" data-tip={`looked at once, from outside${c.reported > 0n ? `\n${exact(c.reported)}` : ""}`}>{long ? <>inspected once, <Ago ns={c.reported} suffix plain /></> : <><Warn size={13} />once</>}</span>;
  return c.connected ? <span><Ago ns={c.reported} suffix={long} /></span> : <span className="amber"><Warn size={13} /><Ago ns={c.reported} suffix={long} /></span>;
}

const COLUMNS: readonly Column<Row>[] = [
  { key: "name", label: "Cluster", width: "minmax(150px, 1.6fr)", order: "name", main: true, cell: (c) => <span className="name-digest"><End tip={`${c.name}\n${c.resourceId || c.server || c.uid}`}>{c.name}</End></span>, values: (c) => [{ key: "cluster", value: c.name }, { key: "uid", value: c.uid }, { key: "resource_id", value: c.resourceId }] },
  { key: "version", label: "Platform", width: "128px", cell: (c) => <span className="clip" data-tip={`${c.platform || "platform not known"}, Kubernetes ${c.version || "not known"}`}>{c.platform || <span className="muted">not known</span>} <span className="muted">{c.version}</span></span>, values: (c) => [{ key: "platform", value: c.platform }, { key: "version", value: c.version }] },
  { key: "nodes", label: "Nodes", name: "Nodes watched", width: "74px", number: true, cell: (c) => { const s = clusterState(c, 0); return s.nodesAll ? s.nodes : <span className="amber" data-tip={`a sensor watches the kernel of ${s.nodes} nodes`}>{s.nodes}</span>; }, values: (c) => [{ key: "nodes_watched", value: c.nodesWatched }, { key: "nodes", value: c.nodes }] },
  { key: "api", label: "API server watched", width: "minmax(150px, 1.5fr)", cell: (c) => <Api c={c} />, values: (c) => [{ key: "audit", value: c.auditMode || "not watched" }, { key: "audit_as", value: c.auditAs }, { key: "audit_since", value: c.auditSince > 0n ? utc(ms(c.auditSince)) : "" }] },
  { key: "workloads", label: "Workloads", width: "68px", number: true, cell: (c) => c.workloads === 0 && behindIn(c) > 0 ? <span className="muted" data-tip="not assessed: its objects are not read yet">?</span> : <Count n={c.workloads} to={filtered(WORKLOADS, of(c))} tip={`${num(c.pods)} pods in ${num(c.namespaces)} namespaces`} />, values: (c) => [{ key: "workloads", value: c.workloads }, { key: "pods", value: c.pods }] },
  { key: "exposed", label: "Exposed", name: "Exposed to the internet", width: "60px", number: true, cell: (c) => <Count n={c.exposed} to={filtered(EXPOSURE, `reach:internet ${of(c)}`)} tip="ways in from the internet" />, values: (c) => [{ key: "exposed_to_internet", value: c.exposed }] },
  { key: "unowned", label: "Unowned", width: "62px", number: true, cell: (c) => <Count n={c.unowned} to={filtered(WORKLOADS, `owner:unowned ${of(c)}`)} tip="workloads that nobody claims" />, values: (c) => [{ key: "unowned", value: c.unowned }] },
  { key: "alerts", label: "Open alerts", width: "126px", order: "alerts", cell: (c) => <AlertsBySeverity c={c} own />, values: (c) => [{ key: "alerts_open", value: Number(c.alertsOpen) }, { key: "alerts_critical", value: Number(c.alertsCritical) }, { key: "alerts_high", value: Number(c.alertsHigh) }] },
  { key: "reported", label: "Last word", name: "Last word of its agent", width: "66px", order: "reported", number: true, cell: (c) => <LastWord c={c} />, values: (c) => [{ key: "reported", value: c.reported > 0n ? utc(ms(c.reported)) : "never" }, { key: "agent", value: c.agent || "inspected once" }] },
  { key: "gaps", label: "Gaps", width: "44px", number: true, cell: (c) => (c.gaps.length ? <span className="amber" data-tip={c.gaps.slice(0, 8).map(gapText).join("\n")}><Warn size={13} />{c.gaps.length}</span> : <span className="faint" data-tip="nothing of it that is known is left out">0</span>), values: (c) => [{ key: "not_assessed", value: c.gaps.map((g) => g.what).join("; ") }] },
  { key: "pods", label: "Pods", width: "60px", number: true, cell: (c) => num(c.pods), values: () => [] },
  { key: "tenants", label: "Tenants", width: "60px", number: true, cell: (c) => (c.tenants ? num(c.tenants) : <span className="faint" data-tip="no tenants are configured">–</span>), values: (c) => [{ key: "tenants", value: c.tenants || "not configured" }] },
  { key: "server", label: "Address", width: "170px", cell: (c) => (c.server ? <End mono>{c.server}</End> : dash), values: (c) => text("server", c.server) },
  { key: "agent", label: "Agent", width: "90px", cell: (c) => <span className="clip">{c.agent || <span className="muted">none</span>}</span>, values: () => [] },
];

const kind: ListKind<Row, null> = {
  source: clusterSource, title: "Clusters", one: "cluster", many: "clusters", fields: CLUSTER_FIELDS, values: { ...CLUSTER_VALUES, platform: ["AKS", "EKS", "GKE", "OpenShift", "k3s"] }, example: "audited:no platform:AKS", ascending: ["name"], cli: "dockreeve cluster list",
  chips: [["Silent", "age:>5m"], ["API server not watched", "audited:no"], ["With alerts", "alerts:>0"]],
  columns: COLUMNS, kept: columnsKept("columns.clusters", COLUMNS, ["name", "version", "nodes", "api", "workloads", "exposed", "unowned", "alerts", "reported", "gaps"]), scroll: { top: 0, active: null },
  href: (c) => clusterAddress(c.name), name: (c) => c.name,
  card: (c) => <>
    <a href={clusterAddress(c.name)} tabIndex={-1} className="text"><b className="card-name"><End>{c.name}</End></b><span className="muted clip">{c.platform} {c.version}, {clusterState(c, 0).nodes} nodes watched</span><span className="clip small"><Api c={c} /></span></a>
    <span className="side"><LastWord c={c} /><span>{num(c.alertsOpen)} alerts</span></span>
  </>,
};

/** Every cluster that reports or was looked at, and what of it is watched. */
export default function ClustersScreen({ search }: { search: string }) {
  const join = new URLSearchParams(search).has("join");
  const all = useAtom(known);
  const c = all && covered(all);
  return (
    <>
      <ListScreen of={kind} search={search} behind={() => <ClusterCoverage />} empty={() => <NoCluster what="nothing is known of any" />}
        tools={c && c.of > 0 ? <button type="button" className="btn plain" onClick={() => go(`${CLUSTERS.path}?join=1`)}><Keys size={14} /><span className="wide-only">Join a cluster</span></button> : undefined} />
      {join && <Join onClose={() => go(CLUSTERS.path, true)} />}
    </>
  );
}

/** A token with which an agent joins once. It is shown once and never stored here. */
function Join({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<"cluster" | "node">("cluster");
  const [made, setMade] = useState<CreateJoinTokenResponse | null>(null);
  const [error, setError] = useState("");
  const now = useNow();
  useEffect(() => { setMade(null); setError(""); }, [name, role]);
  const make = () => {
    setError("");
    clusters.createJoinToken({ role, cluster: name.trim(), ttlSeconds: 3600n }).then(setMade).catch((err) => setError(sentence(err)));
  };
  return (
    <Dialog title="Join a cluster" onClose={onClose} wide>
      <form onSubmit={(e) => { e.preventDefault(); if (name.trim()) make(); }}>
        <div className="body">
          <p>A token lets one agent join once, within an hour. The agent then has a certificate of its own.</p>
          <label className="stack"><span>Name of the cluster</span><input className="input" data-first maxLength={253} value={name} onChange={(e) => setName(e.target.value)} placeholder="prod-westeurope" spellCheck={false} autoComplete="off" /></label>
          <fieldset className="stack choices"><legend>What joins</legend>
            <label className="row"><input type="radio" name="role" checked={role === "cluster"} onChange={() => setRole("cluster")} />the cluster agent: inventory and API server</label>
            <label className="row"><input type="radio" name="role" checked={role === "node"} onChange={() => setRole("node")} />a node: its kernel</label>
          </fieldset>
          {error && <p className="field-error" role="alert">No token was made: {error}</p>}
          {made && (
            <>
              <p>Shown once; it runs out in {Math.max(0, Math.round((ms(made.expires) - now) / 60_000))} minutes:</p>
              <Command>{made.token}</Command>
              {made.caHash && <p className="muted">The hub's authority, to compare: <code className="wrap">{made.caHash}</code></p>}
              <p className="muted">How to give it to the agent is told by <code>dockreeve {role === "cluster" ? "cluster" : "node"} --help</code>; the hub is <code>{location.origin}</code>.</p>
            </>
          )}
        </div>
        <div className="foot"><button type="button" className="btn" onClick={onClose}>Close</button><button type="submit" className="btn strong" disabled={!name.trim() || made !== null}>Make the token</button></div>
      </form>
    </Dialog>
  );
}
