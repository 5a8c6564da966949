import { useEffect, useState } from "react";
import type { Check as Item, KPI, Review } from "../../gen/govern";
import { useNow } from "../../lib/clock";
import { at, frameworkName, list, told } from "../../lib/govern";
import { ms, num, plural } from "../../lib/time";
import { Ago, Command, Link, NotAssessed } from "../../parts/bits";
import { count, Meter, Spark } from "../../parts/chart";
import { Nothing, NotUpToDate } from "../../parts/entity";
import { Gaps, NotEvaluated, Refs, useGovernance } from "../../parts/govern";
import { Check, Chevron, Clipboard, Download, Warn } from "../../parts/icons";
import { type Tab, Tabs } from "../../parts/Tabs";
import { ReviewDialog } from "../recommendations/ReviewDialog";
import { useReviews } from "../recommendations/RecommendationsScreen";

/** Is it working: four numbers with their trend, the checks that nobody can tick, and the known ways to fool oneself. */
export default function PlaybookScreen({ search }: { search: string }) {
  const e = useGovernance();
  const reviews = useReviews();
  useEffect(() => { document.title = "Playbook · Dockreeve"; }, []);
  if (!e.got) return <div className="page"><h1>Playbook</h1><Nothing of={e} what="the playbook" gone={null} /></div>;
  const ev = e.got.of;
  if (!ev) return <div className="page"><h1>Playbook</h1><NotEvaluated what="The playbook" why={e.got.answer.notAssessed} remedy={e.got.answer.remedy} /></div>;
  const checks = list(ev.playbook), pitfalls = list(ev.pitfalls), kpis = list(ev.kpis);
  const first = kpis.filter((k) => MAIN.includes(k.id)), rest = kpis.filter((k) => !MAIN.includes(k.id));
  const done = checks.filter((c) => c.state === "done").length, blind = checks.filter((c) => c.state === "not-assessed").length;
  const fell = pitfalls.filter((c) => c.state === "open").length;
  const tabs: Tab[] = [
    { key: "checks", label: "Checks", count: `${done} of ${checks.length}`, warn: done < checks.length, body: () => <Checks of={checks} none="No check was evaluated." /> },
    { key: "pitfalls", label: "Pitfalls", count: fell ? `${fell} found` : "none found", warn: fell > 0, body: () => <Checks of={pitfalls} none="No pitfall was looked for." pitfall /> },
    { key: "reviews", label: "Reviews", count: num(list(reviews.got).length), body: () => <Reviews of={list(reviews.got)} onMade={reviews.reload} /> },
    { key: "evidence", label: "Evidence", count: "", body: () => <Evidence /> },
    { key: "gaps", label: "Not assessed", count: num(list(ev.gaps).length), warn: list(ev.gaps).length > 0, body: () => <Gaps of={list(ev.gaps)} none="Everything that was asked for could be read." /> },
  ];
  return (
    <div className="page image governed">
      <header className="alert-head">
        <h1>{done} of {plural(checks.length, "check")} done{blind ? `, ${num(blind)} not assessed` : ""}; {fell === 0 ? "none of the known pitfalls found" : `${plural(fell, "pitfall")} found`}.</h1>
        <p className="behind first"><span>evaluated <Ago ns={at(ev.at)} suffix /></span>{ev.tenantAt ? <span>Azure read <Ago ns={at(ev.tenantAt)} suffix /></span> : <span className="amber"><Warn size={13} />Azure was not read</span>}<span>none of it can be ticked by hand</span></p>
        <div className="acts">{(["html", "pdf", "csv"] as const).map((f) => <a key={f} className="btn" href={`/reports/playbook.${f}`} {...(f === "html" ? { target: "_blank", rel: "noreferrer" } : { download: true })}><Download size={14} />{f.toUpperCase()}</a>)}</div>
        <NotUpToDate of={e} />
      </header>
      <ul className="kpis" aria-label="Key figures">{first.map((k) => <Figure key={k.id} of={k} />)}{kpis.length === 0 && <li><NotAssessed why="no key figure was computed" /></li>}</ul>
      {rest.length > 0 && <details className="more-kpis"><summary>{plural(rest.length, "more figure")}</summary><ul className="kpis" aria-label="More figures">{rest.map((k) => <Figure key={k.id} of={k} />)}</ul></details>}
      <Tabs of={tabs} search={search} address="/playbook" label="Parts of the playbook" />
    </div>
  );
}

const MAIN: readonly string[] = ["mttr-critical", "defender-profile", "high-alerts", "compliance"]; // the four a lead is asked for
const UNIT: Readonly<Record<string, string>> = { percent: "%", days: "days" };
const value = (v: number, unit: string): string => (unit === "percent" ? count(Math.round(v * 10) / 10) : Math.abs(v) < 0.1 && v !== 0 ? v.toPrecision(2) : count(v));

