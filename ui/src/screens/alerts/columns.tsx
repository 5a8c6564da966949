import type { Alert } from "../../gen/dockreeve/v1/dockreeve_pb";
import type { Field } from "../../lib/table";
import { duration, ms, num, utc } from "../../lib/time";
import { Ago, End } from "../../parts/bits";
import { ClusterLink, IdentityLink, Owner } from "../../parts/cluster";
import { type Column, columnsKept } from "../../parts/list/columns";
import { SeverityMark, severityName, StatusMark, statusName } from "../../parts/marks";

/** An object of the API by its name, where the alert is about one: its workload names the kind only. */
function objectOf(a: Alert): string {
  const { workload = "", object = "", objectClass = "" } = a.subject ?? {};
  const [namespace, kind = "", name] = workload.split("/");
  if (name !== undefined || (a.count > 1n && objectClass.split(" ").length < 3)) return workload;
  const said = object.split(" ")[2] ?? "";
  const of = said.slice(said.indexOf("/") + 1);
  return of && of !== namespace ? `${namespace === "cluster" ? "" : `${namespace}/`}${kind}/${of}` : workload;
}

/** Where it happened, as short as it stays true. */
export function place(a: Alert): { main: string; sub: string } {
  const s = a.subject;
  const c = s?.container;
  if (!c && s?.identity) return { main: s.workload && s.workload !== "host" && s.workload !== "unknown" ? objectOf(a) : s.cluster || "API server", sub: "" };
  if (!c) return { main: "host", sub: "" };
  if (c.unknown) return { main: s?.workload && s.workload !== "unknown" ? s.workload : c.name || c.id.slice(0, 12), sub: "container not assessed" };
  return { main: s?.workload || c.pod || c.name || c.id.slice(0, 12), sub: c.name || c.id.slice(0, 12) };
}

function Where({ a }: { a: Alert }) {
  const c = a.subject?.container;
  const p = place(a);
  const whole = [a.subject?.cluster && `cluster ${a.subject.cluster}`, a.subject?.workload, c?.pod && `pod ${c.pod}`, c?.name && `container ${c.name}`, c?.unknown && `not assessed: ${c.unknown}`].filter(Boolean).join("\n");
  return <End tip={whole || p.main}>{p.main}</End>;
}

const time = (ns: bigint) => (ns === 0n ? "" : utc(ms(ns)));
const text = (key: string, value: string): Field[] => [{ key, value }];
const dash = <span className="faint">–</span>;

