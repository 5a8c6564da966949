import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { exact, ago, ms, duration } from "../lib/time";
import { useText } from "../lib/clock";
import { go } from "../lib/route";
import { Check, CopyIcon, Cross } from "./icons";

/** A link within the console: an address like any other, without loading the page again. */
export function Link({ to, children, ...rest }: { to: string; children: ReactNode } & React.AnchorHTMLAttributes<HTMLAnchorElement>) {
  return (
    <a {...rest} href={to} onClick={(e) => {
      rest.onClick?.(e);
      if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
      e.preventDefault();
      go(to);
    }}>
      {children}
    </a>
  );
}

/** How long ago, kept fresh; the exact time is its hover. */
export function Ago({ ns, suffix = false, plain = false }: { ns: bigint; suffix?: boolean; plain?: boolean }) {
  const at = ms(ns);
  const text = useText((now) => (ns === 0n ? "not assessed" : ago(at, now)));
  if (ns === 0n) return <span className="muted">not assessed</span>;
  return <time dateTime={new Date(at).toISOString()} {...(plain ? {} : { "data-tip": exact(ns) })}>{text}{suffix && text !== "now" ? " ago" : ""}</time>;
}

/** A duration that grows while it is looked at. */
export function Since({ ns }: { ns: bigint }) {
  const at = ms(ns);
  const text = useText((now) => duration(Math.floor((now - at) / 60_000) * 60_000 || now - at));
  return <span data-tip={`since ${exact(ns)}`}>{text}</span>;
}

/** One line that keeps its end: for paths, digests, workloads. The whole text is its hover. */
export function End({ children, mono = false, tip = children }: { children: string; mono?: boolean; tip?: string }) {
  return <span className={`start${mono ? " mono" : ""}`} data-tip={tip}><bdi>{children}</bdi></span>;
}

export function Copy({ text, what }: { text: string; what: string }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const t = setTimeout(() => setDone(false), 1600);
    return () => clearTimeout(t);
  }, [done]);
  return (
    <button type="button" className={`copy${done ? " done" : ""}`} aria-label={done ? "copied" : `copy ${what}`} data-tip={done ? "copied" : `copy ${what}`}
      onClick={() => void toClipboard(text).then(setDone)}>
      {done ? <Check size={14} /> : <CopyIcon size={14} />}
    </button>
  );
}

async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Plain http on another host has no clipboard API; the old way still works.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr";
    document.body.append(area);
    area.select();
    const ok = document.execCommand("copy");
    area.remove();
    return ok;
  }
}

/** A command to run in a shell, whole, with a copy button. */
export function Command({ children }: { children: string }) {
  return (
    <div className="command">
      <code tabIndex={0} role="textbox" aria-readonly="true" aria-label="command">{children}</code>
      <Copy text={children} what="command" />
    </div>
  );
}

/** What to do about a gap: a command gets a copy button, a sentence stays one. */
export function Remedy({ children }: { children: string }) {
  const command = /^(sudo|dockreeve|sysctl|make|mount|kubectl|helm|az|apt|apt-get|modprobe|echo) \S/.test(children) && !/\s(where|if|when|unless|or|and|then|to|the|for|in)\s|[.;]\s/.test(children);
  return command ? <Command>{children}</Command> : <p>{children}</p>;
}

/** A modal window: the browser's own dialog, so focus stays in it and Esc closes it. */
export function Dialog({ title, onClose, children, wide = false }: { title: string; onClose: () => void; children: ReactNode; wide?: boolean }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const d = ref.current!;
    const before = document.activeElement as HTMLElement | null;
    d.showModal();
    d.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      d.close();
      before?.focus?.({ preventScroll: true });
    };
  }, []);
  return (
    <dialog ref={ref} aria-labelledby={id} className={wide ? "wide" : undefined}
      onCancel={(e) => { e.preventDefault(); onClose(); }}
      onMouseDown={(e) => { if (e.target === ref.current) onClose(); }}>
      <div className="head">
        <h2 id={id}>{title}</h2>
        <button type="button" className="btn plain icon" aria-label="close" onClick={onClose}><Cross /></button>
      </div>
      {children}
    </dialog>
  );
}

