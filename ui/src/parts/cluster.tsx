// What names and marks of clusters look like wherever they are named: each a link
// to its page, whole on hover, its end kept when it is cut.
import type { ReactNode } from "react";
import { known } from "../api/live";
import type { Gap, WorkloadImage, WorkloadRow } from "../gen/dockreeve/v1/dockreeve_pb";
import { useAtom } from "../lib/atom";
import { abreast, covered, gapText, grantSays, mountSays, type Power, powerSays, reachSays, verdictOf } from "../lib/cluster";
import { clusterAddress, identityAddress, identityName, objectName, workloadAddress } from "../lib/entity";
import { shortOwner } from "../lib/govern";
import { shortImage } from "../lib/image";
import { CLUSTERS, filtered, imageAddress } from "../lib/query";
import { num } from "../lib/time";
import { Command, End, Link, Remedy } from "./bits";
import { Counts } from "./counts";
import { Check, Warn } from "./icons";
import { Exploited, SeverityMark } from "./marks";

export const dash = <span className="faint">–</span>;
export const text = (key: string, value: string) => [{ key, value }];

/** Who answers for it. Nobody is a state, and is said; of the distribution's own it is no finding. */
export const Owner = ({ of, from = "", quiet = false }: { of: string; from?: string; quiet?: boolean }) => (of && of !== "unowned"
  ? <span className="clip" data-tip={`${of}${from ? `\nfrom ${from}` : ""}${shortOwner(of) === of ? "" : "\nAzure's roles name it by object id only; az ad user show --id tells who it is, and a tag gives it a name"}`}>{shortOwner(of)}</span>
  : <span className={quiet ? "muted" : "unowned"} data-tip={`nobody claims it${from ? `: ${from}` : ": no label or annotation on it or its namespace names an owner"}`}>unowned</span>);

export const ClusterLink = ({ name, own = false }: { name: string; own?: boolean }) => (name
  ? <Link {...(own ? { "data-own": "", tabIndex: -1 } : {})} to={clusterAddress(name)} className="ref"><End>{name}</End></Link> : dash);

/** An identity, with what it is: service accounts by namespace/name, or by name where all is of one namespace. */
export function IdentityLink({ cluster, of, own = false, bare = false, within = "" }: { cluster: string; of: string; own?: boolean; bare?: boolean; within?: string }) {
  if (!of) return <span className="faint">none</span>;
  const n = identityName(of);
  const name = n.namespace ? `${n.namespace}/${n.name}` : n.name;
  const tip = `${n.kind || "identity"}\n${name}`;
  // A service account tells itself by its end, a user by how it begins.
  const body = <>{n.namespace ? <End tip={tip}>{n.namespace === within ? n.name : name}</End> : <span className="clip user-name" data-tip={tip}>{name}</span>}{!bare && n.kind && n.kind !== "service account" && n.kind !== name && <span className="muted kind">{n.kind}</span>}</>;
  if (!cluster) return <span className="ref">{body}</span>;
  return <Link {...(own ? { "data-own": "", tabIndex: -1 } : {})} to={identityAddress(cluster, of)} className="ref">{body}</Link>;
}

const SHORT: Readonly<Record<string, string>> = { Deployment: "deploy", StatefulSet: "sts", DaemonSet: "ds", ReplicaSet: "rs", CronJob: "cron", Job: "job", Pod: "pod", Ingress: "ing", Service: "svc", Gateway: "gw" };
/** A kind as kubectl shortens it, whole on hover. */
export const Kind = ({ of }: { of: string }) => <span className="muted kind" data-tip={of}>{Object.hasOwn(SHORT, of) ? SHORT[of] : of}</span>;

/** A workload as namespace/name with its kind. */
export function WorkloadLink({ cluster, of, own = false, bare = false }: { cluster: string; of: string; own?: boolean; bare?: boolean }) {
  if (!of) return dash;
  const n = objectName(of);
  const body = <><End tip={of}>{n.namespace ? `${n.namespace}/${n.name}` : n.name}</End>{n.kind && !bare && <Kind of={n.kind} />}</>;
  if (!cluster || !n.kind) return <span className="ref">{body}</span>;
  return <Link {...(own ? { "data-own": "", tabIndex: -1 } : {})} to={workloadAddress(cluster, of)} className="ref">{body}</Link>;
}

