import type { ClusterRow } from "../../gen/govern";
import { entries, list } from "../../lib/govern";
import { filtered, GOVERNANCE, quote } from "../../lib/query";
import { Link, NotAssessed, Remedy } from "../../parts/bits";
import { Owner } from "../../parts/cluster";
import { Check, Warn } from "../../parts/icons";

const CHAIN = ["the cluster's own tags", "its resource group's tags", "its subscription's tags", "its management group", "who holds Owner at the subscription"];

/** Whose it is, where that was read, and who it could be. */
export function Ownership({ of: c }: { of: ClusterRow }) {
  const o = c.ownership;
  const missing = list(o.missing), invalid = entries(o.invalid), suggested = list(o.suggested);
  const tag = o.owner === "unowned" && c.id.startsWith("/") ? `az tag update --operation merge --resource-id ${c.id} --tags owner=TEAM` : "";
  return (
    <>
      <dl className="dl wide-facts flush">
        <div><dt>owner</dt><dd><Owner of={o.owner} from={o.from} /></dd></div>
        <div><dt>read from</dt><dd className="wrap">{o.from || <NotAssessed why="not told" />}</dd></div>
        <div><dt>business unit</dt><dd>{o.businessUnit || <span className="muted">no tag names one</span>}</dd></div>
        <div><dt>cost centre</dt><dd>{o.costCentre || <span className="muted">no tag names one</span>}</dd></div>
        <div><dt>environment</dt><dd><span className="wrap">{c.environment}<span className="muted small"> {c.environmentFrom}</span></span></dd></div>
      </dl>
      {tag && <><p>Name an owner on the cluster:</p><Remedy>{tag}</Remedy></>}
      <h2>Mandatory tags</h2>
      {missing.length + invalid.length === 0 ? <p className="row"><Check size={14} />All are set, and have allowed values.</p> : <ul className="reasons">{missing.map((t) => <li key={t} className="amber"><Warn size={13} />{t} is missing</li>)}{invalid.map(([t, v]) => <li key={t} className="amber"><Warn size={13} /><span className="wrap">{t} is “{v}”, which is not an allowed value</span></li>)}</ul>}
      <h2>Who it could be</h2>
      {suggested.length === 0 ? <p className="muted">{o.owner === "unowned" ? "Nothing that is known suggests anybody." : "It has an owner; nobody else is suggested."}</p> : <ul className="reasons">{suggested.map((s, i) => <li key={i}><Link to={filtered(GOVERNANCE, `owner:${quote(s.owner)}`)}><b className="wrap">{s.owner}</b></Link> <span className="muted wrap">{s.why}</span></li>)}</ul>}
      <h2>Where an owner is looked for</h2>
      <ol className="todo">{CHAIN.map((s) => <li key={s}>{s}</li>)}</ol>
      <p className="muted">The first that names one decides. Tags of groups and subscriptions count where the configuration lets them be inherited.</p>
    </>
  );
}
