import { clusters } from "../../api/client";
import type { AuditRow, Gap } from "../../gen/dockreeve/v1/dockreeve_pb";
import { didWhat, fromSays, outcome, who } from "../../lib/audit";
import { modelName, modelShort } from "../../lib/cluster";
import { AUDIT_FIELDS, CLUSTER_VALUES } from "../../lib/clusterFields";
import { auditAddress } from "../../lib/entity";
import { VALUES } from "../../lib/fields";
import { AUDIT, CLUSTERS } from "../../lib/query";
import { exact, ms, num, utc } from "../../lib/time";
import { Ago, End, Link } from "../../parts/bits";
import { ClusterCoverage, ClusterLink, dash, IdentityLink, text } from "../../parts/cluster";
import { Warn } from "../../parts/icons";
import { type Column, columnsKept } from "../../parts/list/columns";
import { type ListKind, ListScreen } from "../../parts/list/ListScreen";
import type { ListState, Source } from "../../parts/list/useList";

interface Behind { gaps: Gap[]; since: bigint }

export const auditSource: Source<AuditRow, Behind> = {
  place: AUDIT,
  kinds: ["audit"],
  page: async (q, signal) => {
    const r = await clusters.listAudit({ filter: q.filter, pageSize: q.pageSize, cursor: q.cursor ?? "" }, signal ? { signal } : undefined);
    // Of all that is kept only the matching ones are counted; that something is kept at all shows in since.
    return { rows: r.events, next: r.nextCursor, total: r.total, totalAll: r.total !== 0n || r.keptSince > 0n ? r.total || 1n : 0n, about: { gaps: r.notAssessed, since: r.keptSince } };
  },
};

const subject = (a: AuditRow) => [a.namespace, a.name].filter(Boolean).join("/");

export function Outcome({ a }: { a: AuditRow }) {
  const o = outcome(a);
  return <span className={`clip${o.bad ? " refused" : ""}`} data-tip={a.reason || a.decision || undefined}>{o.word}</span>;
}

const From = ({ a }: { a: AuditRow }) => <span className="clip" data-tip={`${fromSays(a.from)}${a.fromName ? ` ${a.fromName}` : ""}\n${a.sources.join(", ")}`}>{a.from === "internet" ? <b>{a.sources[0] ?? "internet"}</b> : <>{a.fromName || fromSays(a.from)}</>}</span>;

const COLUMNS: readonly Column<AuditRow>[] = [
  { key: "time", label: "When", width: "52px", cell: (a) => <Ago ns={a.time} suffix={false} />, values: (a) => text("time", utc(ms(a.time))) },
  { key: "who", label: "Who", width: "minmax(150px, 1.5fr)", cell: (a) => <span className="with-tags"><IdentityLink cluster={a.cluster} of={a.identity || (a.user && `user:${a.user}`)} own />{a.impersonator && <span className="muted kind" data-tip={`impersonated by ${a.impersonator}`}>by other</span>}</span>, values: (a) => [{ key: "identity", value: a.identity }, { key: "user", value: a.user }, { key: "impersonated_by", value: a.impersonator }] },
  { key: "what", label: "What it did", width: "minmax(200px, 2.4fr)", main: true, cell: (a) => <span className="did"><span className="nowrap" data-tip={`${a.verb} ${a.resource}`}>{didWhat({ ...a, namespace: "", name: "" }, true)}</span>{subject(a) && <span className="muted"><End>{subject(a)}</End></span>}</span>, values: (a) => [{ key: "id", value: a.id }, { key: "verb", value: a.verb }, { key: "resource", value: a.resource }, { key: "namespace", value: a.namespace }, { key: "name", value: a.name }] },
  { key: "code", label: "Answer", width: "80px", cell: (a) => <Outcome a={a} />, values: (a) => [{ key: "code", value: a.code || "" }, { key: "decision", value: a.decision }] },
  { key: "from", label: "From", width: "minmax(110px, 1fr)", cell: (a) => <From a={a} />, values: (a) => [{ key: "from", value: a.from }, { key: "from_name", value: a.fromName }, { key: "sources", value: a.sources.join("; ") }] },
  { key: "agent", label: "With", name: "With which program", width: "108px", cell: (a) => <span className="clip" data-tip={a.agent}>{a.agent || dash}</span>, values: (a) => text("agent", a.agent) },
  { key: "unusual", label: "Unusual", width: "98px", cell: (a) => (a.unusual.length ? <span className="amber" data-tip={a.unusual.map(modelName).join("\n")}><Warn size={13} /><span className="clip">{a.unusual.map(modelShort).join(", ")}</span></span> : dash), values: (a) => text("unusual", a.unusual.join("; ")) },
  { key: "cluster", label: "Cluster", width: "76px", cell: (a) => <ClusterLink name={a.cluster} own />, values: (a) => text("cluster", a.cluster) },
  { key: "source", label: "Address", width: "110px", cell: (a) => <span className="clip mono" data-tip={a.sources.join("\n")}>{a.sources[0] ?? dash}</span>, values: () => [] },
  { key: "exact", label: "Exact time (UTC)", width: "170px", cell: (a) => <span className="mono clip" data-tip={exact(a.time)}>{utc(ms(a.time)).slice(0, 23)}</span>, values: () => [] },
  { key: "stage", label: "Stage", width: "110px", cell: (a) => <span className="clip">{a.stage || dash}</span>, values: (a) => [{ key: "stage", value: a.stage }, { key: "level", value: a.level }] },
];

