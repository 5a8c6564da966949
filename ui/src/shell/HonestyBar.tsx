import { useState } from "react";
import { advisories, health, known, link } from "../api/live";
import { useAtom } from "../lib/atom";
import { useNow } from "../lib/clock";
import { ago, ms, num, plural } from "../lib/time";
import { at, list, told } from "../lib/govern";
import type { Evaluation } from "../gen/govern";
import { covered } from "../lib/cluster";
import { advised } from "../lib/image";
import { CLUSTERS, filtered } from "../lib/query";
import { useGovernance } from "../parts/govern";
import { Ago, Link } from "../parts/bits";
import { Check, Chevron, Warn } from "../parts/icons";
import { assess, type Honesty, machines, over } from "./honesty";
import { WatchPanel } from "./WatchPanel";

/** Always in sight: what is watched, how fresh, what was lost, what is not assessed. Over the rooms of governance also what was read of the cloud. */
export function HonestyBar({ path }: { path: string }) {
  return /^\/(governance|cost|compliance|recommendations|playbook)(\/|$)/.test(path) ? <Governed /> : <Bar read={null} />;
}

function Governed() {
  const e = useGovernance();
  return <Bar read={e.got?.of ?? null} waiting={!e.got && !e.error} />;
}

function Bar({ read, waiting = false }: { read: Evaluation | null; waiting?: boolean }) {
  const h = useAtom(health);
  const l = useAtom(link);
  const now = useNow();
  const [open, setOpen] = useState(false);
  const s = h?.status ?? null;
  const adv = useAtom(advisories);
  const fresh = advised(adv, now);
  const all = useAtom(known);
  const c = all && all.length > 0 ? covered(all) : null;
  const a: Honesty = waiting ? { level: "unknown", headline: "Asking the server what was read", reasons: [] } : over(read, assess(s, l, now, adv, all ?? []));
  const any = read && told(read.coverage.any);
  const part = (n: number, of: number) => (n < of ? <span className="amber"><Warn size={13} />{n} of {of}</span> : <>{n} of {of}</>);
  const w = s?.watched;
  const nodes = s ? machines(s) : [];
  const up = nodes.filter((n) => n.reporting).length;
  return (
    <section className={`honesty ${a.level}`} aria-label="What is watched">
      <button type="button" className="state" aria-haspopup="dialog" onClick={() => setOpen(true)} data-tip={a.reasons.join("\n")}>
        {a.level === "good" ? <Check /> : a.level === "unknown" ? null : <Warn />}
        <span className="clip">{a.headline}</span>
        <Chevron size={14} />
      </button>
      {s && (
        <dl className={read ? "of-governance" : c ? "with-clusters" : undefined}>
          {any && read && <div><dt><Link to="/governance?show=any">clusters protected</Link></dt><dd data-tip={any.tip}>{any.value === null ? "not assessed" : part(read.coverage.any.n, read.coverage.any.of)}</dd></div>}
          {read && <div><dt>Azure read</dt><dd>{read.tenantAt ? <Ago ns={at(read.tenantAt)} suffix /> : <span className="amber"><Warn size={13} />not yet</span>}</dd></div>}
          {read && <div><dt><Link to="/governance?show=gaps">not assessed</Link></dt><dd>{list(read.gaps).length === 0 ? "nothing" : <span className="amber"><Warn size={13} />{plural(list(read.gaps).length, "gap")}</span>}</dd></div>}
          {c && <div><dt><Link to={CLUSTERS.path}>clusters</Link></dt><dd>{part(c.clusters, c.of)}</dd></div>}
          {c && <div><dt><Link to={filtered(CLUSTERS, "")}><span className="roomy">API server watched</span><span className="tight">API</span></Link></dt><dd data-tip="clusters whose API server is watched">{part(c.api, c.of)}</dd></div>}
          <div><dt>nodes<span className="roomy"> reporting</span></dt><dd>{up} of {nodes.length}</dd></div>
          <div><dt>last event</dt><dd>{w && w.lastEvent > 0n ? `${ago(ms(w.lastEvent), now)}${ago(ms(w.lastEvent), now) === "now" ? "" : " ago"}` : "none yet"}</dd></div>
          <div><dt>lost in 24 h</dt><dd>{w && w.since > 0n ? `${num(w.eventsLost)} of ${num(w.eventsSeen + w.eventsLost)}` : "not assessed"}</dd></div>
          {adv && <div><dt><Link to="/advisories">advisories</Link></dt><dd>{fresh.level === "warn" ? <span className="amber" data-tip={fresh.why}><Warn size={13} />{fresh.short}</span> : fresh.short}</dd></div>}
          <div><dt>rules<span className="roomy"> watching</span></dt><dd>{s.rulesWatching} of {s.rulesWatching + s.rulesNotAssessed}</dd></div>
        </dl>
      )}
      {open && <WatchPanel onClose={() => setOpen(false)} />}
    </section>
  );
}
