import { clusters } from "../../api/client";
import type { ExposureRow } from "../../gen/dockreeve/v1/dockreeve_pb";
import { reachSays, riskSays, tlsOf } from "../../lib/cluster";
import { CLUSTER_VALUES, EXPOSURE_FIELDS } from "../../lib/clusterFields";
import { exposureAddress, objectName } from "../../lib/entity";
import { EXPOSURE } from "../../lib/query";
import { ms, utc } from "../../lib/time";
import { Ago, End } from "../../parts/bits";
import { ClusterCoverage, ClusterLink, dash, Kind, NoCluster, Owner, ReachMark, text, WorkloadLink } from "../../parts/cluster";
import { Warn } from "../../parts/icons";
import { type Column, columnsKept } from "../../parts/list/columns";
import { type ListKind, ListScreen } from "../../parts/list/ListScreen";
import type { Source } from "../../parts/list/useList";
import type { Behind } from "../workloads/WorkloadsScreen";

type Row = ExposureRow & { id: string };

export const exposureSource: Source<Row, Behind> = {
  place: EXPOSURE,
  kinds: ["cluster"],
  whole: true,
  page: async (q, signal) => {
    const r = await clusters.listExposures(q, signal ? { signal } : undefined);
    return { rows: r.exposures.map((x) => ({ ...x, id: `${x.cluster}/${x.key}` })), next: r.nextCursor, total: r.total, totalAll: r.totalAll, about: { gaps: r.notAssessed } };
  },
};

const at = (x: ExposureRow) => x.hosts[0] ?? x.addresses[0] ?? "";

const COLUMNS: readonly Column<Row>[] = [
  { key: "reach", label: "Reach", width: "86px", order: "reach", cell: (x) => <ReachMark of={x.reach} />, values: (x) => text("reach", reachSays(x.reach).label) },
  { key: "what", label: "Way in", width: "minmax(160px, 1.6fr)", order: "name", main: true, cell: (x) => <span className="name-digest"><End tip={x.key}>{x.namespace ? `${x.namespace}/${x.name}` : x.name}</End><Kind of={x.kind} />{x.notAssessed && <span className="amber" data-tip={`not assessed: ${x.notAssessed}`}><Warn size={13} /></span>}</span>, values: (x) => [{ key: "way", value: x.key }, { key: "path", value: x.path.join(" > ") }, { key: "not_assessed", value: x.notAssessed }] },
  { key: "workload", label: "To workload", width: "minmax(150px, 1.5fr)", cell: (x) => (x.workloads.length ? <span className="with-tags" data-tip={x.path.join(" → ")}><WorkloadLink cluster={x.cluster} of={x.workloads[0]!} own bare />{x.workloads.length > 1 && <span className="muted more">+{x.workloads.length - 1}</span>}</span> : <span className="faint" data-tip="nothing stands behind it">none</span>), values: (x) => text("workloads", x.workloads.join("; ")) },
  { key: "at", label: "At", width: "minmax(170px, 1.7fr)", cell: (x) => (at(x) ? <span className="did" data-tip={[...x.hosts, ...x.addresses, x.ports.join(", ")].join("\n")}><End tip={[...x.hosts, ...x.addresses, x.ports.join(", ")].join("\n")}>{at(x)}</End><span className="muted nowrap">{x.ports[0] ?? ""}{x.ports.length > 1 ? ` +${x.ports.length - 1}` : ""}{x.tls ? ", TLS" : ""}</span></span> : <span className="clip muted">{x.ports.join(", ") || "no address yet"}</span>), values: (x) => [{ key: "hosts", value: x.hosts.join("; ") }, { key: "addresses", value: x.addresses.join("; ") }, { key: "ports", value: x.ports.join("; ") }] },
  { key: "tls", label: "TLS", width: "34px", cell: (x) => (tlsOf(x) === "not assessed" ? <span className="faint" role="img" aria-label="not assessed" data-tip="not assessed: it passes bytes on">?</span> : tlsOf(x)), values: (x) => text("tls", tlsOf(x)) },
  { key: "sources", label: "Let in", width: "72px", cell: (x) => (x.sources.length ? <span className="clip mono" data-tip={x.sources.join("\n")}>{x.sources[0]}{x.sources.length > 1 ? ` +${x.sources.length - 1}` : ""}</span> : <span className={reachSays(x.reach).outside ? "" : "muted"}>any</span>), values: (x) => text("sources", x.sources.join("; ") || "any") },
  { key: "apps", label: "Is", name: "What it is known to be", width: "76px", cell: (x) => <span className="clip" data-tip={x.apps.join("\n")}>{x.apps.join(", ") || dash}</span>, values: (x) => text("apps", x.apps.join("; ")) },
  { key: "risks", label: "Risks", width: "106px", order: "risk", cell: (x) => (x.risks.length ? <span className="amber" data-tip={x.risks.map(riskSays).join("\n")}><Warn size={13} /><span className="clip">{x.risks.join(", ")}</span></span> : dash), values: (x) => text("risks", x.risks.join("; ")) },
  { key: "owner", label: "Owner", width: "74px", cell: (x) => <Owner of={x.owner} />, values: (x) => text("owner", x.owner) },
  { key: "cluster", label: "Cluster", width: "74px", cell: (x) => <ClusterLink name={x.cluster} own />, values: (x) => text("cluster", x.cluster) },
  { key: "tenant", label: "Tenant", width: "70px", cell: (x) => <span className="clip">{x.tenant || dash}</span>, values: (x) => text("tenant", x.tenant) },
  { key: "policy", label: "Policy", width: "150px", cell: (x) => <span className="clip" data-tip={x.policy}>{x.policy || dash}</span>, values: (x) => text("policy", x.policy) },
  { key: "created", label: "Exists for", width: "70px", order: "created", number: true, cell: (x) => (x.created > 0n ? <Ago ns={x.created} /> : dash), values: (x) => text("created", x.created > 0n ? utc(ms(x.created)) : "") },
];

