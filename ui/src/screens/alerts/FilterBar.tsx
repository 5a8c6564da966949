import { useEffect, useId, useRef, useState } from "react";
import { choose, chosen, FIELDS, SEVERITIES, STATUSES, terms, withField } from "../../lib/query";
import { Severity } from "../../gen/dockreeve/v1/dockreeve_pb";
import { Menu } from "../../parts/bits";
import { Check, Chevron, Cross, Filter } from "../../parts/icons";
import { SeverityMark } from "../../parts/marks";

const AGES: ReadonlyArray<readonly [value: string, label: string]> = [["", "any age"], ["<15m", "last 15 minutes"], ["<1h", "last hour"], ["<24h", "last 24 hours"], ["<7d", "last 7 days"], ["<30d", "last 30 days"]];
const rank: Record<string, Severity> = { informational: Severity.INFORMATIONAL, low: Severity.LOW, medium: Severity.MEDIUM, high: Severity.HIGH, critical: Severity.CRITICAL };

interface Props {
  filter: string;
  error: string;
  onFilter: (filter: string) => void;
}

/** The filter, typed or clicked; both write the same text. */
export function FilterBar({ filter, error, onFilter }: Props) {
  const sev = chosen(filter, "severity", SEVERITIES);
  const status = chosen(filter, "status", STATUSES);
  const age = terms(filter).find((t) => t.field === "age");
  const toggle = (field: string, all: readonly string[], set: Set<string>, v: string, ranked: boolean) => {
    const next = new Set(set);
    if (next.has(v)) next.delete(v);
    else next.add(v);
    onFilter(withField(filter, field, choose(field, all, next, ranked)));
  };
  return (
    <div className="filters">
      <FilterInput filter={filter} error={error} onFilter={onFilter} />
      <Menu name="severity" label={<>Severity<span className="wide-only">{summary(sev, SEVERITIES, true)}</span><Chevron size={12} /></>} className={`btn${sev.size < 5 ? " set" : ""}`}>
        {() => <>
          {[...SEVERITIES].reverse().map((s) => (
            <label key={s} className="item"><input type="checkbox" checked={sev.has(s)} onChange={() => toggle("severity", SEVERITIES, sev, s, true)} /><SeverityMark of={rank[s]!} word /></label>
          ))}
          <hr /><button type="button" className="item" onClick={() => onFilter(withField(filter, "severity", []))}>Every severity</button>
        </>}
      </Menu>
      <Menu name="status" label={<>Status<span className="wide-only">{summary(status, STATUSES, false)}</span><Chevron size={12} /></>} className={`btn${status.size < 4 ? " set" : ""}`}>
        {() => <>
          {STATUSES.map((s) => (
            <label key={s} className="item"><input type="checkbox" checked={status.has(s)} onChange={() => toggle("status", STATUSES, status, s, false)} />{s}</label>
          ))}
          <hr /><button type="button" className="item" onClick={() => onFilter(withField(filter, "status", []))}>Every status</button>
        </>}
      </Menu>
      <Menu name="age" label={<>{age ? `Age: ${age.op}${age.value}` : "Age"}<Chevron size={12} /></>} className={`btn${age ? " set" : ""}`}>
        {(close) => AGES.map(([v, label]) => {
          const on = v === (age ? age.op + age.value : "");
          return <button key={v} type="button" className="item" aria-pressed={on} onClick={() => { onFilter(withField(filter, "age", v ? [`age:${v}`] : [])); close(); }}><span className="grow">{label}</span>{on && <Check />}</button>;
        })}
      </Menu>
    </div>
  );
}

function summary(set: Set<string>, all: readonly string[], ranked: boolean): string {
  if (set.size === all.length) return "";
  const picked = all.filter((v) => set.has(v));
  if (picked.length === 0) return ": none";
  if (picked.length === 1) return `: ${picked[0]}`;
  if (ranked && all.indexOf(picked[0]!) + picked.length === all.length) return `: ≥ ${picked[0]}`;
  return picked.length === 2 ? `: ${picked.join(", ")}` : `: ${picked.length} of ${all.length}`;
}

