import { useState } from "react";
import { governance, sentence } from "../../api/client";
import { Dialog } from "../../parts/bits";
import { say } from "../../parts/toast";

export const SUBJECTS = ["recommendations", "exemptions", "suppressions", "access", "rules"] as const;
const EVERY: ReadonlyArray<readonly [days: number, says: string]> = [[7, "a week"], [30, "30 days"], [90, "90 days"]];

/** A record that somebody looked. The server says who and when; nobody can set that. */
export function ReviewDialog({ subject: first, onClose, onMade }: { subject: string; onClose: () => void; onMade: () => void }) {
  const [subject, setSubject] = useState(first);
  const [scope, setScope] = useState("");
  const [note, setNote] = useState("");
  const [days, setDays] = useState(30);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const make = async () => {
    setBusy(true);
    setError("");
    try {
      await governance.addReview({ subject, scope: scope.trim(), note: note.trim(), nextDue: BigInt(Date.now() + days * 864e5) * 1_000_000n });
      say("The review is recorded");
      onMade();
    } catch (err) {
      setError(sentence(err));
      setBusy(false);
    }
  };
  return (
    <Dialog title="Record a review" onClose={onClose}>
      <form onSubmit={(e) => { e.preventDefault(); void make(); }}>
        <div className="body">
          <p>It says that you looked, now, and when somebody must look again. It fixes nothing: what is fixed is verified by the next evaluation.</p>
          <label className="stack"><span>What was looked at</span><select className="input" data-first value={subject} onChange={(e) => setSubject(e.target.value)}>{SUBJECTS.map((s) => <option key={s}>{s}</option>)}</select></label>
          <label className="stack"><span>Only of an owner or cluster <span className="muted">(empty: everything)</span></span><input className="input" maxLength={512} value={scope} onChange={(e) => setScope(e.target.value)} spellCheck={false} autoComplete="off" /></label>
          <label className="stack"><span>Note</span><textarea className="input" rows={3} maxLength={2000} value={note} onChange={(e) => setNote(e.target.value)} /></label>
          <fieldset className="stack choices"><legend>Next one due in</legend>{EVERY.map(([d, says]) => <label key={d} className="row"><input type="radio" name="due" checked={days === d} onChange={() => setDays(d)} />{says}</label>)}</fieldset>
          {error && <p className="field-error" role="alert">No review was recorded: {error}</p>}
        </div>
        <div className="foot"><button type="button" className="btn" onClick={onClose}>Cancel</button><button type="submit" className="btn strong" disabled={busy}>Record it</button></div>
      </form>
    </Dialog>
  );
}
