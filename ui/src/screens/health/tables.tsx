import type { GetStatusResponse, HopCount, Loss } from "../../gen/dockreeve/v1/dockreeve_pb";
import { exact, num } from "../../lib/time";
import { Ago, Command, End, Remedy, Since } from "../../parts/bits";
import { Check, Warn } from "../../parts/icons";

/** Everything that is not covered, why, and what to do about it. */
export function Gaps({ of }: { of: GetStatusResponse }) {
  if (of.notAssessed.length === 0 && of.rulesNotAssessed === 0) return <p className="row"><Check />Nothing that the server knows of is left out.</p>;
  return (
    <ul className="gaps">
      {of.notAssessed.filter((g, i, all) => !all.slice(0, i).some((o) => o.reason === g.reason && o.what.startsWith(g.what))).map((g) => (
        <li key={g.what + g.reason}>
          <b className="row"><Warn />{g.what}</b>
          <p className="muted">{g.reason}</p>
          {g.remedy && <Remedy>{g.remedy}</Remedy>}
        </li>
      ))}
      {of.rulesNotAssessed > 0 && <li><b className="row"><Warn />{of.rulesNotAssessed} of {of.rulesWatching + of.rulesNotAssessed} rules</b><p className="muted">They need signals that nothing supplies here. Each says which, in <a href="/rules?only=not-assessed">Rules</a>.</p></li>}
    </ul>
  );
}

export function Nodes({ of }: { of: GetStatusResponse }) {
  if (of.nodes.length === 0) return <><p>No node has ever reported to this server.</p><Command>sudo dockreeve up</Command></>;
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Nodes">
      <table className="plain">
        <thead><tr><th>Node</th><th>Last report</th><th>Watched for</th><th>Mode</th><th>Kernel</th><th className="n">Containers</th><th className="n">Processes</th><th className="n">Events</th><th className="n">Lost</th></tr></thead>
        <tbody>
          {of.nodes.map((n) => { const cluster = n.mode === "cluster"; return (
            <tr key={n.name}>
              <td className="node-name"><End>{n.name}</End>{n.notAssessed && <p className="muted">{cluster ? "" : "kernel not watched: "}{n.notAssessed}</p>}</td>
              <td className="nowrap">{n.reporting ? <Ago ns={n.lastReport} suffix /> : <span className="row warn-ink"><Warn /><Ago ns={n.lastReport} suffix /></span>}</td>
              <td className="nowrap">{n.since > 0n ? <Since ns={n.since} /> : <span className="muted">not watched</span>}</td>
              <td>{n.mode || <span className="muted">not assessed</span>}</td>
              <td className="nowrap">{cluster ? <OfCluster /> : n.kernel || <span className="muted">not assessed</span>}</td>
              <td className="n">{cluster ? <OfCluster /> : n.notAssessed ? <span className="muted">not assessed</span> : num(n.containers)}</td>
              <td className="n">{cluster ? <OfCluster /> : n.notAssessed ? <span className="muted">not assessed</span> : num(n.processes)}</td>
              <td className="n">{num(n.events)}</td>
              <td className="n">{num(n.lost)}</td>
            </tr>
          ); })}
        </tbody>
      </table>
    </div>
  );
}

const OfCluster = () => <span className="faint" data-tip="the agent of a cluster watches its API server; its kernels are watched by the nodes">–</span>;

export function Losses({ of, since }: { of: Loss[]; since: bigint }) {
  if (of.length === 0) return <p>{since > 0n ? <>No hop has counted a loss; watched for <Since ns={since} />.</> : "Nothing was watched, so nothing could be counted."}</p>;
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Losses">
      <table className="plain">
        <thead><tr><th>Hop</th><th>Reason</th><th>Lane</th><th className="n">Events</th><th>From</th><th>To</th></tr></thead>
        <tbody>
          {of.map((l, i) => (
            <tr key={i}><td className="mono">{l.hop}</td><td className="mono">{l.reason}</td><td>{l.lane}</td><td className="n">{num(l.count)}</td><td data-tip={exact(l.from)} className="nowrap"><Ago ns={l.from} suffix /></td><td data-tip={exact(l.to)} className="nowrap"><Ago ns={l.to} suffix /></td></tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Hops({ of }: { of: HopCount[] }) {
  if (of.length === 0) return <p className="muted">No hop has reported yet.</p>;
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Hops">
      <table className="plain">
        <thead><tr><th>Hop</th><th className="n">In</th><th className="n">Out</th><th className="n">Lost</th></tr></thead>
        <tbody>{of.map((h) => <tr key={h.hop}><td className="mono">{h.hop}</td><td className="n">{num(h.in)}</td><td className="n">{num(h.out)}</td><td className="n">{num(h.lost)}</td></tr>)}</tbody>
      </table>
    </div>
  );
}
