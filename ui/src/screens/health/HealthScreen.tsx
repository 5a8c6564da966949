import { useEffect } from "react";
import { health } from "../../api/live";
import { useAtom } from "../../lib/atom";
import { useNow } from "../../lib/clock";
import { Ago, Link } from "../../parts/bits";
import { watching } from "../../shell/honesty";
import { Gaps, Hops, Losses, Nodes } from "./tables";

/** What is watched, what is not, and what every hop took in, passed on and lost. */
export default function HealthScreen() {
  const h = useAtom(health);
  const now = useNow();
  useEffect(() => { document.title = "Health · Dockreeve"; }, []);
  const s = h?.status;
  if (!s) return <div className="page"><h1>Health</h1><div className="skeletons" role="status" aria-label="Loading"><span className="skeleton" /><span className="skeleton" /><span className="skeleton" /></div></div>;
  const text = watching(s, now);
  return (
    <div className="page">
      <h1>Health</h1>
      <p className="lead muted">{text[0]!.toUpperCase() + text.slice(1)}. {s.rulesWatching} of {s.rulesWatching + s.rulesNotAssessed} <Link to="/rules">rules</Link> watch. Server version {s.version || "not assessed"}; this page was told <Ago ns={s.now} suffix />.</p>
      <section aria-labelledby="h-gap"><h2 id="h-gap">Not assessed</h2><Gaps of={s} /></section>
      <section aria-labelledby="h-nodes"><h2 id="h-nodes">Nodes</h2><Nodes of={s} /></section>
      <section aria-labelledby="h-loss"><h2 id="h-loss">Lost in the last 24 hours</h2><Losses of={s.losses} since={s.watched?.since ?? 0n} /></section>
      <section aria-labelledby="h-hops"><h2 id="h-hops">Hops, since the server started</h2><Hops of={s.hops} /></section>
    </div>
  );
}
