import { health, known, link } from "../api/live";
import { useAtom } from "../lib/atom";
import { ClusterTable } from "../screens/clusters/ClusterTable";
import { useNow } from "../lib/clock";
import { Dialog, Link } from "../parts/bits";
import { Gaps, Losses, Nodes } from "../screens/health/tables";
import { Lost } from "./Lost";
import { watching } from "./honesty";

/** The honesty bar opened: every gap with its reason and its remedy. */
export function WatchPanel({ onClose }: { onClose: () => void }) {
  const h = useAtom(health);
  const l = useAtom(link);
  const now = useNow();
  const all = useAtom(known) ?? [];
  const s = h?.status;
  const sentence = watching(s ?? null, now);
  return (
    <Dialog title="What is watched" onClose={onClose} wide>
      <div className="body">
        {l.state === "lost" && <Lost />}
        {sentence && <p>{sentence[0]!.toUpperCase() + sentence.slice(1)}.</p>}
        {s && (
          <>
            <h3>Not assessed</h3>
            <Gaps of={s} />
            {all.length > 0 && <><h3>Clusters</h3><ClusterTable of={all} onGo={onClose} /></>}
            <h3>Nodes</h3>
            <Nodes of={s} />
            <h3>Lost in the last 24 hours</h3>
            <Losses of={s.losses} since={s.watched?.since ?? 0n} />
            <p><Link to="/health" onClick={onClose}>Every hop, in Health</Link></p>
          </>
        )}
      </div>
    </Dialog>
  );
}
