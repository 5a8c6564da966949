import { useState } from "react";
import { health, link } from "../api/live";
import { useAtom } from "../lib/atom";
import { useNow } from "../lib/clock";
import { ago, ms, num } from "../lib/time";
import { Check, Chevron, Warn } from "../parts/icons";
import { assess } from "./honesty";
import { WatchPanel } from "./WatchPanel";

/** Always in sight: what is watched, how fresh, what was lost, what is not assessed. */
export function HonestyBar() {
  const h = useAtom(health);
  const l = useAtom(link);
  const now = useNow();
  const [open, setOpen] = useState(false);
  const s = h?.status ?? null;
  const a = assess(s, l, now);
  const w = s?.watched;
  const up = s?.nodes.filter((n) => n.reporting).length ?? 0;
  return (
    <section className={`honesty ${a.level}`} aria-label="What is watched">
      <button type="button" className="state" aria-haspopup="dialog" onClick={() => setOpen(true)} data-tip={a.reasons.join("\n")}>
        {a.level === "good" ? <Check /> : a.level === "unknown" ? null : <Warn />}
        <span className="clip">{a.headline}</span>
        <Chevron size={14} />
      </button>
      {s && (
        <dl>
          <div><dt>nodes reporting</dt><dd>{up} of {s.nodes.length}</dd></div>
          <div><dt>last event</dt><dd>{w && w.lastEvent > 0n ? `${ago(ms(w.lastEvent), now)}${ago(ms(w.lastEvent), now) === "now" ? "" : " ago"}` : "none yet"}</dd></div>
          <div><dt>lost in 24 h</dt><dd>{w && w.since > 0n ? `${num(w.eventsLost)} of ${num(w.eventsSeen + w.eventsLost)}` : "not assessed"}</dd></div>
          <div><dt>rules watching</dt><dd>{s.rulesWatching} of {s.rulesWatching + s.rulesNotAssessed}</dd></div>
        </dl>
      )}
      {open && <WatchPanel onClose={() => setOpen(false)} />}
    </section>
  );
}
