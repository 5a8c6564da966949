import type { Assessed, Canary, ClusterRow } from "../../gen/govern";
import { canaryState, at, list, once, ROW_SAYS, ROWS, stateSays, yes } from "../../lib/govern";
import { useNow } from "../../lib/clock";
import { duration, num } from "../../lib/time";
import { Ago, NotAssessed, Remedy } from "../../parts/bits";
import { RowMark } from "../../parts/govern";
import { Check, Warn } from "../../parts/icons";

const CANARY: Readonly<Record<string, string>> = { exec: "harmless process in a pod", audit: "harmless request to the API server", image: "test image", denial: "dry run that must be denied" };
const EXTENSION: Readonly<Record<string, string>> = { ContainerRegistriesVulnerabilityAssessments: "images of registries are scanned", AgentlessDiscoveryForKubernetes: "Azure reads the cluster's objects", AgentlessVmScanning: "disks of nodes are scanned", ContainerSensor: "a sensor runs on nodes", ContainerIntegrityContribution: "changes of container files are reported" };

/** The four protections, each with the last proof or the command that closes it, and what they rest on. */
export function Protection({ of: c }: { of: ClusterRow }) {
  return (
    <>
      <ul className="protections">
        {ROWS.map((n) => {
          const r = c[n];
          return (
            <li key={n}>
              <RowMark name={n} of={r} size={26} />
              <div className="stack">
                <p><b>{ROW_SAYS[n][1]}</b> <span className={r.state === "open" ? "unowned" : "muted"}>{stateSays(r.state)}{list(r.by).length > 0 && `, by ${list(r.by).join(" and ")}`}</span></p>
                <p className="wrap">{once(r.why, c.unread)}</p>
                {r.state === "closed" && <p className="muted">{r.proof ? <>Proof: {r.proof}{r.at ? <>, <Ago ns={at(r.at)} suffix /></> : ""}</> : "No proof is told beyond what Azure says."}</p>}
                {r.do && <Remedy>{r.do}</Remedy>}
              </div>
            </li>
          );
        })}
      </ul>
      <h2>Canaries <span className="muted">running is not detecting: a harmless thing must come back as an alert</span></h2>
      {list(c.canaries).length === 0 ? <p><NotAssessed why={c.here ? "none was sent yet" : "they run where Dockreeve's agents run, and it is not onboarded"} /></p> : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Canaries">
          <table className="plain"><thead><tr><th>Canary</th><th>State</th><th>Last sent</th><th>Last proof</th><th>Every</th><th>Node</th></tr></thead>
            <tbody>{list(c.canaries).map((k, i) => <tr key={i}><td>{CANARY[k.kind] ?? k.kind}</td><td><CanaryState of={k} /></td><td className="nowrap">{k.sent ? <Ago ns={at(k.sent)} suffix /> : "–"}</td><td className="nowrap">{k.seen || k.denied ? <Ago ns={at(Math.max(k.seen ?? 0, k.denied ?? 0))} suffix /> : k.sent ? <span className="amber"><Warn size={13} />never</span> : "–"}</td><td className="nowrap">{k.every ? duration(k.every / 1e6) : "–"}</td><td>{k.node || "–"}</td></tr>)}</tbody></table>
        </div>
      )}
      <h2>What it rests on</h2>
      <dl className="dl wide-facts flush">
        <Fact unread={c.unread} name="Defender plan" of={c.plan} yesSays="on" noSays="off">{c.planFrom && <span className="muted small">{c.planFrom}</span>}</Fact>
        <Fact unread={c.unread} name="Defender profile" of={c.profile} yesSays="enabled, says Azure" noSays="not enabled" />
        <div><dt>sensor in it</dt><dd>{c.sensor.notAssessed ? <NotAssessed why={once(c.sensor.notAssessed, c.unread)} /> : c.sensor.seen ? <span className="wrap">{c.sensor.wanted !== undefined && (c.sensor.ready ?? 0) < c.sensor.wanted ? <span className="amber"><Warn size={13} />{num(c.sensor.ready ?? 0)} of {num(c.sensor.wanted)} ready</span> : <>seen{c.sensor.wanted !== undefined && <>, {num(c.sensor.ready ?? 0)} of {num(c.sensor.wanted)} ready</>}</>} <span className="muted small">{list(c.sensor.where).join(", ")}</span></span> : <span className="amber"><Warn size={13} />looked for and not seen</span>}</dd></div>
        <Fact unread={c.unread} name="policy add-on" of={c.policyAddon} yesSays="on" noSays="off" />
        <Fact unread={c.unread} name="audit log" of={c.auditExport} yesSays={`${list(c.auditExport.kinds).join(", ") || "exported"} to ${list(c.auditExport.to).join(", ") || "a place that is not told"}`} noSays="not exported">{list(c.auditExport.loses).length > 0 && <span className="muted small">cannot detect: {list(c.auditExport.loses).join("; ")}</span>}</Fact>
        <Fact unread={c.unread} name="registries scanned" of={c.registryScan} yesSays="yes" noSays="no" />
        <Fact unread={c.unread} name="Dockreeve's agents" of={c.agents} yesSays="all report" noSays="not all, or none" />
      </dl>
      <h2>Extensions of the plan</h2>
      {list(c.extensions).length === 0 ? <p><NotAssessed why={once(c.plan.notAssessed || "Azure told none", c.unread)} /></p> : <ul className="exts">{list(c.extensions).map((x) => <li key={x.name} className={x.enabled ? "" : "off"}>{x.enabled ? <Check size={14} /> : <Warn size={14} />}<span><b className="wrap">{x.name}</b> <span className="muted">{EXTENSION[x.name] ?? ""}</span>{!x.enabled && <>{" "}<span className="amber">off</span></>}{x.state && x.state !== "Succeeded" && <span className="muted"> {x.state}</span>}</span></li>)}</ul>}
    </>
  );
}

function CanaryState({ of: k }: { of: Canary }) {
  const s = canaryState(k, useNow() * 1e6);
  const took = duration(((k.seen ?? 0) - (k.sent ?? 0)) / 1e6);
  switch (s) {
    case "not-assessed": return <NotAssessed why={k.notAssessed || "it was never sent"} />;
    case "waiting": return <span className="muted">under way</span>;
    case "denied": return <span className="row"><Check size={14} /><span className="wrap" {...(k.answer ? { "data-tip": k.answer } : {})}>denied{k.by ? ` by ${k.by}` : ""}{k.untold ? <span className="muted">; not seen as an alert: {k.untold}</span> : ""}</span></span>;
    case "let-through": return <span className="bad-ink wrap"><Warn size={13} />let through: nobody denied it{k.answer ? ` (${k.answer})` : ""}</span>;
    case "lost": return <span className="amber"><Warn size={13} />did not come back: what it stands for may go unseen</span>;
    case "stale": return <span className="amber"><Warn size={13} />stale: {k.kind === "denial" && k.denied ? "denied then" : `came back in ${took} then`}, and not sent again when it was due</span>;
    default: return <span className="row"><Check size={14} />came back in {took}</span>;
  }
}

const Fact = ({ name, of, yesSays, noSays, unread, children }: { name: string; of: Assessed; yesSays: string; noSays: string; unread: string | undefined; children?: React.ReactNode }) => {
  const y = yes(of);
  return <div><dt>{name}</dt><dd><span className="wrap">{y === "yes" ? <span>{yesSays}</span> : y === "no" ? <span className="amber"><Warn size={13} />{noSays}</span> : <NotAssessed why={once(of.notAssessed ?? "", unread)} />} {children}</span></dd></div>;
};
