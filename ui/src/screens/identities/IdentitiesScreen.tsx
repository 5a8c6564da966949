import { clusters } from "../../api/client";
import type { IdentityRow } from "../../gen/dockreeve/v1/dockreeve_pb";
import { modelName, modelShort } from "../../lib/cluster";
import { CLUSTER_VALUES, IDENTITY_FIELDS } from "../../lib/clusterFields";
import { identityAddress, identityName } from "../../lib/entity";
import { addressOf, ALERTS, IDENTITIES, quote } from "../../lib/query";
import { exact, ms, num, utc } from "../../lib/time";
import { Ago, End } from "../../parts/bits";
import { Alerts, ClusterCoverage, ClusterLink, dash, NoCluster, Owner, Powers, text } from "../../parts/cluster";
import { Warn } from "../../parts/icons";
import { type Column, columnsKept } from "../../parts/list/columns";
import { type ListKind, ListScreen } from "../../parts/list/ListScreen";
import type { Source } from "../../parts/list/useList";
import type { Behind } from "../workloads/WorkloadsScreen";

type Row = IdentityRow & { id: string };

export const identitySource: Source<Row, Behind> = {
  place: IDENTITIES,
  kinds: ["cluster", "alert"],
  whole: true,
  page: async (q, signal) => {
    const r = await clusters.listIdentities(q, signal ? { signal } : undefined);
    return { rows: r.identities.map((i) => ({ ...i, id: `${i.cluster}/${i.key}` })), next: r.nextCursor, total: r.total, totalAll: r.totalAll, about: { gaps: r.notAssessed } };
  },
};

export const alertsBy = (i: Pick<IdentityRow, "cluster" | "key">) => addressOf({ ...ALERTS.view, filter: `cluster:${quote(i.cluster)} identity:${quote(i.key)}` });
export const kindWord = (k: string): string => (k === "ServiceAccount" ? "account" : k === "User" || k === "Group" ? k.toLowerCase() : k);
const show = (i: IdentityRow) => { const n = identityName(i.key); return n.namespace ? `${n.namespace}/${n.name}` : n.name; };
const Unknown = ({ why }: { why: string }) => <span className="faint" role="img" aria-label="not assessed" data-tip={`not assessed: ${why}`}>?</span>;

export function LastUsed({ i, long = false }: { i: IdentityRow; long?: boolean }) {
  if (i.usageNotAssessed) return long ? <span className="muted">not assessed: {i.usageNotAssessed}</span> : <Unknown why={i.usageNotAssessed} />;
  if (i.lastUsed === 0n) return <span className="muted" data-tip="no request by it was audited while the API server was watched">never{long ? " seen, as audited" : ""}</span>;
  return <Ago ns={i.lastUsed} suffix={long} />;
}

function Requests({ i }: { i: IdentityRow }) {
  if (i.usageNotAssessed) return <Unknown why={i.usageNotAssessed} />;
  return <span data-tip={`${num(i.requests)} requests audited, ${num(i.denied)} refused${i.firstUsed > 0n ? `\nsince ${exact(i.firstUsed)}` : ""}`}>{i.requests === 0n ? <span className="faint">0</span> : num(i.requests)}{i.denied > 0n && <span className="muted"> / {num(i.denied)}</span>}</span>;
}

