import { useState } from "react";
import { images } from "../../api/client";
import type { Image, ImagePackage, LicenceCount } from "../../gen/dockreeve/v1/dockreeve_pb";
import { useNow } from "../../lib/clock";
import { PACKAGE_FIELDS } from "../../lib/fields";
import { useSays, useWord } from "../../lib/image";
import { quote, terms, toggleTerm } from "../../lib/query";
import { num } from "../../lib/time";
import { End, NotAssessed, Skeleton } from "../../parts/bits";
import { TableBar, TableEnd } from "../../parts/list/TableBar";
import { useTable } from "../../parts/list/useTable";
import { imageAddress } from "../../lib/query";
import { Link } from "../../parts/bits";

const FIRST = 10;

/** What is installed, under which licences, and what of it is loaded. */
export function Packages({ image, licences, told, search }: { image: Image; licences: readonly LicenceCount[]; told: number; search: string }) {
  const table = useTable<ImagePackage>(search, told, async (q, signal) => {
    const r = await images.listImagePackages({ key: image.key, filter: q.filter, pageSize: q.pageSize, cursor: q.cursor }, { signal });
    return { rows: r.packages, next: r.nextCursor, total: r.total, totalAll: r.totalAll };
  });
  const now = useNow();
  const rows = table.part?.rows;
  if (image.scannedAt === 0n) return <p><NotAssessed why={image.notAssessed} /></p>;
  return (
    <>
      <Licences of={licences} filter={table.filter} onFilter={(filter) => table.put({ filter })} />
      <TableBar of={table} one="package" many="packages" fields={PACKAGE_FIELDS} example="package:lib* licence:GPL* vulnerabilities:>0" chips={[["Vulnerable", "vulnerabilities:>0"], ["In use", "in_use:yes"]]} />
      {!rows && table.loading && <Skeleton what="packages" lines={6} />}
      {rows && rows.length === 0 && <p>{table.part!.totalAll === 0n ? "No package was found in it." : "None matches the filter."}</p>}
      {rows && rows.length > 0 && (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Packages">
          <table className="plain">
            <thead><tr><th>Package</th><th>Version</th><th>Type</th><th>Licence</th><th>Use</th><th className="n">Vulnerabilities</th><th>Location</th><th className="n">Layer</th></tr></thead>
            <tbody>
              {rows.map((p, i) => (
                <tr key={`${p.purl} ${p.location} ${i}`}>
                  <td className="pkg"><span className="mono clip" data-tip={p.purl}>{p.name}</span>{p.ownedBy && <span className="muted small">installed by {p.ownedBy}</span>}</td>
                  <td className="mono nowrap"><span className="clip fix" data-tip={p.version}>{p.version || "–"}</span></td>
                  <td>{p.type}</td>
                  <td><span className="clip fix" data-tip={p.licenses.join("\n")}>{p.licenses.join(", ") || <span className="muted">none named</span>}</span></td>
                  <td className="nowrap"><span className={p.use?.state === "loaded" ? "" : "muted"} data-tip={useSays(p.use, now)}>{useWord(p.use)}</span></td>
                  <td className="n">{image.notAssessed ? <span className="faint">?</span> : p.vulnerabilities === 0n ? <span className="faint">0</span> : <Link to={`${imageAddress(image.key)}?q=${encodeURIComponent(`package:${quote(p.name)}`)}`}>{num(p.vulnerabilities)}</Link>}</td>
                  <td className="loc">{p.location ? <End mono>{p.location}</End> : <span className="muted">–</span>}</td>
                  <td className="n">{p.layer >= 0 ? p.layer : <span className="muted">–</span>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <TableEnd of={table} />
    </>
  );
}

function Licences({ of, filter, onFilter }: { of: readonly LicenceCount[]; filter: string; onFilter: (f: string) => void }) {
  const [all, setAll] = useState(false);
  if (of.length === 0) return null;
  const on = new Set(terms(filter).map((t) => t.text));
  const named = of.filter((l) => l.licence).length;
  return (
    <div className="licences" role="group" aria-label="Licences">
      <span className="muted">{named === 0 ? "No package names a licence" : `${num(named)} ${named === 1 ? "licence" : "licences"} named`}</span>
      {(all ? of : of.slice(0, FIRST)).map((l) => {
        const term = `licence:${l.licence ? quote(l.licence) : '""'}`;
        return <button key={l.licence} type="button" className={`chip${on.has(term) ? " on" : ""}`} aria-pressed={on.has(term)} onClick={() => onFilter(toggleTerm(filter, term))}><span className="clip">{l.licence || "none named"}</span> <span className="chip-count">{num(l.packages)}</span></button>;
      })}
      {!all && of.length > FIRST && <button type="button" className="text-button" onClick={() => setAll(true)}>{of.length - FIRST} more</button>}
    </div>
  );
}
