import type { Gap, GetImageResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import { shortDigest } from "../../lib/image";
import { ALERTS, filtered, IMAGES, quote } from "../../lib/query";
import { plural } from "../../lib/time";
import { Ago, Command, Copy, End, Link, NotAssessed, Out, Remedy, Since } from "../../parts/bits";
import { Check, Warn } from "../../parts/icons";
import { GateMark, SeverityMark } from "../../parts/marks";

const layer = (n: number) => (n >= 0 ? `layer ${n}` : "layer not known");

/** Why a whole kind of thing was not looked for, when it was not: nothing found is then no answer. */
export const skipped = (of: GetImageResponse, kind: string): Gap | undefined => of.notAssessed.find((g) => new RegExp(`^${kind}s?\\b`, "i").test(g.what));

/** Credentials and malware. A secret's value is not here: the server never had it whole. */
export function Secrets({ of }: { of: GetImageResponse }) {
  const i = of.image!;
  const malware = skipped(of, "malware"), secrets = skipped(of, "secret");
  if (i.scannedAt === 0n) return <p><NotAssessed why={i.notAssessed} /></p>;
  return (
    <>
      {of.malware.length > 0 && (
        <>
          <h2 className="row amber"><Warn />{plural(of.malware.length, "file")} on a list of malware</h2>
          <div className="scroll-x" tabIndex={0} role="region" aria-label="Malware">
            <table className="plain">
              <thead><tr><th>File</th><th>Name</th><th>List</th><th>Layer</th><th>SHA-256</th></tr></thead>
              <tbody>{of.malware.map((m, k) => <tr key={k}><td className="loc"><End mono>{m.path}</End></td><td>{m.name || <span className="muted">not named</span>}</td><td>{m.list}</td><td className="nowrap">{layer(m.layer)}</td><td className="nowrap"><span className="mono muted">{m.sha256.slice(0, 12)}</span><Copy text={m.sha256} what="SHA-256" /></td></tr>)}</tbody>
            </table>
          </div>
          <h2>Secrets</h2>
        </>
      )}
      {malware && of.malware.length === 0 && <p className="amber"><Warn size={14} />Malware not assessed: {malware.reason}{malware.remedy ? `; ${malware.remedy}` : ""}</p>}
      {of.secrets.length === 0 && secrets ? <p className="amber"><Warn size={14} />Secrets not assessed: {secrets.reason}{secrets.remedy ? `; ${secrets.remedy}` : ""}</p> : of.secrets.length === 0 ? <p>No credential was found in its files, environment or history{of.notAssessed.length ? "; parts of it could not be read, see Not assessed" : ""}.</p> : (
        <>
          <p className="muted">Values are never stored or shown whole. A secret that a later layer deletes can still be read from the image: replace it, then build without it.</p>
          <div className="scroll-x" tabIndex={0} role="region" aria-label="Secrets">
            <table className="plain">
              <thead><tr><th>Severity</th><th>What</th><th>Where</th><th>Layer</th><th>Begins</th></tr></thead>
              <tbody>
                {of.secrets.map((s, k) => (
                  <tr key={k}>
                    <td><SeverityMark of={s.severity} word /></td>
                    <td><b>{s.title || s.rule}</b><p className="muted mono small">{s.rule}</p></td>
                    <td className="loc">{s.path ? <End mono tip={`${s.path}${s.line > 0 ? `:${s.line}` : ""}`}>{`${s.path}${s.line > 0 ? `:${s.line}` : ""}`}</End> : <span className="mono">{s.where || "not told"}</span>}{s.path && s.where && <p className="muted small">{s.where}</p>}</td>
                    <td className="nowrap">{layer(s.layer)}{s.deleted && <p className="amber small">deleted later, still readable</p>}</td>
                    <td className="mono">{s.redacted}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
    </>
  );
}

export function Configuration({ of }: { of: GetImageResponse }) {
  const i = of.image!;
  if (i.scannedAt === 0n) return <p><NotAssessed why={i.notAssessed} /></p>;
  if (of.missteps.length === 0) return <p className="row"><Check />No fault of configuration was found.</p>;
  return (
    <ul className="missteps">
      {of.missteps.map((m, k) => (
        <li key={k}>
          <SeverityMark of={m.severity} />
          <div className="stack">
            <b>{m.title}</b>
            {m.detail && <p className="wrap">{m.detail}</p>}
            {m.path && <p className="path"><code>{m.path}</code><Copy text={m.path} what="path" /></p>}
            {m.remedy && <Remedy>{m.remedy}</Remedy>}
            <p className="muted small mono">{m.check}</p>
          </div>
        </li>
      ))}
    </ul>
  );
}

export function WhereItRuns({ of }: { of: GetImageResponse }) {
  const now = of.running.filter((r) => r.until === 0n), before = of.running.filter((r) => r.until !== 0n);
  if (of.running.length === 0) return <><p>No container on a watched machine has been seen running it.</p><p className="muted">What runs on machines that are not watched is not assessed. To watch one:</p><Command>sudo dockreeve up</Command></>;
  return (
    <>
      {now.length > 0 ? <Runs rows={now} label="Runs now" /> : <p>It runs nowhere that is watched now.</p>}
      {before.length > 0 && <><h2>Ran before</h2><Runs rows={before} label="Ran before" ended /></>}
      {of.image && <p><Link to={filtered(ALERTS, `image:${quote(of.image.name)}`)}>Alerts in containers of this image</Link></p>}
    </>
  );
}

function Runs({ rows, label, ended = false }: { rows: GetImageResponse["running"]; label: string; ended?: boolean }) {
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label={label}>
      <table className="plain">
        <thead><tr><th>Workload</th><th>Container</th><th>Node</th><th>{ended ? "From" : "For"}</th>{ended && <th>Until</th>}</tr></thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.container + r.node}>
              <td className="loc">{r.workload ? <Link to={filtered(IMAGES, `workload:${quote(r.workload)}`)}><End>{r.workload}</End></Link> : <NotAssessed why="no cluster agent names its owner" />}</td>
              <td className="nowrap">{r.name || <span className="muted">not named</span>} <span className="mono faint">{r.container.slice(0, 12)}</span><Copy text={r.container} what="container id" /></td>
              <td className="loc"><End>{r.node}</End></td>
              <td className="nowrap">{ended ? <Ago ns={r.since} suffix /> : r.since > 0n ? <Since ns={r.since} /> : "not assessed"}</td>
              {ended && <td className="nowrap"><Ago ns={r.until} suffix /></td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Gates({ of }: { of: GetImageResponse }) {
  if (of.gates.length === 0) return <><p>No pipeline has recorded a gate for this digest, so nobody knows whether it passed one.</p><p className="muted">In the pipeline that builds it:</p><Command>{`dockreeve scan ${of.image?.name || "IMAGE"} --fail-on kev,high+fixable --server ${location.origin} --record`}</Command></>;
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Gate runs">
      <table className="plain">
        <thead><tr><th>When</th><th>Verdict</th><th>Asked for</th><th>Reasons</th><th>Commit</th><th>Pipeline</th></tr></thead>
        <tbody>
          {of.gates.map((g, k) => (
            <tr key={k}>
              <td className="nowrap"><Ago ns={g.time} suffix /></td>
              <td><GateMark of={g.passed ? "passed" : "failed"} /></td>
              <td className="mono wrap">{g.policy || <span className="muted">not told</span>}</td>
              <td>{g.reasons.length ? <ul>{g.reasons.slice(0, 5).map((r, n) => <li key={n}>{r}</li>)}{g.reasons.length > 5 && <li className="muted">and {g.reasons.length - 5} more</li>}</ul> : <span className="muted">none</span>}</td>
              <td className="mono nowrap">{g.commit ? <><span data-tip={g.commit}>{/^[0-9a-f]{40}$/.test(g.commit) ? g.commit.slice(0, 10) : shortDigest(g.commit)}</span><Copy text={g.commit} what="commit" /></> : <span className="muted">not told</span>}</td>
              <td>{g.url ? <Out to={g.url}>{g.pipeline || g.url}</Out> : g.pipeline || <span className="muted">not told</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function NotAssessedParts({ of }: { of: GetImageResponse }) {
  if (of.notAssessed.length === 0) return <p className="row"><Check />All of it could be read and matched.</p>;
  return (
    <ul className="gaps">
      {of.notAssessed.map((g, k) => (
        <li key={k}>
          <b className="row"><Warn />{g.what}</b>
          <p className="muted">{g.reason}</p>
          {g.remedy && <Remedy>{g.remedy}</Remedy>}
        </li>
      ))}
    </ul>
  );
}
