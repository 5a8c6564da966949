import { type Alert, type AlertDetail, type Condition } from "../../gen/dockreeve/v1/dockreeve_pb";
import { TACTICS, techniqueName } from "../../lib/attack";
import { workloadAddress } from "../../lib/entity";
import { pretty } from "../../lib/json";
import { addressOf, DEFAULT_VIEW, filtered, imageAddress, IMAGES, quote } from "../../lib/query";
import { duration, ms, num, utc } from "../../lib/time";
import { Ago, Copy, End, Link, NotAssessed } from "../../parts/bits";
import { ClusterLink, IdentityLink, Owner, WorkloadLink } from "../../parts/cluster";
import { Check, Cross } from "../../parts/icons";
import { statusName } from "../../parts/marks";

/** A fact with its name; an absent one says so. */
function Fact({ name, value, why, mono = false, filter, to = filter === undefined ? "" : addressOf({ ...DEFAULT_VIEW, filter }), end = false }: { name: string; value: string | undefined; why?: string | undefined; mono?: boolean; filter?: string; to?: string; end?: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value ? <>{end ? to ? <Link to={to} className="end-link"><End mono={mono}>{value}</End></Link> : <End mono={mono}>{value}</End> : <span className={mono ? "mono wrap" : "wrap"}>{to ? <Link to={to}>{value}</Link> : value}</span>}<Copy text={value} what={name} /></> : <NotAssessed {...(why ? { why } : {})} />}</dd>
    </div>
  );
}

export function ToDo({ of }: { of: AlertDetail }) {
  const steps = of.rule?.response ?? [];
  if (steps.length === 0) return <p className="muted">This rule's file gives no steps ({of.rule?.file || "unknown file"}).</p>;
  return <ol className="todo">{steps.map((s, i) => <li key={i}><span>{s}</span></li>)}</ol>;
}

export function Severity({ of }: { of: AlertDetail }) {
  const a = of.alert!;
  return (
    <ul className="reasons">
      <li>The rule is written as {of.rule?.severity || "a severity that is not known"}{of.rule?.file ? <> in <code>{of.rule.file}{of.rule.line > 0 ? `:${of.rule.line}` : ""}</code></> : null}.</li>
      {a.count > 1n && <li>An alert takes the highest severity of its findings: {num(a.count)} so far.</li>}
      <li className="muted">Not weighed: the workload's exposure, known vulnerabilities of the image{of.alert?.subject?.container?.digest ? <> (<Link to={imageAddress(of.alert.subject.container.digest)}>see the image</Link>)</> : null}, what its identity may reach.</li>
    </ul>
  );
}

export function ContainerFacts({ of }: { of: Alert }) {
  const c = of.subject?.container;
  if (!c) return <p>None: this happened on the host itself{of.subject?.node ? <>, <b>{of.subject.node}</b></> : ""}.</p>;
  const why = c.unknown || undefined;
  const pod = why ?? "the runtime names no pod for it";
  return (
    <dl className="dl">
      <Fact name="workload" value={of.subject?.workload && of.subject.workload !== "unknown" ? of.subject.workload : undefined} why={why ?? "no cluster agent names its owner"} to={of.subject?.cluster && /^[^/]+\/[^/]+\/.+/.test(of.subject.workload) ? workloadAddress(of.subject.cluster, of.subject.workload) : addressOf({ ...DEFAULT_VIEW, filter: `workload:${quote(of.subject?.workload ?? "")}` })} />
      <Fact name="container" value={c.name} why={why} />
      <Fact name="container id" value={c.id} mono end />
      <Fact name="image" value={c.image} why={why} mono to={c.digest ? imageAddress(c.digest) : c.image ? filtered(IMAGES, `image:${quote(c.image)}`) : ""} />
      <Fact name="image digest" value={c.digest} why={why ?? "the runtime does not give it"} mono end to={c.digest ? imageAddress(c.digest) : ""} />
      <Fact name="pod" value={c.pod} why={pod} />
      <Fact name="namespace" value={c.namespace} why={pod} />
      <Fact name="runtime" value={c.runtime} why={why} />
      <Fact name="node" value={of.subject?.node} />
    </dl>
  );
}

