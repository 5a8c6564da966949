import type { Anomaly } from "../../gen/govern";
import { governedAddress } from "../../lib/entity";
import { at, lastStep, list } from "../../lib/govern";
import { num } from "../../lib/time";
import { Ago, End, Link } from "../../parts/bits";
import { count } from "../../parts/chart";
import { Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";

/** What was unusual, with the alerts beside it and the money at risk. */
export function Anomalies({ of, alerts, one = false }: { of: readonly Anomaly[]; alerts: ReadonlyArray<{ id: string; title: string }>; one?: boolean }) {
  const titles = new Map(alerts.map((a) => [a.id, a.title]));
  return (
    <ul className="anomalies">
      {of.map((a) => (
        <li key={a.id} className={a.mining ? "mining" : ""}>
          <p><b className="row">{a.mining && <Warn size={14} />}{a.mining ? "Looks like mining: " : ""}{a.series}</b>{!one && a.cluster && <Link to={`${governedAddress(a.cluster)}?tab=cost`} className="ref"><End tip={a.cluster}>{lastStep(a.cluster)}</End></Link>}{a.key && a.key !== a.cluster && <span className="muted wrap">{lastStep(a.key)}</span>}</p>
          <p><b>{count(a.got)}</b> instead of <b>{count(a.expected)}</b> {a.unit}, since <Ago ns={at(a.from)} suffix />; at risk <Sum of={a.perHour} what="money at risk" /> an hour <span className="muted">{num(Math.round(a.score * 10) / 10)} times the usual spread</span></p>
          {list(a.causes).length > 0 && <ul className="reasons small">{list(a.causes).map((c, i) => <li key={i} className="wrap">{c}</li>)}</ul>}
          {list(a.evidence).length > 0 && <p className="small evidence-links">Evidence: {list(a.evidence).slice(0, 8).map((x) => <span key={x}>{titles.has(x) ? <Link to={`/alerts/${encodeURIComponent(x)}`}>{titles.get(x)}</Link> : <span className="mono" data-tip={x}>{lastStep(x).slice(0, 18)}</span>}</span>)}</p>}
        </li>
      ))}
    </ul>
  );
}
