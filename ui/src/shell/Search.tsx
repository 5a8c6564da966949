import { useEffect, useMemo, useState } from "react";
import { alerts, aborted, images, sentence } from "../api/client";
import type { Alert, Image, VulnerabilityRow } from "../gen/dockreeve/v1/dockreeve_pb";
import { useAtom } from "../lib/atom";
import { advisoryID, imageName } from "../lib/image";
import { addressOf, DEFAULT_VIEW, filtered, imageAddress, IMAGES, quote, terms, VULNERABILITIES, vulnerabilityAddress } from "../lib/query";
import { go } from "../lib/route";
import { Ago, Dialog, End } from "../parts/bits";
import { Counts } from "../parts/counts";
import { Bug, Layers } from "../parts/icons";
import { Exploited, SeverityMark, StatusMark } from "../parts/marks";
import { type CommandItem, opened, screenCommands } from "./commands";
import { theme } from "./theme";

const base: CommandItem[] = [
  { name: "Go to Alerts", run: () => go("/alerts") },
  { name: "Alerts: high and critical, open", run: () => go(addressOf({ filter: "severity:>=high status:open", order: "last_seen" })) },
  { name: "Alerts: seen in the last hour", run: () => go(addressOf({ filter: "age:<1h", order: "last_seen" })) },
  { name: "Alerts: all, whatever their status", run: () => go(addressOf({ filter: "", order: "last_seen" })) },
  { name: "Go to Images", run: () => go(IMAGES.path) },
  { name: "Images: running, known to be exploited", run: () => go(filtered(IMAGES, "running:yes kev:yes")) },
  { name: "Images: not assessed", run: () => go(filtered(IMAGES, "assessed:no")) },
  { name: "Go to Vulnerabilities", run: () => go(VULNERABILITIES.path) },
  { name: "Vulnerabilities: known to be exploited, in what runs", run: () => go(filtered(VULNERABILITIES, "kev:yes running:yes")) },
  { name: "Go to Advisories", run: () => go("/advisories") },
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

interface Found {
  for: string;
  rows: Alert[];
  total: bigint;
  images: Image[];
  imagesTotal: bigint;
  vulnerabilities: VulnerabilityRow[];
  vulnerabilitiesTotal: bigint;
  error: string;
}
const NOTHING: Found = { for: "", rows: [], total: 0n, images: [], imagesTotal: 0n, vulnerabilities: [], vulnerabilitiesTotal: 0n, error: "" };

/** Ctrl-K: alerts, images, vulnerabilities and every command in one box. */
export function Search() {
  const [text, setText] = useState("");
  const [found, setFound] = useState<Found>(NOTHING);
  const [at, setAt] = useState(0);
  const extra = useAtom(screenCommands);
  const close = () => opened.set(null);

  useEffect(() => {
    const filter = searchFilter(text);
    if (!filter) return setFound(NOTHING);
    const stop = new AbortController();
    const opt = { signal: stop.signal };
    const timer = setTimeout(() => {
      // A filter may be one that only some of the lists know: those that do not are left out.
      void Promise.allSettled([alerts.listAlerts({ filter, pageSize: 6 }, opt), images.listImages({ filter, pageSize: 5 }, opt), images.listVulnerabilities({ filter, pageSize: 5 }, opt)]).then(([a, i, v]) => {
        if (stop.signal.aborted) return;
        const ok = [a, i, v].some((r) => r.status === "fulfilled");
        const why: unknown = a.status === "rejected" ? a.reason : null;
        setFound({
          ...NOTHING, for: filter,
          ...(a.status === "fulfilled" ? { rows: a.value.alerts, total: a.value.total } : {}),
          ...(i.status === "fulfilled" ? { images: i.value.images, imagesTotal: i.value.total } : {}),
          ...(v.status === "fulfilled" ? { vulnerabilities: v.value.vulnerabilities, vulnerabilitiesTotal: v.value.total } : {}),
          error: ok || aborted(why) ? "" : sentence(why),
        });
      });
    }, 120);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [text]);

  const commands = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return [...extra, ...base].filter((c) => words.every((w) => c.name.toLowerCase().includes(w)));
  }, [text, extra]);
  const id = advisoryID(text);
  const items: Array<{ key: string; run: () => void; node: React.ReactNode }> = [
    ...(id ? [{ key: "affected", run: () => go(vulnerabilityAddress(id)), node: <><Bug /><span className="grow clip">Are we affected by <b className="mono">{id}</b>?</span></> }] : []),
    ...found.vulnerabilities.filter((v) => v.id !== id).map((v) => ({
      key: `v ${v.id}`, run: () => go(vulnerabilityAddress(v.id)),
      node: <><SeverityMark of={v.severity} /><span className="grow clip"><b>{v.id}</b> {v.title}</span>{v.kev && <Exploited />}<span className="muted nowrap">{v.images === 1n ? "1 image" : `${v.images} images`}</span></>,
    })),
    ...found.images.map((i) => ({
      key: `i ${i.key}`, run: () => go(imageAddress(i.key)),
      node: <><Layers /><span className="grow"><End>{imageName(i)}</End></span>{i.notAssessed ? <span className="muted nowrap">not assessed</span> : <Counts of={i.counts} />}</>,
    })),
    ...found.rows.map((a) => ({
      key: a.id, run: () => go(`/alerts/${a.id}`),
      node: <><SeverityMark of={a.severity} /><span className="grow clip">{a.summary}</span><span className="muted nowrap"><StatusMark of={a.status} /></span><span className="muted nowrap"><Ago ns={a.lastSeen} /></span></>,
    })),
    ...(found.for && !found.error && (found.total > 0n || found.imagesTotal + found.vulnerabilitiesTotal === 0n) ? [{ key: "all", run: () => go(addressOf({ ...DEFAULT_VIEW, filter: found.for })), node: <span className="grow clip">Show {found.total === 1n ? "the 1 alert" : `all ${found.total} alerts`} that match <span className="mono">{found.for}</span></span> }] : []),
    ...(found.imagesTotal > BigInt(found.images.length) ? [{ key: "all i", run: () => go(filtered(IMAGES, found.for)), node: <span className="grow clip">Show all {String(found.imagesTotal)} images that match <span className="mono">{found.for}</span></span> }] : []),
    ...(found.vulnerabilitiesTotal > BigInt(found.vulnerabilities.length) ? [{ key: "all v", run: () => go(filtered(VULNERABILITIES, found.for)), node: <span className="grow clip">Show all {String(found.vulnerabilitiesTotal)} vulnerabilities that match <span className="mono">{found.for}</span></span> }] : []),
    ...commands.map((c) => ({ key: `c ${c.name}`, run: c.run, node: <><span className="grow">{c.name}</span>{c.hint && <kbd>{c.hint}</kbd>}</> })),
  ];
  const active = Math.min(at, items.length - 1);
  useEffect(() => { document.getElementById(`hit-${active}`)?.scrollIntoView({ block: "nearest" }); }, [active]);
  const pick = (i: number) => { close(); items[i]?.run(); };

  return (
    <Dialog title="Search" onClose={close} wide>
      <div className="search">
        <input className="input" data-first placeholder="A CVE, an image, an alert, a workload, a filter, or a command" aria-label="Search alerts, images, vulnerabilities and commands" spellCheck={false} autoComplete="off"
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
        {items.length === 0 && !found.error && <p className="muted pad">No command has these words, and nothing else was searched yet.</p>}
      </div>
    </Dialog>
  );
}
