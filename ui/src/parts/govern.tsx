// What governance looks like wherever it is shown: protections as four marks, money
// with its date and source, a budget as a bar, and lists of what is missing by name.
import { useState, type ReactNode } from "react";
import { governance } from "../api/client";
import type { GetGovernanceResponse } from "../gen/dockreeve/v1/dockreeve_pb";
import type { CostGap, Evaluation, InventoryGap, Money, Price, Ref, Row } from "../gen/govern";
import { amount, at, burn, doc, gapSays, known, list, money, moneyTip, partial, percent, ROW_SAYS, type RowName, rowTip, ROWS, stateSays, together } from "../lib/govern";
import { clusterAddress, controlAddress, governedAddress } from "../lib/entity";
import { num, plural } from "../lib/time";
import { Ago, Command, End, Link, NotAssessed, Remedy } from "./bits";
import { GapList } from "./cluster";
import { type Entity, useEntity } from "./entity";
import { Warn } from "./icons";

export interface Governed { of: Evaluation | null; answer: GetGovernanceResponse }

// A screen and the bar above it ask at the same moment: one answer serves both.
let asked: { at: number; answer: Promise<Governed> } | null = null;
const SAME = 300; // ms

async function fetchGovernance(): Promise<Governed> {
  const r = await governance.getGovernance({});
  return { of: doc<Evaluation>(r.evaluationJson), answer: r };
}

/** The whole without its lists, fetched again when governance was evaluated. */
export const useGovernance = (): Entity<Governed> => useEntity<Governed>("governance", ["governance"], () => {
  const now = performance.now();
  if (!asked || now - asked.at > SAME) asked = { at: now, answer: fetchGovernance() };
  return asked.answer;
});

const PATH: Record<string, (p: { letter: string }) => ReactNode> = {
  closed: ({ letter }) => <><rect x="1.5" y="1.5" width="15" height="15" rx="3" fill="currentColor" /><text x="9" y="12.7" className="on">{letter}</text></>,
  open: ({ letter }) => <><path d="M9 .9 17.1 9 9 17.1.9 9z" fill="none" stroke="currentColor" strokeWidth="1.6" /><text x="9" y="12.4">{letter}</text></>,
  unknown: ({ letter }) => <><circle cx="9" cy="9" r="7.4" fill="none" stroke="currentColor" strokeWidth="1.2" strokeDasharray="2.4 2.2" /><text x="9" y="12.4">{letter}</text></>,
};

/** One protection: a filled square is closed, a diamond open, a dashed ring not assessed; the letter says which. */
export function RowMark({ name, of, size = 18 }: { name: RowName; of: Row; size?: number }) {
  const state = of.state === "closed" || of.state === "open" ? of.state : "unknown";
  const tip = rowTip(name, of);
  return <span className={`prot prot-${state}`} role="img" aria-label={tip} data-tip={tip}><svg width={size} height={size} viewBox="0 0 18 18" aria-hidden="true">{PATH[state]!({ letter: ROW_SAYS[name][0] })}</svg></span>;
}

export const Marks = ({ of, size }: { of: Record<RowName, Row>; size?: number }) => <span className="prots">{ROWS.map((n) => <RowMark key={n} name={n} of={of[n]} {...(size ? { size } : {})} />)}</span>;

/** What the four marks mean, once on a screen. */
export const MarksKey = () => (
  <span className="marks-key muted">{ROWS.map((n) => <span key={n} data-tip={ROW_SAYS[n][2]}><b>{ROW_SAYS[n][0]}</b> {ROW_SAYS[n][1].toLowerCase()}</span>)}
    <span className="states">{(["closed", "open", "not-assessed"] as const).map((s) => <span key={s} className="row"><span className={`prot prot-${s === "not-assessed" ? "unknown" : s}`} aria-hidden="true"><svg width="12" height="12" viewBox="0 0 18 18">{PATH[s === "not-assessed" ? "unknown" : s]!({ letter: "" })}</svg></span>{stateSays(s)}</span>)}</span>
  </span>
);

