import { type ReactNode, useEffect, useId, useRef } from "react";
import { go } from "../lib/route";
import { Warn } from "./icons";

export interface Tab {
  key: string;
  label: string;
  count: string; // "" = none is told
  warn?: boolean;
  body: () => ReactNode;
}

/** Parts of one page; which is open lives in the address bar. */
export function Tabs({ of, search, address, label }: { of: readonly Tab[]; search: string; address: string; label: string }) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const wanted = new URLSearchParams(search).get("tab");
  const at = Math.max(0, of.findIndex((t) => t.key === wanted));
  const open = (i: number, focus: boolean) => {
    const t = of[(i + of.length) % of.length]!;
    go(`${address}${t === of[0] ? "" : `?tab=${t.key}`}`, true);
    if (focus) requestAnimationFrame(() => list.current?.querySelector<HTMLElement>("[aria-selected=true]")?.focus());
  };
  useEffect(() => { // the open one is in sight where not all fit
    const el = list.current?.querySelector<HTMLElement>("[aria-selected=true]");
    if (el && list.current && (el.offsetLeft < list.current.scrollLeft || el.offsetLeft + el.offsetWidth > list.current.scrollLeft + list.current.clientWidth)) list.current.scrollLeft = el.offsetLeft - 16;
  }, [at]);
  return (
    <>
      <div className="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={(e) => {
        if (e.key === "ArrowRight") open(at + 1, true);
        else if (e.key === "ArrowLeft") open(at - 1, true);
        else if (e.key === "Home") open(0, true);
        else if (e.key === "End") open(of.length - 1, true);
        else return;
        e.preventDefault();
        e.stopPropagation();
      }}>
        {of.map((t, i) => (
          <button key={t.key} type="button" role="tab" id={`${id}-${t.key}`} aria-controls={`${id}-panel`} aria-selected={i === at} tabIndex={i === at ? 0 : -1} onClick={() => open(i, false)}>
            {t.warn && <span className="amber"><Warn size={13} /></span>}{t.label}{t.count && <span className="tab-count">{t.count}</span>}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${of[at]!.key}`} className="tab-panel" key={of[at]!.key}>{of[at]!.body()}</div>
    </>
  );
}
