import type { KnownExploited, VulnerabilityRow } from "../../gen/dockreeve/v1/dockreeve_pb";
import { percent } from "../../lib/image";
import { ms, num, utc } from "../../lib/time";
import { Ago } from "../../parts/bits";
import { type Column, columnsKept } from "../../parts/list/columns";
import { Exploited, SeverityMark, severityName } from "../../parts/marks";

export const rated = (s: number): string => (s === 0 ? "not rated" : severityName(s));

/** A severity of a vulnerability: that nobody has rated it is not the same as not assessed. */
export const Rated = ({ of, word = false }: { of: number; word?: boolean }) => (of === 0
  ? <span role={word ? undefined : "img"} aria-label={word ? undefined : "not rated"} data-tip="nobody has rated it"><SeverityMark of={of} word={word ? "not rated" : ""} /></span>
  : <SeverityMark of={of} word={word} />);

export const kevTip = (k: KnownExploited): string => `known to be exploited${k.ransomware ? ", by ransomware too" : ""}; listed by CISA ${k.added || "on a date not told"}${k.due ? `, due ${k.due}` : ""}`;
export const Epss = ({ score, percentile }: { score: number | undefined; percentile: number }) => (score === undefined ? <span className="faint" data-tip="EPSS has no score for it">–</span> : <span data-tip={`EPSS: ${percent(score)} likely to be exploited within 30 days; higher than ${percent(percentile)} of all`}>{percent(score)}</span>);
export const Cvss = ({ score, vector = "" }: { score: number; vector?: string }) => (score > 0 ? <span data-tip={vector || "CVSS base score"}>{score.toFixed(1)}</span> : <span className="faint" data-tip="no CVSS score">–</span>);

const quiet = (n: bigint) => (n === 0n ? <span className="faint">0</span> : num(n));
const text = (key: string, value: string) => [{ key, value }];
const time = (ns: bigint) => (ns === 0n ? "" : utc(ms(ns)));
const fix = (v: VulnerabilityRow) => (v.fixable ? "yes" : v.status === "fixed" ? "partly" : v.status.replace("wont-fix", "will not").replace("under-review", "in review").replace("end-of-life", "end of life").replace("unfixed", "not yet") || "not assessed");

export const COLUMNS: readonly Column<VulnerabilityRow>[] = [
  { key: "severity", label: "Sev", name: "Severity", width: "38px", order: "severity", cell: (v) => <Rated of={v.severity} />, values: (v) => text("severity", rated(v.severity)) },
  { key: "id", label: "Vulnerability", width: "minmax(280px, 3fr)", order: "id", main: true, cell: (v) => <span className="clip"><b>{v.id}</b>{v.title && v.title !== v.id && <span className="muted"> {v.title}</span>}</span>, values: (v) => [{ key: "id", value: v.id }, { key: "title", value: v.title }] },
  { key: "kev", label: "KEV", name: "Known exploited", width: "44px", cell: (v) => (v.kev ? <Exploited tip={kevTip(v.kev)} /> : null), values: (v) => [{ key: "known_exploited", value: v.kev ? "yes" : "no" }, { key: "kev_due", value: v.kev?.due ?? "" }] },
  { key: "epss", label: "EPSS", name: "EPSS, likely to be exploited", width: "54px", order: "epss", number: true, cell: (v) => <Epss score={v.epss} percentile={v.epssPercentile} />, values: (v) => [{ key: "epss", value: v.epss ?? "" }] },
  { key: "cvss", label: "CVSS", width: "48px", order: "cvss", number: true, cell: (v) => <Cvss score={v.cvss} />, values: (v) => [{ key: "cvss", value: v.cvss || "" }] },
  { key: "fix", label: "Fix", name: "Fix to be had", width: "72px", cell: (v) => <span className={`clip${v.fixable ? "" : " muted"}`} data-tip={v.fixable ? "every package that has it has a fixed version" : "not every package that has it has a fixed version"}>{fix(v)}</span>, values: (v) => text("fix", fix(v)) },
  { key: "images", label: "Images", width: "52px", order: "images", number: true, cell: (v) => num(v.images), values: (v) => [{ key: "images", value: Number(v.images) }] },
  { key: "running", label: "Running", name: "Images that run", width: "58px", order: "running", number: true, cell: (v) => quiet(v.runningImages), values: (v) => [{ key: "running_images", value: Number(v.runningImages) }] },
  { key: "in_use", label: "In use", name: "Images where it is in use", width: "50px", order: "in_use", number: true, cell: (v) => <span data-tip="images in which a package that has it was seen loaded; images nobody watches are not among them">{v.imagesInUse > 0n ? quiet(v.imagesInUse) : <span className="muted">–</span>}</span>, values: (v) => [{ key: "images_in_use", value: v.imagesInUse > 0n ? Number(v.imagesInUse) : "none seen" }] },
  { key: "workloads", label: "Workloads", width: "72px", number: true, cell: (v) => quiet(v.workloads), values: (v) => [{ key: "workloads", value: Number(v.workloads) }] },
  { key: "packages", label: "Packages", width: "minmax(90px, 0.8fr)", cell: (v) => <span className="clip mono" data-tip={v.packages.join("\n")}>{v.packages.join(", ")}</span>, values: (v) => text("packages", v.packages.join("; ")) },
  { key: "first", label: "Detected", name: "First detected", width: "66px", order: "first_detected", number: true, cell: (v) => <Ago ns={v.firstDetected} />, values: (v) => text("first_detected", time(v.firstDetected)) },
  { key: "published", label: "Published", width: "72px", order: "published", number: true, cell: (v) => (v.published === 0n ? <span className="faint" data-tip="the advisory gives no date">–</span> : <Ago ns={v.published} />), values: (v) => text("published", time(v.published)) },
];

export const kept = columnsKept("columns.vulnerabilities", COLUMNS, ["severity", "id", "kev", "epss", "cvss", "fix", "images", "running", "in_use", "workloads", "packages", "first"]);
