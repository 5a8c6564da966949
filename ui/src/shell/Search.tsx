import { useEffect, useMemo, useState } from "react";
import { alerts, aborted, sentence } from "../api/client";
import type { Alert } from "../gen/dockreeve/v1/dockreeve_pb";
import { useAtom } from "../lib/atom";
import { addressOf, DEFAULT_VIEW, quote, terms } from "../lib/query";
import { go } from "../lib/route";
import { Ago, Dialog } from "../parts/bits";
import { SeverityMark, StatusMark } from "../parts/marks";
import { type CommandItem, opened, screenCommands } from "./commands";
import { theme } from "./theme";

const base: CommandItem[] = [
  { name: "Go to Alerts", run: () => go("/alerts") },
  { name: "Alerts: high and critical, open", run: () => go(addressOf({ filter: "severity:>=high status:open", order: "last_seen" })) },
  { name: "Alerts: seen in the last hour", run: () => go(addressOf({ filter: "age:<1h", order: "last_seen" })) },
  { name: "Alerts: all, whatever their status", run: () => go(addressOf({ filter: "", order: "last_seen" })) },
  { name: "Go to Rules", run: () => go("/rules") },
  { name: "Go to Health", run: () => go("/health") },
  { name: "Theme: light", run: () => theme.set("light") },
  { name: "Theme: dark", run: () => theme.set("dark") },
  { name: "Theme: as the system", run: () => theme.set("system") },
  { name: "Show keys", hint: "?", run: () => opened.set("help") },
];

/** Bare words are searched as text; anything that looks like the filter language is taken as one. */
export function searchFilter(text: string): string {
  const t = text.trim();
  return terms(t).some((x) => x.field || x.neg) ? t : t.split(/\s+/).filter(Boolean).map(quote).join(" ");
}

/** Ctrl-K: every alert and every command in one box. */
export function Search() {
  const [text, setText] = useState("");
  const [found, setFound] = useState<{ for: string; rows: Alert[]; total: bigint; error: string }>({ for: "", rows: [], total: 0n, error: "" });
  const [at, setAt] = useState(0);
  const extra = useAtom(screenCommands);
  const close = () => opened.set(null);

  useEffect(() => {
    const filter = searchFilter(text);
    if (!filter) return setFound({ for: "", rows: [], total: 0n, error: "" });
    const stop = new AbortController();
    const timer = setTimeout(() => {
      alerts.listAlerts({ filter, pageSize: 8 }, { signal: stop.signal })
        .then((r) => setFound({ for: filter, rows: r.alerts, total: r.total, error: "" }))
        .catch((err) => { if (!aborted(err)) setFound({ for: filter, rows: [], total: 0n, error: sentence(err) }); });
    }, 120);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [text]);

  const commands = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return [...extra, ...base].filter((c) => words.every((w) => c.name.toLowerCase().includes(w)));
  }, [text, extra]);
  const items: Array<{ key: string; run: () => void; node: React.ReactNode }> = [
    ...found.rows.map((a) => ({
      key: a.id, run: () => go(`/alerts/${a.id}`),
      node: <><SeverityMark of={a.severity} /><span className="grow clip">{a.summary}</span><span className="muted nowrap"><StatusMark of={a.status} /></span><span className="muted nowrap"><Ago ns={a.lastSeen} /></span></>,
    })),
    ...(found.for && !found.error ? [{ key: "all", run: () => go(addressOf({ ...DEFAULT_VIEW, filter: found.for })), node: <span className="grow clip">Show {found.total === 1n ? "the 1 alert" : `all ${found.total} alerts`} that match <span className="mono">{found.for}</span></span> }] : []),
    ...commands.map((c) => ({ key: `c ${c.name}`, run: c.run, node: <><span className="grow">{c.name}</span>{c.hint && <kbd>{c.hint}</kbd>}</> })),
  ];
  const active = Math.min(at, items.length - 1);
  useEffect(() => { document.getElementById(`hit-${active}`)?.scrollIntoView({ block: "nearest" }); }, [active]);
  const pick = (i: number) => { close(); items[i]?.run(); };

  return (
    <Dialog title="Search" onClose={close} wide>
      <div className="search">
        <input className="input" data-first placeholder="An alert, a workload, a process, a filter, or a command" aria-label="Search alerts and commands" spellCheck={false} autoComplete="off"
          role="combobox" aria-expanded="true" aria-controls="hits" aria-activedescendant={items.length ? `hit-${active}` : undefined}
          value={text} onChange={(e) => { setText(e.target.value); setAt(0); }}
          onKeyDown={(e) => {
            if (e.key === "ArrowDown" || (e.ctrlKey && e.key === "n")) { e.preventDefault(); setAt((active + 1) % Math.max(1, items.length)); }
            if (e.key === "ArrowUp" || (e.ctrlKey && e.key === "p")) { e.preventDefault(); setAt((active + items.length - 1) % Math.max(1, items.length)); }
            if (e.key === "Enter") { e.preventDefault(); pick(active); }
          }} />
        {found.error && <p className="field-error">{found.error}</p>}
        <div id="hits" role="listbox" aria-label="Results">
          {items.map((it, i) => (
            <div key={it.key} id={`hit-${i}`} role="option" aria-selected={i === active} className="hit" onMouseMove={() => setAt(i)} onClick={() => pick(i)}>{it.node}</div>
          ))}
        </div>
        {items.length === 0 && !found.error && <p className="muted pad">No command has these words, and no alert was searched yet.</p>}
      </div>
    </Dialog>
  );
}
