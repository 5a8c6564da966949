import { useState } from "react";
import type { AlertDetail, Process } from "../../gen/dockreeve/v1/dockreeve_pb";
import { foldable, split, steps, tellsMore } from "../../lib/lineage";
import { Ago, Copy, NotAssessed } from "../../parts/bits";
import { Box, Chevron } from "../../parts/icons";

/** The process tree, open at the offending path: oldest ancestor first, whole arguments. */
export function Tree({ of }: { of: AlertDetail }) {
  const [whole, setWhole] = useState(false);
  if (of.lineage.length === 0) return <p><NotAssessed why="the event came without a process" /></p>;
  const c = of.alert?.subject?.container;
  const name = c ? c.pod ? `${c.pod} / ${c.name}` : c.name || c.id.slice(0, 12) : "";
  const down = steps(of.lineage);
  const folded = whole ? 0 : foldable(down);
  return (
    <>
      {folded > 0 && (
        <button type="button" className="folded" onClick={() => setWhole(true)} data-tip="show these ancestors whole">
          <Chevron size={14} /><span className="sr">show {folded} older ancestors: </span><span className="clip">{down.slice(0, folded).map((s) => s.process.name || "?").join(" › ")}</span>
        </button>
      )}
      <ol className="tree" aria-label="Process tree, oldest ancestor first">
        {down.slice(folded).map((s) => (
          <li key={s.depth} className={s.offender ? "offender" : ""} style={{ "--depth": Math.min(s.depth - folded, 8) } as React.CSSProperties}>
            {s.crosses && <p className="boundary"><Box size={14} />{s.crosses === "in" ? <>inside container <b>{name || "not assessed"}</b></> : "outside the container"}</p>}
            <Line p={s.process} offender={s.offender} />
          </li>
        ))}
      </ol>
    </>
  );
}

function Line({ p, offender }: { p: Process; offender: boolean }) {
  const [program, args] = split(p.cmdline);
  return (
    <div className="proc">
      <div className="proc-head">
        <b data-tip={p.path}>{p.name || "?"}</b>
        {offender && <span className="tag">did it</span>}
        <span className="muted">pid {p.pid}{p.inContainer && p.vpid > 0 && p.vpid !== p.pid ? ` (${p.vpid} inside)` : ""}</span>
        <span className="muted">{p.user ? `${p.user} (uid ${p.uid})` : <span data-tip="no name for this uid is known here">uid {p.uid}</span>}</span>
        <span className="muted">started <Ago ns={p.start} suffix /></span>
        {p.seeded && <span className="muted" data-tip="It ran already when watching began: what it did at its start was not seen.">ran before watching began</span>}
      </div>
      <div className="args">
        <code>{p.cmdline ? <>{program}<span className="rest">{args}</span></> : <span className="muted">arguments not assessed</span>}</code>
        {p.cmdline && <Copy text={p.cmdline} what="command line" />}
      </div>
      {p.path && (offender ? p.path !== program : tellsMore(p.path, program)) && <div className="path muted"><code>{p.path}</code><Copy text={p.path} what="path of the program" /></div>}
      {offender && p.cwd && <div className="path muted">in <code>{p.cwd}</code></div>}
    </div>
  );
}
