// An audit event for people: who, from where, with what, asking for what, and what
// that would allow. The same on the event's own page and on an alert's.
import type { ReactNode } from "react";
import { type AuditEvent, fromSays } from "../lib/audit";
import { listed, modelName, reachSays, riskSays } from "../lib/cluster";
import { objectName } from "../lib/entity";
import { AUDIT, filtered, quote } from "../lib/query";
import { duration, num } from "../lib/time";
import { Copy, End, Link, NotAssessed } from "./bits";
import { IdentityLink, Powers, WorkloadLink } from "./cluster";
import { Warn } from "./icons";

const Line = ({ name, children }: { name: string; children: ReactNode }) => <div><dt>{name}</dt><dd>{children}</dd></div>;

export interface Actor { cluster: string; identity: string; user: string; sources: readonly string[]; agent: string }

/** Who asked, and from where. */
export function AuditWho({ of, by }: { of: AuditEvent | null; by: Actor }) {
  const f = of?.facts;
  const cluster = by.cluster || f?.cluster || "";
  const identity = by.identity || (by.user ? `user:${by.user}` : "");
  const sources = by.sources.length ? by.sources : of?.sources ?? [];
  const agent = by.agent || of?.agent || "";
  return (
    <dl className="dl audit-who">
      <Line name="identity">{identity ? <span className="big-ref"><IdentityLink cluster={cluster} of={identity} /></span> : <NotAssessed why="the event names nobody" />}{f?.platform && <span className="tag-line">platform</span>}</Line>
      {(f?.by || of?.impersonated) && <Line name="acting as"><span className="wrap amber"><Warn size={13} />impersonated by <b>{f?.by || of?.user}</b></span></Line>}
      {f && (f.actorOwner || f.actorTenant) && <Line name="of"><span className="wrap">{[f.actorOwner && `owner ${f.actorOwner}`, f.actorTenant && `tenant ${f.actorTenant}`].filter(Boolean).join(", ")}</span></Line>}
      {f?.actorWorkload && <Line name="runs as it"><WorkloadLink cluster={cluster} of={f.actorWorkload} /></Line>}
      <Line name="from">{f?.from || sources.length ? <span className="wrap">{f?.from ? <>{f.from === "internet" ? <b>the internet</b> : fromSays(f.from)}{f.fromPod && <> <b>{f.fromPod}</b></>}{f.fromNode && <>{f.fromPod ? " on " : " "}<b>{f.fromNode}</b></>}{f.fromTenant && <span className="muted">, tenant {f.fromTenant}</span>}</> : <NotAssessed why="what stands behind the address is not known" />}</span> : <NotAssessed why="the event names no address" />}</Line>
      {f?.fromWorkload && <Line name="its workload"><WorkloadLink cluster={cluster} of={f.fromWorkload} /></Line>}
      {sources.length > 0 && <Line name="address"><span className="mono wrap">{listed(sources, 6)}</span><Copy text={sources.join(", ")} what="addresses" /><Link className="small more-link" to={filtered(AUDIT, `source:${quote(sources[0]!)}`)}>all from it</Link></Line>}
      {f && (f.tokenPod || f.tokenNode || f.elsewhere) && <Line name="token">{f.elsewhere ? <span className="wrap amber"><Warn size={13} />used from elsewhere: it is bound to {[f.tokenPod && `pod ${f.tokenPod}`, f.tokenNode && `node ${f.tokenNode}`].filter(Boolean).join(" on ") || "another place"}</span> : <span className="wrap">bound to {[f.tokenPod && `pod ${f.tokenPod}`, f.tokenNode && `node ${f.tokenNode}`].filter(Boolean).join(" on ")}</span>}</Line>}
      <Line name="user agent">{agent ? <><code className="wrap">{agent}</code><Copy text={agent} what="user agent" /></> : <NotAssessed why="the event names none" />}</Line>
      {of && of.groups.length > 0 && <Line name="groups"><span className="wrap muted">{listed(of.groups, 8)}</span></Line>}
    </dl>
  );
}