const kind: ListKind<AuditRow, Behind> = {
  source: auditSource, title: "Audit", one: "request", many: "requests", fields: AUDIT_FIELDS, values: { ...VALUES, ...CLUSTER_VALUES }, example: "verb:create resource:pods/exec -from:node age:<1h", ascending: [], cli: "dockreeve audit list",
  chips: [["Unusual", "unusual:*"], ["Refused", "decision:forbid"], ["Secrets", "resource:secrets"], ["Into pods", "resource:pods/exec,pods/attach,pods/portforward,pods/ephemeralcontainers"], ["Rights", "resource:*bindings*,*roles*"], ["From the internet", "from:internet"]],
  columns: COLUMNS, kept: columnsKept("columns.audit", COLUMNS, ["time", "who", "what", "code", "from", "agent", "unusual", "cluster"]), scroll: { top: 0, active: null },
  href: (a) => auditAddress(a.id), name: (a) => `${who(a.identity, a.user)} ${didWhat(a)}`,
  card: (a) => <>
    <a href={auditAddress(a.id)} tabIndex={-1} className="text"><b className="card-name"><End>{who(a.identity, a.user)}</End></b><span className="two">{didWhat(a, true)}</span></a>
    <span className="side"><Ago ns={a.time} /><Outcome a={a} />{a.unusual.length > 0 && <span className="amber">unusual</span>}</span>
  </>,
};

/** Who did what through the API servers, newest first. */
export default function AuditScreen({ search }: { search: string }) {
  return <ListScreen of={kind} search={search} behind={(b) => <>{b && b.since > 0n && <span data-tip={`older requests are gone; kept since\n${exact(b.since)}`}><span>kept since <Ago ns={b.since} suffix plain /></span></span>}<span data-tip="Leases, health checks, watches and reads by the control plane, kubelets and add-ons are summed up on their identities' pages, not kept one by one: they are most of the traffic and tell nothing.">reads by the platform are only counted</span><ClusterCoverage gaps={b?.gaps ?? []} api /></>}
    counts={(s) => (s.about?.since === 0n ? "No request is kept" : s.total < 0n ? <><b>More than 10{"\u202f"}000</b> requests match</> : <><b>{num(s.total)}</b> {s.total === 1n ? "request matches" : "requests match"}</>)}
    none={() => "No request that is kept matches this filter"} empty={(s) => <Empty of={s} />} />;
}

function Empty({ of }: { of: ListState<AuditRow, Behind> }) {
  return (
    <div className="empty">
      <h2 className="row"><Warn />No request is kept, because no API server is watched</h2>
      {of.about?.gaps.map((g, i) => <p key={i}>{g.what}: {g.reason}</p>)}
      <p>The cluster agent takes audit events by webhook, from a file, or from Azure Event Hubs. Which fits, and the exact settings:</p>
      <p><Link to={CLUSTERS.path}>Clusters, and what of each is watched</Link></p>
    </div>
  );
}
