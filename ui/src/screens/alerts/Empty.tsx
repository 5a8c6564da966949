import { health } from "../../api/live";
import type { AlertList } from "./source";
import { useAtom } from "../../lib/atom";
import { useNow } from "../../lib/clock";
import { terms } from "../../lib/query";
import { num, plural } from "../../lib/time";
import { Command, Remedy } from "../../parts/bits";
import { Cross, Warn } from "../../parts/icons";
import { watching } from "../../shell/honesty";

/** No row to show: says what stands behind the nothing, and the next step. */
export function Empty({ state, onFilter }: { state: AlertList; onFilter: (f: string) => void }) {
  const s = useAtom(health)?.status ?? null;
  const now = useNow();
  const w = state.about ?? s?.watched;
  const { filter } = state.view;
  if (state.totalAll > 0n) {
    const parts = terms(filter);
    return (
      <div className="empty">
        <h2>None of {plural(state.totalAll, "alert")} matches this filter</h2>
        <p className="muted">Take a term away to see more:</p>
        <div className="chips">
          {parts.map((t, i) => <button key={i} type="button" className="btn mono" aria-label={`remove ${t.text}`} onClick={() => onFilter(parts.filter((_, j) => j !== i).map((x) => x.text).join(" "))}>{t.text}<Cross size={12} /></button>)}
          <button type="button" className="btn" onClick={() => onFilter("")}>Show all {num(state.totalAll)}</button>
        </div>
        <p className="muted">{watching(s, now)}.</p>
      </div>
    );
  }
  if (!w || w.since === 0n) {
    const why = w?.notAssessed || s?.watched?.notAssessed || "No node reports to this server.";
    const gap = s?.notAssessed.find((g) => g.remedy && g.reason === why);
    const fix = gap?.remedy || "sudo dockreeve up";
    return (
      <div className="empty">
        <h2 className="row"><Warn />Nothing is watched, so there are no alerts to show</h2>
        <p>{why}</p>
        <p className="muted">On the machine whose containers you want to see:</p>
        <Remedy>{fix}</Remedy>
        <p className="muted">Without root you can look at a recording instead:</p>
        <Command>dockreeve up --replay FILE</Command>
      </div>
    );
  }
  return (
    <div className="empty">
      <h2>0 alerts in {watching(s, now).replace(/^(watching|replaying) (.*) for (.*)$/, "$3 of $1 $2") || "the time watched"}</h2>
      <p>{num(w.eventsSeen)} events seen{s ? `, judged by ${plural(s.rulesWatching, "rule")}` : ""}; {num(w.eventsLost)} lost.{s && s.rulesNotAssessed > 0 ? ` ${plural(s.rulesNotAssessed, "rule")} not assessed: see Rules.` : ""}</p>
      <p className="muted">To see an alert arrive here, run three harmless attacks in a throw-away container:</p>
      <Command>sudo dockreeve demo attack</Command>
    </div>
  );
}
