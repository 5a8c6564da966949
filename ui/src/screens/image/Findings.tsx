import { useState } from "react";
import { images, sentence } from "../../api/client";
import type { Image, ImageLayer, ImageVulnerability } from "../../gen/dockreeve/v1/dockreeve_pb";
import { useNow } from "../../lib/clock";
import { FINDING_FIELDS } from "../../lib/fields";
import { fixSays, imageName, shortDigest, useSays, useWord, whyRank } from "../../lib/image";
import { vulnerabilityAddress } from "../../lib/query";
import type { Field } from "../../lib/table";
import { ms, plural, utc } from "../../lib/time";
import { Ago, Copy, End, Link, NotAssessed, Out, Skeleton } from "../../parts/bits";
import { Chevron } from "../../parts/icons";
import { download, EXPORT_MOST, ExportMenu } from "../../parts/list/export";
import { SortHead, TableBar, TableEnd } from "../../parts/list/TableBar";
import { useTable } from "../../parts/list/useTable";
import { Exploited } from "../../parts/marks";
import { say } from "../../parts/toast";
import { Cvss, Epss, kevTip, Rated, rated } from "../vulnerabilities/columns";

const keyOf = (v: ImageVulnerability) => [v.id, v.type, v.package, v.version, v.location].join("\u0000");
const text = (key: string, value: string): Field => ({ key, value });
const EXPORTED = [{ values: (v: ImageVulnerability): Field[] => [text("id", v.id), text("severity", rated(v.severity)), text("package", v.package), text("version", v.version), text("type", v.type), text("fix", fixSays(v)), text("status", v.status),
  { key: "epss", value: v.epss ?? "" }, { key: "cvss", value: v.cvss || "" }, text("vector", v.vector), text("known_exploited", v.kev ? "yes" : "no"), text("use", useWord(v.use)), text("loaded_path", v.use?.path ?? ""), text("location", v.location),
  { key: "layer", value: v.layer }, text("first_detected", v.firstDetected > 0n ? utc(ms(v.firstDetected)) : ""), text("aliases", v.aliases.join("; ")), text("purl", v.purl), text("title", v.title), { key: "rank", value: v.rank }] }];

/** The vulnerabilities of one image; a row opens in place. */
export function Findings({ image, layers, told, search }: { image: Image; layers: readonly ImageLayer[]; told: number; search: string }) {
  const table = useTable<ImageVulnerability>(search, told, async (q, signal) => {
    const r = await images.listImageVulnerabilities({ key: image.key, ...q }, { signal });
    return { rows: r.vulnerabilities, next: r.nextCursor, total: r.total, totalAll: r.totalAll };
  });
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const now = useNow();
  const rows = table.part?.rows;
  if (image.notAssessed && rows?.length === 0) return <p><NotAssessed why={image.notAssessed} /></p>;
  const save = async (as: "csv" | "json") => {
    try {
      const all: ImageVulnerability[] = [];
      let cursor = "";
      do {
        const r = await images.listImageVulnerabilities({ key: image.key, filter: table.filter, order: table.order, pageSize: 500, cursor });
        all.push(...r.vulnerabilities);
        cursor = r.nextCursor;
      } while (cursor && all.length < EXPORT_MOST);
      download(`vulnerabilities-${shortDigest(image.key)}`, all, EXPORTED, as, new Date());
      say(`${plural(all.length, "vulnerability", "vulnerabilities")} of ${imageName(image)} written`);
    } catch (err) {
      say(`Nothing was exported: ${sentence(err)}`);
    }
  };
  const toggle = (k: string) => setOpen((was) => { const n = new Set(was); if (!n.delete(k)) n.add(k); return n; });
  return (
    <>
      <TableBar of={table} one="vulnerability" many="vulnerabilities" fields={FINDING_FIELDS} example="severity:>=high in_use:yes package:openssl" chips={[["Known exploited", "kev:yes"], ["In use", "in_use:yes"], ["Fixable", "fixable:yes"], ["High or worse", "severity:>=high"]]}
        tools={<><div className="grow" /><ExportMenu note="All that match the filter, every column" save={(as) => void save(as)} /></>} />
      {!rows && table.loading && <Skeleton what="vulnerabilities" lines={6} />}
      {rows && rows.length === 0 && <p>{table.part!.totalAll === 0n ? `None is known in its ${plural(image.packages, "package")}${image.gaps > 0 ? "; parts of it could not be assessed" : ""}.` : "None matches the filter."}</p>}
      {rows && rows.length > 0 && (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Vulnerabilities">
          <table className="plain findings">
            <thead><tr><th><span className="sr">Open</span></th><SortHead of={table} order="severity" label="Sev" /><SortHead of={table} order="id" label="Vulnerability" up /><SortHead of={table} order="package" label="Package" up /><th>Fixed in</th><SortHead of={table} order="epss" label="EPSS" number /><SortHead of={table} order="cvss" label="CVSS" number /><th>Use</th><SortHead of={table} order="first_detected" label="Detected" number /></tr></thead>
            {rows.map((v) => {
              const k = keyOf(v), on = open.has(k);
              return (
                <tbody key={k} className={on ? "open" : ""}>
                  <tr onClick={(e) => { if (!(e.target as HTMLElement).closest("a, button") && !getSelection()?.toString()) toggle(k); }}>
                    <td className="opener"><button type="button" aria-expanded={on} aria-label={`${on ? "close" : "open"} ${v.id} in ${v.package}`} onClick={() => toggle(k)}><Chevron size={14} /></button></td>
                    <td><Rated of={v.severity} /></td>
                    <td><div className="vid"><Link to={vulnerabilityAddress(v.id)}>{v.id}</Link>{v.kev && <Exploited tip={kevTip(v.kev)} />}<span className="muted clip" data-tip={v.title}>{v.title}</span></div></td>
                    <td className="pkg"><span className="mono clip" data-tip={`${v.package} ${v.version}`}>{v.package} <span className="muted">{v.version}</span></span></td>
                    <td className={v.fixedIn ? "mono nowrap" : "muted nowrap"}><span className="clip fix" data-tip={fixSays(v)}>{fixSays(v)}</span></td>
                    <td className="n nowrap"><Epss score={v.epss} percentile={v.epssPercentile} /></td>
                    <td className="n"><Cvss score={v.cvss} vector={v.vector} /></td>
                    <td className="nowrap"><span className={v.use?.state === "loaded" ? "" : "muted"} data-tip={useSays(v.use, now)}>{useWord(v.use)}</span></td>
                    <td className="n nowrap"><Ago ns={v.firstDetected} /></td>
                  </tr>
                  {on && <tr className="detail"><td colSpan={9}><Detail v={v} layer={layers[v.layer]} /></td></tr>}
                </tbody>
              );
            })}
          </table>
        </div>
      )}
      <TableEnd of={table} />
    </>
  );
}

