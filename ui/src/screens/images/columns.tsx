import type { Image } from "../../gen/dockreeve/v1/dockreeve_pb";
import { atom, useAtom } from "../../lib/atom";
import { useNow } from "../../lib/clock";
import { bytes, imageName, shortDigest, shortDistro, useSays } from "../../lib/image";
import { filtered, IMAGES, quote } from "../../lib/query";
import { exact, ms, num, utc } from "../../lib/time";
import { Ago, Copy, End, Link } from "../../parts/bits";
import { Counts } from "../../parts/counts";
import { Warn } from "../../parts/icons";
import { type Column, columnsKept } from "../../parts/list/columns";
import { GateMark } from "../../parts/marks";

export type ImageRow = Image & { id: string };

/** Whether any node tells what runs: without one, "not running" would be a guess. */
export const watching = atom(true);

const dash = <span className="faint">–</span>;
const text = (key: string, value: string) => [{ key, value }];
const time = (ns: bigint) => (ns === 0n ? "" : utc(ms(ns)));

/** A count of something in the image; without a verdict there is none. */
const count = (i: Image, n: bigint, what: string) => (i.notAssessed ? <span className="faint" data-tip={`${what} not assessed: ${i.notAssessed}`} role="img" aria-label="not assessed">?</span> : n === 0n ? <span className="faint">0</span> : num(n));
const counted = (i: Image, key: string, n: bigint | undefined) => [{ key, value: i.notAssessed || n === undefined ? "not assessed" : Number(n) }];

