import type { ClusterRow } from "../../gen/govern";
import { governedAddress } from "../../lib/entity";
import { amount, anomalySays, burn, change, known, list, money, moneyTip, percent, points, protectionSays, ROWS, shortOwner, yes } from "../../lib/govern";
import { addressOf, ALERTS, quote } from "../../lib/query";
import { num } from "../../lib/time";
import type { Field } from "../../lib/table";
import { End, Link } from "../../parts/bits";
import { Owner, text } from "../../parts/cluster";
import { BudgetBar, Marks, Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";
import { type Column, columnsKept } from "../../parts/list/columns";
import { SeverityMark } from "../../parts/marks";

export interface Governed { id: string; of: ClusterRow }

/** A cell leads to its evidence: a part of the cluster's page, or the list it counts. */
const To = ({ c, tab, children, tip }: { c: ClusterRow; tab: string; children: React.ReactNode; tip?: string }) => <Link data-own="" tabIndex={-1} to={`${governedAddress(c.id)}${tab && `?tab=${tab}`}`} className="cell-link" {...(tip ? { "data-tip": tip } : {})}>{children}</Link>;
const Unknown = ({ why }: { why: string }) => <span className="muted" data-tip={`not assessed: ${why}`}>?<span className="sr"> not assessed</span></span>;
const here = (c: ClusterRow) => `cluster:${quote(c.here ?? "")}`;
const seen = (c: ClusterRow) => (c.here ? "what runs in it was not scanned" : "Dockreeve does not see this cluster itself: onboard it");
const moneyFields = (key: string, m: ClusterRow["budget"]): Field[] => [{ key, value: known(m) ? m.micros / 1e6 : "not assessed" }];

export function ScoreCell({ c }: { c: ClusterRow }) {
  if (c.score === undefined) return <Unknown why="its benchmark was not evaluated" />;
  const d = c.scoreChange7d === undefined ? null : points(c.scoreChange7d);
  return <span className="score"><b>{Math.round(points(c.score))}</b>{d !== null && Math.abs(d) >= 0.5 && <span className="muted small" data-tip={`${change(d, 1)} points in 7 days`}>{change(d)}</span>}</span>;
}

const COLUMNS: readonly Column<Governed>[] = [
  { key: "name", label: "Cluster", width: "minmax(172px, 2fr)", order: "name", main: true, cell: ({ of: c }) => <span className="name-digest"><End tip={`${c.name}\n${c.id}\n${[c.subscriptionName ?? c.subscription, c.location, c.version].filter(Boolean).join(", ")}`}>{c.name}</End>{c.hereFrom?.startsWith("its agent was told") && <span className="muted kind" data-tip={`which cluster of Azure it is was told, not proven\n${c.hereFrom}`}>told</span>}{c.unread && <span className="amber kind" data-tip={`Azure could not be asked for it now; what stands here is of an earlier day, or not assessed\n${c.unread}`}>not read</span>}{c.stopped ? <span className="muted kind">stopped</span> : !c.here && <span className="ring" data-tip="seen in Azure, not onboarded: Dockreeve's agents do not report from it"><span className="sr">not onboarded</span></span>}</span>, values: ({ of: c }) => [...text("cluster", c.name), ...text("id", c.id), ...text("subscription", c.subscriptionName ?? c.subscription ?? ""), ...text("here", c.here ?? "not onboarded"), ...text("not_read", c.unread ?? "")] },
  { key: "owner", label: "Owner", width: "minmax(78px, 0.9fr)", order: "owner", cell: ({ of: c }) => <To c={c} tab="ownership"><Owner of={c.ownership.owner} from={c.ownership.from} /></To>, values: ({ of: c }) => [...text("owner", c.ownership.owner), ...text("owner_from", c.ownership.from), ...text("missing_tags", list(c.ownership.missing).join("; "))] },
  { key: "environment", label: "Environment", width: "90px", order: "environment", cell: ({ of: c }) => <To c={c} tab="ownership"><span className={`clip${c.production ? " strong" : ""}`} data-tip={`${c.environment}${c.production && c.environment !== "production" ? ": counts as production" : ""}\nfrom ${c.environmentFrom}`}>{c.environment}</span></To>, values: ({ of: c }) => [...text("environment", c.environment), ...text("production", c.production ? "yes" : "no")] },
  { key: "protection", label: "Protection", width: "94px", cell: ({ of: c }) => <To c={c} tab=""><Marks of={c} size={18} /></To>, values: ({ of: c }) => ROWS.map((n) => ({ key: `protection_${n}`, value: c[n].state })) },
  { key: "risk", label: "Risk", name: "Risk, 0 to 100", width: "46px", order: "risk", number: true, cell: ({ of: c }) => <To c={c} tab="" tip={`${list(c.riskWhy).join("\n") || "nothing adds to it"}\n\nThe list's own order is risk × money: ${num(Math.round(c.riskMoney))}`}>{Math.round(c.risk)}</To>, values: ({ of: c }) => [{ key: "risk", value: c.risk }, { key: "risk_times_money", value: c.riskMoney }] },
  { key: "score", label: "Score", name: "Compliance score and its change in 7 days", width: "58px", order: "score", number: true, cell: ({ of: c }) => <To c={c} tab="compliance"><ScoreCell c={c} /></To>, values: ({ of: c }) => [{ key: "score", value: c.score === undefined ? "not assessed" : points(c.score) }, { key: "score_change_7d", value: c.scoreChange7d === undefined ? "not assessed" : points(c.scoreChange7d) }] },
  { key: "critical", label: "Critical", name: "Critical vulnerabilities that run", width: "56px", order: "critical", number: true, cell: ({ of: c }) => (!c.critical ? <To c={c} tab="vulnerabilities">{c.critical === undefined ? <Unknown why={seen(c)} /> : <span className="faint" data-tip="no critical vulnerability in what runs and was scanned">0</span>}</To> : <Link data-own="" tabIndex={-1} to={`${governedAddress(c.id)}?tab=vulnerabilities`} className="alert-count" data-tip={`${num(c.critical)} critical vulnerabilities run${c.exploited ? `, ${num(c.exploited)} known to be exploited` : ""}`}>{c.exploited ? <span className="kev">KEV</span> : null}<b>{num(c.critical)}</b></Link>), values: ({ of: c }) => [{ key: "critical_running", value: c.critical ?? "not assessed" }, { key: "exploited_running", value: c.critical === undefined ? "not assessed" : c.exploited ?? 0 }] },
  { key: "alerts", label: "Alerts", name: "Open alerts, high and critical", width: "50px", order: "alerts", number: true, cell: ({ of: c }) => (c.alertsOpen === undefined ? <To c={c} tab=""><Unknown why={c.here ? "nothing watches it now" : "Dockreeve does not watch it, and Defender told no alert of it"} /></To> : c.alertsOpen === 0 ? <Link data-own="" tabIndex={-1} className="cell-link" to={addressOf({ ...ALERTS.view, filter: c.here ? here(c) : `cluster:${quote(c.name)}` })}><span className="faint" data-tip="no open alert of high or critical severity while it was watched">0</span></Link> : <Link data-own="" tabIndex={-1} className="alert-count" to={addressOf({ ...ALERTS.view, filter: `${c.here ? here(c) : `cluster:${quote(c.name)}`} severity:>=high status:open` })}><SeverityMark of={4} size={14} word="" /><b>{num(c.alertsOpen)}</b><span className="sr"> open high or critical alerts</span></Link>), values: ({ of: c }) => [{ key: "alerts_open_high", value: c.alertsOpen ?? "not assessed" }] },
  { key: "money", label: "Month to date, budget", name: "Month to date against budget and forecast", width: "minmax(184px, 1.1fr)", order: "cost", cell: ({ of: c }) => <To c={c} tab="cost"><Spent c={c} /></To>, values: ({ of: c }) => [...moneyFields("month_to_date", c.monthToDate), ...moneyFields("budget", c.budget), ...moneyFields("forecast", c.forecast), ...text("currency", c.monthToDate.currency), ...text("price_date", c.monthToDate.asOf ?? "")] },
  { key: "anomaly", label: "Unusual", name: "Unusual cost, nodes or core-hours", width: "54px", cell: ({ of: c }) => (c.anomaly ? <To c={c} tab="cost"><span className="amber" data-tip={anomalySays(c.anomaly)}><Warn size={13} />{c.anomaly.startsWith("mining: ") ? "mining" : "yes"}<span className="sr">: {anomalySays(c.anomaly)}</span></span></To> : <To c={c} tab="cost">{known(c.monthToDate) ? <span className="faint" data-tip="nothing unusual in what was billed">no</span> : <Unknown why={c.monthToDate.notAssessed || "no bill of it was read"} />}</To>), values: ({ of: c }) => text("anomaly", c.anomaly ? anomalySays(c.anomaly) : (known(c.monthToDate) ? "none" : "not assessed")) },
  { key: "security", label: "Security", name: "Security cost, month to date", width: "86px", order: "security", number: true, cell: ({ of: c }) => <To c={c} tab="cost">{known(c.security) ? <Sum of={c.security} what="what protection costs, month to date" brief /> : <Sum of={c.security} what="what protection costs, month to date" bare />}</To>, values: ({ of: c }) => moneyFields("security_cost", c.security) },
  { key: "profile", label: "Profile", name: "Defender profile", width: "60px", cell: ({ of: c }) => { const y = yes(c.profile); return <To c={c} tab="">{y ? <span>{y}</span> : <Unknown why={c.profile.notAssessed ?? ""} />}</To>; }, values: ({ of: c }) => text("defender_profile", yes(c.profile) || "not assessed") },
  { key: "subscription", label: "Subscription", width: "130px", order: "subscription", cell: ({ of: c }) => <End tip={c.subscription ?? ""}>{c.subscriptionName || c.subscription || "–"}</End>, values: () => [] },
  { key: "forecast", label: "Forecast", name: "Forecast of the month", width: "76px", order: "forecast", number: true, cell: ({ of: c }) => <To c={c} tab="cost"><Sum of={c.forecast} bare /></To>, values: () => [] },
];
export const columns = COLUMNS;
export const kept = columnsKept("columns.governance", COLUMNS, ["name", "owner", "environment", "protection", "risk", "score", "critical", "alerts", "money", "anomaly", "security"]);

/** Money, the bar against the budget, and in words whether it will hold. */
export function Spent({ c }: { c: ClusterRow }) {
  const b = burn(c.monthToDate, c.budget, c.forecast);
  if (!known(c.monthToDate)) return <span className="muted" data-tip={moneyTip(c.monthToDate)}>not assessed</span>;
  return (
    <span className="spent-cell">
      <span className="n" data-tip={moneyTip(c.monthToDate, "month to date")}>{amount(c.monthToDate.micros)} <span className="cur">{c.monthToDate.currency}</span></span>
      {b.state === "none" ? <span className="faint small clip" data-tip={b.text}>no budget</span> : <BudgetBar spent={c.monthToDate} budget={c.budget} forecast={c.forecast} />}
      {(b.state === "over" || b.state === "near") && <span className={`pct ${b.state}`} data-tip={b.text}>{percent(b.forecast ?? b.spent ?? 0)}</span>}
    </span>
  );
}

export function Card({ of: c }: Governed) {
  return <>
    <a href={governedAddress(c.id)} tabIndex={-1} className="text"><b className="card-name"><End>{c.name}</End></b><span className="muted clip">{c.environment}, {shortOwner(c.ownership.owner)}</span><span className="row small"><Marks of={c} size={16} /><span className="sr">{protectionSays(c)}</span></span></a>
    <span className="side"><span>{known(c.monthToDate) ? money(c.monthToDate) : "cost ?"}</span><span>{c.critical === undefined ? "critical ?" : `${num(c.critical)} critical`}</span><span className="row">{c.anomaly && <span className="amber"><Warn size={12} /></span>}score {c.score === undefined ? "?" : Math.round(points(c.score))}</span></span>
  </>;
}
