import type { GetImageResponse, ImageHistory } from "../../gen/dockreeve/v1/dockreeve_pb";
import { steps } from "../../lib/plot";
import { exact, ms, num, plural } from "../../lib/time";
import { vulnerabilityAddress } from "../../lib/query";
import { Ago, Link, NotAssessed } from "../../parts/bits";
import { Counts } from "../../parts/counts";
import { useNow } from "../../lib/clock";

/** How the findings changed over time, and why: a scan, new advisories, a statement. */
export function History({ of }: { of: GetImageResponse }) {
  if (of.history.length === 0) return <p>{of.image?.notAssessed ? <NotAssessed why={of.image.notAssessed} /> : "Nothing has changed since it was first seen."}</p>;
  return (
    <>
      {of.history.length > 1 && <Plot of={of.history} />}
      <div className="scroll-x" tabIndex={0} role="region" aria-label="History">
        <table className="plain">
          <thead><tr><th>When</th><th>Cause</th><th>Then known</th><th>Appeared</th><th>Gone</th></tr></thead>
          <tbody>
            {of.history.map((h, i) => (
              <tr key={i}>
                <td className="nowrap"><Ago ns={h.time} suffix /></td>
                <td className="cause">{h.cause || "not told"}</td>
                <td className="nowrap"><Counts of={h.counts} /></td>
                <td className="ids"><Ids of={h.appeared} total={h.appearedTotal} sign="+" /></td>
                <td className="ids"><Ids of={h.gone} total={h.goneTotal} sign="−" /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {of.history.length >= 200 && <p className="muted">The newest 200 changes are kept.</p>}
    </>
  );
}

function Ids({ of, total, sign }: { of: readonly string[]; total: bigint; sign: string }) {
  if (total === 0n) return <span className="faint">none</span>;
  const shown = of.slice(0, 3);
  return <span><b className="nowrap">{sign}{num(total)}</b>{shown.length > 0 && ": "}{shown.map((id, i) => <span key={id}>{i > 0 && ", "}<Link to={vulnerabilityAddress(id)}>{id}</Link></span>)}{total > BigInt(shown.length) && <span className="muted" data-tip={of.slice(3, 20).join("\n")}> and {num(total - BigInt(shown.length))} more</span>}</span>;
}

const W = 720, H = 110, RIGHT = 92;

function Plot({ of }: { of: readonly ImageHistory[] }) {
  const now = useNow();
  const points = [...of].reverse();
  const series = [
    { name: "all", cls: "p-all", values: points.map((h) => Number(h.counts?.total ?? 0n)) },
    { name: "critical or high", cls: "p-high", values: points.map((h) => Number((h.counts?.critical ?? 0n) + (h.counts?.high ?? 0n))) },
  ];
  const times = points.map((h) => ms(h.time));
  const plot = steps(times, series.map((s) => s.values), now, W - RIGHT, H - 26);
  const first = points[0]!;
  return (
    <figure className="plot">
      <svg viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`Vulnerabilities over time: ${plural(series[0]!.values.at(-1)!, "vulnerability", "vulnerabilities")} now, ${num(series[0]!.values[0]!)} at first`}>
        <g transform="translate(0 8)">
          <path className="axis" d={`M0 ${H - 26}H${W - RIGHT}`} />
          {plot.marks.slice(1).map((x, i) => <path key={i} className="tick" d={`M${x} ${H - 26}v4`} />)}
          {series.map((s, i) => <g key={s.name}><path className={s.cls} d={plot.paths[i]} /><text x={W - RIGHT + 6} y={plot.ends[i]! + 4}><tspan className="strong">{num(s.values.at(-1)!)}</tspan> {s.name}</text></g>)}
        </g>
        <text x="0" y={H - 2}>{exact(first.time).slice(0, 10)}</text><text x={W - RIGHT} y={H - 2} textAnchor="end">now</text>
      </svg>
    </figure>
  );
}
