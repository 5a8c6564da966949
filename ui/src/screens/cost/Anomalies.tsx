import type { Anomaly } from "../../gen/govern";
import { governedAddress } from "../../lib/entity";
import { at, lastStep, list, type Names, scopeName } from "../../lib/govern";
import { num } from "../../lib/time";
import { Ago, End, Link } from "../../parts/bits";
import { count } from "../../parts/chart";
import { Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";

interface Told { id: string; title: string; cluster?: string; miner?: boolean }

/** What was unusual, with the alerts beside it and the money at risk. */
export function Anomalies({ of, alerts, names = new Map(), one = false }: { of: readonly Anomaly[]; alerts: ReadonlyArray<Told>; names?: Names; one?: boolean }) {
  const titles = new Map(alerts.map((a) => [a.id, a.title]));
  // Of something that looks like mining every alert of a miner on that cluster is evidence, whatever it was called when the join was made.
  const beside = (a: Anomaly) => alerts.filter((x) => !list(a.evidence).includes(x.id) && a.mining === true && x.miner === true && a.cluster !== undefined && lastStep(a.cluster).toLowerCase() === x.cluster?.toLowerCase());
  return (
    <ul className="anomalies">
      {of.map((a) => (
        <li key={a.id} className={a.mining ? "mining" : ""}>
          <p><b className="row">{a.mining && <Warn size={14} />}{a.mining ? "Looks like mining: " : ""}{a.series}</b>{!one && a.cluster && <Link to={`${governedAddress(a.cluster)}?tab=cost`} className="ref"><End tip={a.cluster}>{lastStep(a.cluster)}</End></Link>}{a.key && a.key !== a.cluster && <span className="muted wrap">{scopeName(a.key, names)}</span>}</p>
          <p><b>{count(a.got)}</b> instead of <b>{count(a.expected)}</b> {a.unit}, since <Ago ns={at(a.from)} suffix />; at risk <Sum of={a.perHour} what="money at risk" /> an hour <span className="muted">{num(Math.round(a.score * 10) / 10)} times the usual spread</span></p>
          {list(a.causes).length > 0 && <ul className="reasons small">{list(a.causes).map((c, i) => <li key={i} className="wrap">{c}</li>)}</ul>}
          {list(a.evidence).length + beside(a).length > 0 && <p className="small evidence-links">Evidence: {beside(a).map((x) => <span key={x.id}><Link to={`/alerts/${encodeURIComponent(x.id)}`}>{x.title}</Link></span>)}{list(a.evidence).slice(0, 8).map((x) => <span key={x}>{titles.has(x) ? <Link to={`/alerts/${encodeURIComponent(x)}`}>{titles.get(x)}</Link> : <span className="muted" data-tip={`${x}\nan alert or an entry of the Activity Log that this console keeps no page of`}>record <span className="mono">{lastStep(x).slice(0, 8)}</span></span>}</span>)}</p>}
        </li>
      ))}
    </ul>
  );
}
