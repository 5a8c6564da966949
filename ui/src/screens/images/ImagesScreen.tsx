import { images } from "../../api/client";
import type { ScanCoverage } from "../../gen/dockreeve/v1/dockreeve_pb";
import { IMAGE_FIELDS } from "../../lib/fields";
import { imageName, shortDigest } from "../../lib/image";
import { imageAddress, IMAGES } from "../../lib/query";
import { num } from "../../lib/time";
import { Command, End, Link } from "../../parts/bits";
import { Coverage } from "../../parts/coverage";
import { Warn } from "../../parts/icons";
import { type ListKind, ListScreen } from "../../parts/list/ListScreen";
import type { ListState, Source } from "../../parts/list/useList";
import { Exploited } from "../../parts/marks";
import { COLUMNS, type ImageRow, kept, Verdict, watching, Where } from "./columns";

export const imageSource: Source<ImageRow, ScanCoverage> = {
  place: IMAGES,
  kinds: ["image", "advisories"],
  page: async (q, signal) => {
    const r = await images.listImages(q, signal ? { signal } : undefined);
    if (r.coverage) watching.set(r.coverage.watching);
    return { rows: r.images.map((i) => ({ ...i, id: i.key })), next: r.nextCursor, total: r.total, totalAll: r.totalAll, about: r.coverage };
  },
  one: async (id) => {
    const i = (await images.getImage({ key: id })).image;
    return i && { ...i, id: i.key };
  },
};

const href = (i: ImageRow) => imageAddress(i.key);
const kind: ListKind<ImageRow, ScanCoverage> = {
  source: imageSource, title: "Images", one: "image", many: "images", fields: IMAGE_FIELDS, example: "severity:>=high running:yes distro:debian*", ascending: ["name"], rated: true, cli: "dockreeve images list",
  chips: [["Running", "running:yes"], ["Known exploited", "kev:yes"], ["In use", "in_use:yes"], ["Fixable", "fixable:yes"], ["Not assessed", "assessed:no"]],
  columns: COLUMNS, kept, scroll: { top: 0, active: null }, href, name: imageName,
  card: (i) => <>
    <a href={href(i)} tabIndex={-1} className="text"><End>{imageName(i)}</End><Verdict i={i} /><span className="muted clip">{i.workloads.length ? i.workloads.join(", ") : <Where i={i} />}</span></a>
    <span className="side">{i.counts && i.counts.kev > 0n && !i.notAssessed ? <span className="row"><Exploited /> {num(i.counts.kev)}</span> : null}{shortDigest(i.key) === i.key ? null : <span className="mono">{shortDigest(i.key).slice(0, 8)}</span>}</span>
  </>,
};

/** Every image ever scanned or seen running, the riskiest first. */
export default function ImagesScreen({ search }: { search: string }) {
  return <ListScreen of={kind} search={search} behind={(c) => <Coverage of={c} />} empty={(s) => <Nothing of={s} />} />;
}

function Nothing({ of }: { of: ListState<ImageRow, ScanCoverage> }) {
  const c = of.about;
  const none = c?.advisories && c.advisories.built === 0n;
  return (
    <div className="empty">
      <h2>No image has been scanned, and none was seen running</h2>
      {none && <><p className="row"><Warn />{c.advisories!.notAssessed || "There is no advisory database, so nothing could be matched."}</p><p className="muted">Fetch advisories first, or <Link to="/advisories">import them from files</Link>:</p><Command>dockreeve db update</Command></>}
      <p>{c?.watching ? "Images of containers that run on a watched machine are scanned by themselves: start a container and it appears here." : "Images of running containers are scanned by themselves once a machine is watched:"}</p>
      {c && !c.watching && <Command>sudo dockreeve up</Command>}
      <p className="muted">An image that does not run yet, from a registry, Docker, or a file:</p>
      <Command>{`dockreeve scan IMAGE --server ${location.origin}`}</Command>
      <p className="muted">Everything in a registry:</p>
      <Command>{`dockreeve scan registry HOST --server ${location.origin}`}</Command>
    </div>
  );
}