/** A button that opens a small panel below it; Esc or a click elsewhere closes it. bare says that label holds no text. */
export function Menu({ label, name, children, right = false, bare = false, className = "btn" }: { label: ReactNode; name: string; children: (close: () => void) => ReactNode; right?: boolean; bare?: boolean; className?: string }) {
  const [open, setOpen] = useState(false);
  const wrap = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open) return;
    const away = (e: Event) => { if (!wrap.current?.contains(e.target as Node)) setOpen(false); };
    document.addEventListener("mousedown", away);
    document.addEventListener("focusin", away);
    wrap.current?.querySelector<HTMLElement>(".menu input, .menu button, .menu a")?.focus();
    return () => {
      document.removeEventListener("mousedown", away);
      document.removeEventListener("focusin", away);
    };
  }, [open]);
  const close = () => { setOpen(false); button.current?.focus(); };
  return (
    <div className="menu-wrap" ref={wrap} onKeyDown={(e) => {
      if (!open) return;
      if (e.key === "Escape") { e.stopPropagation(); close(); }
      if (e.key === "ArrowDown" || e.key === "ArrowUp") {
        const all = [...wrap.current!.querySelectorAll<HTMLElement>(".menu input, .menu button, .menu a")];
        const i = all.indexOf(document.activeElement as HTMLElement);
        all[(i + (e.key === "ArrowDown" ? 1 : all.length - 1)) % all.length]?.focus();
        e.preventDefault();
      }
    }}>
      <button ref={button} type="button" className={`${className}${open ? " on" : ""}`} aria-expanded={open} aria-haspopup="true" data-menu={name} {...(bare ? { "aria-label": name } : {})} onClick={() => setOpen(!open)}>{label}</button>
      {open && <div className={`menu${right ? " right" : ""}`} role="group" tabIndex={-1} aria-label={name}>{children(close)}</div>}
    </div>
  );
}

/** One shared tooltip for every element with data-tip, by pointer and by focus. */
export function Tips() {
  const [tip, setTip] = useState<{ text: string; x: number; y: number; up: boolean } | null>(null);
  useEffect(() => {
    let timer = 0;
    const show = (e: Event, wait: number) => {
      const el = (e.target as Element | null)?.closest?.<HTMLElement>("[data-tip]");
      clearTimeout(timer);
      if (!el) return setTip(null);
      timer = window.setTimeout(() => {
        const text = el.dataset.tip;
        const box = el.getBoundingClientRect();
        if (!text || !el.isConnected) return setTip(null);
        const up = box.bottom + 90 > innerHeight;
        setTip({ text, x: Math.max(8, Math.min(box.left, innerWidth - 300)), y: up ? innerHeight - box.top + 5 : box.bottom + 5, up });
      }, wait);
    };
    const hide = () => { clearTimeout(timer); setTip(null); };
    const over = (e: Event) => show(e, 350);
    const focus = (e: Event) => ((e.target as Element).matches?.(":focus-visible") ? show(e, 100) : undefined);
    document.addEventListener("mouseover", over);
    document.addEventListener("focusin", focus);
    document.addEventListener("focusout", hide);
    document.addEventListener("mousedown", hide);
    document.addEventListener("scroll", hide, true);
    document.addEventListener("keydown", hide);
    return () => {
      document.removeEventListener("mouseover", over);
      document.removeEventListener("focusin", focus);
      document.removeEventListener("focusout", hide);
      document.removeEventListener("mousedown", hide);
      document.removeEventListener("scroll", hide, true);
      document.removeEventListener("keydown", hide);
    };
  }, []);
  if (!tip) return null;
  return <div className="tip" role="tooltip" style={{ left: tip.x, ...(tip.up ? { bottom: tip.y } : { top: tip.y }) }}>{tip.text}</div>;
}

/** What could not be assessed, with why: never an empty cell. */
export const NotAssessed = ({ why }: { why?: string }) => <span className="muted">not assessed{why ? `: ${why}` : ""}</span>;

/** Where rows will be, while the server is asked. */
export const Skeleton = ({ what, lines = 12 }: { what: string; lines?: number }) => (
  <div className="skeletons" aria-label={`Loading ${what}`} role="status">{Array.from({ length: lines }, (_, i) => <span key={i} className="skeleton" />)}</div>
);

/** A link out of the console, followed only when clicked; the other side is not told where from. Anything but a web address stays text. */
export function Out({ to, children = to }: { to: string; children?: ReactNode }) {
  return /^https?:\/\/[^\s\\]+$/i.test(to) ? <a href={to} target="_blank" rel="noreferrer noopener">{children}</a> : <span>{children}</span>;
}