/** A rate that is less than a tenth is told of a thousand: 0.0076 an hour tells nobody anything. */
const scaled = (k: KPI): number => (k.unit.endsWith("per node-day") && k.value !== undefined && k.value < 0.1 ? 1000 : 1);

function Figure({ of: k }: { of: KPI }) {
  const [open, setOpen] = useState(false);
  const kept = list(k.trend).map((p) => p.value);
  const now = k.value, trend = now === undefined || kept.at(-1) === now ? kept : [...kept, now]; // kept days may end yesterday
  const before = trend.at(-2);
  const per = scaled(k);
  const moved = before !== undefined && now !== undefined && value(before * per, k.unit) !== value(now * per, k.unit);
  const unit = per > 1 ? k.unit.replace("per node-day", `in ${num(per)} node-days`) : UNIT[k.unit] ?? k.unit;
  const good = moved && (now > before) === (k.better === "up");
  return (
    <li className="kpi">
      <p className="figure-name">{k.title.replace(/, ([\w.-]+)$/, (_, f: string) => `, ${frameworkName(f)}`)}</p>
      <p className="kpi-value">{k.value === undefined ? <b className="muted">not assessed</b> : <><b>{value(k.value * per, k.unit)}</b> {unit.length <= 10 && <span className="muted">{unit}</span>}</>}<span className="grow" /><Spark values={trend} says={`${k.title}: ${trend.length > 1 ? `from ${value(trend[0]! * per, k.unit)} to ${value(trend.at(-1)! * per, k.unit)} in ${trend.length} values` : "no trend yet"}`} width={110} height={26} /></p>
      <p className="small">{k.value === undefined ? <span className="muted">{k.notAssessed || "nothing says why"}</span> : <><span className="muted">{unit.length > 10 && `${unit}; `}{num(Math.round(k.n))} of {num(Math.round(k.of))}</span>{" "}{moved && <span className={good ? "muted" : "amber"}>{!good && <Warn size={12} />}{value(before! * per, k.unit)} the time before</span>}</>}</p>
      {k.note && <p className="small wrap">{k.note}</p>}
      <button type="button" className="text-button small" aria-expanded={open} onClick={() => setOpen(!open)}>how it is computed{list(k.by).length > 0 ? ", and by whom" : ""}</button>
      {open && <div className="stack"><p className="small muted">{k.rule}</p>{list(k.by).length > 0 && <By of={k} />}</div>}
    </li>
  );
}

/** What the parts of a figure are called, in the order in which they stand. */
const PART: ReadonlyMap<string, string> = new Map(Object.entries({
  percent: "%", rate: "Per node-day", p50: "p50, days", p90: "p90, days", n: "Fixed", open: "Still open", openP50: "Median open age, days", oldest: "Oldest open, days", alerts: "Alerts", defender: "Defender's", nodeDays: "Node-days",
  pass: "Pass", fail: "Fail", notAssessed: "Not assessed", exempt: "Exempt", manual: "Manual", cost: "Cost", idleShare: "Share of idle", burn: "Burn, %", expected: "Expected, %", spent: "Spent", amount: "Budget", counted: "Counted",
}));
const place = (name: string): number => [...PART.keys(), name].indexOf(name);
const PARTS_SHOWN = 30;

function By({ of: k }: { of: KPI }) {
  const names = [...new Set(list(k.by).flatMap((s) => Object.keys(s.values ?? {})))].sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
  const more = list(k.by).length - PARTS_SHOWN;
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label={`${k.title}, in parts`}>
      <table className="plain"><thead><tr><th>Part</th>{names.map((n) => <th key={n} className="n">{PART.get(n) ?? n}</th>)}</tr></thead>
        <tbody>{list(k.by).slice(0, PARTS_SHOWN).map((s) => <tr key={s.name}><td className="wrap">{s.name || "all"}</td>{names.map((n) => <td key={n} className="n">{s.values?.[n] === undefined ? <span className="muted" data-tip="not assessed">?</span> : value(s.values[n]!, k.unit)}</td>)}</tr>)}</tbody></table>
      {more > 0 && <p className="muted">And {plural(more, "more part")} that {more === 1 ? "is" : "are"} not listed here.</p>}
    </div>
  );
}

