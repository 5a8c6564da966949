import { useEffect, useMemo, useState } from "react";
import { alerts, aborted, clusters, governance, images, sentence } from "../api/client";
import { known } from "../api/live";
import type { Alert, ClusterRow, IdentityRow, Image, VulnerabilityRow, WorkloadRow } from "../gen/dockreeve/v1/dockreeve_pb";
import type { ClusterRow as Governed, Recommendation, SubscriptionRow } from "../gen/govern";
import { useAtom } from "../lib/atom";
import { clusterAddress, governedAddress, identityAddress, recommendationAddress, identityName, workloadAddress } from "../lib/entity";
import { doc, protectionSays, severityOf, shortOwner } from "../lib/govern";
import { advisoryID, imageName } from "../lib/image";
import { addressOf, AUDIT, CLUSTERS, DEFAULT_VIEW, EXPOSURE, filtered, GOVERNANCE, IDENTITIES, imageAddress, IMAGES, quote, RECOMMENDATIONS, terms, VULNERABILITIES, vulnerabilityAddress, WORKLOADS } from "../lib/query";
import { go } from "../lib/route";
import { plural } from "../lib/time";
import { Ago, Dialog, End } from "../parts/bits";
import { Counts } from "../parts/counts";
import { Powers, ReachMark } from "../parts/cluster";
import { Boxes, Bug, Coin, Hex, Layers, Person, Shield, Steps } from "../parts/icons";
import { Exploited, SeverityMark, StatusMark } from "../parts/marks";
import { type CommandItem, opened, screenCommands } from "./commands";
import { theme } from "./theme";

const base: CommandItem[] = [
  { name: "Go to Alerts", run: () => go("/alerts") },
  { name: "Alerts: high and critical, open", run: () => go(addressOf({ filter: "severity:>=high status:open", order: "last_seen" })) },
  { name: "Alerts: seen in the last hour", run: () => go(addressOf({ filter: "age:<1h", order: "last_seen" })) },
  { name: "Alerts: all, whatever their status", run: () => go(addressOf({ filter: "", order: "last_seen" })) },
  { name: "Go to Clusters", run: () => go(CLUSTERS.path) },
  { name: "Clusters: API server not watched", run: () => go(filtered(CLUSTERS, "audited:no")) },
  { name: "Clusters: join one", run: () => go(`${CLUSTERS.path}?join=1`) },
  { name: "Go to Workloads", run: () => go(WORKLOADS.path) },
  { name: "Workloads: reached from the internet", run: () => go(filtered(WORKLOADS, "reach:internet")) },
  { name: "Workloads: unowned", run: () => go(filtered(WORKLOADS, "owner:unowned")) },
  { name: "Go to Identities", run: () => go(IDENTITIES.path) },
  { name: "Identities: cluster admin", run: () => go(filtered(IDENTITIES, "grant:cluster-admin")) },
  { name: "Identities: dangerous rights never used", run: () => go(filtered(IDENTITIES, "grant:* requests:0")) },
  { name: "Go to Audit", run: () => go(AUDIT.path) },
  { name: "Audit: refused requests", run: () => go(filtered(AUDIT, "decision:forbid")) },
  { name: "Audit: unusual requests", run: () => go(filtered(AUDIT, "unusual:*")) },
  { name: "Go to Exposure", run: () => go(EXPOSURE.path) },
  { name: "Go to Images", run: () => go(IMAGES.path) },
  { name: "Images: running, known to be exploited", run: () => go(filtered(IMAGES, "running:yes kev:yes")) },
  { name: "Images: not assessed", run: () => go(filtered(IMAGES, "assessed:no")) },
  { name: "Go to Vulnerabilities", run: () => go(VULNERABILITIES.path) },
  { name: "Vulnerabilities: known to be exploited, in what runs", run: () => go(filtered(VULNERABILITIES, "kev:yes running:yes")) },
  { name: "Go to Governance", run: () => go(GOVERNANCE.path) },
  { name: "Governance: production, not protected", run: () => go(filtered(GOVERNANCE, "production:yes protected:no")) },
  { name: "Governance: whether protected is not known", run: () => go(filtered(GOVERNANCE, "protected:unknown")) },
  { name: "Governance: without an owner", run: () => go(filtered(GOVERNANCE, "owner:unowned")) },
  { name: "Governance: above its budget", run: () => go(filtered(GOVERNANCE, "over:yes")) },
  { name: "Governance: what changed since yesterday", run: () => go(`${GOVERNANCE.path}?show=drift`) },
  { name: "Governance: what is not assessed", run: () => go(`${GOVERNANCE.path}?show=gaps`) },
  { name: "Go to Cost", run: () => go("/cost") },
  { name: "Cost: what is unusual", run: () => go("/cost?tab=anomalies") },
  { name: "Cost: budgets", run: () => go("/cost?tab=budgets") },
  { name: "Cost: protection by provider", run: () => go("/cost?tab=protection") },
  { name: "Go to Compliance", run: () => go("/compliance") },
  { name: "Compliance: controls that fail", run: () => go("/compliance?state=fail") },
  { name: "Go to Recommendations", run: () => go(RECOMMENDATIONS.path) },
  { name: "Recommendations: overdue", run: () => go(filtered(RECOMMENDATIONS, "fixed:no overdue:yes")) },
  { name: "Go to Playbook", run: () => go("/playbook") },
  { name: "Playbook: pitfalls", run: () => go("/playbook?tab=pitfalls") },
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
  workloads: WorkloadRow[];
  workloadsTotal: bigint;
  identities: IdentityRow[];
  identitiesTotal: bigint;
  governed: Governed[];
  governedTotal: bigint;
  owners: string[];
  subscriptions: SubscriptionRow[];
  todo: Array<{ key: string; of: Recommendation }>;
  error: string;
}
const NOTHING: Found = { for: "", rows: [], total: 0n, images: [], imagesTotal: 0n, vulnerabilities: [], vulnerabilitiesTotal: 0n, workloads: [], workloadsTotal: 0n, identities: [], identitiesTotal: 0n, governed: [], governedTotal: 0n, owners: [], subscriptions: [], todo: [], error: "" };

