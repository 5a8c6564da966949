import { useEffect, useId, useRef, useState } from "react";
import type { FieldHint } from "../../lib/fields";
import { Cross, Filter } from "../icons";

interface Props {
  label: string;
  example: string;
  filter: string;
  error: string;
  fields: readonly FieldHint[];
  values: Readonly<Record<string, readonly string[]>>;
  onFilter: (filter: string) => void;
}

/** The filter as text, with completion. "/" brings the caret here. */
export function FilterInput({ label, example, filter, error, fields, values, onFilter }: Props) {
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
  const hints = open ? suggest(text, input.current?.selectionStart ?? text.length, fields, values) : [];
  const take = (h: Hint) => {
    setText(h.text);
    setAt(-1);
    requestAnimationFrame(() => input.current?.setSelectionRange(h.caret, h.caret));
    if (h.done) { onFilter(h.text.trim()); setOpen(false); }
  };
  const leave = () => { input.current?.blur(); document.querySelector<HTMLElement>(".grid")?.focus(); };
  return (
    <div className="filter-input">
      <Filter size={14} />
      <input ref={input} className="input mono" role="combobox" aria-label={label} aria-expanded={hints.length > 0} aria-controls={id} aria-autocomplete="list" aria-invalid={error !== ""} aria-describedby={error ? `${id}-e` : undefined}
        aria-activedescendant={at >= 0 && at < hints.length ? `${id}-${at}` : undefined}
        spellCheck={false} autoComplete="off" autoCapitalize="off" placeholder={example} value={text}
        onChange={(e) => { setText(e.target.value); setOpen(true); setAt(-1); }}
        onFocus={() => setOpen(false)}
        onBlur={() => setOpen(false)}
        onKeyDown={(e) => {
          if (e.key === "ArrowDown" || e.key === "ArrowUp") {
            e.preventDefault();
            if (!open) setOpen(true);
            else if (hints.length) setAt((at + (e.key === "ArrowDown" ? 1 : hints.length + (at < 0 ? 0 : -1))) % hints.length);
          } else if ((e.key === "Enter" || e.key === "Tab") && open && at >= 0 && hints[at]) { e.preventDefault(); take(hints[at]!); }
          else if (e.key === "Enter") { onFilter(text.trim()); setOpen(false); leave(); }
          else if (e.key === "Escape") { e.stopPropagation(); if (open && hints.length) setOpen(false); else { setText(filter); leave(); } }
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
export function suggest(text: string, caret: number, fields: readonly FieldHint[], values: Readonly<Record<string, readonly string[]>>): Hint[] {
  const from = text.lastIndexOf(" ", caret - 1) + 1;
  const word = text.slice(from, caret).replace(/^-/, "");
  const neg = text[from] === "-" ? "-" : "";
  const put = (w: string, what: string, done: boolean): Hint => {
    const next = text.slice(0, from) + neg + w + (done ? " " : "") + text.slice(caret).trimStart();
    return { show: neg + w, what, text: next, caret: from + neg.length + w.length + (done ? 1 : 0), done };
  };
  const colon = word.indexOf(":");
  if (colon < 0) return word === "" ? [] : fields.filter(([n]) => n.startsWith(word.toLowerCase())).map(([n, what]) => put(`${n}:`, what, false));
  const field = word.slice(0, colon), value = word.slice(colon + 1);
  const few = fields.some(([n]) => n === field) && Object.hasOwn(values, field) ? values[field]! : [];
  return few.filter((v) => v !== value && (v.startsWith(value) || v.replace(/^\W+/, "").startsWith(value))).slice(0, 8).map((v) => put(`${field}:${v}`, "", true));
}