/** Money: its date and source a hover away; what is not assessed says so. */
export function Sum({ of, what = "", bare = false, dated = false, brief = false }: { of: Money | undefined; what?: string; bare?: boolean; dated?: boolean; brief?: boolean }) {
  if (!known(of)) return <span className="muted" data-tip={moneyTip(of, what)}>{bare ? "?" : <>not assessed{dated && of?.notAssessed ? `: ${of.notAssessed}` : ""}</>}<span className="sr">{bare ? "not assessed" : ""}</span></span>;
  return <span className="money" data-tip={moneyTip(of, what)}>{partial(of) && <span className="amber part"><Warn size={12} /><span className="sr">at least </span></span>}{amount(of.micros)}{!bare && <> <span className="cur">{of.currency}</span></>}{!dated && !bare && !brief && of.micros === 0 && of.source && <span className="muted small zero-why"> {of.source}</span>}{dated && <span className="muted small money-from"> {[of.source, of.asOf].filter(Boolean).join(", ") || "date not told"}</span>}</span>;
}

/** Month to date against its budget: the bar ends at five quarters of it; the line is the budget, the hatching the forecast. */
export function BudgetBar({ spent, budget, forecast, thresholds = [] }: { spent: Money; budget: Money; forecast: Money; thresholds?: readonly number[] }) {
  const b = burn(spent, budget, forecast);
  const w = (v: number) => `${Math.min(1, v / 1.25) * 100}%`;
  return (
    <span className={`budget budget-${b.state}`} role="img" aria-label={`${money(spent)} spent: ${b.text}`} data-tip={`${moneyTip(spent, "month to date")}\n${b.text}`}>
      {b.spent === null ? null : <>
        {b.forecast !== null && <span className="fore" style={{ width: w(b.forecast) }} />}
        <span className="spent" style={{ width: w(b.spent) }} />
        {thresholds.filter((t) => t !== 100).map((t) => <span key={t} className="step" style={{ left: w(t / 100) }} />)}
        <span className="line" style={{ left: w(1) }} />
      </>}
    </span>
  );
}

/** The address of what a reference names, where the console has a page for it. */
export function refAddress(r: Ref): string {
  if (r.kind === "cluster" && r.id) return governedAddress(r.id);
  if (r.kind === "control" && r.id) return controlAddress(r.id);
  if (r.kind === "alert" && r.id) return `/alerts/${encodeURIComponent(r.id)}`;
  if (r.kind === "here" && r.id) return clusterAddress(r.id);
  return "";
}

export const RefName = ({ of, onGo }: { of: Ref; onGo?: () => void }) => {
  const to = refAddress(of);
  const body = <End tip={`${of.kind}\n${of.name}\n${of.id}`}>{of.name || of.id}</End>;
  return to ? <Link to={to} className="ref" {...(onGo ? { onClick: onGo } : {})}>{body}</Link> : <span className="ref">{body}</span>;
};

const FEW = 20;
/** Things by name, with why they are here and what to do. */
export function Refs({ of, more = 0, none, onGo }: { of: readonly Ref[]; more?: number; none: ReactNode; onGo?: () => void }) {
  const [all, setAll] = useState(false);
  if (of.length === 0) return <p className="muted">{none}</p>;
  return (
    <>
      <ul className="reflist">
        {(all ? of : of.slice(0, FEW)).map((r, i) => (
          <li key={`${r.id} ${i}`}><span className="ref-head"><RefName of={r} {...(onGo ? { onGo } : {})} /><span className="muted kind">{r.kind}</span></span>{r.why && <span className="wrap muted">{r.why}</span>}{r.do && <Remedy>{r.do}</Remedy>}</li>
        ))}
      </ul>
      {!all && of.length > FEW && <p><button type="button" className="btn" onClick={() => setAll(true)}>Show all {num(of.length)}</button></p>}
      {more > 0 && <p className="muted">And {num(more)} more that are not named here.</p>}
    </>
  );
}

/** What could not be assessed. Things with one cause and one remedy stand together: reading it once is enough. */
export const Gaps = ({ of, none }: { of: ReadonlyArray<InventoryGap | CostGap>; none: ReactNode }) => <GapList of={together(of).map((g) => ({ $typeName: "dockreeve.v1.Gap" as const, what: g.whats.map(gapSays).join(", "), reason: g.reason, remedy: g.remedy }))} none={none} />;

/** Since when the figures hold: when Azure was read, and when all was evaluated. */
export function AzureRead({ of }: { of: Evaluation }) {
  return of.tenantAt ? <span>Azure read <Ago ns={at(of.tenantAt)} suffix /></span> : <span className="amber"><Warn size={13} />Azure was not read</span>;
}

