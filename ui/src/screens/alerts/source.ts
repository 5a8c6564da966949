// The list of alerts, and what of it outlives its screen.
import { alerts } from "../../api/client";
import type { Alert, Watched } from "../../gen/dockreeve/v1/dockreeve_pb";
import { ALERTS } from "../../lib/query";
import type { ListState, Source } from "../../parts/list/useList";

export const alertSource: Source<Alert, Watched> = {
  place: ALERTS,
  kinds: ["alert"],
  page: async (q, signal) => {
    const r = await alerts.listAlerts(q, signal ? { signal } : undefined);
    return { rows: r.alerts, next: r.nextCursor, total: r.total, totalAll: r.totalAll, about: r.watched };
  },
  one: async (id) => (await alerts.getAlert({ id })).alert?.alert,
};

export type AlertList = ListState<Alert, Watched>;