const kind: ListKind<Row, Behind> = {
  source: exposureSource, title: "Exposure", one: "way in", many: "ways in", fields: EXPOSURE_FIELDS, values: { ...CLUSTER_VALUES, kind: ["Ingress", "Service", "Gateway", "Pod"] }, example: "reach:internet risk:* owner:unowned", ascending: ["name"], cli: "dockreeve exposure list",
  chips: [["Internet", "reach:internet"], ["Restricted", "reach:restricted"], ["Node ports", "reach:node-port,host-port"], ["With risks", "risk:*"], ["Unowned", "owner:unowned"]],
  columns: COLUMNS, kept: columnsKept("columns.exposure", COLUMNS, ["reach", "what", "workload", "at", "sources", "apps", "risks", "owner", "cluster"]), scroll: { top: 0, active: null },
  href: (x) => exposureAddress(x.cluster, x.key), name: (x) => objectName(x.key, true).name,
  card: (x) => <>
    <a href={exposureAddress(x.cluster, x.key)} tabIndex={-1} className="text"><b className="card-name"><End>{`${x.namespace}/${x.name}`}</End></b><span className="muted clip">{at(x)} {x.ports.join(", ")}</span><span className="row card-tags"><ReachMark of={x.reach} /></span></a>
    <span className="side"><Owner of={x.owner} /><span>{tlsOf(x) === "yes" ? "TLS" : tlsOf(x) === "no" ? "no TLS" : ""}</span>{x.risks.length > 0 && <span className="amber clip">{x.risks[0]}</span>}</span>
  </>,
};

/** Every way in from outside, the widest first. */
export default function ExposuresScreen({ search }: { search: string }) {
  return <ListScreen of={kind} search={search} behind={(b) => <><span data-tip="Cloud firewalls and what a load balancer's own rules refuse are outside the cluster's objects, and not assessed">firewalls of the cloud not assessed</span><ClusterCoverage gaps={b?.gaps ?? []} only /></>} empty={() => <NoCluster what="no way in is known" />} />;
}
