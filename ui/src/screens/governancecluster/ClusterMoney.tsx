import type { Alert } from "../../gen/dockreeve/v1/dockreeve_pb";
import type { Anomaly, ClusterCost, ClusterRow } from "../../gen/govern";
import { amount, burn, known, lastStep, list, percent } from "../../lib/govern";
import { ms, num } from "../../lib/time";
import { NotAssessed } from "../../parts/bits";
import { DayChart } from "../../parts/chart";
import { BudgetBar, Gaps, Share, Sum } from "../../parts/govern";
import { Warn } from "../../parts/icons";
import { governedAddress } from "../../lib/entity";
import { Anomalies, anomalyTip } from "../cost/Anomalies";

const miner = (a: Alert): boolean => a.techniques.some((t) => t === "T1496" || t.startsWith("T1496.")); // ATT&CK's resource hijacking

/** What one cluster costs: by day, by pool, and protection by provider. */
export function ClusterMoney({ of: c, cost, anomalies, alerts }: { of: ClusterRow; cost: ClusterCost | null; anomalies: readonly Anomaly[]; alerts: readonly Alert[] }) {
  if (!cost) return <p><NotAssessed why={c.monthToDate.notAssessed || "no bill and no price of it was read"} /></p>;
  const days = list(cost.days), pools = list(cost.pools), protection = list(cost.protection);
  const cur = cost.monthToDate.currency || c.monthToDate.currency;
  const lastDay = days.at(-1)?.day ?? "";
  const b = burn(cost.monthToDate, cost.budget, cost.forecast);
  return (
    <>
      <dl className="dl wide-facts flush">
        <div><dt>month to date</dt><dd><Sum of={cost.monthToDate} dated /></dd></div>
        <div><dt>forecast</dt><dd><Sum of={cost.forecast} what="at the end of the month" dated /></dd></div>
        <div><dt>budget</dt><dd className="wide-money"><Sum of={cost.budget} dated />{known(cost.budget) && <BudgetBar spent={cost.monthToDate} budget={cost.budget} forecast={cost.forecast} />}{b.state === "over" && <span className="amber"><Warn size={13} />{percent(b.forecast ?? b.spent ?? 0)} forecast</span>}</dd></div>
        <div><dt>idle</dt><dd><Sum of={cost.idle} what="nobody requested it and nobody used it" dated /></dd></div>
        <div><dt>protection</dt><dd><span><Share v={cost.share} why={cost.shareWhy} />{!cost.shareWhy && " of its cost"}</span></dd></div>
        <div><dt>vCore and month</dt><dd><Sum of={cost.perVCore} what="protection by vCore and month" dated /></dd></div>
        <div><dt>vCores</dt><dd>{num(Math.round(cost.vcores * 10) / 10)} on average</dd></div>
      </dl>
      {days.length > 0 ? <DayChart title="Cost" unit={cur} days={days.map((d) => d.day)} format={(v) => amount(v)} series={[{ name: "billed", strong: true, values: days.map((d) => (d.notBilled || (cost.monthToDate.asOf && d.day > cost.monthToDate.asOf) ? null : d.billed)) }, { name: "protection", values: days.map((d) => d.protection) }, { name: "idle", dashed: true, values: days.map((d) => d.idle ?? null) }]}
        marks={alerts.map((a) => ({ at: ms(a.firstSeen), title: a.title, severity: a.severity, to: `/alerts/${encodeURIComponent(a.id)}`, miner: miner(a) }))} bands={anomalies.filter((a) => a.mining).map((a) => ({ from: a.from / 1e6, to: a.to / 1e6, title: anomalyTip(a), grave: true }))} unusual={anomalies.map((a) => ({ from: a.from / 1e6, to: a.to / 1e6, title: anomalyTip(a), grave: a.mining === true, label: `${a.mining ? "mining, " : ""}${a.series}`, address: `${governedAddress(c.id)}?tab=cost` }))}
        {...(lastDay > (cost.monthToDate.asOf ?? lastDay) ? { partial: lastDay } : {})}
        note={`bill of ${cost.monthToDate.asOf ?? "a date that is not told"}; alerts and what was unusual on the same axis`} /> : <p><NotAssessed why="no bill of it was read" /></p>}
      {anomalies.length > 0 && <><h2>Unusual</h2><Anomalies of={anomalies} alerts={alerts.map((a) => ({ id: a.id, title: a.title, cluster: lastStep(c.id), miner: miner(a) }))} one /></>}
      <h2>Protection by provider <span className="muted">month to date</span></h2>
      {protection.length === 0 ? <p><NotAssessed why="nothing protects it, or what that costs could not be computed" /></p> : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Protection by provider">
          <table className="plain"><thead><tr><th>Provider</th><th className="n">Plan</th><th className="n">Scans</th><th className="n">Ingestion</th><th className="n">Agents reserve</th><th className="n">Total</th><th className="n">vCores</th></tr></thead>
            <tbody>{protection.map((p) => <tr key={p.provider}><td><b>{p.provider}</b></td>{[p.plan, p.scans, p.ingestion, p.agents, p.total].map((m, i) => <td key={i} className="n nowrap"><Sum of={m} /></td>)}<td className="n">{num(Math.round(p.vcores * 10) / 10)}</td></tr>)}</tbody></table>
        </div>
      )}
      <h2>Node pools</h2>
      {pools.length === 0 ? <p><NotAssessed why="its pools were not told" /></p> : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Node pools">
          <table className="plain"><thead><tr><th>Pool</th><th>Size</th><th className="n">vCPUs a node</th><th className="n">Nodes, average</th><th className="n">Node-hours</th><th className="n">vCore-days</th><th className="n">Compute</th></tr></thead>
            <tbody>{pools.map((p) => <tr key={p.pool}><td><b>{p.pool}</b>{p.spot && <span className="muted"> spot</span>}{p.stopped && <span className="muted"> stopped</span>}</td><td className="wrap">{p.size}</td><td className="n">{p.vcpus === 0 ? <span className="amber" data-tip="this size is in no table that is known"><Warn size={13} />not known</span> : num(p.vcpus)}</td><td className="n">{num(Math.round(p.nodes * 10) / 10)}</td><td className="n">{num(Math.round(p.hours))}</td><td className="n">{p.vcpus === 0 ? "?" : num(Math.round(p.vcoreDays))}</td><td className="n nowrap"><Sum of={p.compute} /></td></tr>)}</tbody></table>
        </div>
      )}
      {list(cost.gaps).length > 0 && <><h2>What its money does not say</h2><Gaps of={list(cost.gaps)} none="" /></>}
    </>
  );
}