const SAYS = { done: "done", open: "open", "not-assessed": "not assessed" } as const;
function Checks({ of, none, pitfall = false }: { of: readonly Item[]; none: string; pitfall?: boolean }) {
  const [open, setOpen] = useState<string>("");
  if (of.length === 0) return <p className="muted">{none}</p>;
  return (
    <ul className="checks">
      {of.map((c) => {
        const t = told(c.ratio), on = open === c.id;
        const fell = c.ratio.of - c.ratio.n;
        const state = pitfall ? (c.state === "done" ? "holds" : c.state === "open" ? "does not hold" : "not assessed") : SAYS[c.state as keyof typeof SAYS] ?? "not assessed";
        const missing = pitfall ? list(c.found) : list(c.ratio.missing);
        return (
          <li key={c.id} className={`check check-${c.state}`}>
            <button type="button" className="check-head" aria-expanded={on} onClick={() => setOpen(on ? "" : c.id)}>
              <span className="check-mark">{c.state === "done" ? <Check size={16} /> : c.state === "open" ? <Warn size={16} /> : <span className="dashed" aria-hidden="true" />}</span>
              <span className="check-title"><b>{c.title}</b> <span className="muted">{state}</span></span>
              <span className="check-ratio">{t.value === null ? <span className="muted">{c.ratio.notAssessed ? "" : "no denominator"}</span> : pitfall ? <span className={c.state === "open" ? "amber n" : "muted n"} data-tip={`${t.text} are as they should be`}>{c.state === "open" && <Warn size={13} />}{c.state === "open" ? "against it: " : ""}{num(fell)} of {num(c.ratio.of)}</span> : <><Meter value={t.value} goal={c.ratio.goal} met={c.state === "done"} says={t.tip} /><span className="n">{t.text}</span></>}</span>
              <Chevron size={14} />
            </button>
            {(c.ratio.notAssessed || c.note) && <p className="check-note muted wrap">{c.ratio.notAssessed && <>Not assessed: {c.ratio.notAssessed}. </>}{c.note}</p>}
            {on && <div className="check-body stack"><p><b>Rule:</b> {c.rule}</p>{c.ratio.unknown ? <p className="amber"><Warn size={13} />{num(c.ratio.unknown)} could not be read, and count as not done.</p> : null}<Refs of={missing} more={pitfall ? 0 : c.ratio.more ?? 0} none={pitfall ? (c.state === "done" ? "No instance was found." : "No instance is named.") : c.state === "done" ? "Nothing is missing." : "What is missing is not named."} /></div>}
          </li>
        );
      })}
    </ul>
  );
}

function Reviews({ of, onMade }: { of: readonly Review[]; onMade: () => void }) {
  const now = useNow();
  const [open, setOpen] = useState(false);
  return (
    <>
      <p className="row"><button type="button" className="btn" onClick={() => setOpen(true)}><Clipboard size={14} />Record a review</button></p>
      {of.length === 0 ? <p className="muted">No review is recorded. One says who looked at what, when, and when somebody must look again.</p> : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Reviews">
          <table className="plain"><thead><tr><th>Of</th><th>By</th><th>When</th><th>Next due</th><th className="n">Open then</th><th>Note</th></tr></thead>
            <tbody>{of.map((r) => { const newer = of.some((x) => x.subject === r.subject && (x.scope ?? "") === (r.scope ?? "") && x.at > r.at);
              const over = r.nextDue > 0 && ms(at(r.nextDue)) < now && !newer; return <tr key={r.id}><td><b>{r.subject}</b>{r.scope && <span className="muted wrap"> {r.scope}</span>}</td><td className="wrap">{r.by}</td><td className="nowrap"><Ago ns={at(r.at)} suffix /></td><td className="nowrap">{newer ? <span className="faint" data-tip="a later review of the same took its place">done since</span> : r.nextDue ? over ? <span className="amber"><Warn size={13} />overdue for <Ago ns={at(r.nextDue)} /></span> : new Date(ms(at(r.nextDue))).toISOString().slice(0, 10) : "–"}</td><td className="n">{r.items === undefined ? <span className="muted" data-tip="not told">?</span> : num(r.items)}</td><td className="wrap">{r.note || <span className="muted">none</span>}</td></tr>; })}</tbody></table>
        </div>
      )}
      {open && <ReviewDialog subject="recommendations" onClose={() => setOpen(false)} onMade={() => { setOpen(false); onMade(); }} />}
    </>
  );
}

function Evidence() {
  const now = useNow();
  const d = (t: number) => new Date(t).toISOString().slice(0, 10);
  return (
    <div className="stack">
      <p>For auditors: one signed bundle of a period, with every denominator, gap and exemption in it.</p>
      <Command>{`dockreeve report evidence --from ${d(now - 30 * 864e5)} --to ${d(now)} -f evidence.zip`}</Command>
      <p className="muted">The same playbook in a terminal or a pipeline, from a snapshot and without this server:</p>
      <Command>dockreeve report playbook --snapshot snapshot.json</Command>
      <p className="muted">What a team gets each week by mail: its clusters, five fixes, cost, and what expires.</p>
      <Command>dockreeve report team --owner TEAM</Command>
      <p className="muted">Results one by one, with what was seen, stand under <Link to="/compliance">Compliance</Link>.</p>
    </div>
  );
}
