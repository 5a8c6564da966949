import { useCallback, useEffect, useRef, useState } from "react";
import { aborted, alerts, Code, isCode, sentence } from "../../api/client";
import { onChange } from "../../api/live";
import { type AlertDetail, AlertStatus } from "../../gen/dockreeve/v1/dockreeve_pb";
import { auditOf } from "../../lib/audit";
import { auditAddress } from "../../lib/entity";
import { DEFAULT_VIEW, addressOf, quote } from "../../lib/query";
import { go } from "../../lib/route";
import { num, plural } from "../../lib/time";
import { AuditMeans, AuditWhat, AuditWho } from "../../parts/auditfacts";
import { Ago, Copy, Link } from "../../parts/bits";
import { Back, Retry, Warn } from "../../parts/icons";
import { SeverityMark, StatusMark } from "../../parts/marks";
import { screenCommands, typing } from "../../shell/commands";
import { standOn } from "../alerts/AlertsScreen";
import { setStatus } from "../alerts/setStatus";
import { StatusDialog } from "../alerts/StatusDialog";
import { alertSource } from "../alerts/source";
import { lastAddress, lastOrder } from "../../parts/list/useList";
import { Attack, Belongs, ContainerFacts, History, Process, Raw, Severity, Timing, ToDo, Why } from "./parts";
import { Occurrences } from "./Occurrences";
import { Tree } from "./Tree";