export function Process({ of }: { of: AlertDetail }) {
  const s = of.alert?.subject;
  const p = of.lineage[0];
  return (
    <dl className="dl">
      <Fact name="process" value={s?.process} why="the event came without a process" mono />
      <Fact name="executable" value={s?.executable} why="the kernel gave no path" mono />
      <Fact name="user" value={s?.user || (p ? `uid ${p.uid}` : "")} />
      {s?.object && <Fact name={s.objectClass && s.objectClass !== "none" ? s.objectClass : "object"} value={s.object} mono />}
    </dl>
  );
}

export function Attack({ of }: { of: Alert }) {
  if (of.tactics.length + of.techniques.length === 0) return <p className="muted">The rule names no tactic or technique.</p>;
  const other = of.tactics.filter((t) => !(TACTICS as readonly string[]).includes(t));
  return (
    <>
      <ol className="strip" aria-label="ATT&CK tactics">
        {[...TACTICS, ...other].map((t) => {
          const on = of.tactics.includes(t);
          return <li key={t} className={on ? "on" : ""} data-tip={t}>{on ? <Link to={addressOf({ ...DEFAULT_VIEW, filter: `tactic:${quote(t)}` })}>{t}</Link> : <span className="sr">{t}: no</span>}</li>;
        })}
      </ol>
      <ul className="techniques">{of.techniques.map((t) => <li key={t}><Link to={addressOf({ ...DEFAULT_VIEW, filter: `technique:${quote(t)}` })}><code>{t}</code></Link> {techniqueName(t)}</li>)}</ul>
    </>
  );
}

/** Whose it is, and what it reaches into. */
export function Belongs({ of }: { of: Alert }) {
  const s = of.subject!;
  const workload = /^[^/]+\/[^/]+\/.+/.test(s.workload);
  return (
    <dl className="dl">
      <div><dt>cluster</dt><dd>{s.cluster ? <ClusterLink name={s.cluster} /> : <NotAssessed why="no cluster agent reports it" />}</dd></div>
      <div><dt>owner</dt><dd>{s.owner ? <span className="wrap"><Owner of={s.owner} />{of.ownerFrom === "cluster" && s.owner !== "unowned" && <span className="muted">, of the cluster: nobody is named for the workload</span>}</span> : <NotAssessed why="not told" />}</dd></div>
      {s.tenant && <div><dt>tenant</dt><dd><Link to={addressOf({ ...DEFAULT_VIEW, filter: `tenant:${quote(s.tenant)}` })}>{s.tenant}</Link></dd></div>}
      {workload && <div><dt>workload</dt><dd><WorkloadLink cluster={s.cluster} of={s.workload} /></dd></div>}
      {s.identity && <div><dt>identity</dt><dd><IdentityLink cluster={s.cluster} of={s.identity} /></dd></div>}
      {s.object && !s.process && <div><dt>object</dt><dd><span className="wrap">{s.objectClass && s.objectClass !== "none" && !s.objectClass.startsWith("api:") && <span className="muted">{s.objectClass} </span>}<span className="mono">{s.object}</span></span><Copy text={s.object} what="object" /></dd></div>}
      {s.reaches.length > 0 && <div><dt>reaches into</dt><dd><ul className="names">{s.reaches.slice(0, 12).map((r) => <li key={r}>{/^[^/]+\/[^/]+\/.+/.test(r) ? <WorkloadLink cluster={s.cluster} of={r} /> : <b className="wrap">{r}</b>}</li>)}</ul></dd></div>}
    </dl>
  );
}

