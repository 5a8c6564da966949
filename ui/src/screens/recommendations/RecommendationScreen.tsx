import { useEffect } from "react";
import { governance } from "../../api/client";
import type { Recommendation } from "../../gen/govern";
import { controlAddress, recommendationAddress } from "../../lib/entity";
import { at, doc, entries, frameworkName, list, severityOf } from "../../lib/govern";
import { filtered, GOVERNANCE, quote, RECOMMENDATIONS } from "../../lib/query";
import { num, plural } from "../../lib/time";
import { Ago, Link } from "../../parts/bits";
import { Owner } from "../../parts/cluster";
import { Crumb, Nothing, NotUpToDate, useEntity, useEntityKeys } from "../../parts/entity";
import { Refs, Todo } from "../../parts/govern";
import { Warn } from "../../parts/icons";
import { SeverityMark } from "../../parts/marks";
import { Due, recommendationSource } from "./RecommendationsScreen";

/** One recommendation for one owner: why, at which resources, how to mend it, and who says so. */
export default function RecommendationScreen({ id }: { id: string }) {
  const e = useEntity<Recommendation>(id, ["governance"], async (k, signal) => {
    const at = k.indexOf("@"), control = at < 0 ? k : k.slice(0, at);
    const r = await governance.listGovernance({ kind: "recommendation", filter: `id:${quote(control)}`, pageSize: 500 }, signal ? { signal } : undefined);
    const hit = r.items.find((i) => i.key === k);
    return hit ? doc<Recommendation>(hit.docJson) : null;
  });
  useEntityKeys(recommendationSource, id, recommendationAddress);
  const r = e.got;
  useEffect(() => { document.title = `${r?.title ?? "Recommendation"} · Dockreeve`; }, [r]);
  const crumb = <Crumb source={recommendationSource} title="Recommendations" name={id} address={recommendationAddress(id)} />;
  if (!r) return <div className="page">{crumb}{e.error && !e.error.gone && /nothing in it/.test(e.error.text) ? <div className="notice warn" role="alert"><h2><Warn />There is no such recommendation</h2><p>It was fixed long ago, or no evaluation ever made it.</p><p><Link to={RECOMMENDATIONS.path}>All recommendations</Link></p></div> : <Nothing of={e} what="the recommendation" gone={<p><Link to={RECOMMENDATIONS.path}>All recommendations</Link></p>} />}</div>;
  const both = list(r.sources).length > 1;
  return (
    <div className="page image governed">
      {crumb}
      <header className="alert-head">
        <p className="kicker"><SeverityMark of={severityOf(r.severity)} word /><span><Due of={r} long /></span><span className="muted"><Owner of={r.owner} /></span></p>
        <h1>{r.title}</h1>
        <p className="says">{r.why}</p>
        <div className="acts">
          {!r.id.startsWith("defender:") && <Link className="btn" to={`${controlAddress(r.id)}?q=${encodeURIComponent(`verdict:fail owner:${quote(r.owner)}`)}`}>Evidence</Link>}
          <Link className="btn" to={filtered(RECOMMENDATIONS, `owner:${quote(r.owner)} fixed:no`)}>All of this owner</Link>
          <Link className="btn" to={filtered(GOVERNANCE, `owner:${quote(r.owner)}`)}>Its clusters</Link>
        </div>
        <NotUpToDate of={e} />
      </header>
      {r.disagree && <div className="notice warn onboard"><h2><Warn />Defender and Dockreeve do not say the same</h2><p className="wrap">{r.disagree}</p></div>}
      <div className="columns">
        <div className="evidence">
          <section aria-labelledby="r-do"><h2 id="r-do">How to mend it</h2>{list(r.do).length ? <Todo of={r.do} /> : <p className="muted">Nobody has written that down.</p>}</section>
          <section aria-labelledby="r-where"><h2 id="r-where">Where <span className="muted">{plural(r.count, "resource")}</span></h2><Refs of={list(r.resources)} more={Math.max(0, r.count - list(r.resources).length)} none="No resource is named." /></section>
        </div>
        <aside className="facts">
          <section aria-labelledby="r-facts"><h2 id="r-facts">Facts</h2>
            <dl className="dl">
              <div><dt>owner</dt><dd><Owner of={r.owner} /></dd></div>
              <div><dt>found by</dt><dd>{both ? "Dockreeve and Defender, told once" : list(r.sources).join(", ") || "not told"}</dd></div>
              <div><dt>first seen</dt><dd>{r.firstSeen ? <Ago ns={at(r.firstSeen)} suffix /> : <span className="muted">not told</span>}</dd></div>
              <div><dt>due</dt><dd><Due of={r} long /></dd></div>
              <div><dt>workloads</dt><dd>{num(r.workloads)}</dd></div>
              <div><dt>effort</dt><dd>{["not told", "1, a setting", "2, a change of a workload", "3, a project"][r.effort] ?? r.effort}</dd></div>
              <div><dt>rank</dt><dd>{num(Math.round(r.rank * 10) / 10)} <span className="muted small">{"\u00a0"}risk × workloads ÷ effort</span></dd></div>
            </dl>
          </section>
          {entries(r.maps).length > 0 && <section aria-labelledby="r-maps"><h2 id="r-maps">In benchmarks</h2><dl className="dl">{entries(r.maps).filter(([, l]) => list(l).length).map(([f, l]) => <div key={f}><dt>{frameworkName(f)}</dt><dd>{list(l).join(", ")}</dd></div>)}</dl></section>}
          <p className="muted small">It counts as fixed when an evaluation finds it so. Nobody can tick it.</p>
        </aside>
      </div>
    </div>
  );
}