/** What was asked, and what came of it. */
export function AuditWhat({ of }: { of: AuditEvent }) {
  return (
    <dl className="dl">
      <Line name="request"><span className="wrap"><b>{of.verb || "?"}</b> {of.resource || <span className="mono">{of.uri}</span>}</span></Line>
      {of.name && <Line name="object"><span className="wrap">{of.namespace ? `${of.namespace}/` : ""}{of.name}</span></Line>}
      {!of.name && of.namespace && <Line name="namespace"><span className="wrap">{of.namespace}</span></Line>}
      {of.uri && <Line name="path"><code className="wrap">{of.uri}</code><Copy text={of.uri} what="path" /></Line>}
      <Line name="answer"><span className="wrap">{of.code || "not told"}{of.message && <span className="muted">, {of.message}</span>}</span></Line>
      <Line name="decision">{of.decision ? <span className="wrap">{of.decision}{of.reason && <span className="muted">: {of.reason}</span>}</span> : <NotAssessed why="the event tells none" />}</Line>
      <Line name="seen at"><span>{of.stage || "stage not told"}{of.level && <span className="muted">, level {of.level}{of.level === "Metadata" ? ": what was sent is not in it" : ""}</span>}</span></Line>
    </dl>
  );
}

/** What is computed about it: whose the object is, what it would allow, what is unusual. null when nothing is. */
export function AuditMeans({ of }: { of: AuditEvent }) {
  const f = of.facts;
  if (!f) return <p><NotAssessed why="the event came without the facts that the cluster agent computes" /></p>;
  const rows: Array<[string, ReactNode]> = [];
  if (f.unusual.length) rows.push(["unusual", <div key="u" className="stack"><span className="amber"><Warn size={13} />{listed(f.unusual.map(modelName))}</span>{f.why.map((w, i) => <span key={i} className="wrap">{w}</span>)}{f.learned > 0 && <span className="muted small">judged by {duration(f.learned / 1e6)} of learning</span>}</div>]);
  if (f.target) rows.push(["about", objectName(f.target).kind ? <WorkloadLink key="t" cluster={f.cluster} of={f.target} /> : <span key="t" className="wrap">{f.target}</span>]);
  if (f.targetOwner || f.targetTenant) rows.push(["whose", <span key="w" className="wrap">{[f.targetOwner && `owner ${f.targetOwner}`, f.targetTenant && `tenant ${f.targetTenant}`].filter(Boolean).join(", ")}{f.crossTenant && <span className="amber"><Warn size={13} />another tenant's than who asked</span>}</span>]);
  if (f.grants.length) rows.push(["gives", <div key="g" className="stack"><span className="tagset"><Powers of={f.grants} kind="grants" /></span><span className="wrap">{f.grantsTo.length > 0 && <>to {listed(f.grantsTo, 4)} </>}{f.grantsScope === "cluster" ? "in the whole cluster" : f.grantsScope ? `in ${f.grantsScope}` : ""}{f.grantsNew && <b> — not held before</b>}</span></div>]);
  if (f.powers.length || f.mounts.length) rows.push(["its pods may", <span key="p" className="tagset"><Powers of={f.powers} kind="powers" /><Powers of={f.mounts} kind="mounts" /></span>]);
  if (f.images.length) rows.push(["images", <ul key="i" className="names">{f.images.slice(0, 8).map((x) => <li key={x} className="row"><End mono>{x}</End>{f.newImages.some((r) => x.startsWith(r)) && <span className="amber small">new here</span>}</li>)}</ul>]);
  if (f.tools.length) rows.push(["known tools", <b key="k" className="wrap">{listed(f.tools)}</b>]);
  if (f.exposure) rows.push(["opens", <span key="e" className="wrap">{reachSays(f.exposure).from}{f.ports.length ? ` to ${listed(f.ports)}` : ""}{f.apps.length ? `, ${listed(f.apps)}` : ""}{f.risks.length > 0 && <span className="amber"><Warn size={13} />{listed(f.risks.map(riskSays))}</span>}</span>]);
  const counts = ([["secrets read", f.secretsRead], ["refused", f.denied], ["probes", f.probes], ["deleted", f.deleted]] as const).filter(([, n]) => n > 0);
  if (counts.length) rows.push(["in 10 minutes", <span key="c">{counts.map(([n, v]) => `${num(v)} ${n}`).join(", ")}</span>]);
  return (
    <>
      {rows.length === 0 ? <p className="muted">Nothing more than what was asked.</p> : <dl className="dl">{rows.map(([n, v]) => <Line key={n} name={n}>{v}</Line>)}</dl>}
      {f.notAssessed.length > 0 && <ul className="reasons">{f.notAssessed.map((x, i) => <li key={i} className="muted">Not assessed: {x}</li>)}</ul>}
    </>
  );
}
