import { useEffect } from "react";
import { clusters } from "../../api/client";
import type { GetAuditEventResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import { auditOf, didWhat, who } from "../../lib/audit";
import { auditAddress } from "../../lib/entity";
import { pretty } from "../../lib/json";
import { AUDIT, filtered, quote } from "../../lib/query";
import { utc, ms } from "../../lib/time";
import { AuditMeans, AuditWhat, AuditWho } from "../../parts/auditfacts";
import { Ago, Copy, Link, NotAssessed } from "../../parts/bits";
import { ClusterLink } from "../../parts/cluster";
import { Crumb, Nothing, NotUpToDate, useEntity, useEntityKeys } from "../../parts/entity";
import { auditSource, Outcome } from "../audit/AuditScreen";

/** One request at its stable address, /audit/<event id>. */
export default function AuditEventScreen({ id }: { id: string }) {
  const e = useEntity<GetAuditEventResponse>(id, ["alert"], async (k, signal) => { const r = await clusters.getAuditEvent({ id: k }, signal ? { signal } : undefined); return r.event ? r : null; });
  useEntityKeys(auditSource, id, auditAddress);
  const g = e.got, a = g?.event;
  useEffect(() => { document.title = `${a ? didWhat(a) : "Request"} · Dockreeve`; }, [a]);
  const crumb = <Crumb source={auditSource} title="Audit" name={id} address={auditAddress(id)} />;
  if (!g || !a) return <div className="page">{crumb}<Nothing of={e} what="the request" gone={<p>It may be older than what is kept, or a read by the platform, which is only counted. <Link to={AUDIT.path}>All requests</Link></p>} /></div>;
  const ev = auditOf(g.eventJson, g.factsJson);
  const raw = pretty(g.eventJson);
  return (
    <div className="page alert">
      {crumb}
      <header className="alert-head">
        <p className="kicker"><span className="muted">API request</span><Outcome a={a} /><span className="muted">on</span><ClusterLink name={a.cluster} /></p>
        <h1>{who(a.identity, a.user)} {didWhat(a)}.</h1>
        <p className="muted"><Ago ns={a.time} suffix />, <span className="mono">{utc(ms(a.time))}</span></p>
        <div className="acts">
          {a.identity && <Link className="btn" to={filtered(AUDIT, `cluster:${quote(a.cluster)} identity:${quote(a.identity)}`)}>All by this identity</Link>}
          {a.name && <Link className="btn" to={filtered(AUDIT, `cluster:${quote(a.cluster)} resource:${quote(a.resource)}${a.namespace ? ` namespace:${quote(a.namespace)}` : ""} name:${quote(a.name)}`)}>All about this object</Link>}
        </div>
        <NotUpToDate of={e} />
      </header>
      <div className="columns">
        <div className="evidence">
          <section aria-labelledby="s-who"><h2 id="s-who">Who, and from where</h2><AuditWho of={ev} by={a} /></section>
          <section aria-labelledby="s-what"><h2 id="s-what">What was asked</h2>{ev ? <AuditWhat of={ev} /> : <p><NotAssessed why="the event could not be read" /></p>}</section>
          <section aria-labelledby="s-raw"><h2 id="s-raw">Raw event</h2>{g.eventJson ? <details><summary>As it is kept: redacted</summary>{!raw.valid && <p className="field-error">This is not valid JSON; it is shown as it came.</p>}<div className="code"><pre tabIndex={0}>{raw.text}</pre><Copy text={g.eventJson} what="event" /></div></details> : <p><NotAssessed why="the event itself is not kept" /></p>}{g.factsJson && <details><summary>Facts computed about it</summary><div className="code"><pre tabIndex={0}>{pretty(g.factsJson).text}</pre><Copy text={g.factsJson} what="facts" /></div></details>}</section>
        </div>
        <div className="facts">
          <section aria-labelledby="s-means"><h2 id="s-means">What it means</h2>{ev ? <AuditMeans of={ev} /> : <p><NotAssessed why="the event could not be read" /></p>}</section>
          <section aria-labelledby="s-alerts"><h2 id="s-alerts">Alerts that rest on it</h2>{g.alertIds.length === 0 ? <p className="muted">None.</p> : <ul className="names">{g.alertIds.map((x) => <li key={x}><Link to={`/alerts/${x}`} className="mono">{x}</Link></li>)}</ul>}</section>
        </div>
      </div>
    </div>
  );
}
