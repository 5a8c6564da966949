import { useEffect, useState } from "react";
import { sentence } from "../../api/client";
import { advisories, refreshAdvisories } from "../../api/live";
import { useAtom } from "../../lib/atom";
import { useNow } from "../../lib/clock";
import { advised } from "../../lib/image";
import { duration, ms, num, plural } from "../../lib/time";
import { Ago, Command, NotAssessed, Skeleton } from "../../parts/bits";
import { Check, Retry, Warn } from "../../parts/icons";

/** What the advisory database holds, how old it is, and what to do when it is missing or too old. */
export default function AdvisoriesScreen() {
  const a = useAtom(advisories);
  const now = useNow();
  const [error, setError] = useState("");
  const load = () => { refreshAdvisories().then(() => setError("")).catch((err) => setError(sentence(err))); };
  useEffect(() => { document.title = "Advisories · Dockreeve"; load(); }, []);
  const state = advised(a, now);
  const records = a?.feeds.reduce((n, f) => n + f.records, 0n) ?? 0n;
  return (
    <div className="page">
      <h1>Advisories</h1>
      {error && <div className="notice bad" role="alert"><p>Their state could not be fetched: {error} {a ? "What is shown is as it last was." : <>The command line may still work: <code>dockreeve db status</code></>}</p><button type="button" className="btn" onClick={load}><Retry />Try again</button></div>}
      {!a && !error && <Skeleton what="the state of the advisories" lines={3} />}
      {a && (
        <>
          <p className={`row advisory-state ${state.level}`}>{state.level === "good" ? <Check /> : <Warn />}<b>{a.built === 0n ? "There is no advisory database" : `The advisory database is ${state.short}`}</b>{a.built > 0n && !a.stale && a.maxAge > 0n && <span className="muted">of {duration(ms(a.maxAge))} allowed</span>}</p>
          {state.why && <p className="lead">{state.why[0]!.toUpperCase() + state.why.slice(1)}.{a.built === 0n || a.notAssessed ? " Until then no image gets a verdict." : a.stale ? " What was published since is not matched." : ""}</p>}
          {a.built > 0n && <Age built={a.built} most={a.maxAge} now={now} />}
          <dl className="dl advisory-facts">
            <div><dt>data of</dt><dd>{a.built > 0n ? <Ago ns={a.built} suffix /> : "never"}</dd></div>
            <div><dt>version</dt><dd>{a.version ? <span className="mono wrap">{a.version}</span> : <NotAssessed why="there is no database" />}</dd></div>
            <div><dt>holds</dt><dd>{a.feeds.length ? <span>{plural(records, "record")} of {plural(a.feeds.length, "feed")}</span> : <NotAssessed why="no feed was ever read" />}</dd></div>
            <div><dt>last re-match</dt><dd>{a.matchedAt > 0n ? <span><Ago ns={a.matchedAt} suffix /><span className="muted">, {a.rematchedImages === 0n ? "and no stored image was touched by what had changed" : `${plural(a.rematchedImages, "image")} matched again without pulling any`}</span></span> : "never yet"}</dd></div>
            <div><dt>last update</dt><dd>{a.updateError ? <span className="amber wrap"><Warn size={13} />failed: {a.updateError}</span> : a.built > 0n ? "no failure known" : "never"}</dd></div>
          </dl>
          <section aria-labelledby="a-do">
            <h2 id="a-do">Bring them up to date</h2>
            <p className="muted">On the server, with a network. Only what changed is downloaded, and every stored image is then matched again by itself.</p>
            <Command>dockreeve db update</Command>
            <p className="muted">Without a network: fetch the files elsewhere, carry them over, and read them.</p>
            <Command>dockreeve db import FILE...</Command>
          </section>
          <section aria-labelledby="a-feeds">
            <h2 id="a-feeds">Feeds</h2>
            {a.feeds.length === 0 ? <p>No feed has been read yet.</p> : (
              <div className="scroll-x" tabIndex={0} role="region" aria-label="Feeds">
                <table className="plain">
                  <thead><tr><th>Feed</th><th className="n">Records</th><th>As of</th><th>Fetched</th><th>Licence</th><th>State</th></tr></thead>
                  <tbody>
                    {a.feeds.map((f) => (
                      <tr key={f.name}>
                        <td className="mono nowrap">{f.name}</td>
                        <td className="n">{num(f.records)}</td>
                        <td className="nowrap">{f.date > 0n ? <Ago ns={f.date} suffix /> : <span className="muted">not told</span>}</td>
                        <td className="nowrap">{f.fetched > 0n ? <Ago ns={f.fetched} suffix /> : <span className="muted">never</span>}</td>
                        <td>{f.licence || <span className="muted">not told</span>}</td>
                        <td>{f.error ? <span className="amber wrap"><Warn size={13} />{f.error}</span> : <span className="row"><Check size={14} />read</span>}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
          </section>
        </>
      )}
    </div>
  );
}

/** The age against what is allowed, as a bar with its end marked. */
function Age({ built, most, now }: { built: bigint; most: bigint; now: number }) {
  if (most <= 0n) return <p className="muted">No limit is set to their age.</p>;
  const age = Math.max(0, now - ms(built)), limit = ms(most);
  const part = Math.min(1, age / limit);
  return (
    <div className={`age-bar${age > limit ? " over" : ""}`} role="img" aria-label={`${duration(age)} old, ${duration(limit)} allowed`}>
      <span style={{ width: `${Math.max(1, part * 100)}%` }} />
    </div>
  );
}
