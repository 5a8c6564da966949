import { useEffect } from "react";
import { governance } from "../../api/client";
import type { GetCostResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import type { Report, SubscriptionRow } from "../../gen/govern";
import { governedAddress } from "../../lib/entity";
import { amount, dayOf, doc, known, lastStep, list, money, type Names, scopeName } from "../../lib/govern";
import { ms, num, plural } from "../../lib/time";
import { Ago, Link, NotAssessed } from "../../parts/bits";
import { DayChart } from "../../parts/chart";
import { type Entity, Nothing, NotUpToDate, useEntity } from "../../parts/entity";
import { Gaps, NotEvaluated, Prices, Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";
import { type Tab, Tabs } from "../../parts/Tabs";
import { Allocations } from "./Allocations";
import { Anomalies, anomalyTip } from "./Anomalies";
import { Budgets } from "./Budgets";
import { Ingestion } from "./Ingestion";
import { Providers } from "./Providers";
import { Reconciled } from "./Reconciled";

export interface Got { of: Report | null; answer: GetCostResponse; names: Names }
export const useCost = (): Entity<Got> => useEntity<Got>("cost", ["governance"], async (_, signal) => {
  const opt = signal ? { signal } : undefined;
  const [r, s] = await Promise.all([governance.getCost({}, opt), governance.listGovernance({ kind: "subscription", pageSize: 500 }, opt).catch(() => null)]); // names are a comfort: figures stand without them
  return { of: doc<Report>(r.reportJson), answer: r, names: new Map((s?.items ?? []).map((i) => [i.key.toLowerCase().split("/").at(-1)!, doc<SubscriptionRow>(i.docJson)!.name])) };
});

/** What clusters, teams and protection cost, what of it is idle, unusual or above its budget. */
export default function CostScreen({ search }: { search: string }) {
  const e = useCost();
  useEffect(() => { document.title = "Cost · Dockreeve"; }, []);
  if (!e.got) return <div className="page"><h1>Cost</h1><Nothing of={e} what="the cost" gone={null} /></div>;
  const { of: r, answer, names } = e.got;
  if (!r) return <div className="page"><h1>Cost</h1><NotEvaluated what="Cost" why={answer.notAssessed} remedy={answer.remedy} /></div>;
  const days = list(r.days), budgets = list(r.budgets), anomalies = list(r.anomalies), reconciled = list(r.reconciled), gaps = list(r.gaps);
  const billed = r.billed.asOf ?? ""; // what came after it is not billed yet
  const off = reconciled.filter((x) => x.finding).length, over = budgets.filter((b) => b.breach).length;
  const mining = anomalies.find((a) => a.mining);
  const lastDay = days.at(-1)?.day ?? "";
  const tabs: Tab[] = [
    { key: "allocation", label: "Allocation", count: num(list(r.teams).length), body: () => <Allocations of={r} /> },
    { key: "protection", label: "Protection", count: "", body: () => <Providers of={list(r.protection)} /> },
    { key: "budgets", label: "Budgets", count: num(budgets.length), warn: over > 0, body: () => <Budgets of={budgets} names={names} gaps={gaps.filter((g) => g.what.startsWith("budgets of "))} /> },
    { key: "anomalies", label: "Unusual", count: num(anomalies.length), warn: anomalies.length > 0, body: () => (anomalies.length === 0 ? <p className="muted">Nothing in {plural(days.length, "day")} is unusual by spend, core-hours, nodes or egress, as far as they are known.</p> : <Anomalies of={anomalies} alerts={answer.alerts} names={names} />) },
    { key: "ingestion", label: "Log ingestion", count: num(list(r.ingestion).length), body: () => <Ingestion of={list(r.ingestion)} increases={list(r.increases)} /> },
    { key: "reconciled", label: "Computed against billed", count: num(reconciled.length), warn: off > 0, body: () => <Reconciled of={reconciled} names={names} /> },
    { key: "prices", label: "Prices", count: num(list(r.prices).length), warn: list(r.prices).some((p) => !p.verified), body: () => <Prices of={list(r.prices)} /> },
    { key: "gaps", label: "Not assessed", count: num(gaps.length + (r.bad > 0 ? 1 : 0)), warn: gaps.length + r.bad > 0, body: () => <><p className="muted">{plural(r.rows, "row")} of bills read{r.bad > 0 ? <>; <span className="amber"><Warn size={13} />{plural(r.bad, "row")} not understood: what {r.bad === 1 ? "it costs is" : "they cost is"} in no total</span></> : ", all of them understood"}.</p><Gaps of={gaps} none="Nothing that is known is left out." /></> },
  ];
  return (
    <div className="page image governed">
      <header className="alert-head">
        <h1>{known(r.billed) ? <>{money(r.billed)} from {dayOf(r.from)} to {dayOf(r.to - 1e9)}</> : "What was billed is not assessed"}{mining ? <>; <Link to="/cost?tab=anomalies" className="bad-ink">one anomaly looks like mining, {money(mining.perHour)} an hour</Link></> : anomalies.length ? <>; <Link to="/cost?tab=anomalies">{plural(anomalies.length, "anomaly", "anomalies")}</Link></> : ""}{over ? <>; <Link to="/cost?tab=budgets">{plural(over, "budget")} will not hold</Link></> : ""}.</h1>
        <p className="behind first"><span>{known(r.billed) ? <>{r.billed.source || "bill"} of {r.billed.asOf || "a date that is not told"}</> : <NotAssessed why={r.billed.notAssessed ?? ""} />}</span><span>{plural(r.rows, "row")} read</span>{answer.at > 0n && <span>computed <Ago ns={answer.at} suffix /></span>}{list(r.others).length > 0 && <span className="amber"><Warn size={13} />beside it, kept apart: {list(r.others).map(money).join(", ")}</span>}</p>
        <NotUpToDate of={e} />
      </header>
      <dl className="totals">
        <Total name="idle" of={r.idle} whole={r} what="nobody requested it and nobody used it" />
        <Total name="shared" of={r.shared} whole={r} what="belongs to clusters, and to no namespace" />
        <Total name="of no cluster" of={r.unassigned} whole={r} what="belongs to no cluster that is known" />
      </dl>
      {days.length > 0 && <DayChart title="Billed, protection and idle" unit={r.currency} days={days.map((d) => d.day)} format={(v) => amount(v)} height={140}
        series={[{ name: "billed", strong: true, values: days.map((d) => (d.notBilled || (billed && d.day > billed) ? null : d.billed)) }, { name: "protection", values: days.map((d) => d.protection) }, { name: "idle", dashed: true, values: days.map((d) => d.idle ?? null) }]}
        marks={answer.alerts.map((a) => ({ at: ms(a.at), title: a.title, severity: a.severity, to: `/alerts/${encodeURIComponent(a.id)}`, miner: a.miner }))}
        bands={anomalies.filter((a) => a.mining).map((a) => ({ from: a.from / 1e6, to: a.to / 1e6, title: anomalyTip(a), grave: true }))}
        unusual={anomalies.map((a) => ({ from: a.from / 1e6, to: a.to / 1e6, title: anomalyTip(a), grave: a.mining === true, label: `${a.mining ? "mining" : a.series}, ${a.cluster ? lastStep(a.cluster) : scopeName(a.key, names)}`, address: a.cluster ? `${governedAddress(a.cluster)}?tab=cost` : "/cost?tab=anomalies" }))}
        {...(Date.parse(`${lastDay}T24:00:00Z`) > r.to / 1e6 ? { partial: lastDay } : {})}
        note={<>Bars below are what was unusual, each leads to its causes; red looks like mining. Marks are alerts of the day they first came.{billed && days.at(-1)!.day > billed ? ` Billed until ${billed}.` : ""}</>} />}
      <Tabs of={tabs} search={search} address="/cost" label="Parts of the cost" />
    </div>
  );
}

function Total({ name, of, whole, what }: { name: string; of: Report["idle"]; whole: Report; what: string }) {
  const part = known(of) && known(whole.billed) && of.currency === whole.billed.currency && whole.billed.micros > 0 ? Math.round((of.micros / whole.billed.micros) * 100) : null;
  return <div><dt data-tip={what}>{name}</dt><dd><Sum of={of} what={what} />{part !== null && <span className="muted">{part} %</span>}</dd></div>;
}