function Detail({ v, layer }: { v: ImageVulnerability; layer: ImageLayer | undefined }) {
  const now = useNow();
  return (
    <div className="finding-detail">
      <dl className="dl">
        <div><dt>use</dt><dd><span className="wrap">{useSays(v.use, now)}</span></dd></div>
        <div><dt>fixed in</dt><dd><span className="wrap">{v.fixedIn ? <span className="mono">{v.fixedIn}</span> : fixSays(v)}</span>{v.fixedIn && <Copy text={v.fixedIn} what="fixed version" />}</dd></div>
        <div><dt>found at</dt><dd>{v.location ? <><End mono>{v.location}</End><Copy text={v.location} what="location" /></> : <NotAssessed why="the package names no file" />}</dd></div>
        <div><dt>layer</dt><dd>{v.layer >= 0 && layer ? <span className="wrap">{v.layer}{layer.base ? ", of the base image" : ""}: <code>{layer.createdBy || "command not told"}</code></span> : <NotAssessed why="the layer is not known" />}</dd></div>
        <div><dt>package</dt><dd>{v.purl ? <><End mono>{v.purl}</End><Copy text={v.purl} what="package URL" /></> : <span className="mono">{v.type} {v.package} {v.version}</span>}</dd></div>
        <div><dt>detected here</dt><dd><Ago ns={v.firstDetected} suffix /></dd></div>
      </dl>
      <dl className="dl">
        <div><dt>also known as</dt><dd><span className="wrap">{v.aliases.length ? v.aliases.map((a, i) => <span key={a}>{i > 0 && ", "}<Link to={vulnerabilityAddress(a)}>{a}</Link></span>) : "no other id"}</span></dd></div>
        <div><dt>severity</dt><dd><span className="wrap"><Rated of={v.severity} word />{v.severityFrom ? <span className="muted"> by {v.severityFrom}</span> : null}</span></dd></div>
        <div><dt>vector</dt><dd>{v.vector ? <><span className="mono wrap">{v.vector}</span><Copy text={v.vector} what="CVSS vector" /></> : <NotAssessed why="nobody has given one" />}</dd></div>
        {v.kev && <div><dt>exploited</dt><dd><span className="wrap">{kevTip(v.kev)}{v.kev.action ? <span className="muted">. {v.kev.action}</span> : null}</span></dd></div>}
        <div><dt>why here</dt><dd><span className="wrap">{whyRank(v).join("; ")} <span className="muted">(rank {Math.round(v.rank)} of 1000)</span></span></dd></div>
        <div><dt>told by</dt><dd>{v.source || <span className="muted">not told</span>}{v.published > 0n && <span className="muted">, published&nbsp;</span>}{v.published > 0n && <Ago ns={v.published} suffix />}</dd></div>
        <div><dt>references</dt><dd><References of={v.references} /></dd></div>
      </dl>
    </div>
  );
}

/** Addresses outside, as text links: nothing is fetched until one is clicked. */
export function References({ of }: { of: readonly string[] }) {
  const [all, setAll] = useState(false);
  if (of.length === 0) return <span className="muted">none given</span>;
  return (
    <ul className="refs">
      {(all ? of : of.slice(0, 4)).map((r) => <li key={r}><Out to={r} /></li>)}
      {!all && of.length > 4 && <li><button type="button" className="text-button" onClick={() => setAll(true)}>{of.length - 4} more</button></li>}
    </ul>
  );
}
