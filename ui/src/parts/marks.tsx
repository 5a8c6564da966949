// Severity and status as marks: each has a shape and a letter besides its colour.
import { AlertStatus, Severity } from "../gen/dockreeve/v1/dockreeve_pb";

export const severityName = (s: Severity): string => ["not assessed", "informational", "low", "medium", "high", "critical"][s] ?? "unknown";
export const statusName = (s: AlertStatus): string => ["not assessed", "open", "acknowledged", "resolved", "dismissed"][s] ?? "unknown";

const shapes: Record<string, [path: string, letter: string, y: number]> = {
  critical: ["M5.2 1h7.6L17 5.2v7.6L12.8 17H5.2L1 12.8V5.2z", "C", 12.6],
  high: ["M9 .8 17.7 16.5H.3z", "H", 14.8],
  medium: ["M9 .6 17.4 9 9 17.4.6 9z", "M", 12.5],
  low: ["M9 1a8 8 0 1 1 0 16A8 8 0 0 1 9 1z", "L", 12.6],
  informational: ["M2.5 3.5h13v11h-13z", "I", 12.6],
  none: ["M2.5 8h13v2h-13z", "", 12],
};

/** word: true writes the severity's name beside the mark, a text writes that instead. */
export function SeverityMark({ of, word = false, size = 18 }: { of: Severity; word?: boolean | string; size?: number }) {
  const name = typeof word === "string" ? word : severityName(of);
  const key = severityName(of) in shapes ? severityName(of) : "none";
  const [path, letter, y] = shapes[key]!;
  return (
    <span className={`sev sev-${key}`} {...(word !== false ? {} : { role: "img", "aria-label": name, "data-tip": name })}>
      <svg width={size} height={size} viewBox="0 0 18 18" aria-hidden="true">
        <path d={path} fill="currentColor" />
        <text x="9" y={y}>{letter}</text>
      </svg>
      {word !== false && name !== "" && <b>{name}</b>}
    </span>
  );
}

const statusPath: Record<string, string> = {
  open: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM8 7.2a.8.8 0 1 1 0 1.6.8.8 0 0 1 0-1.6z",
  acknowledged: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM8 6.3a1.7 1.7 0 1 1 0 3.4 1.7 1.7 0 0 1 0-3.4z",
  resolved: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM5.5 8.2l1.8 1.8 3.3-3.8",
  dismissed: "M8 2.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM5.5 8h5",
};

export function StatusMark({ of }: { of: AlertStatus }) {
  const name = statusName(of);
  return (
    <span className={`status status-${name}`}>
      <svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
        <path d={statusPath[name] ?? ""} />
      </svg>
      {name}
    </span>
  );
}

/** Known to be exploited, beside its letters so that it is no colour alone. */
export const Exploited = ({ tip = "known to be exploited (CISA KEV)" }: { tip?: string }) => <span className="kev" data-tip={tip}>KEV</span>;

/** How a gate went. */
export function GateMark({ of }: { of: string }) {
  if (of !== "passed" && of !== "failed") return <span className="faint" data-tip="no pipeline has recorded a gate for this digest">none</span>;
  return (
    <span className={`gate gate-${of}`}>
      <svg width="14" height="14" viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true"><path d={of === "passed" ? "M3.5 8.5 6.5 11.5l6-7" : "M4 4l8 8M12 4l-8 8"} /></svg>
      {of}
    </span>
  );
}
