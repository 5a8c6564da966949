import { Dialog } from "../parts/bits";
import { FIELDS } from "../lib/query";
import { opened } from "./commands";

const keys: Array<[string[], string]> = [
  [["j", "k"], "next, previous alert (also the arrows)"],
  [["Enter"], "open it"],
  [["x"], "select it; with Shift, everything up to it"],
  [["a"], "acknowledge"],
  [["s"], "dismiss as benign, with a reason"],
  [["r"], "resolve"],
  [["o"], "open again"],
  [["n"], "show what is new"],
  [["/"], "filter"],
  [["Ctrl", "K"], "search alerts and commands"],
  [["Esc"], "back, clear the selection, close"],
  [["?"], "this page"],
];

export function Help() {
  return (
    <Dialog title="Keys and filters" onClose={() => opened.set(null)} wide>
      <div className="body help">
        <dl className="keys">
          {keys.map(([k, what]) => <div key={what}><dt>{k.map((x) => <kbd key={x}>{x}</kbd>)}</dt><dd>{what}</dd></div>)}
        </dl>
        <h3>Filter</h3>
        <p>Terms are joined by “and”. A bare word searches the text; a leading <code>-</code> turns a term round; commas mean “or”; <code>*</code> stands for any characters of a value. The filter is in the address bar: copy the address to share it.</p>
        <div className="scroll-x">
          <table className="plain"><tbody>
            {FIELDS.map(([name, what, example]) => <tr key={name}><td className="mono">{name}</td><td>{what}</td><td className="mono nowrap">{example}</td></tr>)}
          </tbody></table>
        </div>
      </div>
    </Dialog>
  );
}
