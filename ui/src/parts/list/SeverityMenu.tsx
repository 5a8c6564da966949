import { Severity } from "../../gen/dockreeve/v1/dockreeve_pb";
import { choose, chosen, withField } from "../../lib/query";
import { Menu } from "../bits";
import { Chevron } from "../icons";
import { SeverityMark } from "../marks";

const rank: Record<string, Severity> = { unrated: Severity.UNSPECIFIED, informational: Severity.INFORMATIONAL, low: Severity.LOW, medium: Severity.MEDIUM, high: Severity.HIGH, critical: Severity.CRITICAL };

/** The filter with one value of an enumerated field switched on or off. */
export function toggled(filter: string, field: string, all: readonly string[], set: ReadonlySet<string>, v: string, ranked: boolean): string {
  const next = new Set(set);
  if (next.has(v)) next.delete(v);
  else next.add(v);
  return withField(filter, field, choose(field, all, next, ranked));
}

export function SeverityMenu({ filter, all, onFilter }: { filter: string; all: readonly string[]; onFilter: (f: string) => void }) {
  const set = chosen(filter, "severity", all);
  return (
    <Menu name="severity" label={<>Severity<span className="wide-only">{summary(set, all, true)}</span><Chevron size={12} /></>} className={`btn${set.size < all.length ? " set" : ""}`}>
      {() => <>
        {[...all].reverse().map((s) => (
          <label key={s} className="item"><input type="checkbox" checked={set.has(s)} onChange={() => onFilter(toggled(filter, "severity", all, set, s, true))} />{s === "unrated" ? <SeverityMark of={rank[s]!} word="not rated" /> : <SeverityMark of={rank[s]!} word />}</label>
        ))}
        <hr /><button type="button" className="item" onClick={() => onFilter(withField(filter, "severity", []))}>Every severity</button>
      </>}
    </Menu>
  );
}

export function summary(set: ReadonlySet<string>, all: readonly string[], ranked: boolean): string {
  if (set.size === all.length) return "";
  const picked = all.filter((v) => set.has(v));
  if (picked.length === 0) return ": none";
  if (picked.length === 1) return `: ${picked[0]}`;
  if (ranked && all.indexOf(picked[0]!) + picked.length === all.length) return `: ≥ ${picked[0]}`;
  return picked.length === 2 ? `: ${picked.join(", ")}` : `: ${picked.length} of ${all.length}`;
}
