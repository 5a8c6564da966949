import { useEffect, useState } from "react";
import { governance } from "../../api/client";
import type { Control, Evidence, Result } from "../../gen/govern";
import { controlAddress, governedAddress } from "../../lib/entity";
import { at, doc, lastStep, list, severityOf } from "../../lib/govern";
import { num, plural } from "../../lib/time";
import { Ago, End, Link, Skeleton } from "../../parts/bits";
import { Check, Chevron, Cross, Download, Warn } from "../../parts/icons";
import { download } from "../../parts/list/export";
import { SeverityMark } from "../../parts/marks";

const SAYS: Readonly<Record<string, string>> = { pass: "pass", fail: "fail", "not-assessed": "not assessed", exempt: "exempt", "not-applicable": "not applicable" };
const RANK = ["fail", "not-assessed", "exempt", "pass", "not-applicable"];

/** A verdict by word and shape. */
export function Verdict({ of }: { of: string }) {
  return <span className={`verdict-mark v-${of}`}>{of === "pass" ? <Check size={14} /> : of === "fail" ? <Cross size={14} /> : of === "exempt" ? <Warn size={14} /> : <span className="dashed" aria-hidden="true" />}{SAYS[of] ?? of}</span>;
}

const NONE: ReadonlyMap<string, Control> = new Map();
// What controls are called changes with the program only: it is asked for once.
let asked: Promise<ReadonlyMap<string, Control>> | null = null;
const controls = (): Promise<ReadonlyMap<string, Control>> => (asked ??= governance.getCompliance({}).then((r) => new Map(list(doc<Control[]>(r.controlsJson)).map((c) => [c.id, c]))));

/** Controls by id; null until they came, and none where they cannot be fetched: ids then stand for themselves. */
function useTitles(): ReadonlyMap<string, Control> | null {
  const [got, set] = useState<ReadonlyMap<string, Control> | null>(null);
  useEffect(() => { let on = true; controls().then((m) => { if (on) set(m); }, () => { asked = null; if (on) set(NONE); }); return () => { on = false; }; }, []);
  return got;
}

/** Results, what fails first, each with what was seen. */
export function Results({ of, none, by = "control" }: { of: readonly Result[]; none: string; by?: "control" | "resource" }) {
  const [open, setOpen] = useState<string>("");
  const [only, setOnly] = useState<string>("");
  const titles = useTitles();
  if (of.length === 0) return <p className="muted">{none}</p>;
  if (!titles) return <Skeleton what="results" lines={6} />; // in order of severity from the first: rows do not move later
  const rank = (r: Result) => severityOf(titles.get(r.control)?.severity ?? "");
  const n = (v: string) => of.filter((r) => r.verdict === v).length;
  const rows = [...of].filter((r) => !only || r.verdict === only).sort((a, b) => RANK.indexOf(a.verdict) - RANK.indexOf(b.verdict) || rank(b) - rank(a) || (a.control < b.control ? -1 : 1));
  return (
    <>
      <div className="chips" role="group" aria-label="Verdicts">{RANK.filter((v) => n(v) > 0).map((v) => <button key={v} type="button" className={`chip${only === v ? " on" : ""}`} aria-pressed={only === v} onClick={() => setOnly(only === v ? "" : v)}>{SAYS[v]} <span className="chip-count">{num(n(v))}</span></button>)}<span className="grow" /><button type="button" className="btn plain" onClick={() => download("results", rows, [{ values: (r) => [{ key: "control", value: r.control }, { key: "title", value: titles.get(r.control)?.title ?? "" }, { key: "severity", value: titles.get(r.control)?.severity ?? "" }, { key: "verdict", value: r.verdict }, { key: "reason", value: r.reason }, { key: "resource", value: r.resource }, { key: "evidence", value: list(r.evidence).map((e) => `${e.where} ${e.field} = ${e.value} (${e.from})`).join("; ") }] }], "csv", new Date())}><Download size={14} />CSV</button></div>
      <ResultTable rows={rows} by={by} open={open} onOpen={setOpen} titles={titles} />
    </>
  );
}

const ControlName = ({ id, of }: { id: string; of: Control | undefined }) => <span className="control-name">{of && <SeverityMark of={severityOf(of.severity)} word="" size={14} />}<Link to={controlAddress(id)} className="wrap" data-tip={of ? `${id}\n${of.severity}` : id}>{of?.title ?? id}</Link></span>;
export function ResultTable({ rows, by, open, onOpen, titles = NONE }: { rows: readonly Result[]; by: "control" | "resource"; open: string; onOpen: (k: string) => void; titles?: ReadonlyMap<string, Control> }) {
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Results">
      <table className="plain results">
        <thead><tr><th><span className="sr">evidence</span></th><th>Verdict</th><th>{by === "control" ? "Control" : "Where"}</th><th>Why</th><th>Seen</th></tr></thead>
        {rows.map((r) => {
          const key = `${r.control}@${r.resource}`, on = open === key;
          return (
            <tbody key={key} className={on ? "open" : ""}>
              <tr onClick={(e) => { if (!(e.target as HTMLElement).closest("a, button")) onOpen(on ? "" : key); }}>
                <td className="opener"><button type="button" aria-expanded={on} aria-label={`evidence of ${r.control}`} onClick={() => onOpen(on ? "" : key)}><Chevron size={14} /></button></td>
                <td className="nowrap"><Verdict of={r.verdict} /></td>
                <td className={by === "control" ? "control-cell" : "node-name"}>{by === "control" ? <ControlName id={r.control} of={titles.get(r.control)} /> : r.cluster ? <Link to={`${governedAddress(r.cluster)}?tab=compliance`}><End tip={r.resource}>{lastStep(r.resource || r.cluster)}</End></Link> : <End tip={r.resource}>{lastStep(r.resource)}</End>}</td>
                <td className="wrap">{r.reason}{r.exempted && <p className="muted small">exempted: {r.exempted}</p>}</td>
                <td className="nowrap">{r.at ? <Ago ns={at(r.at)} suffix /> : <span className="muted">not told</span>}</td>
              </tr>
              {on && <tr className="detail"><td colSpan={5}><Seen of={list(r.evidence)} checked={r.checked} failing={r.failing} resource={r.resource} /></td></tr>}
            </tbody>
          );
        })}
      </table>
    </div>
  );
}

function Seen({ of, checked, failing, resource }: { of: readonly Evidence[]; checked: number | undefined; failing: number | undefined; resource: string }) {
  return (
    <div className="stack">
      {checked !== undefined && <p className="muted">{plural(checked, "object")} looked at{failing ? `, ${num(failing)} fail; the first of them:` : ""}</p>}
      {of.length === 0 ? <p className="muted">Nothing was seen that it could be judged by.</p> : (
        <table className="plain evidence-table"><thead><tr><th>Where</th><th>Field</th><th>Value</th><th>Read from</th></tr></thead>
          <tbody>{of.map((e, i) => <tr key={i}><td className="wrap mono small">{e.where}</td><td className="wrap mono small">{e.field}</td><td className="wrap mono small"><b>{e.value}</b></td><td>{e.from}</td></tr>)}</tbody></table>
      )}
      <p className="muted small wrap">judged at <span className="mono">{resource}</span></p>
    </div>
  );
}
