import { governance } from "../../api/client";
import type { ListGovernanceResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import type { Change, ClusterRow, Evaluation, Ratio, Ref } from "../../gen/govern";
import { governedAddress } from "../../lib/entity";
import { at, doc, entries, known, list, told } from "../../lib/govern";
import { GOVERN_VALUES, GOVERNED_FIELDS } from "../../lib/governFields";
import { GOVERNANCE } from "../../lib/query";
import { go } from "../../lib/route";
import { num, plural } from "../../lib/time";
import { Ago, Command, Dialog, NotAssessed, Skeleton } from "../../parts/bits";
import { Gaps, MarksKey, NotEvaluated, RefName, Refs, useGovernance } from "../../parts/govern";
import { Warn } from "../../parts/icons";
import { type ListKind, ListScreen } from "../../parts/list/ListScreen";
import type { ListState, Source } from "../../parts/list/useList";
import { Card, columns, type Governed, kept } from "./columns";
import { type Show, showing, SHOWS, Strip, unlike } from "./Strip";

export const governedSource: Source<Governed, ListGovernanceResponse> = {
  place: GOVERNANCE,
  kinds: ["governance"],
  whole: true,
  page: async (q, signal) => {
    const r = await governance.listGovernance({ kind: "cluster", ...q }, signal ? { signal } : undefined);
    return { rows: r.items.map((i) => ({ id: i.key, of: doc<ClusterRow>(i.docJson)! })), next: r.nextCursor, total: r.total, totalAll: r.totalAll, about: r };
  },
};

const kind: ListKind<Governed, ListGovernanceResponse> = {
  source: governedSource, title: "Governance", one: "cluster", many: "clusters", fields: GOVERNED_FIELDS, values: GOVERN_VALUES, example: "production:yes protected:no owner:payments", ascending: ["name", "owner", "environment", "subscription"], cli: "dockreeve coverage",
  chips: [["Production", "production:yes"], ["Not protected", "protected:no"], ["Unknown", "protected:unknown"], ["Unowned", "owner:unowned"], ["Over budget", "over:yes"], ["Unusual", "anomaly:yes"], ["Not onboarded", "onboarded:no"]],
  columns, kept, scroll: { top: 0, active: null }, href: (r) => governedAddress(r.of.id), name: (r) => r.of.name, card: (r) => <Card {...r} />,
};

/** One row for each cluster: is it covered, whose is it, what does it cost, is it getting better. Ordered by risk × money. */
export default function GovernanceScreen({ search }: { search: string }) {
  const e = useGovernance();
  const ev = e.got?.of;
  const show = SHOWS.find((s) => s === new URLSearchParams(search).get("show"));
  return (
    <>
      <ListScreen of={kind} search={search} counts={(s) => <Count of={s} />}
        behind={(r) => <><span className="large-only"><MarksKey /></span>{r && r.at > 0n && <span>evaluated <Ago ns={r.at} suffix /></span>}</>}
        empty={(s) => <Nothing of={s} why={e.got?.answer.notAssessed ?? ""} remedy={e.got?.answer.remedy ?? ""} />}
        above={ev ? <Strip of={ev} search={search} /> : e.error ? <p className="field-error pad" role="alert">Coverage could not be fetched: {e.error.text}</p> : !e.got ? <div className="coverage"><Skeleton what="coverage" lines={2} /></div> : undefined} />
      {ev && show && <Window show={show} of={{ ...ev, gaps: [...list(ev.gaps), ...e.got!.answer.gaps] }} onClose={() => go(showing(search, ""), true)} />}
    </>
  );
}

/** How many, in which order, and of when the money in them is. */
function Count({ of: s }: { of: ListState<Governed, ListGovernanceResponse> }) {
  if (s.totalAll === 0n) return <>No cluster is stored</>;
  const money = [...(s.list?.rows.values() ?? [])].map((r) => r.of.monthToDate).find(known);
  return <><b>{num(s.total)}</b> of {plural(s.totalAll, "cluster")}{s.view.order === GOVERNANCE.view.order && <span className="muted" data-tip="what is at risk and dear comes first: risk, 0 to 100, times the greater of month to date and forecast"> by risk × money</span>}{money && <span className="muted large-only"> · money: {money.source || "bill"} of {money.asOf || "a date that is not told"}</span>}</>;
}

function Nothing({ of, why, remedy }: { of: ListState<Governed, ListGovernanceResponse>; why: string; remedy: string }) {
  const g = of.about?.notAssessed[0];
  return <NotEvaluated what="Governance" why={why || g?.reason || ""} remedy={remedy || g?.remedy || ""} />;
}

const TITLE: Record<Show, string> = { below: "Production below the goal", drift: "What changed since yesterday", onboard: "Seen in Azure, not onboarded", plan: "Relevant subscriptions without the plan", profile: "Without the Defender profile", any: "Protected by nothing", owned: "Without an owner", gaps: "What is not assessed" };

function Window({ show, of: ev, onClose }: { show: Show; of: Evaluation; onClose: () => void }) {
  const c = ev.coverage;
  const ratio: Partial<Record<Show, Ratio>> = { below: c.production, plan: c.subscriptions, profile: c.profile, any: c.any, owned: c.owned };
  const r = ratio[show];
  const t = r && told(r);
  return (
    <Dialog title={TITLE[show]} onClose={onClose} wide>
      <div className="body">
        {r && t && <p>{t.value === null ? <>Not assessed: {t.tip}</> : <><b>{t.text}</b> ({t.percent}){r.goal ? `, goal ${Math.round(r.goal * 100)} %` : ""}{r.unknown ? <span className="amber unread"><Warn size={13} />{num(r.unknown)} could not be read: they count as not covered</span> : ""}</>}</p>}
        {show === "below" && entries(c.byEnvironment).length > 0 && <ByEnvironment of={c.byEnvironment} />}
        {r && <Refs of={list(r.missing)} more={r.more ?? 0} none={t?.value === null ? "Nothing can be named: it was not assessed." : "Nothing is missing."} onGo={onClose} />}
        {show === "onboard" && <Onboard of={list(c.notOnboarded)} onGo={onClose} />}
        {show === "drift" && <Drift of={list(c.drift)} why={unlike(ev)} onGo={onClose} />}
        {show === "gaps" && <Gaps of={list(ev.gaps)} none="Everything that was asked for could be read." />}
      </div>
    </Dialog>
  );
}

const FIRST = ["production", "unknown"]; // these make up production
function ByEnvironment({ of }: { of: Evaluation["coverage"]["byEnvironment"] }) {
  const rank = (name: string) => (FIRST.indexOf(name) + 1 || 9);
  return <dl className="dl">{entries(of).sort(([a], [b]) => rank(a) - rank(b)).map(([name, r]) => { const t = told(r); return <div key={name}><dt>{name}{name === "unknown" ? <span className="small">, counts as production</span> : ""}</dt><dd>{t.value === null ? <span className="muted">not assessed: {t.tip}</span> : `${t.text}, ${t.percent}`}</dd></div>; })}</dl>;
}

function Onboard({ of, onGo }: { of: readonly Ref[]; onGo: () => void }) {
  if (of.length === 0) return <p>Every cluster that Azure tells of is onboarded.</p>;
  const commands = of.map((r) => r.do).filter(Boolean).join("\n");
  return (
    <>
      <p className="muted">Azure tells of {num(of.length)} of these; Dockreeve's agents report from none of them. What runs there, and what happens there, is not assessed.</p>
      {commands && of.length > 1 && <details><summary>All commands at once</summary><Command>{commands}</Command></details>}
      <Refs of={of} none="" onGo={onGo} />
    </>
  );
}

function Drift({ of, why, onGo }: { of: readonly Change[]; why: string; onGo: () => void }) {
  if (of.length === 0 && why) return <p><NotAssessed why={why} /></p>;
  if (of.length === 0) return <p>Nothing is other than it was yesterday, as far as both days were evaluated.</p>;
  const sorted = [...of.filter((d) => d.worse), ...of.filter((d) => !d.worse)];
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Changes">
      {why && <p><NotAssessed why={why} /></p>}
      <table className="plain">
        <thead><tr><th>What</th><th>Where</th><th>Change</th><th>Since</th></tr></thead>
        <tbody>{sorted.map((d, i) => (
          <tr key={i}>
            <td className="nowrap">{d.worse ? <span className="amber"><Warn size={13} />{d.what}, worse</span> : d.after === "unknown" ? <span className="muted">{d.what}, lost sight</span> : <span>{d.what}</span>}</td>
            <td className="node-name"><RefName of={d} onGo={onGo} /></td><td className="wrap">{d.before || "nothing"} → <b>{d.after || "nothing"}</b>{d.why && <p className="muted small">{d.why}</p>}</td><td className="nowrap">{d.since ? <Ago ns={at(d.since)} suffix /> : "–"}</td>
          </tr>
        ))}</tbody>
      </table>
    </div>
  );
}