function FilterInput({ filter, error, onFilter }: Props) {
  const [text, setText] = useState(filter);
  const [at, setAt] = useState(-1);
  const [open, setOpen] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  useEffect(() => setText(filter), [filter]);
  useEffect(() => {
    const f = () => { input.current?.focus(); input.current?.select(); };
    addEventListener("dockreeve:filter", f);
    return () => removeEventListener("dockreeve:filter", f);
  }, []);
  const hints = open ? suggest(text, input.current?.selectionStart ?? text.length) : [];
  const take = (h: Hint) => {
    setText(h.text);
    setAt(-1);
    requestAnimationFrame(() => input.current?.setSelectionRange(h.caret, h.caret));
    if (h.done) { onFilter(h.text.trim()); setOpen(false); }
  };
  return (
    <div className="filter-input">
      <Filter size={14} />
      <input ref={input} className="input mono" role="combobox" aria-label="Filter alerts" aria-expanded={hints.length > 0} aria-controls={id} aria-autocomplete="list" aria-invalid={error !== ""} aria-describedby={error ? `${id}-e` : undefined}
        aria-activedescendant={at >= 0 && at < hints.length ? `${id}-${at}` : undefined}
        spellCheck={false} autoComplete="off" autoCapitalize="off" placeholder="severity:>=high workload:payments/* age:<7d" value={text}
        onChange={(e) => { setText(e.target.value); setOpen(true); setAt(-1); }}
        onFocus={() => setOpen(false)}
        onBlur={() => setOpen(false)}
        onKeyDown={(e) => {
          if (e.key === "ArrowDown" || e.key === "ArrowUp") {
            e.preventDefault();
            if (!open) setOpen(true);
            else if (hints.length) setAt((at + (e.key === "ArrowDown" ? 1 : hints.length + (at < 0 ? 0 : -1))) % hints.length);
          } else if ((e.key === "Enter" || e.key === "Tab") && open && at >= 0 && hints[at]) { e.preventDefault(); take(hints[at]!); }
          else if (e.key === "Enter") { onFilter(text.trim()); setOpen(false); input.current?.blur(); document.querySelector<HTMLElement>(".grid")?.focus(); }
          else if (e.key === "Escape") { e.stopPropagation(); if (open && hints.length) setOpen(false); else { setText(filter); input.current?.blur(); document.querySelector<HTMLElement>(".grid")?.focus(); } }
        }} />
      {text && <button type="button" className="copy" aria-label="clear the filter" data-tip="clear the filter" onClick={() => onFilter("")}><Cross size={14} /></button>}
      {hints.length > 0 && (
        <div className="menu hints" role="listbox" id={id} aria-label="Suggestions">
          {hints.map((h, i) => (
            <div key={h.show} id={`${id}-${i}`} role="option" aria-selected={i === at} className="item" onMouseDown={(e) => { e.preventDefault(); take(h); }}><span className="mono">{h.show}</span><span className="muted clip">{h.what}</span></div>
          ))}
        </div>
      )}
      {error && <p className="field-error" id={`${id}-e`} role="alert">{error}</p>}
    </div>
  );
}

interface Hint {
  show: string;
  what: string;
  text: string;
  caret: number;
  done: boolean;
}

/** Completions of the word under the caret: fields first, then the values of an enumerated field. */
export function suggest(text: string, caret: number): Hint[] {
  const from = text.lastIndexOf(" ", caret - 1) + 1;
  const word = text.slice(from, caret).replace(/^-/, "");
  const neg = text[from] === "-" ? "-" : "";
  const put = (w: string, what: string, done: boolean): Hint => {
    const next = text.slice(0, from) + neg + w + (done ? " " : "") + text.slice(caret).trimStart();
    return { show: neg + w, what, text: next, caret: from + neg.length + w.length + (done ? 1 : 0), done };
  };
  const colon = word.indexOf(":");
  if (colon < 0) return word === "" ? [] : FIELDS.filter(([n]) => n.startsWith(word.toLowerCase())).map(([n, what]) => put(`${n}:`, what, false));
  const field = word.slice(0, colon), value = word.slice(colon + 1);
  const from2 = field === "severity" ? [...SEVERITIES.map((s) => `>=${s}`).reverse(), ...[...SEVERITIES].reverse()] : field === "status" ? STATUSES : field === "age" ? AGES.slice(1).map(([v]) => v) : [];
  return from2.filter((v) => v !== value && (v.startsWith(value) || v.replace(/^\W+/, "").startsWith(value))).slice(0, 8).map((v) => put(`${field}:${v}`, "", true));
}
