import { useState } from "react";
import type { Allocation, Report } from "../../gen/govern";
import { governedAddress } from "../../lib/entity";
import { amount, dayOf, known, lastStep, list, shortOwner } from "../../lib/govern";
import { filtered, GOVERNANCE, quote } from "../../lib/query";
import { num } from "../../lib/time";
import type { Field } from "../../lib/table";
import { End, Link, NotAssessed } from "../../parts/bits";
import { Sum } from "../../parts/govern";
import { type Piece, StackChart } from "../../parts/stack";
import { showback } from "./showback";
import { Download, Warn } from "../../parts/icons";
import { download } from "../../parts/list/export";
import { Owner } from "../../parts/cluster";

const KINDS: Record<string, [name: string, tone: string]> = { rest: ["all other teams", "rest"], shared: ["shared", "shared"], idle: ["idle", "idle"], unassigned: ["of no cluster", "none"] };
const ORDER = ["team", "rest", "shared", "unassigned", "idle"]; // from the bottom up

/** Each day's bill by who bears it. */
function OverTime({ of: r }: { of: Report }) {
  const days = list(r.days), billed = r.billed.asOf ?? "";
  let team = 0;
  const pieces: Piece[] = [...list(r.allocated)].sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind)).map((x) => {
    const values = list(x.days);
    if (x.kind !== "team") { const [name, tone] = KINDS[x.kind] ?? [x.kind, "rest"]; return { name, tone, values }; }
    const key = x.key ?? "";
    return { name: shortOwner(key), tone: key === "unowned" ? "none" : `t${team++}`, values, address: filtered(GOVERNANCE, `owner:${quote(key)}`) };
  });
  return <StackChart title="Billed, by who bears it" unit={r.currency} days={days.map((d) => d.day)} unknown={days.map((d) => d.notBilled === true || (billed !== "" && d.day > billed))} pieces={pieces} format={(v) => amount(v)} note="Each day adds up to what was billed. The eight teams that cost most have a colour of their own." />;
}

const FIRST = 30;
const by = (k: "owner" | "namespace") => [{ values: (a: Allocation): Field[] => showback(a, k) }];

/** Core-hours. Where something was not measured, none is not assessed and some is only a part. */
function Hours({ of, why }: { of: number; why: string | undefined }) {
  if (!why) return <>{num(Math.round(of))}</>;
  if (!of) return <span className="muted" data-tip={`not assessed: ${why}`}>not assessed</span>;
  return <span className="hours" data-tip={`in part: ${why}`}><span className="amber part"><Warn size={12} /><span className="sr">at least </span></span>{num(Math.round(of))}</span>;
}

/** Who is charged with what: by owner, and by namespace; idle stands beside, not in it. */
export function Allocations({ of: r }: { of: Report }) {
  const [kind, setKind] = useState<"owner" | "namespace">("owner");
  const [all, setAll] = useState(false);
  const rows = [...list(kind === "owner" ? r.teams : r.namespaces)].sort((a, b) => b.cost.micros - a.cost.micros);
  const top = Math.max(1, ...rows.map((a) => a.cost.micros));
  const shown = all ? rows.slice(0, 1000) : rows.slice(0, FIRST);
  return (
    <>
      <OverTime of={r} />
      <div className="table-bar">
        <div className="chips" role="group" aria-label="Charged by">{(["owner", "namespace"] as const).map((k) => <button key={k} type="button" className={`chip${kind === k ? " on" : ""}`} aria-pressed={kind === k} onClick={() => { setKind(k); setAll(false); }}>by {k}</button>)}</div>
        <span className="grow" />
        <button type="button" className="btn" disabled={rows.length === 0} onClick={() => download(`showback-${kind}-${dayOf(r.from)}`, rows, by(kind), "csv", new Date())}><Download size={14} />Showback CSV</button>
        <a className="btn" href="/reports/focus.csv" download><Download size={14} />FOCUS 1.2</a>
      </div>
      <p className="muted small">By the greater of what was requested and what was used, in core-hours, {dayOf(r.from)} to {dayOf(r.to - 1e9)}. Idle is what nobody requested and nobody used: its share stands beside the cost, not in it.</p>
      {rows.length === 0 ? <p><NotAssessed why="no usage by namespace is known: the cluster agents report it" /></p> : (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Allocation">
          <table className="plain wide-table alloc">
            <thead><tr><th>{kind === "owner" ? "Owner" : "Namespace"}</th>{kind === "namespace" && <><th>Cluster</th><th>Owner</th></>}<th className="n">Cost</th><th><span className="sr">compared</span></th><th className="n">Share of idle</th><th className="n">Protection</th><th className="n">Core-hours</th><th className="n">Requested</th><th className="n">Used</th></tr></thead>
            <tbody>{shown.map((a, i) => (
              <tr key={`${a.key} ${i}`}>
                <td className="node-name">{kind === "owner" ? <Link to={filtered(GOVERNANCE, `owner:${quote(a.key)}`)}><Owner of={a.key} /></Link> : <End tip={a.key}>{a.namespace || a.key}</End>}</td>
                {kind === "namespace" && <><td className="node-name">{a.cluster ? <Link to={`${governedAddress(a.cluster)}?tab=cost`}><End tip={a.cluster}>{lastStep(a.cluster)}</End></Link> : "–"}</td><td><Owner of={a.owner ?? ""} /></td></>}
                <td className="n nowrap"><Sum of={a.cost} /></td>
                <td className="bar-cell">{known(a.cost) && <span className="hbar" aria-hidden="true"><span style={{ width: `${(Math.max(0, a.cost.micros) / top) * 100}%` }} /></span>}</td>
                <td className="n nowrap"><Sum of={a.idleShare} /></td><td className="n nowrap"><Sum of={a.protection} /></td>
                <td className="n nowrap"><Hours of={a.coreHours} why={a.usedWhy} /></td><td className="n nowrap"><Hours of={a.requested} why={a.usedWhy} /></td><td className="n nowrap"><Hours of={a.used} why={a.usedWhy} /></td>
              </tr>
            ))}</tbody>
          </table>
        </div>
      )}
      {!all && rows.length > FIRST && <p><button type="button" className="btn" onClick={() => setAll(true)}>Show {rows.length > 1000 ? "1 000 of " : "all "}{num(rows.length)}</button></p>}
    </>
  );
}
