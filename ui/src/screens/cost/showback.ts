import type { Allocation } from "../../gen/govern";
import { known, partial } from "../../lib/govern";
import type { Field } from "../../lib/table";

/** What a showback file tells of one share. An amount that is not known is never a nought. */
export function showback(a: Allocation, kind: "owner" | "namespace"): Field[] {
  const m = (v: Allocation["cost"]) => (known(v) ? v.micros / 1e6 : "not assessed");
  return [
    { key: kind, value: a.key }, ...(kind === "namespace" ? [{ key: "cluster", value: a.cluster ?? "" }, { key: "owner", value: a.owner ?? "" }] : []),
    { key: "cost", value: m(a.cost) }, { key: "idle_share", value: m(a.idleShare) }, { key: "protection", value: m(a.protection) }, { key: "currency", value: a.cost.currency }, { key: "in_part", value: [a.cost, a.idleShare, a.protection].map(partial).filter(Boolean).join("; ") }, { key: "price_date", value: a.cost.asOf ?? "" }, { key: "source", value: a.cost.source ?? "" },
    ...([["core_hours", a.coreHours], ["requested_core_hours", a.requested], ["used_core_hours", a.used]] as const).map(([key, v]) => ({ key, value: a.usedWhy && (!v || key === "used_core_hours") ? `not assessed: ${a.usedWhy}` : v })), { key: "core_hours_in_part", value: a.usedWhy ?? "" },
  ];
}
