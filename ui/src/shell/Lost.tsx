import { health, link, retryNow } from "../api/live";
import { useAtom } from "../lib/atom";
import { useNow } from "../lib/clock";
import { local } from "../lib/time";
import { Command } from "../parts/bits";
import { Retry, Warn } from "../parts/icons";

/** The connection is gone: what failed, what still works, when it is tried again. */
export function Lost() {
  const l = useAtom(link);
  const h = useAtom(health);
  useNow();
  if (l.state !== "lost") return null;
  const left = Math.max(0, Math.ceil((l.retryAt - Date.now()) / 1000));
  return (
    <div className="notice bad" role="alert">
      <h2><Warn />Connection to the server lost</h2>
      <p>{l.why} What is on the screen is from {local(h?.at ?? l.since).slice(11, 19)} and can still be read and copied; nothing can be changed, fetched or exported.</p>
      <div className="row">
        <button type="button" className="btn" onClick={retryNow}><Retry />Try now</button>
        <span className="muted">{left > 0 ? `next try in ${left} s` : "trying"}; then this page catches up by itself</span>
      </div>
      <p>If the server was stopped, its own machine is not watched until it runs again:</p>
      <Command>sudo dockreeve up</Command>
    </div>
  );
}