const SAYS = { grants: grantSays, powers: powerSays, mounts: mountSays };

/** Dangerous rights, powers or mounts: the grave ones stand out and come first. */
export function Powers({ of, kind, most = 100 }: { of: readonly string[]; kind: keyof typeof SAYS; most?: number }) {
  const all: Power[] = of.map((w) => SAYS[kind](w));
  const sorted = [...all.filter((p) => p.grave), ...all.filter((p) => !p.grave)];
  const shown = sorted.slice(0, most), rest = sorted.slice(most);
  return <>{shown.map((p, i) => <span key={i} className={`power${p.grave ? " grave" : ""}${kind === "mounts" ? " mono" : ""}`} data-tip={p.why ? `${p.label}: ${p.why}` : p.label}><bdi>{p.label}</bdi></span>)}
    {rest.length > 0 && <span className="muted more" data-tip={rest.map((p) => p.label).join("\n")}>+{rest.length}</span>}</>;
}

export function ReachMark({ of, word = false }: { of: string; word?: boolean }) {
  const r = reachSays(of);
  const quiet = of === "none" || of === "cluster";
  return <span className={`reach${r.outside ? " outside" : quiet ? " faint" : ""}`} data-tip={r.why}>{r.outside && <Globe />}<span className="clip">{word ? r.from : r.label}</span></span>;
}
const Globe = () => <svg width="13" height="13" viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true"><path d="M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8zM1.8 8h12.4M8 1.8c2 1.7 2.8 3.8 2.8 6.2S10 12.5 8 14.2C6 12.5 5.2 10.4 5.2 8S6 3.5 8 1.8z" /></svg>;

/** Open alerts, the worst first. */
export function Alerts({ n, worst = 0, to }: { n: bigint; worst?: number; to: string }) {
  if (n === 0n) return <span className="faint" data-tip="no open alert; what is watched stands above">0</span>;
  return <Link data-own="" tabIndex={-1} to={to} className="alert-count">{worst > 0 && <SeverityMark of={worst} size={14} />}<b>{num(n)}</b></Link>;
}

/** The verdict on a workload's images: counts, or why there are none, or that some are missing. */
export function Verdict({ of }: { of: WorkloadRow }) {
  const v = verdictOf(of);
  if (v.known === 0) return <span className="clip muted" data-tip={`not assessed: ${v.why}`}>not assessed: {v.why}</span>;
  const tip = `${num(of.critical)} critical, ${num(of.high)} high, ${num(of.kev)} known to be exploited${v.known < v.of ? `; ${v.of - v.known} of ${v.of} images not assessed: ${v.why}` : ` in ${v.of === 1 ? "1 image" : `${v.of} images`}`}`;
  return (
    <span className="sevs pair" role="img" aria-label={tip} data-tip={tip}>
      <span className={of.critical ? "" : "none"}><SeverityMark of={5} word="" size={14} />{num(of.critical)}</span>
      <span className={of.high ? "" : "none"}><SeverityMark of={4} word="" size={14} />{num(of.high)}</span>
      {v.known < v.of ? <span className="amber"><Warn size={13} /></span> : of.kev > 0n ? <span className="kev">KEV</span> : <span />}
    </span>
  );
}

export function ImageVerdict({ of }: { of: WorkloadImage }) {
  if (of.notAssessed || !of.counts) return <span className="muted">not assessed: {of.notAssessed || "the scanner has not seen it yet"}</span>;
  return <span className="row"><Counts of={of.counts} />{of.counts.kev > 0n && <Exploited tip={`${num(of.counts.kev)} known to be exploited (CISA KEV)`} />}</span>;
}

export const ImageName = ({ of }: { of: WorkloadImage }) => {
  const name = shortImage(of.image || of.digest);
  return of.key ? <Link to={imageAddress(of.key)} className="ref"><End tip={`${of.image}\n${of.digest}`}>{name}</End></Link> : <End tip={`${of.image}\n${of.digest || "no pod has told its digest yet"}`}>{name}</End>;
};

export interface Step { kind: string; name: ReactNode; tip: string; note?: ReactNode }