export const COLUMNS: readonly Column<Alert>[] = [
  { key: "severity", label: "Sev", name: "Severity", width: "38px", order: "severity", cell: (a) => <SeverityMark of={a.severity} />, values: (a) => text("severity", severityName(a.severity)) },
  { key: "alert", label: "Alert", main: true, width: "minmax(260px, 3fr)", cell: (a) => <span className="clip"><b>{a.title}</b> <span className="muted">{a.summary}</span></span>, values: (a) => [{ key: "id", value: a.id }, { key: "title", value: a.title }, { key: "summary", value: a.summary }] },
  { key: "where", label: "Workload / container", width: "minmax(168px, 1.1fr)", cell: (a) => <Where a={a} />,
    values: (a) => [{ key: "workload", value: a.subject?.workload ?? "" }, { key: "container", value: a.subject?.container?.name ?? "" }, { key: "container_id", value: a.subject?.container?.id ?? "" }, { key: "container_not_assessed", value: a.subject?.container?.unknown ?? "" }] },
  { key: "process", label: "By", name: "Process or identity", width: "minmax(88px, 0.6fr)", cell: (a) => a.subject?.identity && !a.subject.process ? <span className="with-tags"><IdentityLink cluster={a.subject.cluster} of={a.subject.identity} own bare /></span> : <span className="clip mono" data-tip={a.subject?.executable}>{a.subject?.process || dash}</span>, values: (a) => [{ key: "process", value: a.subject?.process ?? "" }, { key: "executable", value: a.subject?.executable ?? "" }] },
  { key: "count", label: "Count", width: "52px", order: "count", number: true, cell: (a) => num(a.count), values: (a) => [{ key: "count", value: Number(a.count) }] },
  { key: "first", label: "First seen", width: "70px", order: "first_seen", number: true, cell: (a) => <Ago ns={a.firstSeen} />, values: (a) => text("first_seen", time(a.firstSeen)) },
  { key: "last", label: "Last seen", width: "78px", order: "last_seen", number: true, cell: (a) => <Ago ns={a.lastSeen} />, values: (a) => text("last_seen", time(a.lastSeen)) },
  { key: "status", label: "Status", width: "116px", cell: (a) => <StatusMark of={a.status} />, values: (a) => text("status", statusName(a.status)) },
  { key: "cluster", label: "Cluster", width: "90px", cell: (a) => <ClusterLink name={a.subject?.cluster ?? ""} own />, values: (a) => text("cluster", a.subject?.cluster ?? "") },
  { key: "identity", label: "Identity", width: "170px", cell: (a) => (a.subject?.identity ? <IdentityLink cluster={a.subject.cluster} of={a.subject.identity} own /> : dash), values: (a) => [{ key: "identity", value: a.subject?.identity ?? "" }, { key: "source", value: a.subject?.source ?? "" }, { key: "agent", value: a.subject?.agent ?? "" }] },
  { key: "owner", label: "Owner", width: "86px", cell: (a) => (a.subject?.owner ? <Owner of={a.subject.owner} from={a.ownerFrom === "cluster" ? "the cluster: nobody is named for the workload" : undefined} /> : dash), values: (a) => [{ key: "owner", value: a.subject?.owner ?? "" }, { key: "owner_from", value: a.ownerFrom }] },
  { key: "tenant", label: "Tenant", width: "76px", cell: (a) => <span className="clip" data-tip={a.subject?.reaches.length ? `reaches into ${a.subject.reaches.join(", ")}` : a.subject?.tenant}>{a.subject?.tenant || dash}</span>, values: (a) => [{ key: "tenant", value: a.subject?.tenant ?? "" }, { key: "reaches", value: a.subject?.reaches.join("; ") ?? "" }] },
  { key: "node", label: "Node", width: "140px", cell: (a) => <End>{a.subject?.node ?? ""}</End>, values: (a) => text("node", a.subject?.node ?? "") },
  { key: "user", label: "User", width: "84px", cell: (a) => <span className="clip">{a.subject?.user || dash}</span>, values: (a) => text("user", a.subject?.user ?? "") },
  { key: "object", label: "Object", width: "170px", cell: (a) => (a.subject?.object ? <End mono>{a.subject.object}</End> : dash), values: (a) => text("object", a.subject?.object ?? "") },
  { key: "image", label: "Image", width: "180px", cell: (a) => (a.subject?.container?.image ? <End>{a.subject.container.image}</End> : dash), values: (a) => [{ key: "image", value: a.subject?.container?.image ?? "" }, { key: "image_digest", value: a.subject?.container?.digest ?? "" }] },
  { key: "tactics", label: "Tactics", width: "150px", cell: (a) => <span className="clip" data-tip={a.tactics.join(", ")}>{a.tactics.join(", ") || dash}</span>, values: (a) => [{ key: "tactics", value: a.tactics.join("; ") }, { key: "techniques", value: a.techniques.join("; ") }] },
  { key: "rule", label: "Rule", width: "170px", cell: (a) => <End mono>{a.ruleId}</End>, values: (a) => text("rule", a.ruleId) },
  { key: "delay", label: "To stored", width: "80px", number: true, cell: (a) => <span data-tip="from the kernel to the commit in the server's database, latest occurrence">{a.kernelTime && a.storedAt ? duration(ms(a.storedAt) - ms(a.kernelTime)) : dash}</span>,
    values: (a) => [{ key: "kernel_to_stored_ms", value: a.kernelTime && a.storedAt ? Math.round((ms(a.storedAt) - ms(a.kernelTime)) * 1000) / 1000 : "" }] },
];

const DEFAULT: readonly string[] = ["severity", "alert", "where", "process", "count", "first", "last", "status"];
/** Which columns this browser shows, in the table's own order. */
export const kept = columnsKept("columns", COLUMNS, DEFAULT);
