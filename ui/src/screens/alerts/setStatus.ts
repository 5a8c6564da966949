import { alerts, sentence } from "../../api/client";
import { type Alert, AlertStatus } from "../../gen/dockreeve/v1/dockreeve_pb";
import { plural } from "../../lib/time";
import { statusName } from "../../parts/marks";
import { say } from "../../parts/toast";

const AT_ONCE = 500; // the API's bound

/**
 * Moves alerts to a status and says so, with an undo that puts each back where it
 * was. onChanged gets the rows as the server now has them.
 */
export async function setStatus(rows: readonly Alert[], to: AlertStatus, why: string, onChanged: (rows: readonly Alert[]) => void, undo = true): Promise<boolean> {
  const todo = rows.filter((a) => a.status !== to);
  if (todo.length === 0) {
    say(`${rows.length === 1 ? "It is" : "They are"} ${statusName(to)} already`);
    return true;
  }
  let done = 0;
  try {
    for (let i = 0; i < todo.length; i += AT_ONCE) {
      const part = todo.slice(i, i + AT_ONCE);
      const r = await alerts.setAlertStatus({ ids: part.map((a) => a.id), status: to, why });
      done += part.length;
      onChanged(r.alerts);
    }
  } catch (err) {
    say(`${done > 0 ? `${done} of ${todo.length} changed, then: ` : "Nothing was changed: "}${sentence(err)}`);
    return false;
  }
  say(`${plural(todo.length, "alert")} ${statusName(to) === "open" ? "opened again" : statusName(to)}`, undo ? () => {
    for (const was of new Set(todo.map((a) => a.status))) {
      void setStatus(todo.filter((a) => a.status === was).map((a) => ({ ...a, status: to })), was, "undone", onChanged, false);
    }
  } : undefined);
  return true;
}
