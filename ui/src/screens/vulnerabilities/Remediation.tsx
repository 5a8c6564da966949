import { useEffect, useState } from "react";
import { aborted, images, sentence } from "../../api/client";
import { onChange } from "../../api/live";
import { type GetRemediationResponse, type RemediationRow, Severity } from "../../gen/dockreeve/v1/dockreeve_pb";
import { useNow } from "../../lib/clock";
import { duration, ms, num, plural } from "../../lib/time";
import { Dialog, NotAssessed, Since } from "../../parts/bits";
import { Chevron } from "../../parts/icons";
import { Rated, rated } from "./columns";

const QUARTER = 90 * 86_400_000;
const span = (ns: bigint) => duration(ms(ns));
/** In days where there are some: a strip compares, the table is exact. */
const about = (ns: bigint) => (ms(ns) >= 2 * 86_400_000 ? `${num(Math.round(ms(ns) / 86_400_000))} d` : span(ns));
const bySeverity = (r: RemediationRow) => r.group === rated(r.severity) || (r.severity === 0 && r.group === "unrated");

/** How fast vulnerabilities leave what runs, always beside the ages of those that have not. */
export function Remediation() {
  const [got, setGot] = useState<GetRemediationResponse | null>(null);
  const [error, setError] = useState("");
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const load = () => {
      timer = 0;
      images.getRemediation({ since: BigInt(Date.now() - QUARTER) * 1_000_000n }, { signal: stop.signal }).then((r) => { setGot(r); setError(""); }).catch((err) => { if (!aborted(err)) setError(sentence(err)); });
    };
    load();
    const off = onChange(["vulnerability", "image", "advisories"], () => { timer ||= window.setTimeout(load, 5000); });
    return () => { stop.abort(); off(); clearTimeout(timer); };
  }, []);
  if (error) return <p className="clocks-note muted">Remediation times could not be fetched: {error}</p>;
  if (!got) return <div className="clocks-note"><span className="skeleton line" /></div>;
  if (got.notAssessed) return <p className="clocks-note muted">Remediation times not assessed: {got.notAssessed}</p>;
  const all = got.rows.filter(bySeverity);
  const first = [Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW].map((s) => all.find((r) => r.severity === s) ?? null);
  return (
    <>
      <button type="button" className="clocks" onClick={() => setOpen(true)} aria-haspopup="dialog" data-tip="How fast vulnerabilities leave what runs: half within the first time">
        {first.map((r, i) => (
          <span key={i} className="clock"><Rated of={5 - i} />
            {r ? <span><span>{r.closed > 0n ? <>closed in <b>{about(r.closedP50)}</b><span className="large-only">, 90 % in {about(r.closedP90)}</span><span className="muted large-only"> · {num(r.closed)} closed</span></> : "none closed yet"}</span><span className="muted">{r.open > 0n ? <>open <b>{about(r.openP50)}</b>, oldest {about(r.openMax)}<span className="large-only"> · {num(r.open)} open</span></> : "none open"}</span></span>
              : <span className="muted"><span>none in what runs</span><span>in the time watched</span></span>}
          </span>
        ))}
        <Chevron size={14} />
      </button>
      {open && <Table of={got} onClose={() => setOpen(false)} />}
    </>
  );
}

function Table({ of, onClose }: { of: GetRemediationResponse; onClose: () => void }) {
  const now = useNow();
  const groups: Array<[string, RemediationRow[]]> = [["By severity", of.rows.filter(bySeverity)], ["Critical ones, by owner", of.rows.filter((r) => !bySeverity(r))]];
  return (
    <Dialog title="How fast vulnerabilities leave what runs" onClose={onClose} wide>
      <div className="body">
        <p>A clock belongs to one vulnerability in one workload: it starts when that is detected in a running image, and stops when no running instance has it. A rebuild that still has it does not stop it.</p>
        <p className="muted">{of.since > 0n ? <>Counted for <Since ns={of.since} />{now - ms(of.since) < QUARTER - 86_400_000 ? ", which is all that has been watched" : ""}.</> : <NotAssessed why="since when is not told" />} Half took at most the median; nine of ten at most the 90th percentile.</p>
        {groups.map(([name, rows]) => (
          <section key={name} aria-label={name} className="stack">
            <h3>{name}</h3>
            {rows.length === 0 ? <p className="muted">None in what runs, in the time watched.</p> : (
              <div className="scroll-x" tabIndex={0} role="region" aria-label={name}>
                <table className="plain">
                  <thead><tr><th>{name.startsWith("By") ? "Severity" : "Owner"}</th><th className="n">Closed</th><th className="n">median</th><th className="n">90th</th><th className="n">Open</th><th className="n">median age</th><th className="n">90th</th><th className="n">oldest</th><th className="n">Gone</th></tr></thead>
                  <tbody>
                    {rows.map((r, i) => (
                      <tr key={i}>
                        <td>{name.startsWith("By") ? <Rated of={r.severity} word /> : r.group}</td>
                        <td className="n">{num(r.closed)}</td><td className="n nowrap">{r.closed > 0n ? span(r.closedP50) : "–"}</td><td className="n nowrap">{r.closed > 0n ? span(r.closedP90) : "–"}</td>
                        <td className="n">{num(r.open)}</td><td className="n nowrap">{r.open > 0n ? span(r.openP50) : "–"}</td><td className="n nowrap">{r.open > 0n ? span(r.openP90) : "–"}</td><td className="n nowrap">{r.open > 0n ? span(r.openMax) : "–"}</td>
                        <td className="n" data-tip="closed because the workload was deleted: not counted as remedied">{num(r.gone)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )}
          </section>
        ))}
        <p className="muted">Gone: the workload was deleted. {plural(of.rows.filter(bySeverity).reduce((n, r) => n + r.gone, 0n), "clock")} ended so, and none of them counts as closed.</p>
      </div>
    </Dialog>
  );
}