export function Where({ i }: { i: Image }) {
  const seen = useAtom(watching);
  if (i.running === 0n) return <span className="faint clip" data-tip={seen ? "no container runs it where this server watches" : "no node reports containers, so whether it runs is not known"}>{seen ? "not running" : "not assessed"}</span>;
  const [first = ""] = i.workloads;
  const all = `${num(i.running)} ${i.running === 1n ? "container" : "containers"}${i.workloads.length ? `\n${i.workloads.join("\n")}` : ""}`;
  const short = first.replace(/^([^/]+)\/[A-Z]\w+\//, "$1/");
  return (
    <span className="where" data-tip={all}>
      {first ? <Link data-own="" to={filtered(IMAGES, `workload:${quote(first)}`)} tabIndex={-1}><End tip={all}>{short}</End></Link> : <span>{num(i.running)} {i.running === 1n ? "container" : "containers"}</span>}
      {i.workloads.length > 1 && <span className="muted">+{i.workloads.length - 1}</span>}
      {first && i.running > 1n && <span className="muted">{num(i.running)}×</span>}
    </span>
  );
}

function InUse({ i }: { i: Image }) {
  const now = useNow();
  const n = i.counts?.inUse ?? 0n;
  if (!i.notAssessed && !i.use?.since && n > 0n) return <span data-tip="vulnerabilities in packages seen loaded; of the others it is not assessed">{num(n)}+</span>;
  if (i.notAssessed || !i.use?.since) return <span className="faint" role="img" aria-label="not assessed" data-tip={i.notAssessed ? `not assessed: ${i.notAssessed}` : useSays(i.use, now)}>?</span>;
  return <span className={n === 0n ? "faint" : ""} data-tip={`vulnerabilities in packages seen loaded; loads are watched since\n${exact(i.use.since)}`}>{num(n)}</span>;
}

export const Verdict = ({ i }: { i: Image }) => (i.notAssessed
  ? <span className="clip muted" data-tip={`not assessed: ${i.notAssessed}`}>not assessed: {i.notAssessed}</span>
  : <Counts of={i.counts} packages={i.packages} />);

export const COLUMNS: readonly Column<ImageRow>[] = [
  { key: "image", label: "Image", width: "minmax(194px, 2.6fr)", order: "name", main: true,
    cell: (i) => <span className="name-digest"><End tip={`${i.names.slice(0, 6).join("\n") || imageName(i)}\n${i.key}`}>{imageName(i)}</End>{i.gaps > 0 && !i.notAssessed && <span className="amber" data-tip={`${i.gaps} parts of it could not be assessed`}><Warn size={13} /></span>}</span>,
    values: (i) => [{ key: "image", value: i.name }, { key: "digest", value: i.key }, { key: "not_assessed", value: i.notAssessed }, { key: "parts_not_assessed", value: i.gaps }] },
  { key: "digest", label: "Digest", width: "92px", cell: (i) => <span className="digest">{shortDigest(i.key) === i.key ? <End mono>{i.key}</End> : <span className="mono muted" data-tip={i.key}>{shortDigest(i.key).slice(0, 8)}</span>}<Copy text={i.key} what="digest" /></span>, values: () => [] },
  { key: "findings", label: "Vulnerabilities", width: "186px", order: "critical", cell: (i) => <Verdict i={i} />,
    values: (i) => (["critical", "high", "medium", "low", "unrated", "total"] as const).flatMap((k) => counted(i, k, i.counts?.[k])) },
  { key: "kev", label: "KEV", name: "Known exploited", width: "36px", order: "kev", number: true, cell: (i) => (i.counts && i.counts.kev > 0n && !i.notAssessed ? <b>{num(i.counts.kev)}</b> : count(i, 0n, "known exploited")), values: (i) => counted(i, "known_exploited", i.counts?.kev) },
  { key: "in_use", label: "In use", width: "44px", order: "in_use", number: true, cell: (i) => <InUse i={i} />, values: (i) => [{ key: "in_use", value: i.notAssessed || !i.use?.since ? "not assessed" : Number(i.counts?.inUse ?? 0n) }] },
  { key: "fixable", label: "Fixable", width: "48px", number: true, cell: (i) => count(i, i.counts?.fixable ?? 0n, "fixable"), values: (i) => counted(i, "fixable", i.counts?.fixable) },
  { key: "where", label: "Runs as", width: "minmax(112px, 1.1fr)", cell: (i) => <Where i={i} />, values: (i) => [{ key: "running", value: watching.get() ? Number(i.running) : "not assessed" }, { key: "workloads", value: i.workloads.join("; ") }] },
  { key: "secrets", label: "Secrets", width: "48px", number: true, cell: (i) => <>{i.malware > 0n && <span className="amber" role="img" aria-label="malware" data-tip={`${num(i.malware)} files on a list of malware`}><Warn size={13} /></span>}{count(i, i.secrets, "secrets")}</>, values: (i) => counted(i, "secrets", i.secrets) },
  { key: "distro", label: "Distro", name: "Distribution", width: "72px", cell: (i) => (i.distro ? <span className="clip" data-tip={i.distro}>{shortDistro(i.distro)}</span> : <span className="faint" data-tip="no distribution was recognised in it">none</span>), values: (i) => text("distribution", i.distro) },
  { key: "age", label: "Scanned", width: "54px", number: true, cell: (i) => (i.scannedAt === 0n ? dash : <span data-tip={`scanned\n${exact(i.scannedAt)}\nlast matched with advisories\n${exact(i.matchedAt)}`}><Ago ns={i.scannedAt} plain /></span>),
    values: (i) => [{ key: "scanned", value: time(i.scannedAt) }] },
  { key: "gate", label: "Gate", width: "66px", cell: (i) => <GateMark of={i.gate} />, values: (i) => text("gate", i.gate || "none") },
  { key: "matched", label: "Matched", width: "62px", number: true, cell: (i) => (i.matchedAt === 0n ? dash : <Ago ns={i.matchedAt} />), values: (i) => text("matched", time(i.matchedAt)) },
  { key: "base", label: "Base", width: "150px", cell: (i) => (i.base ? <End>{i.base}</End> : <span className="faint">not known</span>), values: (i) => text("base", i.base) },
  { key: "packages", label: "Packages", width: "66px", number: true, cell: (i) => count(i, i.packages, "packages"), values: (i) => counted(i, "packages", i.packages) },
  { key: "missteps", label: "Config", name: "Faults of configuration", width: "52px", number: true, cell: (i) => count(i, i.missteps, "configuration"), values: (i) => counted(i, "configuration_faults", i.missteps) },
  { key: "malware", label: "Malware", width: "58px", number: true, cell: (i) => (i.malware > 0n ? <b>{num(i.malware)}</b> : <span className="faint" data-tip="none found, or not looked for: the image's own page says which">–</span>), values: (i) => [{ key: "malware", value: i.malware > 0n ? Number(i.malware) : "" }] },
  { key: "size", label: "Size", width: "70px", order: "size", number: true, cell: (i) => (i.size > 0n ? bytes(i.size) : dash), values: (i) => [{ key: "bytes_compressed", value: i.size > 0n ? Number(i.size) : "" }] },
  { key: "platform", label: "Platform", width: "100px", cell: (i) => <span className="clip">{i.platform || dash}</span>, values: (i) => text("platform", i.platform) },
  { key: "source", label: "Source", width: "80px", cell: (i) => <span className="clip">{i.source || dash}</span>, values: (i) => text("source", i.source) },
  { key: "first", label: "First seen", width: "72px", order: "first_seen", number: true, cell: (i) => <Ago ns={i.firstSeen} />, values: (i) => text("first_seen", time(i.firstSeen)) },
];

export const kept = columnsKept("columns.images", COLUMNS, ["image", "digest", "findings", "kev", "in_use", "fixable", "where", "secrets", "distro", "age", "gate"]);