/** One alert at its stable address, /alerts/<id>. */
export default function AlertScreen({ id }: { id: string }) {
  const [detail, setDetail] = useState<AlertDetail | null>(null);
  const [error, setError] = useState<{ text: string; gone: boolean } | null>(null);
  const [asking, setAsking] = useState<AlertStatus | null>(null);
  const [told, setTold] = useState(0); // counts changes, so that occurrences are fetched again

  const load = useCallback(async (signal?: AbortSignal) => {
    try {
      const r = await alerts.getAlert({ id }, signal ? { signal } : undefined);
      setDetail(r.alert ?? null);
      setError(r.alert ? null : { text: "The server gave an answer without an alert.", gone: false });
    } catch (err) {
      if (!aborted(err)) setError({ text: sentence(err), gone: isCode(err, Code.NotFound) || isCode(err, Code.InvalidArgument) });
    }
  }, [id]);

  useEffect(() => {
    const stop = new AbortController();
    void load(stop.signal);
    standOn(id);
    const off = onChange(["alert"], (t) => { if (t.reset || t.many || t.ids.has(id) || t.ids.size === 0) { void load(); setTold((n) => n + 1); } });
    return () => { stop.abort(); off(); };
  }, [id, load]);
  useEffect(() => { document.title = detail?.alert ? `${detail.alert.title} · Dockreeve` : "Alert · Dockreeve"; }, [detail]);

  const act = useCallback((to: AlertStatus) => {
    if (!detail?.alert) return;
    if (to === AlertStatus.DISMISSED || to === AlertStatus.RESOLVED) setAsking(to);
    else void setStatus([detail.alert], to, "", () => void load());
  }, [detail, load]);

  const keys = useRef<(e: KeyboardEvent) => void>(() => undefined);
  keys.current = (e) => {
    if (typing(e) || e.ctrlKey || e.metaKey || e.altKey) return;
    const order = lastOrder(alertSource);
    const i = order.indexOf(id);
    const to = e.key === "j" ? order[i + 1] : e.key === "k" ? order[i - 1] : undefined;
    if ((e.key === "j" || e.key === "k") && i >= 0 && to) go(`/alerts/${to}`, true);
    else if (e.key === "a") act(AlertStatus.ACKNOWLEDGED);
    else if (e.key === "s") act(AlertStatus.DISMISSED);
    else if (e.key === "r") act(AlertStatus.RESOLVED);
    else if (e.key === "o") act(AlertStatus.OPEN);
    else if (e.key === "Escape") go(lastAddress(alertSource));
    else return;
    e.preventDefault();
  };
  useEffect(() => {
    const f = (e: KeyboardEvent) => keys.current(e);
    addEventListener("keydown", f);
    return () => removeEventListener("keydown", f);
  }, []);
  useEffect(() => {
    screenCommands.set([
      { name: "Acknowledge this alert", hint: "a", run: () => act(AlertStatus.ACKNOWLEDGED) },
      { name: "Dismiss this alert", hint: "s", run: () => act(AlertStatus.DISMISSED) },
      { name: "Resolve this alert", hint: "r", run: () => act(AlertStatus.RESOLVED) },
    ]);
    return () => screenCommands.set([]);
  }, [act]);

  const crumb = <p className="crumb"><Link to={lastAddress(alertSource)}><Back size={14} />Alerts</Link><span className="mono faint">{id}</span><Copy text={`${location.origin}/alerts/${id}`} what="address of this alert" /></p>;
  if (!detail?.alert) {
    return (
      <div className="page">
        {crumb}
        {error ? (
          <div className="notice bad" role="alert">
            <h2><Warn />{error.gone ? "There is no such alert" : "The alert could not be fetched"}</h2>
            <p>{error.text}</p>
            {error.gone ? <Link to={addressOf({ ...DEFAULT_VIEW, filter: "" })}>All alerts</Link> : <button type="button" className="btn" onClick={() => void load()}><Retry />Try again</button>}
          </div>
        ) : <div className="skeletons" role="status" aria-label="Loading the alert"><span className="skeleton" /><span className="skeleton" /><span className="skeleton" /></div>}
      </div>
    );
  }
  const a = detail.alert;
  const s = a.subject;
  const event = detail.lineage.length === 0 ? auditOf(detail.eventJson) : null;
  const audit = event !== null || (s?.identity ?? "") !== "" && detail.lineage.length === 0; // judged by what the API server told
  const open = a.status === AlertStatus.OPEN || a.status === AlertStatus.ACKNOWLEDGED;
  return (
    <div className="page alert">
      {crumb}
      <header className="alert-head">
        <p className="kicker"><SeverityMark of={a.severity} word /><span aria-hidden="true" className="faint">·</span><StatusMark of={a.status} /><span aria-hidden="true" className="faint">·</span><span>{a.title}</span></p>
        <h1>{a.summary || a.title}</h1>
        <p className="muted">Seen {a.count === 1n ? "once" : `${num(a.count)} times`}, last <Ago ns={a.lastSeen} suffix />{a.count > 1n && <>, first <Ago ns={a.firstSeen} suffix /></>}, on {audit ? s?.cluster ? `the API server of ${s.cluster}` : "an API server" : s?.node || "a node that is not known"}.</p>
        <div className="acts">
          {a.status === AlertStatus.OPEN && <button type="button" className="btn strong" onClick={() => act(AlertStatus.ACKNOWLEDGED)}>Acknowledge<kbd>a</kbd></button>}
          {open && <button type="button" className="btn" onClick={() => act(AlertStatus.RESOLVED)}>Resolve<kbd>r</kbd></button>}
          {open && <button type="button" className="btn" onClick={() => act(AlertStatus.DISMISSED)}>Dismiss<kbd>s</kbd></button>}
          {a.status !== AlertStatus.OPEN && <button type="button" className="btn" onClick={() => act(AlertStatus.OPEN)}>Open again<kbd>o</kbd></button>}
          <Link className="btn" to={addressOf({ ...DEFAULT_VIEW, filter: `rule:${quote(a.ruleId)}` })}>Same rule elsewhere</Link>
          {audit && detail.eventIds[0] && <Link className="btn" to={auditAddress(detail.eventIds[0])}>The request in Audit</Link>}
        </div>
        {error && <p className="field-error" role="alert">Not up to date: {error.text}</p>}
      </header>
      {(detail.losses.length > 0 || a.affectedByLoss) && (
        <div className="notice warn">
          <h2><Warn />Events were lost around this moment</h2>
          {detail.losses.length > 0
            ? <ul>{detail.losses.map((l, i) => <li key={i}>{plural(l.count, `${l.lane || ""} event`.trim())} at <code>{l.hop}</code>, reason <code>{l.reason}</code>, from <Ago ns={l.from} suffix /> to <Ago ns={l.to} suffix />. What happened then may be missing below.</li>)}</ul>
            : <p>Another occurrence of this alert was affected; its newest one was not.</p>}
        </div>
      )}
      <div className="columns">
        <div className="evidence">
          {audit ? <>
            <section aria-labelledby="s-tree"><h2 id="s-tree">Who did it, and from where</h2><AuditWho of={event} by={{ cluster: s?.cluster ?? "", identity: s?.identity ?? "", user: s?.user ?? "", sources: s?.source ? [s.source] : [], agent: s?.agent ?? "" }} /></section>
            {event && <section aria-labelledby="s-what"><h2 id="s-what">What was asked</h2><AuditWhat of={event} /></section>}
            {event && <section aria-labelledby="s-means"><h2 id="s-means">What it means</h2><AuditMeans of={event} /></section>}
          </> : <section aria-labelledby="s-tree"><h2 id="s-tree">Who did it</h2><Tree of={detail} /></section>}
          <section aria-labelledby="s-why"><h2 id="s-why">Why it fired</h2><Why of={detail} /></section>
          <section aria-labelledby="s-occ"><h2 id="s-occ">Occurrences</h2><Occurrences id={id} total={a.count} told={told} audit={audit} /></section>
          <section aria-labelledby="s-raw"><h2 id="s-raw">Raw event</h2><Raw of={detail} /></section>
        </div>
        <div className="facts">
          <section aria-labelledby="s-do"><h2 id="s-do">What to do</h2><ToDo of={detail} /></section>
          <section aria-labelledby="s-sev"><h2 id="s-sev">Why {a.severity === 0 ? "this severity" : <SeverityWord of={detail} />}</h2><Severity of={detail} /></section>
          {(s?.cluster || s?.owner || s?.tenant || audit) && <section aria-labelledby="s-own"><h2 id="s-own">Cluster and owner</h2><Belongs of={a} /></section>}
          {!audit && <section aria-labelledby="s-ctr"><h2 id="s-ctr">Container and image</h2><ContainerFacts of={a} /></section>}
          {!audit && <section aria-labelledby="s-proc"><h2 id="s-proc">Process and object</h2><Process of={detail} /></section>}
          <section aria-labelledby="s-att"><h2 id="s-att">ATT&CK</h2><Attack of={a} /></section>
          <section aria-labelledby="s-time"><h2 id="s-time">Time</h2><Timing of={a} audit={audit} /></section>
          <section aria-labelledby="s-hist"><h2 id="s-hist">History</h2><History of={detail} /></section>
        </div>
      </div>
      {asking !== null && <StatusDialog to={asking} count={1} onClose={() => setAsking(null)} onDone={(why) => { const to = asking; setAsking(null); void setStatus([a], to, why, () => void load()); }} />}
    </div>
  );
}

const SeverityWord = ({ of }: { of: AlertDetail }) => <>{["", "informational", "low", "medium", "high", "critical"][of.alert?.severity ?? 0]}</>;
