import { useState } from "react";
import type { Increase, Ingestion as Row } from "../../gen/govern";
import { governedAddress } from "../../lib/entity";
import { lastStep, list, moneys, total } from "../../lib/govern";
import type { Field } from "../../lib/table";
import { num, plural } from "../../lib/time";
import { End, Link, NotAssessed } from "../../parts/bits";
import { Sum } from "../../parts/govern";
import { Up } from "../../parts/icons";
import { TableHead } from "./TableHead";

const fields = (r: Row): Field[] => [{ key: "cluster", value: r.cluster }, { key: "category", value: r.category }, { key: "table", value: r.table ?? "" }, { key: "gb_per_day", value: r.notAssessed ? "not assessed" : r.gbPerDay }, ...moneys("a_month", r.money), ...moneys("as_kube_audit_admin", r.cheaper), { key: "currency", value: r.money.currency }, { key: "price_date", value: r.money.asOf ?? "" }, { key: "not_detected", value: list(r.loses).join("; ") }, { key: "not_assessed", value: r.notAssessed ?? "" }];
const ROWS = 40, DEARER = 8;

/** What exporting logs costs, what the cheaper audit log would cost, and what it would not see. */
export function Ingestion({ of: all, increases }: { of: readonly Row[]; increases: readonly Increase[] }) {
  const [whole, setWhole] = useState({ rows: false, dearer: false });
  const audit = (r: Row) => Number(r.category.startsWith("kube-audit"));
  const full = all.filter((r) => r.category.startsWith("kube-audit") && !r.category.startsWith("kube-audit-admin"));
  const dear = total(full.map((r) => r.money)), cheap = total(full.map((r) => r.cheaper));
  const lost = new Set(full.flatMap((r) => list(r.loses)));
  const sorted = [...all].sort((a, b) => audit(b) - audit(a) || b.money.micros - a.money.micros);
  const of = whole.rows ? sorted.slice(0, 1000) : sorted.slice(0, ROWS);
  return (
    <>
      <h2>What became dearer</h2>
      {increases.length === 0 ? <p className="muted">Nothing costs notably more than the period before, as far as both are known.</p> : <ul className="increases">{(whole.dearer ? increases : increases.slice(0, DEARER)).map((x, i) => <li key={i}><Up size={14} /><span className="wrap">{x.text}{x.cluster && <> <Link className="small" to={`${governedAddress(x.cluster)}?tab=cost`}>the cluster's cost</Link></>}</span><b className="n nowrap">+<Sum of={x.more} what={x.text} /></b></li>)}</ul>}
      {!whole.dearer && increases.length > DEARER && <p><button type="button" className="btn" onClick={() => setWhole({ ...whole, dearer: true })}>Show all {num(increases.length)}</button></p>}
      <h2>kube-audit against kube-audit-admin</h2>
      {all.length > 0 && <TableHead csv="log-ingestion" rows={sorted} of={fields} says={full.length === 0 ? "No cluster exports all of kube-audit." : <>{plural(full.length, "export")} of all of kube-audit: <Sum of={dear.sum} what="a month, all of kube-audit" /> a month. As kube-audit-admin: <Sum of={cheap.sum} what="a month, as kube-audit-admin" />, and {lost.size === 0 ? "nothing is known that it would not detect" : `${plural(lost.size, "detection")} lost`}.</>} />}
      {of.length === 0 ? <p><NotAssessed why="no diagnostic setting that exports logs was read, or no usage of their tables" /></p> : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Log ingestion">
          <table className="plain wide-table">
            <thead><tr><th>Cluster</th><th>Category</th><th className="n">GB a day</th><th className="n">Costs a month</th><th className="n">With kube-audit-admin</th><th>What that one could not detect</th></tr></thead>
            <tbody>{of.map((r, i) => (
              <tr key={i}>
                <td className="node-name"><Link to={`${governedAddress(r.cluster)}?tab=cost`}><End tip={r.cluster}>{lastStep(r.cluster)}</End></Link></td>
                <td className="nowrap">{r.category}{r.table && <span className="muted small"> {r.table}</span>}</td>
                {r.notAssessed ? <td colSpan={4}><NotAssessed why={r.notAssessed} /></td> : <>
                  <td className="n">{r.gbPerDay.toFixed(1)}</td><td className="n nowrap"><Sum of={r.money} /></td>
                  <td className="n nowrap">{r.category === "kube-audit-admin" ? <span className="muted">is already</span> : <Sum of={r.cheaper} />}</td>
                  <td>{list(r.loses).length === 0 ? r.category === "kube-audit-admin" ? <Link to={governedAddress(r.cluster)}>what its audit log cannot detect</Link> : <span className="muted">nothing that is known</span> : <span className="wrap">{list(r.loses).join("; ")}</span>}</td>
                </>}
              </tr>
            ))}</tbody>
          </table>
        </div>
      )}
      {of.length < all.length && <p><button type="button" className="btn" onClick={() => setWhole({ ...whole, rows: true })}>Show {all.length > 1000 ? "1 000 of " : "all "}{num(all.length)}</button></p>}
    </>
  );
}
