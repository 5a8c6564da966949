import { useRef } from "react";
import type { GetImageResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import { bytes, shortDigest } from "../../lib/image";
import { num, plural } from "../../lib/time";
import { Copy, NotAssessed } from "../../parts/bits";
import { Counts } from "../../parts/counts";
import { Warn } from "../../parts/icons";

/** The layers, lowest first: how big each is, what made it, what it brought. */
export function Layers({ of }: { of: GetImageResponse }) {
  const body = useRef<HTMLTableSectionElement>(null);
  if (of.layers.length === 0) return <p><NotAssessed why={of.image?.notAssessed || "its layers are not known: it was read as a file system or a list of packages"} /></p>;
  const total = of.layers.reduce((n, l) => n + l.size, 0n);
  const base = of.layers.filter((l) => l.base);
  const baseSize = base.reduce((n, l) => n + l.size, 0n);
  // A way to the row for a pointer; the table says everything the bar does.
  const show = (i: number) => { const row = body.current?.rows[i]; row?.scrollIntoView({ block: "center" }); row?.focus(); };
  return (
    <>
      <p className="muted">{plural(of.layers.length, "layer")}{total > 0n ? `, ${bytes(total)} compressed` : ", sizes not told"}{base.length ? `; ${base.length === of.layers.length ? "all" : num(base.length)} of them${baseSize > 0n ? `, ${bytes(baseSize)},` : ""} from the base${of.base?.name ? ` ${of.base.name}` : ""}` : "; none is known as a base image's"}.</p>
      {total > 0n && (
        <div className="layer-bar" aria-hidden="true">
          {of.layers.map((l, i) => l.size === 0n ? null : (
            <span key={i} className={l.base ? "base" : ""} style={{ flexGrow: Number((l.size * 10_000n) / total) }} onClick={() => show(i)} data-tip={`layer ${i}${l.base ? ", base" : ""}: ${bytes(l.size)}\n${l.createdBy}`}>{Number(l.size) / Number(total) > 0.07 ? `${i} · ${bytes(l.size)}` : null}</span>
          ))}
        </div>
      )}
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Layers">
        <table className="plain">
          <thead><tr><th className="n">Layer</th><th className="n">Size</th><th>Made by</th><th className="n">Packages</th><th>Vulnerabilities</th><th>Digest</th></tr></thead>
          <tbody ref={body}>
            {of.layers.map((l, i) => (
              <tr key={i} tabIndex={-1}>
                <td className="n">{i}</td>
                <td className="n nowrap">{l.size > 0n ? bytes(l.size) : <span className="muted">not told</span>}</td>
                <td className="made"><code>{l.createdBy || <span className="muted">not told</span>}</code>{l.base && <span className="mark-base">base</span>}{l.notAssessed && <p className="amber"><Warn size={13} />not assessed: {l.notAssessed}</p>}</td>
                <td className="n">{l.notAssessed ? <span className="faint">?</span> : num(l.packages)}</td>
                <td>{l.notAssessed || of.image?.notAssessed ? <span className="muted">not assessed</span> : l.packages === 0n ? <span className="faint">no packages</span> : <Counts of={l.counts} packages={l.packages} />}</td>
                <td className="nowrap"><span className="mono muted" data-tip={l.digest || l.diffId}>{shortDigest(l.digest || l.diffId) || "–"}</span>{(l.digest || l.diffId) && <Copy text={l.digest || l.diffId} what="digest of the layer" />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