export function Timing({ of, audit }: { of: Alert; audit: boolean }) {
  const known = of.kernelTime > 0n && of.storedAt > 0n;
  return (
    <dl className="dl">
      <div><dt>{audit ? "at the API server" : "in the kernel"}</dt><dd><span className="mono">{of.kernelTime > 0n ? utc(ms(of.kernelTime)) : "not assessed"}</span></dd></div>
      <div><dt>stored</dt><dd><span className="mono">{of.storedAt > 0n ? utc(ms(of.storedAt)) : "not assessed"}</span></dd></div>
      <div><dt>{audit ? "request to stored" : "kernel to stored"}</dt><dd>{known ? <b>{duration(ms(of.storedAt) - ms(of.kernelTime))}</b> : <NotAssessed why="one of the two times is missing" />}</dd></div>
    </dl>
  );
}

export function History({ of }: { of: AlertDetail }) {
  const a = of.alert!;
  return (
    <ol className="history">
      {of.history.map((h, i) => <li key={i}><span>{h.who || "somebody"}: {statusName(h.from)} → <b>{statusName(h.to)}</b></span><span className="muted nowrap"><Ago ns={h.time} suffix /></span>{h.why && <q>{h.why}</q>}</li>)}
      <li><span>first seen</span><span className="muted nowrap"><Ago ns={a.firstSeen} suffix /></span></li>
    </ol>
  );
}

/** The conditions of the rule with what the event had: null and negation are said, not hidden. */
export function Why({ of }: { of: AlertDetail }) {
  return (
    <>
      {of.why.length === 0 ? <p><NotAssessed why="the finding came without its conditions" /></p> : (
        <ul className="why" aria-label="Conditions">
          {of.why.map((c, i) => (
            <li key={i} className={c.true ? "yes" : "no"}>
              <span className="verdict" role="img" aria-label={c.true ? "true" : "false"}>{c.true ? <Check size={14} /> : <Cross size={14} />}</span>
              <code className="expr">{c.expr}</code>
              <span className="got"><Got c={c} /></span>
            </li>
          ))}
        </ul>
      )}
      {of.output && <p className="output"><span className="muted">The rule's own words</span><code>{of.output}</code></p>}
      {of.rule?.condition && (
        <details>
          <summary>Whole rule <code>{of.rule.id}</code></summary>
          {of.rule.desc && <p>{of.rule.desc}</p>}
          <div className="code"><pre tabIndex={0}>{of.rule.condition}</pre><Copy text={of.rule.condition} what="condition" /></div>
          {of.rule.answers.length > 0 && <p className="muted">Answers {of.rule.answers.map((x) => <code key={x}>{x} </code>)}of the public Defender for Containers list.</p>}
          <p className="muted">Content hash <code>{of.rule.hash}</code></p>
        </details>
      )}
    </>
  );
}

function Got({ c }: { c: Condition }) {
  if (c.null) return <><code>{c.field}</code> had no value{c.negate ? ", and the rule asks for that" : ""}</>;
  return <><code>{c.field}</code> was <code className="value">{c.got === "" ? '""' : c.got}</code>{c.negate && <> <span className="muted">(the rule asks that it is not {c.op === "exists" ? "there" : <code>{c.op} {c.want}</code>})</span></>}</>;
}

export function Raw({ of }: { of: AlertDetail }) {
  const { text, valid } = pretty(of.eventJson);
  if (!of.eventJson) return <p><NotAssessed why="the finding came without its event" /></p>;
  return (
    <details>
      <summary>The event as the trace writes it <span className="muted">{of.eventIds.length > 0 && <code>{of.eventIds.join(", ")}</code>}</span></summary>
      {!valid && <p className="field-error">This is not valid JSON; it is shown as it came.</p>}
      <div className="code"><pre tabIndex={0}>{text}</pre><Copy text={of.eventJson} what="raw event" /></div>
      <p className="muted">Finding <code>{of.findingId}</code></p>
    </details>
  );
}
