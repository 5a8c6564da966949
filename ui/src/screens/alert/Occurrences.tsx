import { useCallback, useEffect, useState } from "react";
import { aborted, alerts, sentence } from "../../api/client";
import type { Occurrence } from "../../gen/dockreeve/v1/dockreeve_pb";
import { duration, ms, num } from "../../lib/time";
import { Ago, Copy } from "../../parts/bits";

const FIRST = 10;

/** Every time it happened, newest first. New ones appear on top; the page of older ones stays. */
export function Occurrences({ id, total, told, audit }: { id: string; total: bigint; told: number; audit: boolean }) {
  const [rows, setRows] = useState<Occurrence[] | null>(null);
  const [cursor, setCursor] = useState("");
  const [error, setError] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    alerts.listOccurrences({ alertId: id, pageSize: FIRST }, { signal: stop.signal }).then((r) => {
      setError("");
      setRows((was) => {
        if (!was) { setCursor(r.nextCursor); return r.occurrences; }
        const have = new Set(was.map((o) => o.findingId));
        return [...r.occurrences.filter((o) => !have.has(o.findingId)), ...was];
      });
    }).catch((err) => { if (!aborted(err)) setError(sentence(err)); });
    return () => stop.abort();
  }, [id, told]);
  const more = useCallback(() => {
    alerts.listOccurrences({ alertId: id, pageSize: 100, cursor }).then((r) => {
      setRows((was) => { const have = new Set(was?.map((o) => o.findingId)); return [...(was ?? []), ...r.occurrences.filter((o) => !have.has(o.findingId))]; });
      setCursor(r.nextCursor);
      setError("");
    }).catch((err) => setError(sentence(err)));
  }, [id, cursor]);
  if (!rows) return error ? <p className="field-error" role="alert">{error}</p> : <span className="skeleton line" />;
  return (
    <>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Each time">
        <table className="plain">
          <thead><tr><th>When</th><th className="n">To stored</th><th>{audit ? "What" : "Command"}</th><th><span className="sr">Copy</span></th></tr></thead>
          <tbody>
            {rows.map((o) => (
              <tr key={o.findingId}>
                <td className="nowrap"><Ago ns={o.time} suffix /></td>
                <td className="n nowrap">{o.storedAt > 0n ? duration(ms(o.storedAt) - ms(o.time)) : "not assessed"}</td>
                <td className="cmd"><code className="clip" data-tip={o.cmdline}>{o.cmdline || o.summary}</code></td>
                <td><Copy text={o.cmdline || o.summary} what="command line" /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {error && <p className="field-error" role="alert">{error}</p>}
      <p className="muted foot">{num(rows.length)} of {num(total)} shown. {cursor ? <button type="button" className="btn" onClick={more}>Show older</button> : BigInt(rows.length) < total ? "Older ones are counted, and no longer kept one by one." : ""}</p>
    </>
  );
}
