import { ALERT_VALUES } from "../../lib/fields";
import { chosen, FIELDS, SEVERITIES, STATUSES, terms, withField } from "../../lib/query";
import { Menu } from "../../parts/bits";
import { Check, Chevron } from "../../parts/icons";
import { FilterInput } from "../../parts/list/FilterInput";
import { SeverityMenu, summary, toggled } from "../../parts/list/SeverityMenu";

const AGES: ReadonlyArray<readonly [value: string, label: string]> = [["", "any age"], ["<15m", "last 15 minutes"], ["<1h", "last hour"], ["<24h", "last 24 hours"], ["<7d", "last 7 days"], ["<30d", "last 30 days"]];

interface Props {
  filter: string;
  error: string;
  onFilter: (filter: string) => void;
}

/** The filter, typed or clicked; both write the same text. */
export function FilterBar({ filter, error, onFilter }: Props) {
  const status = chosen(filter, "status", STATUSES);
  const age = terms(filter).find((t) => t.field === "age");
  return (
    <div className="filters">
      <FilterInput label="Filter alerts" example="severity:>=high workload:payments/* age:<7d" fields={FIELDS} values={ALERT_VALUES} filter={filter} error={error} onFilter={onFilter} />
      <SeverityMenu filter={filter} all={SEVERITIES} onFilter={onFilter} />
      <Menu name="status" label={<>Status<span className="wide-only">{summary(status, STATUSES, false)}</span><Chevron size={12} /></>} className={`btn${status.size < 4 ? " set" : ""}`}>
        {() => <>
          {STATUSES.map((s) => (
            <label key={s} className="item"><input type="checkbox" checked={status.has(s)} onChange={() => onFilter(toggled(filter, "status", STATUSES, status, s, false))} />{s}</label>
          ))}
          <hr /><button type="button" className="item" onClick={() => onFilter(withField(filter, "status", []))}>Every status</button>
        </>}
      </Menu>
      <Menu name="age" label={<>{age ? `Age: ${age.op}${age.value}` : "Age"}<Chevron size={12} /></>} className={`btn${age ? " set" : ""}`}>
        {(close) => AGES.map(([v, label]) => {
          const on = v === (age ? age.op + age.value : "");
          return <button key={v} type="button" className="item" aria-pressed={on} onClick={() => { onFilter(withField(filter, "age", v ? [`age:${v}`] : [])); close(); }}><span className="grow">{label}</span>{on && <Check />}</button>;
        })}
      </Menu>
    </div>
  );
}
