import type { BudgetState, CostGap as Gap } from "../../gen/govern";
import { governedAddress } from "../../lib/entity";
import { budgetState, lastStep, list, moneys, type Names, percent, scopeName } from "../../lib/govern";
import { filtered, GOVERNANCE, quote } from "../../lib/query";
import type { Field } from "../../lib/table";
import { num, plural } from "../../lib/time";
import { End, Link, NotAssessed } from "../../parts/bits";
import { BudgetBar, Sum } from "../../parts/govern";
import { Check, Warn } from "../../parts/icons";
import { TableHead } from "./TableHead";

/** Budgets with what is spent, what the period ends at, and which thresholds were crossed. */
export function Budgets({ of, names, gaps }: { of: readonly BudgetState[]; names: Names; gaps: readonly Gap[] }) {
  if (of.length === 0) return <p><NotAssessed why="no budget was read: Azure has none at the scopes that were read, or they may not be read" /></p>;
  const rank = ["over", "near", "within", "none"];
  const rows = [...of].sort((a, b) => rank.indexOf(budgetState(a)) - rank.indexOf(budgetState(b)) || b.burn - a.burn);
  return (
    <>
    <TableHead says={`${plural(rows.filter((b) => b.breach).length, "budget")} of ${num(rows.length)} will not hold; ${num(rows.filter((b) => budgetState(b) === "none").length)} not assessed`} csv="budgets" rows={rows} of={fields} />
    {gaps.map((g) => <p key={g.what} className="amber"><Warn size={13} />{g.what} are not in this list: {g.reason}</p>)}
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Budgets">
      <table className="plain wide-table">
        <thead><tr><th>Budget</th><th>Scope</th><th>Holds</th><th className="n">Amount</th><th className="n">Spent</th><th>Burn</th><th className="n">Forecast</th><th>Thresholds</th></tr></thead>
        <tbody>{rows.map((b) => {
          const s = budgetState(b);
          return (
            <tr key={b.id}>
              <td className="budget-name"><b>{b.name}</b>{b.security && <p className="muted small">security and ingestion meters</p>}</td>
              <td className="node-name"><Scope of={b} names={names} /></td>
              <td className="nowrap">{b.breach ? <span className={s === "over" ? "bad-ink" : "amber"}><Warn size={13} />{b.burn >= 1 ? "broke" : "breaks"} on {b.breach}</span> : s === "none" ? <NotAssessed /> : <span className="row"><Check size={14} />holds at this rate</span>}</td>
              <td className="n nowrap"><Sum of={b.amount} /></td><td className="n nowrap"><Sum of={b.spent} /></td>
              <td className="burn-cell"><BudgetBar spent={b.spent} budget={b.amount} forecast={b.forecast} thresholds={list(b.thresholds).map((t) => t.percent)} /><span className="muted small">{s === "none" ? "not assessed" : <span className="nowrap">{percent(b.burn)} spent, {percent(b.expected)} of the period over</span>}</span></td>
              <td className="n nowrap"><Sum of={b.forecast} /></td>
              <td className="thresholds">{list(b.thresholds).length === 0 ? <span className="muted">none</span> : list(b.thresholds).map((t, i) => <span key={i} className={t.crossed ? "threshold crossed" : "threshold"} data-tip={`${t.percent} % ${t.forecasted ? "of the forecast" : "of what is spent"}: ${t.crossed ? "crossed" : "not crossed"}`}>{t.forecasted ? "forecast " : ""}{t.crossed ? "past " : ""}{t.percent} %</span>)}</td>
            </tr>
          );
        })}</tbody>
      </table>
    </div>
    </>
  );
}

/** What a budget is of: a cluster's page, or the clusters of a subscription. */
function Scope({ of: b, names }: { of: BudgetState; names: Names }) {
  const name = b.cluster ? lastStep(b.cluster) : scopeName(b.scope, names);
  const to = b.cluster ? `${governedAddress(b.cluster)}?tab=cost` : /^\/subscriptions\/[^/]+$/i.test(b.scope) ? filtered(GOVERNANCE, `subscription:${quote(name)}`) : "";
  return to ? <Link to={to}><End tip={b.scope}>{name}</End></Link> : <End tip={b.scope}>{name}</End>;
}

const fields = (b: BudgetState): Field[] => [
  { key: "budget", value: b.name }, { key: "scope", value: b.scope }, { key: "cluster", value: b.cluster ?? "" }, { key: "security_meters", value: b.security ? "yes" : "no" },
  ...moneys("amount", b.amount), ...moneys("spent", b.spent), ...moneys("forecast", b.forecast), { key: "currency", value: b.amount.currency }, { key: "of", value: b.spent.asOf ?? "" },
  { key: "thresholds_past", value: list(b.thresholds).filter((t) => t.crossed).map((t) => `${t.forecasted ? "forecast " : ""}${t.percent} %`).join("; ") }, { key: "breaks_on", value: b.breach ?? "" },
];
