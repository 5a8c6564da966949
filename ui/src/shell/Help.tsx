import { Dialog } from "../parts/bits";
import { FINDING_FIELDS, type FieldHint, IMAGE_FIELDS, PACKAGE_FIELDS, VULNERABILITY_FIELDS } from "../lib/fields";
import { AUDIT_FIELDS, CLUSTER_FIELDS, EXPOSURE_FIELDS, IDENTITY_FIELDS, WORKLOAD_FIELDS } from "../lib/clusterFields";
import { FIELDS } from "../lib/query";
import { opened } from "./commands";

// What may be filtered on the page that is open.
function fieldsHere(): [what: string, fields: readonly FieldHint[]] {
  const [, list, one] = location.pathname.split("/");
  if (list === "images") return !one ? ["images", IMAGE_FIELDS] : location.search.includes("tab=packages") ? ["an image's packages", PACKAGE_FIELDS] : ["an image's vulnerabilities", FINDING_FIELDS];
  const of: Record<string, [string, readonly FieldHint[]]> = { clusters: ["clusters", CLUSTER_FIELDS], workloads: ["workloads", WORKLOAD_FIELDS], identities: ["identities", IDENTITY_FIELDS], exposure: ["ways in", EXPOSURE_FIELDS], audit: ["requests", AUDIT_FIELDS] };
  if (list && Object.hasOwn(of, list)) return of[list]!;
  return list === "vulnerabilities" ? ["vulnerabilities", VULNERABILITY_FIELDS] : ["alerts", FIELDS];
}

const keys: Array<[string[], string]> = [
  [["j", "k"], "next, previous row (also the arrows)"],
  [["Enter"], "open it"],
  [["x"], "alerts: select it; with Shift, everything up to it"],
  [["a"], "alerts: acknowledge"],
  [["s"], "alerts: dismiss as benign, with a reason"],
  [["r"], "alerts: resolve"],
  [["o"], "alerts: open again"],
  [["n"], "show what is new"],
  [["/"], "filter"],
  [["Ctrl", "K"], "search alerts, workloads, identities, images, vulnerabilities, clusters and commands"],
  [["Esc"], "back, clear the selection, close"],
  [["?"], "this page"],
];

export function Help() {
  const [what, fields] = fieldsHere();
  return (
    <Dialog title="Keys and filters" onClose={() => opened.set(null)} wide>
      <div className="body help">
        <dl className="keys">
          {keys.map(([k, what]) => <div key={what}><dt>{k.map((x) => <kbd key={x}>{x}</kbd>)}</dt><dd>{what}</dd></div>)}
        </dl>
        <h3>Filter {what}</h3>
        <p>Terms are joined by “and”. A bare word searches the text; a leading <code>-</code> turns a term round; commas mean “or”; <code>*</code> stands for any characters of a value. The filter is in the address bar: copy the address to share it.</p>
        <div className="scroll-x">
          <table className="plain"><tbody>
            {fields.map(([name, what, example]) => <tr key={name}><td className="mono">{name}</td><td>{what}</td><td className="mono nowrap">{example}</td></tr>)}
          </tbody></table>
        </div>
      </div>
    </Dialog>
  );
}
