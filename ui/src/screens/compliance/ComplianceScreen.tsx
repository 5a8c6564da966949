import { useEffect, useState } from "react";
import { governance } from "../../api/client";
import type { GetComplianceResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import type { Control, Point, Score } from "../../gen/govern";
import { controlAddress } from "../../lib/entity";
import { byDay, doc, entries, frameworkName, list, points, score, severityOf } from "../../lib/govern";
import { quote } from "../../lib/query";
import { go } from "../../lib/route";
import { num, plural } from "../../lib/time";
import { Ago, Link, NotAssessed } from "../../parts/bits";
import { Owner } from "../../parts/cluster";
import { count, DayChart, Meter, Spark } from "../../parts/chart";
import { type Entity, Nothing, NotUpToDate, useEntity } from "../../parts/entity";
import { NotEvaluated } from "../../parts/govern";
import { Download, Warn } from "../../parts/icons";
import { SeverityMark } from "../../parts/marks";
import { download } from "../../parts/list/export";

export type Counts = Record<string, Record<string, number>>;
export interface Compliance { controls: readonly Control[]; scores: Record<string, Score[]>; history: Record<string, Point[]>; counts: Counts; answer: GetComplianceResponse }
export const useCompliance = (): Entity<Compliance> => useEntity<Compliance>("compliance", ["governance"], async (_, signal) => {
  const r = await governance.getCompliance({}, signal ? { signal } : undefined);
  return { controls: list(doc<Control[]>(r.controlsJson)), scores: doc<Record<string, Score[]>>(r.scoresJson) ?? {}, history: doc<Record<string, Point[]>>(r.historyJson) ?? {}, counts: doc<Counts>(r.resultsJson) ?? {}, answer: r };
});

const STATES = ["fail", "not-assessed", "exempt", "pass"] as const;
const SAYS: Readonly<Record<string, string>> = { fail: "failing somewhere", "not-assessed": "not assessed anywhere", exempt: "exempt somewhere", pass: "passing, none fails" };
/** Whether a chip counts a control. One that fails here and is exempt there is counted by both. */
export const counts = (n: Record<string, number> | undefined, state: string): boolean => (state === "exempt" ? (n?.exempt ?? 0) > 0 : state === "pass" ? (n?.pass ?? 0) > 0 && (n?.fail ?? 0) === 0 : stateOf(n) === state);
/** Where a control stands over all that it was judged at. */
export function stateOf(n: Record<string, number> | undefined): (typeof STATES)[number] {
  if (!n) return "not-assessed";
  return (n.fail ?? 0) > 0 ? "fail" : (n.exempt ?? 0) > 0 ? "exempt" : (n.pass ?? 0) > 0 ? "pass" : "not-assessed";
}

/** How benchmarks are met, and by which controls they are not. */
export default function ComplianceScreen({ search }: { search: string }) {
  const e = useCompliance();
  useEffect(() => { document.title = "Compliance · Dockreeve"; }, []);
  if (!e.got) return <div className="page"><h1>Compliance</h1><Nothing of={e} what="compliance" gone={null} /></div>;
  const { controls, scores, history, answer } = e.got;
  if (controls.length === 0) return <div className="page"><h1>Compliance</h1><NotEvaluated what="Compliance" why={answer.notAssessed} remedy="" /></div>;
  const p = new URLSearchParams(search);
  const all = list(scores[""]);
  const framework = p.get("framework") ?? "";
  const chosen = framework === "" ? undefined : all.find((s) => s.framework === framework);
  const put = (k: string, v: string) => { const n = new URLSearchParams(search); if (v) n.set(k, v); else n.delete(k); go(`/compliance${n.size ? `?${n}` : ""}`, true); };
  const shown = chosen ?? all.find((s) => s.framework === "") ?? all[0];
  const past = shown ? byDay(list(history[shown.framework])) : [];
  return (
    <div className="page image governed">
      <header className="alert-head">
        <h1>Compliance</h1>
        <p className="behind first"><span>{plural(controls.length, "control")}, {num(controls.filter((c) => !c.manual).length)} of them judged by evidence, {num(controls.filter((c) => c.manual).length)} by hand</span>{answer.at > 0n && <span>evaluated <Ago ns={answer.at} suffix /></span>}{answer.notAssessed && <span className="amber"><Warn size={13} />{answer.notAssessed}</span>}</p>
        <NotUpToDate of={e} />
      </header>
      <ul className="frameworks" aria-label="Benchmarks">
        {all.map((s) => { const t = score(s); const past = byDay(list(history[s.framework])).map(([, v]) => points(v)); return (
          <li key={s.framework}>
            <button type="button" className={`framework${s.framework === (chosen?.framework ?? "") ? " on" : ""}`} aria-pressed={s.framework === (chosen?.framework ?? "")} onClick={() => put("framework", framework === s.framework ? "" : s.framework)}>
              <span className="figure-name">{frameworkName(s.framework)}</span>
              <span className="figure-value">{t.value === null ? <b className="muted">not assessed</b> : <b>{t.percent}</b>}<Spark values={past.slice(-30)} says={`${frameworkName(s.framework)}: ${past.length ? `${Math.round(past.at(0)!)} to ${Math.round(past.at(-1)!)} in ${plural(past.length, "day")}` : "no history"}`} /></span>
              <Meter value={t.value} met={t.met} says={t.tip} />
              <span className="muted small">{t.text}; {num(s.notAssessed)} not assessed, {num(s.exempt)} exempt</span>
            </button>
          </li>
        ); })}
        {all.length === 0 && <li><NotAssessed why="no benchmark was evaluated" /></li>}
      </ul>
      {shown && <DayChart title={`Score, ${frameworkName(shown.framework)}`} unit="of 100" days={past.map(([d]) => d)} format={(v) => count(v)} height={70} series={[{ name: frameworkName(shown.framework).slice(0, 18), strong: true, values: past.map(([, v]) => points(v)) }]} />}
      <Controls of={e.got} search={search} framework={chosen?.framework ?? ""} put={put} />
      <ByOwner scores={scores} framework={shown?.framework ?? ""} />
    </div>
  );
}

function Controls({ of, search, framework, put }: { of: Compliance; search: string; framework: string; put: (k: string, v: string) => void }) {
  const p = new URLSearchParams(search);
  const state = p.get("state") ?? "", words = p.get("q") ?? "";
  const [typed, setTyped] = useState(words);
  useEffect(() => setTyped(words), [words]);
  const mine = of.controls.filter((c) => !framework || list(c.maps?.[framework]).length > 0);
  const rows = mine.filter((c) => (!state || counts(of.counts[c.id], state)) && `${c.id} ${c.title} ${entries(c.maps).map(([, l]) => list(l).join(" ")).join(" ")}`.toLowerCase().includes(words.toLowerCase()))
    .sort((a, b) => STATES.indexOf(stateOf(of.counts[a.id])) - STATES.indexOf(stateOf(of.counts[b.id])) || severityOf(b.severity) - severityOf(a.severity) || (of.counts[b.id]?.fail ?? 0) - (of.counts[a.id]?.fail ?? 0));
  const n = (s: string) => mine.filter((c) => counts(of.counts[c.id], s)).length;
  const fields = (c: Control) => [{ key: "control", value: c.id }, { key: "title", value: c.title }, { key: "severity", value: c.severity }, ...["pass", "fail", "not-assessed", "exempt"].map((v) => ({ key: v.replace("-", "_"), value: of.counts[c.id]?.[v] ?? 0 })), { key: "maps", value: entries(c.maps).map(([f, l]) => `${f}: ${list(l).join(" ")}`).join("; ") }];
  return (
    <section aria-label="Controls" className="stack controls-section">
      <h2>Controls{framework ? ` of ${frameworkName(framework)}` : ""}</h2>
      <div className="table-bar">
        <input className="input control-search" type="search" aria-label="Search controls" placeholder="title, id or number" value={typed} onChange={(e) => { setTyped(e.target.value); put("q", e.target.value); }} spellCheck={false} />
        {STATES.map((s) => <button key={s} type="button" className={`chip${state === s ? " on" : ""}`} aria-pressed={state === s} onClick={() => put("state", state === s ? "" : s)}>{SAYS[s]} <span className="chip-count">{num(n(s))}</span></button>)}
        <span className="grow" />
        <button type="button" className="btn plain" onClick={() => download("controls", rows, [{ values: fields }], "csv", new Date())}><Download size={14} />CSV</button>
      </div>
      <p className="counts"><b>{num(rows.length)}</b> of {plural(mine.length, "control")}</p>
      {rows.length === 0 ? <p className="muted">None matches.</p> : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Controls">
          <table className="plain controls">
            <thead><tr><th><span className="sr">Severity</span></th><th>Control</th><th className="n">Fail</th><th className="n">Pass</th><th className="n">Not assessed</th><th className="n">Exempt</th><th>Of it</th><th>In benchmarks</th></tr></thead>
            <tbody>{rows.map((c) => { const k = of.counts[c.id] ?? {}; const total = (k.pass ?? 0) + (k.fail ?? 0) + (k["not-assessed"] ?? 0) + (k.exempt ?? 0); return (
              <tr key={c.id}>
                <td className="sev-cell"><SeverityMark of={severityOf(c.severity)} size={16} /></td>
                <td><Link to={controlAddress(c.id)} className="control-link"><b>{c.title}</b></Link><p className="muted small">{c.id}{c.manual ? ", a person has to look" : ""}</p></td>
                <td className="n">{k.fail ? <Link to={`${controlAddress(c.id)}?q=verdict:fail`}><b>{num(k.fail)}</b></Link> : <span className="faint">0</span>}</td><td className="n">{num(k.pass ?? 0)}</td><td className="n">{k["not-assessed"] ? <Link to={`${controlAddress(c.id)}?q=verdict:not-assessed`}>{num(k["not-assessed"])}</Link> : <span className="faint">0</span>}</td><td className="n">{k.exempt ? <Link to={`${controlAddress(c.id)}?q=verdict:exempt`}>{num(k.exempt)}</Link> : <span className="faint">0</span>}</td>
                <td><Split of={k} total={total} /></td>
                <td className="maps-cell">{entries(c.maps).filter(([, l]) => list(l).length).map(([f, l]) => <span key={f} className="map-tag" data-tip={`${frameworkName(f)}\n${list(l).join("\n")}`}>{f.split("-")[0]!.toUpperCase()} {f.startsWith("defender") ? "" : list(l).join(", ")}</span>)}</td>
              </tr>
            ); })}</tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** Of how many it was judged, and how: a bar that says so in words too. */
export function Split({ of: k, total }: { of: Record<string, number>; total: number }) {
  if (total === 0) return <span className="muted" data-tip="it was judged at nothing">not assessed</span>;
  const says = `at ${num(total)}: ${num(k.pass ?? 0)} pass, ${num(k.fail ?? 0)} fail, ${num(k["not-assessed"] ?? 0)} not assessed, ${num(k.exempt ?? 0)} exempt`;
  return <span className="split" role="img" aria-label={says} data-tip={says}>{(["fail", "pass", "exempt", "not-assessed"] as const).map((v) => (k[v] ? <span key={v} className={`v-${v}`} style={{ flexGrow: k[v] }} /> : null))}</span>;
}

function ByOwner({ scores, framework }: { scores: Record<string, Score[]>; framework: string }) {
  const rows = Object.entries(scores).filter(([k]) => k.startsWith("owner:")).map(([k, l]) => ({ owner: k.slice(6), s: list(l).find((x) => x.framework === framework) ?? list(l)[0] })).sort((a, b) => (a.s ? a.s.ratio : 2) - (b.s ? b.s.ratio : 2));
  if (rows.length === 0) return null;
  return (
    <section aria-label="By owner" className="stack controls-section">
      <h2>By owner, {frameworkName(framework)}</h2>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Scores by owner"><table className="plain owners"><thead><tr><th>Owner</th><th>Score</th><th className="n">Pass</th><th className="n">Fail</th><th className="n">Not assessed</th><th className="n">Exempt</th></tr></thead>
        <tbody>{rows.slice(0, 50).map(({ owner, s }) => { const t = score(s); return <tr key={owner}><td><Link to={`/governance?q=${encodeURIComponent(`owner:${quote(owner)}`)}`}><Owner of={owner} /></Link></td><td className="nowrap">{t.value === null ? <NotAssessed /> : <span className="row"><Meter value={t.value} met={t.met} says={t.tip} />{t.percent}</span>}</td><td className="n">{num(s?.pass ?? 0)}</td><td className="n">{num(s?.fail ?? 0)}</td><td className="n">{num(s?.notAssessed ?? 0)}</td><td className="n">{num(s?.exempt ?? 0)}</td></tr>; })}</tbody></table></div>
      {rows.length > 50 && <p className="muted">{num(rows.length - 50)} more owners, with better scores.</p>}
    </section>
  );
}
