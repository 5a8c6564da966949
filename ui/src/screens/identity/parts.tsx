import { useMemo, useState } from "react";
import type { IdentityUse, Right } from "../../gen/dockreeve/v1/dockreeve_pb";
import { didWhat } from "../../lib/audit";
import { listed, rightSays } from "../../lib/cluster";
import { identityAddress } from "../../lib/entity";
import { AUDIT, filtered, quote } from "../../lib/query";
import { num, plural } from "../../lib/time";
import { Ago, End, Link, NotAssessed } from "../../parts/bits";
import { Check } from "../../parts/icons";

const FIRST = 12;

/** Rules that an identity holds, how it came to hold each, and whether it ever used it. */
export function Rights({ of, more, cluster, audited, short = false }: { of: readonly Right[]; more: number; cluster: string; audited: boolean | null; short?: boolean }) {
  const [all, setAll] = useState(false);
  const rows = all ? of : of.slice(0, short ? 6 : FIRST);
  return (
    <>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Rights">
        <table className="plain rights">
          <thead><tr><th>May</th><th>Where</th><th>By</th><th>Used</th></tr></thead>
          <tbody>{rows.map((r, k) => (
            <tr key={k}>
              <td className="may"><span className="wrap">{rightSays(r)}</span></td>
              <td>{r.namespace ? <bdi className="wrap">{r.namespace}</bdi> : <b>the whole cluster</b>}</td>
              <td className="loc"><End tip={`${r.role}\nby ${r.binding}`}>{r.role}</End><p className="muted small"><End>{r.binding}</End></p>{r.through && <p className="small">through <Link to={identityAddress(cluster, `group:${r.through}`)}>{r.through}</Link></p>}</td>
              <td className="nowrap">{r.usedNotAssessed ? <span className="muted" data-tip={`not assessed: ${r.usedNotAssessed}`}>not assessed</span> : r.used ? <span className="row"><Check size={14} />yes</span> : <span className={audited === false ? "muted" : "never"} data-tip="nothing it allows was seen done while the API server was watched">never seen</span>}</td>
            </tr>
          ))}</tbody>
        </table>
      </div>
      {(rows.length < of.length || more > 0) && <p className="foot">{rows.length < of.length && <button type="button" className="btn" onClick={() => setAll(true)}>Show all {num(of.length)}</button>}{more > 0 && <span className="muted">{num(more)} more are held and not listed</span>}</p>}
    </>
  );
}

type Order = "last" | "count" | "denied" | "what";

/** What it has done, summed by verb, resource and namespace. */
export function Uses({ of, cluster, identity, why }: { of: readonly IdentityUse[]; cluster: string; identity: string; why: string }) {
  const [order, setOrder] = useState<Order>("last");
  const [words, setWords] = useState("");
  const [all, setAll] = useState(false);
  const rows = useMemo(() => {
    const w = words.toLowerCase().split(/\s+/).filter(Boolean);
    const hit = of.filter((u) => { const t = `${u.verb} ${u.resource} ${u.namespace} ${u.sources.join(" ")} ${u.agents.join(" ")}`.toLowerCase(); return w.every((x) => t.includes(x)); });
    const big = (a: bigint, b: bigint) => (a < b ? 1 : a > b ? -1 : 0);
    return hit.sort((a, b) => (order === "count" ? big(a.count, b.count) : order === "denied" ? big(a.denied, b.denied) : order === "what" ? `${a.resource} ${a.verb}`.localeCompare(`${b.resource} ${b.verb}`) : big(a.last, b.last)));
  }, [of, order, words]);
  if (of.length === 0) return <p>{why ? <NotAssessed why={why} /> : "No request by it was audited while the API server was watched."}</p>;
  const shown = all ? rows : rows.slice(0, 30);
  const Head = ({ k, children, n = false }: { k: Order; children: string; n?: boolean }) => <th className={n ? "n" : ""} aria-sort={order === k ? (k === "what" ? "ascending" : "descending") : "none"}><button type="button" className="sort" onClick={() => setOrder(k)}>{children}</button></th>;
  return (
    <>
      <div className="table-bar"><input className="input" aria-label="Search what it has done" placeholder="secrets kube-system" value={words} onChange={(e) => setWords(e.target.value)} spellCheck={false} /><span className="muted">{num(rows.length)} of {plural(of.length, "kind")} of request{of.length >= 500 ? ", the newest 500" : ""}</span></div>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Kinds of request">
        <table className="plain uses">
          <thead><tr><Head k="what">What</Head><th>Namespace</th><Head k="count" n>Times</Head><Head k="denied" n>Refused</Head><th className="n">First</th><Head k="last" n>Last</Head><th>From</th><th>With</th></tr></thead>
          <tbody>{shown.map((u, k) => (
            <tr key={k}>
              <td className="may"><Link to={filtered(AUDIT, `cluster:${quote(cluster)} identity:${quote(identity)} verb:${quote(u.verb)} resource:${quote(u.resource)}`)} data-tip={`${u.verb} ${u.resource}: the requests that are kept`}><span className="wrap">{didWhat({ verb: u.verb, resource: u.resource, namespace: "", name: "" })}</span></Link></td>
              <td>{u.namespace ? <bdi className="wrap">{u.namespace}</bdi> : <span className="muted">none or all</span>}</td>
              <td className="n">{num(u.count)}</td><td className="n">{u.denied > 0n ? <b>{num(u.denied)}</b> : <span className="faint">0</span>}</td>
              <td className="n nowrap"><Ago ns={u.first} /></td><td className="n nowrap"><Ago ns={u.last} suffix /></td>
              <td className="mono small">{listed(u.sources, 2) || "–"}</td><td className="small"><span className="clip fix" data-tip={u.agents.join("\n")}>{u.agents[0] ?? "–"}{u.agents.length > 1 ? ` +${u.agents.length - 1}` : ""}</span></td>
            </tr>
          ))}</tbody>
        </table>
      </div>
      {shown.length < rows.length && <p className="foot"><button type="button" className="btn" onClick={() => setAll(true)}>Show all {num(rows.length)}</button></p>}
    </>
  );
}
