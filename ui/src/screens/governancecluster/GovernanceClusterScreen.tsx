import { useEffect } from "react";
import { governance } from "../../api/client";
import { known } from "../../api/live";
import { useAtom } from "../../lib/atom";
import type { Alert } from "../../gen/dockreeve/v1/dockreeve_pb";
import type { Anomaly, ClusterCost, ClusterRow, InventoryGap, Point, Result } from "../../gen/govern";
import { clusterAddress, governedAddress } from "../../lib/entity";
import { anomalySays, at, change, doc, lastStep, list, once, points, ROW_SAYS, ROWS } from "../../lib/govern";
import { addressOf, ALERTS, filtered, GOVERNANCE, quote } from "../../lib/query";
import { num, plural } from "../../lib/time";
import { Ago, Copy, End, Link, NotAssessed, Remedy } from "../../parts/bits";
import { count } from "../../parts/chart";
import { Owner } from "../../parts/cluster";
import { Crumb, Nothing, NotUpToDate, useEntity, useEntityKeys } from "../../parts/entity";
import { Gaps, Marks, Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";
import { type Tab, Tabs } from "../../parts/Tabs";
import { Spent } from "../governance/columns";
import { governedSource } from "../governance/GovernanceScreen";
import { ClusterMoney } from "./ClusterMoney";
import { Results } from "../compliance/Results";
import { History } from "./History";
import { Ownership } from "./Ownership";
import { Protection } from "./Protection";
import { Vulnerable } from "./Vulnerable";

export interface Got { c: ClusterRow; cost: ClusterCost | null; results: readonly Result[]; history: Record<string, Point[]>; anomalies: readonly Anomaly[]; alerts: readonly Alert[] }

/** That a cluster is this one of Azure was told to its agent, and is proven by neither its nodes nor its API server. */
const told = (from: string): boolean => from.startsWith("its agent was told");

/** Everything of a cluster that is not assessed: what its row leaves open as well as what it tells as a gap. */
function blanks(c: ClusterRow): InventoryGap[] {
  const rows = ROWS.filter((n) => c[n].state !== "open" && c[n].state !== "closed").map((n) => ({ what: ROW_SAYS[n][1].toLowerCase(), reason: c[n].why, remedy: c[n].do ?? "" }));
  const seen: InventoryGap[] = [];
  const absent = { reason: c.here ? "what runs in it was not scanned" : "it is not onboarded", remedy: c.here ? "" : c.onboard ?? "" };
  if (c.critical === undefined) seen.push({ what: "critical vulnerabilities of what runs", ...absent });
  if (c.alertsOpen === undefined) seen.push({ what: "open alerts", reason: "nothing watches it here", remedy: absent.remedy });
  if (c.security.notAssessed) seen.push({ what: "what protection costs", reason: c.security.notAssessed });
  return [...rows, ...seen, ...list(c.gaps)];
}

/** One cluster as governance sees it: each protection with its proof, whose it is, what it costs. */
export default function GovernanceClusterScreen({ id, search }: { id: string; search: string }) {
  const e = useEntity<Got>(id, ["governance"], async (k, signal) => {
    const r = await governance.getGovernanceCluster({ id: k }, signal ? { signal } : undefined);
    const c = doc<ClusterRow>(r.clusterJson);
    return c && { c, cost: doc<ClusterCost>(r.costJson), results: list(doc<Result[]>(r.resultsJson)), history: doc<Record<string, Point[]>>(r.historyJson) ?? {}, anomalies: list(doc<Anomaly[]>(r.anomaliesJson)), alerts: r.alerts };
  });
  useEntityKeys(governedSource, id, governedAddress);
  const inventories = useAtom(known) ?? [];
  useEffect(() => { document.title = `${e.got?.c.name ?? "Cluster"}, governance · Dockreeve`; }, [e.got]);
  const crumb = <Crumb source={governedSource} title="Governance" name={e.got?.c.name ?? id} address={governedAddress(id)} />;
  if (!e.got) return <div className="page">{crumb}<Nothing of={e} what="the cluster" gone={<p><Link to={GOVERNANCE.path}>All clusters under governance</Link></p>} /></div>;
  const { c, cost, results, history, anomalies, alerts } = e.got;
  const of = `cluster:${quote(c.here ?? "")}`;
  const open = ROWS.filter((n) => c[n].state === "open").length, blind = ROWS.filter((n) => c[n].state !== "open" && c[n].state !== "closed").length;
  const fails = results.filter((r) => r.verdict === "fail").length;
  const gaps = blanks(c);
  const tabs: Tab[] = [
    { key: "protection", label: "Protection", count: `${4 - open - blind} of 4`, warn: open + blind > 0, body: () => <Protection of={c} /> },
    { key: "ownership", label: "Ownership", count: "", warn: c.ownership.owner === "unowned" || list(c.ownership.missing).length > 0, body: () => <Ownership of={c} /> },
    { key: "vulnerabilities", label: "Vulnerabilities", count: c.critical === undefined ? "?" : c.critical > 0 ? `${num(c.critical)} critical` : "", warn: (c.critical ?? 0) > 0, body: () => <Vulnerable of={c} results={results} /> },
    { key: "compliance", label: "Compliance", count: fails ? `${num(fails)} fail` : "", warn: fails > 0, body: () => <Results of={results} none={c.here ? "No control was evaluated at it." : "No control was evaluated at it: it is not onboarded, and Azure told nothing of it."} /> },
    { key: "cost", label: "Cost", count: "", warn: Boolean(c.anomaly), body: () => <ClusterMoney of={c} cost={cost} anomalies={anomalies} alerts={alerts} /> },
    { key: "history", label: "History", count: "", body: () => <History of={history} c={c} /> },
    { key: "gaps", label: "Not assessed", count: num(gaps.length), warn: gaps.length > 0, body: () => <Gaps of={gaps} none="Nothing of it that is known is left out." /> },
  ];
  const odd = anomalies.find((a) => c.anomaly?.endsWith(a.id)) ?? anomalies[0];
  const named = (state: (s: string) => boolean) => ROWS.filter((n) => state(c[n].state)).map((n) => ROW_SAYS[n][1].toLowerCase()).join(", ");
  const isOpen = (s: string) => s === "open", isDark = (s: string) => s !== "open" && s !== "closed";
  const mining = anomalies.find((a) => a.mining);
  const dark = blind > 0 ? `; not assessed: ${named(isDark)}` : "";
  const since = c.uncoveredSince ? <> since <Ago ns={at(c.uncoveredSince)} suffix /></> : null;
  const says: React.ReactNode = c.protected.notAssessed ? `Whether it is protected is not assessed: ${c.unread ? "Azure could not be asked for it now" : c.protected.notAssessed}`
    : c.protected.value ? `Protected${open > 0 ? `, though open: ${named(isOpen)}` : blind > 0 ? "" : ", all four parts closed"}${dark}`
    : <>Not protected{since}{open > 0 ? `; open: ${named(isOpen)}` : ""}{dark}</>;
  return (
    <div className="page image governed">
      {crumb}
      <header className="alert-head">
        <p className="kicker"><b className="wrap">{c.name}</b><span className="muted">{[c.kind.toUpperCase(), c.version, c.location, c.subscriptionName ?? c.subscription, c.stopped ? "stopped" : ""].filter(Boolean).join(", ")}</span></p>
        <h1>{mining && <><span className="bad-ink">It looks as if somebody mines here, <Sum of={mining.perHour} what="money at risk" /> an hour at risk.</span> </>}{says}.</h1>
        <div className="acts">
          {c.here && inventories.some((x) => x.name === c.here) && <Link className="btn" to={clusterAddress(c.here)}>Inventory of it</Link>}
          {c.alertsOpen !== undefined && <Link className="btn" to={addressOf({ ...ALERTS.view, filter: `${c.here ? of : `cluster:${quote(c.name)}`} status:open` })}>Open alerts</Link>}
          {mining && <Link className="btn" to={`${governedAddress(id)}?tab=cost`}>What looks like mining</Link>}
          <Link className="btn" to={filtered(GOVERNANCE, `owner:${quote(c.ownership.owner)}`)}>All of this owner</Link>
        </div>
        <NotUpToDate of={e} />
      </header>
      {c.unread && <div className="notice warn onboard"><p className="row"><Warn /><span>Azure could not be asked for it: {c.unread}. What Azure tells of it is of an earlier day, or not assessed.</span></p><Remedy>dockreeve azure export-role</Remedy></div>}
      {!c.here && <div className="notice warn onboard"><p className="row"><Warn />Not onboarded: Dockreeve's agents do not report from it, so what runs in it and what happens there is not assessed.</p>{c.onboard ? <Remedy>{c.onboard}</Remedy> : <Link to="/clusters?join=1">Make a join token</Link>}</div>}
      <dl className="dl wide-facts">
        <div><dt>owner</dt><dd><Owner of={c.ownership.owner} from={c.ownership.from} /><span className="muted small from">{once(c.ownership.from, c.unread)}</span></dd></div>
        <div><dt>environment</dt><dd><span className="wrap">{c.environment}{c.production && c.environment !== "production" ? ", counts as production" : ""} <span className="muted small">{once(c.environmentFrom, c.unread)}</span></span></dd></div>
        <div><dt>protection</dt><dd><Marks of={c} size={18} /></dd></div>
        <div><dt>score</dt><dd>{c.score === undefined ? <NotAssessed why="its benchmark was not evaluated" /> : <span><b>{Math.round(points(c.score))}</b> of 100{c.scoreChange7d === undefined ? <span className="muted small"> no value 7 days ago to compare with</span> : <span className="muted small"> {change(points(c.scoreChange7d), 1)} in 7 days</span>}</span>}</dd></div>
        <div><dt>critical</dt><dd>{c.critical === undefined ? <NotAssessed why={c.here ? "what runs in it was not scanned" : "it is not onboarded"} /> : <span><Link to={`${governedAddress(id)}?tab=vulnerabilities`}>{plural(c.critical, "critical vulnerability", "critical vulnerabilities")}</Link> in what runs and was scanned{c.exploited ? <>, <b>{num(c.exploited)} known to be exploited</b></> : ""}</span>}</dd></div>
        <div><dt>open alerts</dt><dd>{c.alertsOpen === undefined ? <NotAssessed why="nothing watches it here" /> : <span>{plural(c.alertsOpen, "high or critical alert")}</span>}</dd></div>
        <div><dt>month to date</dt><dd className="wide-money"><Spent c={c} /></dd></div>
        <div><dt>security cost</dt><dd><Sum of={c.security} what="what protection costs, month to date" dated /></dd></div>
        <div className="full"><dt>risk</dt><dd><span className="wrap"><b>{Math.round(c.risk)}</b> of 100 <span className="muted small">{list(c.riskWhy).join("; ")}</span></span></dd></div>
        {c.anomaly && <div className="full"><dt>unusual</dt><dd><span className="odd"><span className="amber"><Warn size={13} />{anomalySays(c.anomaly)}</span>{odd && <>: {odd.series} {odd.key && odd.key !== odd.cluster ? `of ${lastStep(odd.key)} ` : ""}{count(odd.got)} instead of {count(odd.expected)} {odd.unit}, since <Ago ns={at(odd.from)} suffix />; at risk <Sum of={odd.perHour} what="money at risk" /> an hour</>}. <Link to={`${governedAddress(id)}?tab=cost`}>Its causes</Link></span></dd></div>}
        {c.here && c.id.startsWith("/") && <div className="full"><dt>known here as</dt><dd><span className="wrap"><b>{c.here}</b> {c.hereFrom ? told(c.hereFrom) ? <span className="amber"><Warn size={13} />not proven: {c.hereFrom}, and nobody checked</span> : <span className="muted small">{c.hereFrom}</span> : <span className="muted small">how that is known was not told</span>}</span></dd></div>}
        {c.firstSeen ? <div><dt>first seen</dt><dd><Ago ns={at(c.firstSeen)} suffix /></dd></div> : null}
        <div className="full"><dt>id</dt><dd><End mono>{c.id}</End><Copy text={c.id} what="id" /></dd></div>
      </dl>
      <Tabs of={tabs} search={search} address={governedAddress(id)} label="Parts of the cluster's governance" />
    </div>
  );
}
