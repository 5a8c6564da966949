import { useCallback, useEffect, useState } from "react";
import { sentence, status } from "../../api/client";
import type { Rule } from "../../gen/dockreeve/v1/dockreeve_pb";
import { addressOf, DEFAULT_VIEW, quote } from "../../lib/query";
import { go } from "../../lib/route";
import { plural } from "../../lib/time";
import { Copy, Link } from "../../parts/bits";
import { Check, Retry, Warn } from "../../parts/icons";
import { SeverityMark } from "../../parts/marks";

const rank: Record<string, number> = { informational: 1, low: 2, medium: 3, high: 4, critical: 5 };

/** Every loaded rule: whether it watches, and if not, why. */
export default function RulesScreen({ search }: { search: string }) {
  const [rules, setRules] = useState<Rule[] | null>(null);
  const [error, setError] = useState("");
  const load = useCallback(() => {
    status.listRules({}).then((r) => { setRules(r.rules); setError(""); }).catch((err) => setError(sentence(err)));
  }, []);
  useEffect(() => { document.title = "Rules · Dockreeve"; load(); }, [load]);
  const p = new URLSearchParams(search);
  const words = p.get("q") ?? "";
  const only = p.get("only") ?? "";
  const set = (q: string, o: string) => { const n = new URLSearchParams(); if (q) n.set("q", q); if (o) n.set("only", o); go(`/rules${n.size ? `?${n}` : ""}`, true); };
  const watches = (r: Rule) => r.enabled && r.notAssessed === "";
  const hit = (rules ?? []).filter((r) => (only !== "not-assessed" || !watches(r)) && words.toLowerCase().split(/\s+/).every((w) => `${r.id} ${r.name} ${r.desc} ${r.tags.join(" ")} ${r.tactics.join(" ")} ${r.techniques.join(" ")}`.toLowerCase().includes(w)));
  const off = (rules ?? []).filter((r) => !watches(r)).length;
  return (
    <div className="page">
      <h1>Rules</h1>
      {error && <div className="notice bad" role="alert"><p>The rules could not be fetched: {error} The command line may still work: dockreeve rules list</p><button type="button" className="btn" onClick={load}><Retry />Try again</button></div>}
      {rules && <p className="muted">{rules.length - off} of {plural(rules.length, "rule")} watch{off > 0 ? `; ${off} do not, each says why` : ""}.</p>}
      <div className="rules-bar">
        <input className="input" type="search" aria-label="Find rules" placeholder="Find by name, id, tactic or technique" value={words} onChange={(e) => set(e.target.value, only)} />
        <label className="row"><input type="checkbox" checked={only === "not-assessed"} onChange={(e) => set(words, e.target.checked ? "not-assessed" : "")} />only those that do not watch</label>
      </div>
      {!rules && !error && <div className="skeletons" role="status" aria-label="Loading rules"><span className="skeleton" /><span className="skeleton" /></div>}
      {rules && hit.length === 0 && <p>None of {plural(rules.length, "rule")} matches. <button type="button" className="btn" onClick={() => set("", "")}>Show all</button></p>}
      {hit.length > 0 && (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Rules">
          <table className="plain">
            <thead><tr><th>Severity</th><th>Rule</th><th>State</th><th>ATT&CK</th><th>File</th></tr></thead>
            <tbody>
              {hit.map((r) => (
                <tr key={`${r.id} ${r.file} ${r.line}`}>
                  <td><SeverityMark of={rank[r.severity.toLowerCase()] ?? 0} word /></td>
                  <td className="rule-name"><b>{r.name}</b><p className="muted">{r.desc}</p>
                    {r.condition && <details><summary><code>{r.id}</code></summary><div className="code"><pre tabIndex={0}>{r.condition}</pre><Copy text={r.condition} what="condition" /></div><p><Link to={addressOf({ ...DEFAULT_VIEW, filter: `rule:${quote(r.id)}` })}>Its alerts</Link></p></details>}</td>
                  <td className="state">{watches(r) ? <span className="row nowrap"><Check />watching</span> : !r.enabled ? <span>switched off{r.notAssessed ? `: ${r.notAssessed}` : ""}</span> : <span><span className="row nowrap warn-ink"><Warn />not assessed</span><span className="muted">{r.notAssessed}</span></span>}</td>
                  <td>{r.tactics.join(", ")}{r.techniques.length > 0 && <p className="muted mono">{r.techniques.join(" ")}</p>}</td>
                  <td className="mono nowrap muted">{r.file ? `${r.file}${r.line > 0 ? `:${r.line}` : ""}` : ""}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}
