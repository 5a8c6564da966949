import type { Evaluation, Ratio } from "../../gen/govern";
import { list, type Told, told } from "../../lib/govern";
import { num, plural } from "../../lib/time";
import { go } from "../../lib/route";
import { Link } from "../../parts/bits";
import { Meter } from "../../parts/chart";
import { AzureRead } from "../../parts/govern";
import { Warn } from "../../parts/icons";

export const SHOWS = ["below", "drift", "onboard", "plan", "profile", "any", "owned", "gaps"] as const;
export type Show = (typeof SHOWS)[number];

/** The address of the list with one of its windows open; filter and order stay. */
export function showing(search: string, show: Show | ""): string {
  const p = new URLSearchParams(search);
  if (show) p.set("show", show); else p.delete("show");
  return `/governance${p.size ? `?${p}` : ""}`;
}

function Figure({ name, of, t, search, show }: { name: string; of: Ratio | undefined; t: Told; search: string; show: Show }) {
  return (
    <Link to={showing(search, show)} className="figure" data-tip={`${t.tip}\nopen: what is missing, by name`}>
      <span className="figure-name">{name}</span>
      <span className="figure-value">{t.value === null ? <b className="muted">not assessed</b> : <><b>{t.percent}</b><span className="muted">{t.text}</span></>}</span>
      <Meter value={t.value} goal={of?.goal} met={t.met} says={`${name}: ${t.percent} ${t.text}${of?.goal ? `, goal ${Math.round(of.goal * 100)} %` : ""}`} />
    </Link>
  );
}

const APART = 20 * 3600e9; // nanoseconds: a kept day is "yesterday" from so long ago on

/** Why what changed since yesterday is not known; "" = it is. */
export function unlike(ev: Evaluation): string {
  const days = list(ev.kpis).some((k) => k.id === "owned" && list(k.trend).some((p) => ev.at - p.at >= APART));
  return ev.coverage.driftNotAssessed || (days || list(ev.coverage.drift).length > 0 ? "" : "no earlier day was evaluated and kept to compare with");
}

/** How much of what is relevant is protected, owned and read, above the clusters one by one. */
export function Strip({ of: ev, search }: { of: Evaluation; search: string }) {
  const c = ev.coverage;
  const drift = list(c.drift), worse = drift.filter((d) => d.worse).length;
  const below = list(c.production.missing).length + (c.production.more ?? 0);
  const gaps = list(ev.gaps);
  const unknown = c.clusters.unknown ?? 0;
  const dark = told(c.clusters).value === null && below + drift.length + list(c.notOnboarded).length + unknown === 0; // no cluster is known: nothing about all of them holds
  const Say = ({ show, n, amber, children }: { show: Show; n: number; amber: boolean; children: React.ReactNode }) => <button type="button" className="strip-link" onClick={() => go(showing(search, show))}>{amber && n > 0 ? <span className="amber"><Warn size={13} />{children}</span> : children}</button>;
  return (
    <section className="coverage" aria-label="Coverage">
      <div className="figures">
        <Figure name="Production protected" of={c.production} t={told(c.production)} search={search} show="below" />
        <Figure name="Defender profile enabled" of={c.profile} t={told(c.profile)} search={search} show="profile" />
        <Figure name="Protected by any" of={c.any} t={told(c.any)} search={search} show="any" />
        <Figure name="Subscriptions with the plan" of={c.subscriptions} t={told(c.subscriptions)} search={search} show="plan" />
        <Figure name="Owned" of={c.owned} t={told(c.owned)} search={search} show="owned" />
      </div>
      <p className="strip-says">
        <span>goal: {c.production.goal ? `${Math.round(c.production.goal * 100)} % of production` : "none is set"}</span>
        {dark ? <span>who is below it, onboarded or unknown is not assessed: no cluster is known</span> : <>
          <Say show="below" n={below} amber>{below === 0 ? "nothing below it" : `${plural(below, "cluster")} below it`}</Say>
          <Say show="drift" n={worse} amber>{drift.length === 0 ? (unlike(ev) ? "drift not assessed" : "no drift since yesterday") : `${plural(drift.length, "change")} since yesterday${worse ? `, ${num(worse)} for the worse` : ""}`}</Say>
          <Say show="onboard" n={list(c.notOnboarded).length} amber>{list(c.notOnboarded).length === 0 ? "all are onboarded" : `${num(list(c.notOnboarded).length)} not onboarded`}</Say>
          <span>{unknown > 0 ? <span className="amber" data-tip="they could not be read, and stay in the denominators"><Warn size={13} />{num(unknown)} unknown</span> : "none unknown"}</span>
        </>}
        <Say show="gaps" n={gaps.length} amber>{gaps.length === 0 ? "nothing left out" : `${plural(gaps.length, "gap")}`}</Say>
        <AzureRead of={ev} />
      </p>
    </section>
  );
}
