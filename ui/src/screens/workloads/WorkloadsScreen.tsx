import { clusters } from "../../api/client";
import type { Gap, WorkloadRow } from "../../gen/dockreeve/v1/dockreeve_pb";
import { reachSays, verdictOf } from "../../lib/cluster";
import { CLUSTER_VALUES, WORKLOAD_FIELDS } from "../../lib/clusterFields";
import { workloadAddress } from "../../lib/entity";
import { VALUES } from "../../lib/fields";
import { addressOf, ALERTS, quote, WORKLOADS } from "../../lib/query";
import { ms, num, utc } from "../../lib/time";
import { Ago, End } from "../../parts/bits";
import { Alerts, ClusterCoverage, ClusterLink, dash, IdentityLink, Kind, NoCluster, Owner, Powers, ReachMark, text, Verdict } from "../../parts/cluster";
import { type Column, columnsKept } from "../../parts/list/columns";
import { type ListKind, ListScreen } from "../../parts/list/ListScreen";
import type { Source } from "../../parts/list/useList";
import { severityName } from "../../parts/marks";

type Row = WorkloadRow & { id: string };
export interface Behind { gaps: Gap[] }

export const workloadSource: Source<Row, Behind> = {
  place: WORKLOADS,
  kinds: ["cluster", "alert", "image"],
  whole: true,
  page: async (q, signal) => {
    const r = await clusters.listWorkloads(q, signal ? { signal } : undefined);
    return { rows: r.workloads.map((w) => ({ ...w, id: `${w.cluster}/${w.key}` })), next: r.nextCursor, total: r.total, totalAll: r.totalAll, about: { gaps: r.notAssessed } };
  },
};

export const alertsOf = (w: Pick<WorkloadRow, "cluster" | "key">) => addressOf({ ...ALERTS.view, filter: `cluster:${quote(w.cluster)} workload:${quote(w.key)}` });
export const Ready = ({ w }: { w: WorkloadRow }) => (w.schedule ? <span className="muted clip" data-tip={`runs at ${w.schedule}`}>{num(w.pods)} pods</span> : <span className={w.ready < w.wanted ? "amber" : ""} data-tip={`${w.ready} of ${w.wanted} ready, ${w.pods} pods`}>{w.ready}/{w.wanted}</span>);

