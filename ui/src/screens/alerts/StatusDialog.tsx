import { useState } from "react";
import { AlertStatus } from "../../gen/dockreeve/v1/dockreeve_pb";
import { plural } from "../../lib/time";
import { Dialog } from "../../parts/bits";

const usual: Record<number, string[]> = {
  [AlertStatus.DISMISSED]: ["expected change", "known tool of this workload", "test or exercise"],
  [AlertStatus.RESOLVED]: ["image replaced", "secrets rotated", "access removed"],
};

/** Asks why before a status that hides alerts from the default list. Dismissing needs a reason: the next reader relies on it. */
export function StatusDialog({ to, count, onDone, onClose }: { to: AlertStatus; count: number; onDone: (why: string) => void; onClose: () => void }) {
  const [why, setWhy] = useState("");
  const dismiss = to === AlertStatus.DISMISSED;
  const verb = dismiss ? "Dismiss" : "Resolve";
  const ready = !dismiss || why.trim() !== "";
  return (
    <Dialog title={`${verb} ${plural(count, "alert")}`} onClose={onClose}>
      <form onSubmit={(e) => { e.preventDefault(); if (ready) onDone(why.trim()); }}>
        <div className="body">
          <p>{dismiss ? "Judged benign. New occurrences are still counted, but do not open it again." : "Dealt with. A new occurrence opens it again."}</p>
          <label className="stack"><span>Why {dismiss ? "" : <span className="muted">(optional)</span>}</span>
            <textarea className="input" rows={3} data-first maxLength={2000} value={why} onChange={(e) => setWhy(e.target.value)} onKeyDown={(e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey || !e.shiftKey)) { e.preventDefault(); if (ready) onDone(why.trim()); } }} />
          </label>
          <div className="chips">{usual[to]?.map((u) => <button key={u} type="button" className="btn" onClick={() => setWhy(u)}>{u}</button>)}</div>
          <p className="muted">Kept in the alert's history with the time and your name.</p>
        </div>
        <div className="foot">
          <button type="button" className="btn" onClick={onClose}>Cancel</button>
          <button type="submit" className="btn strong" disabled={!ready}>{verb}</button>
        </div>
      </form>
    </Dialog>
  );
}