/** From where a request starts to what answers it, left to right; downwards where it is narrow. */
export function Chain({ reach, note, path, workloads, cluster, here = "" }: { reach: string; note?: ReactNode; path: readonly string[]; workloads: readonly string[]; cluster: string; here?: string }) {
  const r = reachSays(reach);
  const targets = workloads.slice(0, 4);
  return (
    <ol className="chain" aria-label="The way in">
      <li className={`chain-step start-step${r.outside ? " outside" : ""}`}><span className="chain-kind">from</span><b>{r.from}</b>{note && <span className="muted small chain-note">{note}</span>}</li>
      {abreast(path).map((keys, i) => (
        <li key={i} className="chain-step"><span className="chain-kind">{objectName(keys[0]!, true).kind || "object"}{keys.length > 1 && `s, ${keys.length}`}</span>
          {keys.slice(0, 4).map((key) => { const n = objectName(key, true); return <span key={key} className="chain-name"><End tip={key}>{n.namespace ? `${n.namespace}/${n.name}` : n.name}</End></span>; })}
          {keys.length > 4 && <span className="muted">and {keys.length - 4} more</span>}</li>
      ))}
      <li className="chain-step end-step"><span className="chain-kind">{targets.length === 1 ? objectName(targets[0]!).kind || "workload" : "workloads"}</span>
        {targets.length === 0 ? <span className="muted">no workload stands behind it</span> : targets.map((w) => (w === here ? <b key={w} className="chain-name"><End tip={w}>{objectName(w).name}</End></b> : <span key={w} className="chain-name"><WorkloadLink cluster={cluster} of={w} bare={targets.length === 1} /></span>))}
        {workloads.length > targets.length && <span className="muted">and {workloads.length - targets.length} more</span>}
      </li>
    </ol>
  );
}

export function GapList({ of, none }: { of: readonly Gap[]; none: ReactNode }) {
  if (of.length === 0) return <p className="row"><Check />{none}</p>;
  return (
    <ul className="gaps">
      {of.map((g, k) => (
        <li key={k}>
          <b className="row"><Warn /><span className="wrap">{g.what}</span></b>
          <p className="muted">{g.reason}</p>
          {g.remedy && <Remedy>{g.remedy}</Remedy>}
        </li>
      ))}
    </ul>
  );
}

/** The denominators of every count of what clusters hold: api leaves out nodes, only leaves out all but the clusters. */
export function ClusterCoverage({ gaps = [], api = false, only = false }: { gaps?: readonly Gap[]; api?: boolean; only?: boolean }) {
  const all = useAtom(known);
  const c = all && covered(all);
  const Amber = ({ children }: { children: ReactNode }) => <span className="amber"><Warn size={13} />{children}</span>;
  return (
    <>
      {c && c.of > 0 && <span><Link to={CLUSTERS.path}>{c.clusters < c.of ? <Amber>{c.clusters} of {c.of} clusters report</Amber> : c.of === 1 ? "the cluster reports" : `all ${c.of} clusters report`}</Link></span>}
      {c && c.of > 0 && !api && !only && <span>{c.nodes < c.nodesOf ? <Link to={CLUSTERS.path}><Amber>{c.nodes} of {c.nodesOf} nodes watched</Amber></Link> : `${c.nodes} of ${c.nodesOf} nodes watched`}</span>}
      {c && c.of > 0 && !only && <span>{c.api < c.of ? <Link to={filtered(CLUSTERS, "audited:no")}><Amber>API server watched on {c.api} of {c.of}</Amber></Link> : c.of === 1 ? "the API server is watched" : `API server watched on all ${c.of}`}</span>}
      {gaps.length > 0 && <span data-tip={gaps.slice(0, 8).map(gapText).join("\n")}><Amber>{gaps.length === 1 ? gaps[0]!.what : `${gaps.length} things`} not assessed</Amber></span>}
    </>
  );
}

/** No cluster is known: the next step. */
export function NoCluster({ what }: { what: string }) {
  return (
    <div className="empty">
      <h2>No cluster reports here, so {what}</h2>
      <p>A cluster agent tells what runs, whose it is and what it may do, and watches the API server. It joins once, with a token:</p>
      <Command>dockreeve cluster --help</Command>
      <p className="muted">To look once, from outside, with your own kubeconfig and without anything installed:</p>
      <Command>dockreeve cluster inspect --kubeconfig ~/.kube/config</Command>
      <p><Link to={`${CLUSTERS.path}?join=1`}>Make a join token</Link></p>
    </div>
  );
}