/** Nothing was evaluated: why, and every step from a tenant to figures. Nothing here is a nought. */
export function NotEvaluated({ why, remedy, what }: { why: string; remedy: string; what: string }) {
  return (
    <div className="empty first-run">
      <h2>{what} is not assessed yet</h2>
      <p><NotAssessed why={why || "no cloud was read and nothing was evaluated"} /></p>
      {remedy && !/^dockreeve azure /.test(remedy) && <Remedy>{remedy}</Remedy>}
      <ol className="todo">
        <li><div className="stack"><p><b>Give a reader its rights</b>, to read only; each is listed in the role. GROUP is the management group at the top of what is to be read.</p>
          <Command>{"dockreeve azure export-role --scope /providers/Microsoft.Management/managementGroups/GROUP >role.json"}</Command>
          <Command>az role definition create --role-definition @role.json</Command>
          <Command>{'az role assignment create --assignee APP_ID --role "Dockreeve reader" --scope /providers/Microsoft.Management/managementGroups/GROUP'}</Command></div></li>
        <li><div className="stack"><p><b>Read the tenant once</b>, as that reader. It changes nothing; what may not be read is told, not left out.</p>
          <Command>dockreeve azure collect -o snapshot.json</Command></div></li>
        <li><div className="stack"><p><b>Hand in what was read</b>, and a bill as FOCUS or Azure's cost export, if there is one. This screen shows it within seconds.</p>
          <Command>dockreeve azure import snapshot.json</Command>
          <Command>dockreeve cost import focus.csv.gz</Command></div></li>
      </ol>
      <p className="muted">From another machine, or each night from a pipeline: with a token that may do this and nothing else, made once on this server and kept in DOCKREEVE_TOKEN there.</p>
      <Command>dockreeve login --pipeline nightly --scope governance</Command>
      <Command>{`dockreeve azure import snapshot.json --server ${location.origin}`}</Command>
      <p className="muted">Or let this server read it by itself, on a schedule:</p>
      <Command>dockreeve up --azure</Command>
      <p className="muted">To look around without an Azure account, in a made tenant of 200 clusters:</p>
      <Command>dockreeve demo tenant</Command>
    </div>
  );
}

/** Prices that were used, with date and source; those that were not read at their publisher are marked. */
export function Prices({ of }: { of: readonly Price[] }) {
  if (of.length === 0) return <p><NotAssessed why="no price was used: what was computed, if anything, comes from the bill" /></p>;
  const told = of.filter((p) => !p.verified).length;
  return (
    <>
      {told > 0 && <p className="amber"><Warn size={13} />{plural(told, "price")} of {num(of.length)} {told === 1 ? "was" : "were"} told by others and not read at the publisher: figures that rest on {told === 1 ? "it" : "them"} may be wrong.</p>}
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Prices">
        <table className="plain">
          <thead><tr><th>Price</th><th className="n">Amount</th><th>Per</th><th>As of</th><th>Source</th><th>Verified</th></tr></thead>
          <tbody>{of.map((p, i) => (
            <tr key={i}><td><b>{p.key}</b>{(p.region || p.sku) && <span className="muted"> {[p.sku, p.region, /\bspot\b/i.test(p.meter ?? "") && "spot", p.type && p.type !== "Consumption" && p.type].filter(Boolean).join(", ")}</span>}</td><td className="n nowrap">{amount(p.amount)} {p.currency}</td><td className="nowrap">{p.unit}</td><td className="nowrap">{p.asOf || "not told"}</td><td className="wrap">{p.source}</td><td className="nowrap">{p.verified ? "yes" : <span className="amber"><Warn size={13} />not verified</span>}</td></tr>
          ))}</tbody>
        </table>
      </div>
    </>
  );
}

/** A command each, or a sentence. */
export const Todo = ({ of }: { of: readonly string[] | null | undefined }) => <ol className="todo">{list(of).map((d, i) => <li key={i}><Remedy>{d}</Remedy></li>)}</ol>;

export const Share = ({ v, why }: { v: number; why?: string | undefined }) => (why ? <NotAssessed why={why} /> : <span>{percent(v)}</span>);