const COLUMNS: readonly Column<Row>[] = [
  { key: "identity", label: "Identity", width: "minmax(180px, 2fr)", order: "name", main: true, cell: (i) => <span className="name-digest"><End tip={`${i.key}\n${i.cluster}`}>{show(i)}</End>{i.cloudId && <span className="muted kind" data-tip={`an identity of the cloud: ${i.cloudId}`}>cloud</span>}</span>, values: (i) => [{ key: "identity", value: i.key }, { key: "cloud_id", value: i.cloudId }] },
  { key: "kind", label: "Kind", width: "54px", cell: (i) => <span className="muted clip">{kindWord(i.kind)}</span>, values: (i) => text("kind", i.kind) },
  { key: "cluster", label: "Cluster", width: "76px", cell: (i) => <ClusterLink name={i.cluster} own />, values: (i) => text("cluster", i.cluster) },
  { key: "owner", label: "Owner", width: "76px", cell: (i) => <Owner of={i.owner} from={i.ownerFrom} quiet={i.platform} />, values: (i) => [{ key: "owner", value: i.owner }, { key: "owner_from", value: i.ownerFrom }] },
  { key: "tenant", label: "Tenant", width: "62px", cell: (i) => (i.tenant || i.crosses.length ? <span className="clip" data-tip={i.crosses.length ? `has rights in ${i.crosses.join(", ")} too` : i.tenant}>{i.tenant || "–"}{i.crosses.length > 0 && <span className="amber"> +{i.crosses.length}</span>}</span> : dash), values: (i) => [{ key: "tenant", value: i.tenant }, { key: "rights_in_other_tenants", value: i.crosses.join("; ") }] },
  { key: "grants", label: "Dangerous rights", width: "minmax(160px, 1.9fr)", cell: (i) => (i.grants.length ? <span className="with-tags"><Powers of={i.grants} kind="grants" most={2} /></span> : <span className="faint" data-tip={i.rights ? `${num(i.rights)} rights, none of them dangerous` : "no right beyond what everybody has"}>none</span>), values: (i) => [{ key: "grants", value: i.grants.join("; ") }, { key: "rights", value: i.rights }] },
  { key: "scope", label: "Scope", width: "84px", cell: (i) => <span className={`clip${i.scope === "cluster" ? "" : " muted"}`}>{i.scope || "–"}</span>, values: (i) => text("scope", i.scope) },
  { key: "workloads", label: "Runs", name: "Workloads that run as it", width: "40px", number: true, cell: (i) => (i.workloads.length ? <span data-tip={i.workloads.slice(0, 12).join("\n")}>{num(i.workloads.length)}{i.workloads.length >= 100 ? "+" : ""}</span> : <span className="faint" data-tip="no workload runs as it">0</span>), values: (i) => text("workloads", i.workloads.join("; ")) },
  { key: "used", label: "Last used", width: "60px", order: "used", number: true, cell: (i) => <LastUsed i={i} />, values: (i) => text("last_used", i.usageNotAssessed ? "not assessed" : i.lastUsed > 0n ? utc(ms(i.lastUsed)) : "never") },
  { key: "requests", label: "Requests", name: "Requests / refused", width: "88px", order: "requests", number: true, cell: (i) => <Requests i={i} />, values: (i) => [{ key: "requests", value: i.usageNotAssessed ? "not assessed" : Number(i.requests) }, { key: "refused", value: i.usageNotAssessed ? "not assessed" : Number(i.denied) }] },
  { key: "unusual", label: "Unusual", name: "Unusual in seven days", width: "92px", cell: (i) => (i.unusual.length ? <span className="amber" data-tip={i.unusual.map(modelName).join("\n")}><Warn size={13} /><span className="clip">{modelShort(i.unusual[0]!)}</span>{i.unusual.length > 1 && `+${i.unusual.length - 1}`}</span> : i.usageNotAssessed ? <Unknown why={i.usageNotAssessed} /> : dash), values: (i) => text("unusual", i.unusual.join("; ")) },
  { key: "alerts", label: "Alerts", width: "48px", order: "alerts", number: true, cell: (i) => <Alerts n={i.alertsOpen} to={alertsBy(i)} />, values: (i) => [{ key: "alerts_open", value: Number(i.alertsOpen) }] },
];

const kind: ListKind<Row, Behind> = {
  source: identitySource, title: "Identities", one: "identity", many: "identities", fields: IDENTITY_FIELDS, values: { ...CLUSTER_VALUES, kind: ["ServiceAccount", "User", "Group"] }, example: "grant:read-secrets requests:0", ascending: ["name"], cli: "dockreeve identities list",
  chips: [["Of teams", "platform:no"], ["Cluster admin", "grant:cluster-admin"], ["Reads secrets", "grant:read-secrets"], ["Never used", "requests:0"], ["Unusual", "unusual:*"], ["In other tenants", "crosses:*"], ["Refused", "denied:>0"]],
  columns: COLUMNS, kept: columnsKept("columns.identities", COLUMNS, ["identity", "kind", "owner", "tenant", "grants", "scope", "workloads", "used", "requests", "unusual", "cluster"]), scroll: { top: 0, active: null },
  href: (i) => identityAddress(i.cluster, i.key), name: show,
  card: (i) => <>
    <a href={identityAddress(i.cluster, i.key)} tabIndex={-1} className="text"><b className="card-name"><End>{show(i)}</End></b><span className="muted clip">{kindWord(i.kind)}, {i.cluster}</span><span className="row card-tags"><Powers of={i.grants} kind="grants" most={2} /></span></a>
    <span className="side"><Owner of={i.owner} quiet={i.platform} /><span>used <LastUsed i={i} /></span>{i.unusual.length > 0 && <span className="amber">unusual</span>}</span>
  </>,
};

/** Who may do what in every cluster, the most dangerous first. */
export default function IdentitiesScreen({ search }: { search: string }) {
  return <ListScreen of={kind} search={search} behind={(b) => <ClusterCoverage gaps={b?.gaps ?? []} api />} empty={() => <NoCluster what="no identity is known" />} />;
}