/** Owners of clusters that have this in their name. Nothing lists owners alone: those of the first clusters that match are taken. */
async function ownersLike(text: string, opt: { signal: AbortSignal }): Promise<string[]> {
  const word = text.trim();
  if (!/^[\w.@-]{2,60}$/.test(word)) return [];
  const r = await governance.listGovernance({ kind: "cluster", filter: `owner:*${word}*`, pageSize: 60 }, opt);
  return [...new Set(r.items.map((x) => doc<Governed>(x.docJson)!.ownership.owner))].slice(0, 3);
}

/** Ctrl-K: everything that has a page, and every command, in one box. */
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
      void Promise.allSettled([alerts.listAlerts({ filter, pageSize: 6 }, opt), images.listImages({ filter, pageSize: 5 }, opt), images.listVulnerabilities({ filter, pageSize: 5 }, opt), clusters.listWorkloads({ filter, pageSize: 5 }, opt), clusters.listIdentities({ filter, pageSize: 4 }, opt),
        governance.listGovernance({ kind: "cluster", filter, pageSize: 5 }, opt), governance.listGovernance({ kind: "subscription", filter, pageSize: 3 }, opt), governance.listGovernance({ kind: "recommendation", filter, pageSize: 3 }, opt), ownersLike(text, opt)]).then(([a, i, v, w, n, g, s, t, o]) => {
        if (stop.signal.aborted) return;
        const ok = [a, i, v, w, n, g, s, t].some((r) => r.status === "fulfilled");
        const why: unknown = a.status === "rejected" ? a.reason : null;
        setFound({
          ...NOTHING, for: filter,
          ...(a.status === "fulfilled" ? { rows: a.value.alerts, total: a.value.total } : {}),
          ...(i.status === "fulfilled" ? { images: i.value.images, imagesTotal: i.value.total } : {}),
          ...(v.status === "fulfilled" ? { vulnerabilities: v.value.vulnerabilities, vulnerabilitiesTotal: v.value.total } : {}),
          ...(w.status === "fulfilled" ? { workloads: w.value.workloads, workloadsTotal: w.value.total } : {}),
          ...(n.status === "fulfilled" ? { identities: n.value.identities, identitiesTotal: n.value.total } : {}),
          ...(g.status === "fulfilled" ? { governed: g.value.items.map((x) => doc<Governed>(x.docJson)!), governedTotal: g.value.total } : {}),
          ...(s.status === "fulfilled" ? { subscriptions: s.value.items.map((x) => doc<SubscriptionRow>(x.docJson)!) } : {}),
          ...(t.status === "fulfilled" ? { todo: t.value.items.map((x) => ({ key: x.key, of: doc<Recommendation>(x.docJson)! })) } : {}),
          ...(o.status === "fulfilled" ? { owners: o.value } : {}),
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
  const all = useAtom(known) ?? [];
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const here: readonly ClusterRow[] = words.length ? all.filter((c) => words.every((w) => `${c.name} ${c.platform} ${c.resourceId}`.toLowerCase().includes(w))).slice(0, 4) : [];
  const items: Array<{ key: string; run: () => void; node: React.ReactNode }> = [
    ...(id ? [{ key: "affected", run: () => go(vulnerabilityAddress(id)), node: <><Bug /><span className="grow clip">Are we affected by <b className="mono">{id}</b>?</span></> }] : []),
    ...found.vulnerabilities.filter((v) => v.id !== id).map((v) => ({
      key: `v ${v.id}`, run: () => go(vulnerabilityAddress(v.id)),
      node: <><SeverityMark of={v.severity} /><span className="grow clip"><b>{v.id}</b> {v.title}</span>{v.kev && <Exploited />}<span className="muted nowrap">{v.images === 1n ? "1 image" : `${v.images} images`}</span></>,
    })),
    ...here.map((c) => ({
      key: `k ${c.name}`, run: () => go(clusterAddress(c.name)),
      node: <><Hex /><span className="grow"><End>{c.name}</End></span><span className="muted nowrap">{c.platform} {c.version}</span></>,
    })),
    ...found.owners.map((o) => ({
      key: `o ${o}`, run: () => go(filtered(GOVERNANCE, `owner:${quote(o)}`)),
      node: <><Person /><span className="grow clip"><b>{shortOwner(o)}</b></span><span className="muted nowrap">owner: its clusters</span></>,
    })),
    ...found.governed.map((c) => ({
      key: `g ${c.id}`, run: () => go(governedAddress(c.id)),
      node: <><Shield /><span className="grow"><End tip={`${c.id}\n${protectionSays(c)}`}>{c.name}</End></span><span className="muted nowrap hit-side"><span className="clip">governance, {c.environment}, {shortOwner(c.ownership.owner)}</span></span></>,
    })),
    ...found.subscriptions.map((s) => ({
      key: `s ${s.id}`, run: () => go(filtered(GOVERNANCE, `subscription:${quote(s.name || s.id)}`)),
      node: <><Coin /><span className="grow"><End tip={s.id}>{s.name || s.id}</End></span><span className="muted nowrap">subscription, {plural(s.clusters, "cluster")}</span></>,
    })),
    ...found.workloads.map((w) => ({
      key: `w ${w.cluster}/${w.key}`, run: () => go(workloadAddress(w.cluster, w.key)),
      node: <><Boxes /><span className="grow"><End tip={w.key}>{`${w.namespace}/${w.name}`}</End></span><ReachMark of={w.reach} /><span className="muted nowrap hit-side"><span className="clip">{w.kind}, {w.cluster}</span></span></>,
    })),
    ...found.identities.map((n) => { const x = identityName(n.key); return {
      key: `n ${n.cluster}/${n.key}`, run: () => go(identityAddress(n.cluster, n.key)),
      node: <><Person /><span className="grow"><End tip={n.key}>{x.namespace ? `${x.namespace}/${x.name}` : x.name}</End></span><Powers of={n.grants} kind="grants" most={1} /><span className="muted nowrap hit-side"><span className="clip">{x.kind}, {n.cluster}</span></span></>,
    }; }),
    ...found.images.map((i) => ({
      key: `i ${i.key}`, run: () => go(imageAddress(i.key)),
      node: <><Layers /><span className="grow"><End>{imageName(i)}</End></span>{i.notAssessed ? <span className="muted nowrap">not assessed</span> : <Counts of={i.counts} />}</>,
    })),
    ...found.todo.map((t) => ({
      key: `t ${t.key}`, run: () => go(recommendationAddress(t.key)),
      node: <><Steps /><SeverityMark of={severityOf(t.of.severity)} word="" size={14} /><span className="grow clip">{t.of.title}</span><span className="muted nowrap hit-side"><span className="clip">{shortOwner(t.of.owner)}</span></span></>,
    })),
    ...found.rows.map((a) => ({
      key: a.id, run: () => go(`/alerts/${a.id}`),
      node: <><SeverityMark of={a.severity} /><span className="grow clip">{a.summary}</span><span className="muted nowrap"><StatusMark of={a.status} /></span><span className="muted nowrap"><Ago ns={a.lastSeen} /></span></>,
    })),
    ...(found.for && !found.error && (found.total > 0n || found.imagesTotal + found.vulnerabilitiesTotal + found.workloadsTotal + found.identitiesTotal + found.governedTotal === 0n) ? [{ key: "all", run: () => go(addressOf({ ...DEFAULT_VIEW, filter: found.for })), node: <span className="grow clip">Show {found.total === 1n ? "the 1 alert" : `all ${found.total} alerts`} that match <span className="mono">{found.for}</span></span> }] : []),
    ...(found.imagesTotal > BigInt(found.images.length) ? [{ key: "all i", run: () => go(filtered(IMAGES, found.for)), node: <span className="grow clip">Show all {String(found.imagesTotal)} images that match <span className="mono">{found.for}</span></span> }] : []),
    ...(found.vulnerabilitiesTotal > BigInt(found.vulnerabilities.length) ? [{ key: "all v", run: () => go(filtered(VULNERABILITIES, found.for)), node: <span className="grow clip">Show all {String(found.vulnerabilitiesTotal)} vulnerabilities that match <span className="mono">{found.for}</span></span> }] : []),
    ...(found.workloadsTotal > BigInt(found.workloads.length) ? [{ key: "all w", run: () => go(filtered(WORKLOADS, found.for)), node: <span className="grow clip">Show all {String(found.workloadsTotal)} workloads that match <span className="mono">{found.for}</span></span> }] : []),
    ...(found.identitiesTotal > BigInt(found.identities.length) ? [{ key: "all n", run: () => go(filtered(IDENTITIES, found.for)), node: <span className="grow clip">Show all {String(found.identitiesTotal)} identities that match <span className="mono">{found.for}</span></span> }] : []),
    ...(found.governedTotal > BigInt(found.governed.length) ? [{ key: "all g", run: () => go(filtered(GOVERNANCE, found.for)), node: <span className="grow clip">Show all {String(found.governedTotal)} clusters under governance that match <span className="mono">{found.for}</span></span> }] : []),
    ...commands.map((c) => ({ key: `c ${c.name}`, run: c.run, node: <><span className="grow">{c.name}</span>{c.hint && <kbd>{c.hint}</kbd>}</> })),
  ];
  const active = Math.min(at, items.length - 1);
  useEffect(() => { document.getElementById(`hit-${active}`)?.scrollIntoView({ block: "nearest" }); }, [active]);
  const pick = (i: number) => { close(); items[i]?.run(); };

  return (
    <Dialog title="Search" onClose={close} wide>
      <div className="search">
        <input className="input" data-first placeholder="A cluster, an owner, a subscription, a workload, a CVE, an image, an alert, a filter, or a command" aria-label="Search everything that has a page, and commands" spellCheck={false} autoComplete="off"
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
