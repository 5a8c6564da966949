import { useState } from "react";
import { governance } from "../../api/client";
import type { ListGovernanceResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import type { Recommendation, Review } from "../../gen/govern";
import { useNow } from "../../lib/clock";
import { recommendationAddress } from "../../lib/entity";
import { at, doc, list, severityOf, shortOwner } from "../../lib/govern";
import { GOVERN_VALUES, RECOMMENDATION_FIELDS } from "../../lib/governFields";
import { RECOMMENDATIONS } from "../../lib/query";
import { go } from "../../lib/route";
import { exact, ms, num, plural, utc } from "../../lib/time";
import { Ago, Link } from "../../parts/bits";
import { Owner } from "../../parts/cluster";
import { useEntity } from "../../parts/entity";
import { NotEvaluated, useGovernance } from "../../parts/govern";
import { Check, Clipboard, Warn } from "../../parts/icons";
import { type Column, columnsKept } from "../../parts/list/columns";
import { type ListKind, ListScreen } from "../../parts/list/ListScreen";
import type { Source } from "../../parts/list/useList";
import { SeverityMark } from "../../parts/marks";
import { ReviewDialog } from "./ReviewDialog";

export interface Row { id: string; of: Recommendation }

export const recommendationSource: Source<Row, ListGovernanceResponse> = {
  place: RECOMMENDATIONS,
  kinds: ["governance"],
  whole: true,
  page: async (q, signal) => {
    const r = await governance.listGovernance({ kind: "recommendation", ...q }, signal ? { signal } : undefined);
    return { rows: r.items.map((i) => ({ id: i.key, of: doc<Recommendation>(i.docJson)! })), next: r.nextCursor, total: r.total, totalAll: r.totalAll, about: r };
  },
};

const EFFORT = ["not told", "a setting", "a change", "a project"];

/** When it is due, and whether that is over. */
export function Due({ of: r, long = false }: { of: Recommendation; long?: boolean }) {
  const now = useNow();
  if (r.fixed) return <span className="row good-ink"><Check size={13} />{long ? <>fixed <Ago ns={at(r.fixed)} suffix />, verified by evaluation</> : "fixed"}</span>;
  if (!r.due) return <span className="muted" data-tip="nothing says by when">no date</span>;
  const days = Math.round((ms(at(r.due)) - now) / 864e5);
  return r.overdue ? <span className="amber" data-tip={`was due ${exact(at(r.due))}`}><Warn size={13} />{long ? `${plural(Math.max(0, -days), "day")} overdue` : `${num(Math.max(0, -days))} d over`}</span> : <span data-tip={`due ${exact(at(r.due))}`}>{long ? `due in ${plural(Math.max(0, days), "day")}` : `in ${num(Math.max(0, days))} d`}</span>;
}

const sources = (r: Recommendation): string => (list(r.sources).length > 1 ? "both" : list(r.sources)[0] === "dockreeve" ? "ours" : list(r.sources)[0] === "defender" ? "Defender" : list(r.sources)[0] ?? "not told");

const COLUMNS: readonly Column<Row>[] = [
  { key: "severity", label: "Sev", name: "Severity", width: "36px", order: "severity", cell: ({ of: r }) => <SeverityMark of={severityOf(r.severity)} size={16} />, values: ({ of: r }) => [{ key: "severity", value: r.severity }] },
  { key: "title", label: "Recommendation", width: "minmax(240px, 3fr)", main: true, cell: ({ of: r }) => <span className="clip strong" data-tip={`${r.title}\n${r.id}`}>{r.title}</span>, values: ({ of: r }) => [{ key: "id", value: r.id }, { key: "title", value: r.title }, { key: "do", value: list(r.do).join(" | ") }] },
  { key: "owner", label: "Owner", width: "minmax(90px, 1fr)", order: "owner", cell: ({ of: r }) => <Owner of={r.owner} />, values: ({ of: r }) => [{ key: "owner", value: r.owner }] },
  { key: "due", label: "Due", width: "90px", order: "due", cell: ({ of: r }) => <Due of={r} />, values: ({ of: r }) => [{ key: "due", value: r.due ? utc(ms(at(r.due))) : "not told" }, { key: "overdue", value: r.overdue ? "yes" : "no" }, { key: "fixed", value: r.fixed ? utc(ms(at(r.fixed))) : "" }] },
  { key: "count", label: "Resources", width: "72px", number: true, order: "count", cell: ({ of: r }) => num(r.count), values: ({ of: r }) => [{ key: "resources", value: r.count }] },
  { key: "workloads", label: "Workloads", name: "Workloads that it touches", width: "74px", number: true, order: "workloads", cell: ({ of: r }) => num(r.workloads), values: ({ of: r }) => [{ key: "workloads", value: r.workloads }] },
  { key: "effort", label: "Effort", width: "80px", order: "effort", cell: ({ of: r }) => <span className="clip">{EFFORT[r.effort] ?? r.effort}</span>, values: ({ of: r }) => [{ key: "effort", value: r.effort }] },
  { key: "source", label: "Found by", width: "70px", cell: ({ of: r }) => <span className="clip" data-tip={list(r.sources).join(" and ")}>{sources(r)}</span>, values: ({ of: r }) => [{ key: "sources", value: list(r.sources).join(" ") }] },
  { key: "disagree", label: "Agree", name: "Defender and Dockreeve say the same", width: "72px", cell: ({ of: r }) => (r.disagree ? <span className="amber" data-tip={r.disagree}><Warn size={13} />differ</span> : list(r.sources).length > 1 ? <span className="muted">yes</span> : <span className="faint" data-tip="only one of them says anything">–</span>), values: ({ of: r }) => [{ key: "disagree", value: r.disagree ?? "" }] },
  { key: "rank", label: "Rank", name: "Risk × workloads ÷ effort", width: "56px", number: true, order: "rank", cell: ({ of: r }) => num(Math.round(r.rank * 10) / 10), values: ({ of: r }) => [{ key: "rank", value: r.rank }] },
];

const kind: ListKind<Row, ListGovernanceResponse> = {
  source: recommendationSource, title: "Recommendations", one: "recommendation", many: "recommendations", fields: RECOMMENDATION_FIELDS, values: GOVERN_VALUES, example: "owner:payments severity:>=high overdue:yes", ascending: ["owner", "title"], cli: "dockreeve posture",
  chips: [["Overdue", "overdue:yes"], ["A setting", "effort:1"], ["They differ", "disagree:yes"], ["By Defender", "source:defender"], ["Fixed", "fixed:yes"]],
  columns: COLUMNS, kept: columnsKept("columns.recommendations", COLUMNS, COLUMNS.map((c) => c.key)), scroll: { top: 0, active: null }, href: (r) => recommendationAddress(r.id), name: (r) => r.of.title,
  card: ({ id, of: r }) => <>
    <SeverityMark of={severityOf(r.severity)} />
    <a href={recommendationAddress(id)} tabIndex={-1} className="text"><span className="two"><b>{r.title}</b></span><span className="muted clip">{shortOwner(r.owner)}, {plural(r.count, "resource")}</span></a>
    <span className="side"><Due of={r} /><span>{sources(r)}</span></span>
  </>,
};

export const useReviews = () => useEntity<readonly Review[]>("reviews", ["governance", "review"], async (_, signal) => list(doc<Review[]>((await governance.listReviews({}, signal ? { signal } : undefined)).reviewsJson)));

/** What to do next, ours and Defender's as one list, by risk × workloads ÷ effort. */
export default function RecommendationsScreen({ search }: { search: string }) {
  const e = useGovernance();
  const reviews = useReviews();
  const [made, setMade] = useState(0);
  const open = new URLSearchParams(search).has("review");
  const last = reviews.got?.find((r) => r.subject === "recommendations");
  const now = useNow();
  const due = last && ms(at(last.nextDue)) < now;
  const away = () => { const p = new URLSearchParams(search); p.delete("review"); return `/recommendations${p.size ? `?${p}` : ""}`; };
  const to = () => { const p = new URLSearchParams(search); p.set("review", "1"); return `/recommendations?${p}`; };
  return (
    <>
      <ListScreen of={kind} search={search}
        behind={(r) => <>{r && r.at > 0n && <span>evaluated <Ago ns={r.at} suffix /></span>}<span>{reviews.got === null ? "" : !last ? <span className="amber"><Warn size={13} />no review is recorded</span> : <Link to="/playbook?tab=reviews" data-tip={last.note || "no note"}>{due ? <span className="amber"><Warn size={13} /><span>last reviewed <Ago ns={at(last.at)} suffix />, the next one is overdue</span></span> : <span>reviewed <Ago ns={at(last.at)} suffix /> by {last.by}</span>}</Link>}</span></>}
        empty={(s) => { const g = s.about?.notAssessed[0]; return <NotEvaluated what="What to do next" why={e.got?.answer.notAssessed || g?.reason || ""} remedy={e.got?.answer.remedy || g?.remedy || ""} />; }}
        tools={<button type="button" className="btn plain" onClick={() => go(to())}><Clipboard size={14} /><span className="wide-only">Record a review</span></button>} />
      {open && <ReviewDialog key={made} subject="recommendations" onClose={() => go(away(), true)} onMade={() => { reviews.reload(); setMade((n) => n + 1); go(away(), true); }} />}
    </>
  );
}
