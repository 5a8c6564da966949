import type { Anomaly } from "../../gen/govern";
import { governedAddress } from "../../lib/entity";
import { at, lastStep, list, money, type Names, scopeName } from "../../lib/govern";
import { filtered, GOVERNANCE, quote } from "../../lib/query";
import { num } from "../../lib/time";
import { Ago, Command, Copy, End, Link } from "../../parts/bits";
import { count } from "../../parts/chart";
import { Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";

interface Told { id: string; title: string; cluster?: string; miner?: boolean }

export const anomalyTip = (a: Anomaly): string => `${a.mining ? "looks like mining: " : ""}${a.series} of ${lastStep(a.cluster ?? a.key)}\n${count(a.got)} instead of ${count(a.expected)} ${a.unit}\n${money(a.perHour)} an hour at risk`;

const ALERT = /^[a-z2-7]{16}$/, RECORD = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i;
/** Where records of the Activity Log are read in Azure itself. */
function records(a: Anomaly, ids: readonly string[]): string {
  const sub = /^\/subscriptions\/([^/]+)/.exec(a.cluster ?? a.key)?.[1];
  const day = (ns: number) => new Date(ns / 1e6).toISOString().slice(0, 10);
  return `az monitor activity-log list${sub ? ` --subscription ${sub}` : ""} --start-time ${day(a.from - 864e11)} --end-time ${day(a.to + 864e11)} --max-events 5000 --query "[?${ids.map((x) => `eventDataId=='${x}'`).join(" || ")}]"`;
}

/** What was unusual, with the alerts beside it and the money at risk. */
export function Anomalies({ of, alerts, names = new Map(), one = false }: { of: readonly Anomaly[]; alerts: ReadonlyArray<Told>; names?: Names; one?: boolean }) {
  const titles = new Map(alerts.map((a) => [a.id, a.title]));
  // Of something that looks like mining every alert of a miner on that cluster is evidence, whatever it was called when the join was made.
  const beside = (a: Anomaly) => alerts.filter((x) => !list(a.evidence).includes(x.id) && a.mining === true && x.miner === true && a.cluster !== undefined && lastStep(a.cluster).toLowerCase() === x.cluster?.toLowerCase());
  return (
    <ul className="anomalies">
      {of.map((a) => (
        <li key={a.id} className={a.mining ? "mining" : ""}>
          <p><b className="row">{a.mining && <Warn size={14} />}{a.mining ? "Looks like mining: " : ""}{a.series}</b>{!one && a.cluster && <Link to={`${governedAddress(a.cluster)}?tab=cost`} className="ref"><End tip={a.cluster}>{lastStep(a.cluster)}</End></Link>}{a.key && a.key !== a.cluster && (a.cluster ? <span className="muted wrap">{scopeName(a.key, names)}</span> : <Link to={filtered(GOVERNANCE, `subscription:${quote(scopeName(a.key, names))}`)} className="wrap" data-tip="the clusters of this subscription">{scopeName(a.key, names)}</Link>)}</p>
          <p><b>{count(a.got)}</b> instead of <b>{count(a.expected)}</b> {a.unit}, since <Ago ns={at(a.from)} suffix />; at risk <Sum of={a.perHour} what="money at risk" /> an hour <span className="muted" data-tip="how far it is off, in units of how much such days usually differ">{num(Math.round(a.score * 10) / 10)} × the usual spread</span></p>
          {list(a.causes).length > 0 && <ul className="reasons small">{list(a.causes).map((c, i) => <li key={i} className="wrap">{c}</li>)}</ul>}
          {list(a.evidence).length + beside(a).length > 0 && <Evidence of={a} beside={beside(a)} titles={titles} />}
        </li>
      ))}
    </ul>
  );
}

/** Alerts as links, also those that are not loaded; records of Azure's Activity Log by id, with the command that reads them. */
function Evidence({ of: a, beside, titles }: { of: Anomaly; beside: readonly Told[]; titles: ReadonlyMap<string, string> }) {
  const ids = list(a.evidence), log = ids.filter((x) => RECORD.test(x) && !titles.has(x));
  const alerts = ids.filter((x) => titles.has(x) || ALERT.test(x)), rest = ids.filter((x) => !log.includes(x) && !alerts.includes(x));
  return (
    <div className="small evidence-links">Evidence: {beside.map((x) => <span key={x.id}><Link to={`/alerts/${encodeURIComponent(x.id)}`}>{x.title}</Link></span>)}{alerts.slice(0, 8).map((x) => <span key={x}><Link to={`/alerts/${encodeURIComponent(x)}`}>{titles.get(x) ?? `alert ${x.slice(0, 6)}`}</Link></span>)}{rest.slice(0, 4).map((x) => <span key={x} className="muted wrap">{x}<Copy text={x} what="id" /></span>)}{alerts.length > 8 && <span className="muted">and {num(alerts.length - 8)} more alerts</span>}
      {log.length > 0 && <details className="log-records"><summary>{log.length === 1 ? "1 record" : `${num(log.length)} records`} of Azure's Activity Log</summary><Command>{records(a, log.slice(0, 10))}</Command></details>}
    </div>
  );
}
