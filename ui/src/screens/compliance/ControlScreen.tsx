import { useEffect, useState } from "react";
import { governance } from "../../api/client";
import type { Result } from "../../gen/govern";
import { controlAddress } from "../../lib/entity";
import { doc, entries, frameworkName, list, severityOf } from "../../lib/govern";
import { RESULT_FIELDS } from "../../lib/governFields";
import { quote } from "../../lib/query";
import { plural } from "../../lib/time";
import { Copy, Link, Skeleton } from "../../parts/bits";
import { Nothing } from "../../parts/entity";
import { Todo } from "../../parts/govern";
import { Back, Warn } from "../../parts/icons";
import { TableBar, TableEnd } from "../../parts/list/TableBar";
import { useTable } from "../../parts/list/useTable";
import { SeverityMark } from "../../parts/marks";
import { Split, useCompliance } from "./ComplianceScreen";
import { ResultTable } from "./Results";

const NEEDS: Readonly<Record<string, string>> = { arm: "what Azure tells", kubernetes: "the cluster's objects", node: "its nodes" };

/** One control: what it demands, how it is met, and where it passes or fails, with what was seen. */
export default function ControlScreen({ id, search }: { id: string; search: string }) {
  const e = useCompliance();
  const [open, setOpen] = useState("");
  const table = useTable<Result>(search, e.told, async (q, signal) => {
    const r = await governance.listGovernance({ kind: "result", filter: `control:${quote(id)} ${q.filter}`.trim(), order: q.order || "verdict", pageSize: q.pageSize, cursor: q.cursor }, { signal });
    return { rows: r.items.map((i) => doc<Result>(i.docJson)!), next: r.nextCursor, total: r.total, totalAll: r.totalAll };
  });
  const c = e.got?.controls.find((x) => x.id === id);
  useEffect(() => { document.title = `${c?.title ?? "Control"} · Dockreeve`; }, [c]);
  const crumb = <p className="crumb"><Link to="/compliance"><Back size={14} />Compliance</Link><span className="mono faint crumb-name">{id}</span><Copy text={`${location.origin}${controlAddress(id)}`} what="address of this page" /></p>;
  if (!e.got) return <div className="page">{crumb}<Nothing of={e} what="the control" gone={null} /></div>;
  if (!c) return <div className="page">{crumb}<div className="notice warn" role="alert"><h2><Warn />There is no such control</h2><p>No control is called {id}.</p><p><Link to="/compliance">All controls</Link></p></div></div>;
  const k = e.got.counts[id] ?? {};
  const of = Object.values(k).reduce((a, b) => a + b, 0);
  const rows = table.part?.rows;
  return (
    <div className="page image governed">
      {crumb}
      <header className="alert-head">
        <p className="kicker"><SeverityMark of={severityOf(c.severity)} word /><span className="muted">{c.id}; judged from {list(c.needs).map((n) => NEEDS[n] ?? n).join(" and ") || "nothing that is read"}; {["", "a setting", "a change of a workload", "a project"][c.effort] ?? "effort not told"}</span></p>
        <h1>{c.title}</h1>
        <p className="says">{c.why}</p>
      </header>
      <div className="columns">
        <div className="evidence">
          <section aria-labelledby="c-results"><h2 id="c-results">Where it was judged</h2>
            {c.manual && <p className="amber"><Warn size={13} />A person has to look: nothing that is read can tell.</p>}
            <TableBar of={{ ...table, part: table.part && { ...table.part, totalAll: BigInt(of) } }} one="result" many="results" fields={RESULT_FIELDS} example="verdict:fail owner:payments" chips={[["Fail", "verdict:fail"], ["Not assessed", "verdict:not-assessed"], ["Exempt", "verdict:exempt"], ["Pass", "verdict:pass"], ["Not applicable", "verdict:not-applicable"]]} />
            {!rows && table.loading && <Skeleton what="results" lines={6} />}
            {rows && rows.length === 0 && <p className="muted">{of === 0 ? "It was judged at nothing yet: nothing is passed and nothing is failed." : "None matches the filter."}</p>}
            {rows && rows.length > 0 && <ResultTable rows={rows} by="resource" open={open} onOpen={setOpen} />}
            <TableEnd of={table} />
          </section>
        </div>
        <aside className="facts">
          <section aria-labelledby="c-state"><h2 id="c-state">Over all</h2><Split of={k} total={of} /><p className="muted">{plural(of, "result")}: {k.pass ?? 0} pass, {k.fail ?? 0} fail, {k["not-assessed"] ?? 0} not assessed, {k.exempt ?? 0} exempt{k["not-applicable"] ? `, ${k["not-applicable"]} not applicable` : ""}</p></section>
          <section aria-labelledby="c-do"><h2 id="c-do">How to meet it</h2><Todo of={c.remediation} /></section>
          <section aria-labelledby="c-maps"><h2 id="c-maps">In benchmarks</h2><dl className="dl">{entries(c.maps).filter(([, l]) => list(l).length).map(([f, l]) => <div key={f}><dt>{frameworkName(f)}</dt><dd>{list(l).join(", ")}</dd></div>)}</dl>{list(c.assessments).length > 0 && <p className="muted small">Defender asks for the same: its assessments are merged with ours.</p>}</section>
        </aside>
      </div>
    </div>
  );
}
