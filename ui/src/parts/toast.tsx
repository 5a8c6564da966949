import { useEffect } from "react";
import { atom, useAtom } from "../lib/atom";

interface Toast {
  text: string;
  undo?: () => void;
}
const current = atom<Toast | null>(null);

/** Says what happened, once, at the foot of the screen; stays longer when it can be undone. */
export const say = (text: string, undo?: () => void): void => current.set(undo ? { text, undo } : { text });

export function Toasts() {
  const t = useAtom(current);
  useEffect(() => {
    if (!t) return;
    const timer = setTimeout(() => current.set(null), t.undo ? 10_000 : 5_000);
    return () => clearTimeout(timer);
  }, [t]);
  return (
    <div aria-live="polite" role="status">
      {t && (
        <div className="toast">
          <span>{t.text}</span>
          {t.undo && <button type="button" onClick={() => { t.undo!(); current.set(null); }}>Undo</button>}
          <button type="button" onClick={() => current.set(null)}>Close</button>
        </div>
      )}
    </div>
  );
}