const COLUMNS: readonly Column<Row>[] = [
  { key: "workload", label: "Workload", width: "minmax(176px, 2fr)", order: "name", main: true, cell: (w) => <span className="name-digest"><End tip={`${w.key}\n${w.cluster}`}>{`${w.namespace}/${w.name}`}</End><Kind of={w.kind} /></span>, values: (w) => [{ key: "workload", value: w.key }, { key: "namespace", value: w.namespace }, { key: "kind", value: w.kind }, { key: "name", value: w.name }] },
  { key: "cluster", label: "Cluster", width: "78px", cell: (w) => <ClusterLink name={w.cluster} own />, values: (w) => text("cluster", w.cluster) },
  { key: "owner", label: "Owner", width: "78px", cell: (w) => <Owner of={w.owner} from={w.ownerFrom} quiet={w.platform} />, values: (w) => [{ key: "owner", value: w.owner }, { key: "owner_from", value: w.ownerFrom }] },
  { key: "tenant", label: "Tenant", width: "62px", cell: (w) => (w.tenant ? <span className="clip" data-tip={w.sharedWith.length ? `${w.tenant}\nshares nodes with ${w.sharedWith.join(", ")}` : w.tenant}>{w.tenant}</span> : dash), values: (w) => [{ key: "tenant", value: w.tenant }, { key: "shares_nodes_with", value: w.sharedWith.join("; ") }] },
  { key: "ready", label: "Ready", width: "46px", number: true, cell: (w) => <Ready w={w} />, values: (w) => [{ key: "ready", value: w.ready }, { key: "wanted", value: w.wanted }, { key: "pods", value: w.pods }] },
  { key: "images", label: "Images", name: "Vulnerabilities of its images", width: "124px", order: "critical", cell: (w) => <Verdict of={w} />,
    values: (w) => { const v = verdictOf(w); const n = (x: bigint) => (v.known === 0 ? "not assessed" : Number(x)); return [{ key: "critical", value: n(w.critical) }, { key: "high", value: n(w.high) }, { key: "known_exploited", value: n(w.kev) }, { key: "images_not_assessed", value: v.of - v.known }, { key: "why", value: v.known < v.of || v.of === 0 ? v.why : "" }]; } },
  { key: "identity", label: "Runs as", width: "minmax(150px, 1.5fr)", cell: (w) => <span className="with-tags"><IdentityLink cluster={w.cluster} of={w.identity} own within={w.namespace} />{w.grants.length > 0 && <Powers of={w.grants} kind="grants" most={1} />}</span>, values: (w) => [{ key: "identity", value: w.identity }, { key: "grants", value: w.grants.join("; ") }] },
  { key: "powers", label: "Powers", name: "Powers and mounts of its pods", width: "minmax(112px, 1fr)", cell: (w) => (w.powers.length + w.mounts.length ? <span className="with-tags"><Powers of={w.powers} kind="powers" most={w.mounts.length ? 1 : 2} /><Powers of={w.mounts} kind="mounts" most={w.powers.length ? 1 : 2} /></span> : dash), values: (w) => [{ key: "powers", value: w.powers.join("; ") }, { key: "host_mounts", value: w.mounts.join("; ") }] },
  { key: "reach", label: "Reach", width: "84px", order: "reach", cell: (w) => <ReachMark of={w.reach} />, values: (w) => text("reach", reachSays(w.reach).label) },
  { key: "alerts", label: "Alerts", width: "48px", order: "alerts", number: true, cell: (w) => <Alerts n={w.alertsOpen} worst={w.alertsWorst} to={alertsOf(w)} />, values: (w) => [{ key: "alerts_open", value: Number(w.alertsOpen) }, { key: "worst", value: w.alertsOpen > 0n ? severityName(w.alertsWorst) : "" }] },
  { key: "apps", label: "Known as", width: "90px", cell: (w) => <span className="clip">{w.apps.join(", ") || dash}</span>, values: (w) => text("apps", w.apps.join("; ")) },
  { key: "pods", label: "Pods", width: "46px", order: "pods", number: true, cell: (w) => num(w.pods), values: () => [] },
  { key: "created", label: "Created", width: "60px", order: "created", number: true, cell: (w) => (w.created > 0n ? <Ago ns={w.created} /> : dash), values: (w) => text("created", w.created > 0n ? utc(ms(w.created)) : "") },
];

const kind: ListKind<Row, Behind> = {
  source: workloadSource, title: "Workloads", one: "workload", many: "workloads", fields: WORKLOAD_FIELDS, values: { ...VALUES, ...CLUSTER_VALUES, kind: ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Pod"] }, example: "reach:internet owner:payments -platform:yes", ascending: ["name"], cli: "dockreeve workloads list",
  chips: [["Of teams", "platform:no"], ["Reached from the internet", "reach:internet"], ["Unowned", "owner:unowned"], ["With alerts", "alerts:>0"], ["Known exploited", "kev:>0"], ["Privileged", "power:privileged"], ["Images not assessed", "assessed:no"]],
  columns: COLUMNS, kept: columnsKept("columns.workloads", COLUMNS, ["workload", "cluster", "owner", "tenant", "ready", "images", "identity", "powers", "reach", "alerts"]), scroll: { top: 0, active: null },
  href: (w) => workloadAddress(w.cluster, w.key), name: (w) => w.key,
  card: (w) => <>
    <a href={workloadAddress(w.cluster, w.key)} tabIndex={-1} className="text"><b className="card-name"><End>{`${w.namespace}/${w.name}`}</End></b><span className="muted clip">{w.kind}, {w.cluster}</span><span className="row card-tags"><ReachMark of={w.reach} /><Powers of={w.powers} kind="powers" most={1} /></span></a>
    <span className="side"><Owner of={w.owner} from={w.ownerFrom} quiet={w.platform} /><Verdict of={w} /><span className="row">{num(w.alertsOpen)} alerts</span></span>
  </>,
};

/** What runs in every cluster, the riskiest first. */
export default function WorkloadsScreen({ search }: { search: string }) {
  return <ListScreen of={kind} search={search} behind={(b) => <ClusterCoverage gaps={b?.gaps ?? []} />} empty={() => <NoCluster what="no workload is known" />} />;
}
