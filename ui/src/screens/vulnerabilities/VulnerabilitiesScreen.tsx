import { images } from "../../api/client";
import type { ScanCoverage, VulnerabilityRow } from "../../gen/dockreeve/v1/dockreeve_pb";
import { VULNERABILITY_FIELDS } from "../../lib/fields";
import { percent } from "../../lib/image";
import { VULNERABILITIES, vulnerabilityAddress } from "../../lib/query";
import { num, plural } from "../../lib/time";
import { Command, Link } from "../../parts/bits";
import { Coverage } from "../../parts/coverage";
import { type ListKind, ListScreen } from "../../parts/list/ListScreen";
import type { ListState, Source } from "../../parts/list/useList";
import { Exploited } from "../../parts/marks";
import { COLUMNS, kept, kevTip, Rated } from "./columns";
import { Remediation } from "./Remediation";

export const vulnerabilitySource: Source<VulnerabilityRow, ScanCoverage> = {
  place: VULNERABILITIES,
  kinds: ["vulnerability", "image", "advisories"],
  page: async (q, signal) => {
    const r = await images.listVulnerabilities(q, signal ? { signal } : undefined);
    return { rows: r.vulnerabilities, next: r.nextCursor, total: r.total, totalAll: r.totalAll, about: r.coverage };
  },
};

const href = (v: VulnerabilityRow) => vulnerabilityAddress(v.id);
const kind: ListKind<VulnerabilityRow, ScanCoverage> = {
  source: vulnerabilitySource, title: "Vulnerabilities", one: "vulnerability", many: "vulnerabilities", fields: VULNERABILITY_FIELDS, example: "severity:>=high running:yes epss:>=0.1", rated: true, ascending: ["id"], cli: "dockreeve images affected ID",
  chips: [["Known exploited", "kev:yes"], ["Running", "running:yes"], ["In use", "in_use:yes"], ["Fixable", "fixable:yes"], ["Likely exploited", "epss:>=0.1"], ["New in 7 d", "age:<7d"]],
  columns: COLUMNS, kept, scroll: { top: 0, active: null }, href, name: (v) => v.id,
  card: (v) => <>
    <Rated of={v.severity} />
    <a href={href(v)} tabIndex={-1} className="text"><b className="clip">{v.id}</b><span className="muted two">{v.title || v.packages.join(", ")}</span></a>
    <span className="side">{v.kev ? <Exploited tip={kevTip(v.kev)} /> : v.epss !== undefined ? <span>EPSS {percent(v.epss)}</span> : null}<span>{plural(v.images, "image")}</span><span>{num(v.runningImages)} running</span></span>
  </>,
};

/** One row for each vulnerability over all images, the most urgent first. */
export default function VulnerabilitiesScreen({ search }: { search: string }) {
  return <ListScreen of={kind} search={search} behind={(c) => <Coverage of={c} />} empty={(s) => <Nothing of={s} />} above={<Remediation />} />;
}

function Nothing({ of }: { of: ListState<VulnerabilityRow, ScanCoverage> }) {
  const c = of.about;
  const built = c?.advisories && c.advisories.built > 0n;
  return (
    <div className="empty">
      <h2>{built ? "No image that is stored has a vulnerability the advisories know" : "Nothing was matched: there are no advisories"}</h2>
      <p className="behind">{<Coverage of={c} />}</p>
      {!built && <><p className="muted">Fetch them, or <Link to="/advisories">import them from files</Link>:</p><Command>dockreeve db update</Command></>}
      <p className="muted">See which images are stored in <Link to="/images">Images</Link>, or scan one:</p>
      <Command>{`dockreeve scan IMAGE --server ${location.origin}`}</Command>
    </div>
  );
}
