// What every page of one thing does alike: fetched, fetched again when told,
// left and walked through by keys, and honest when there is nothing.
import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { aborted, Code, isCode, sentence } from "../api/client";
import { onChange, type Told } from "../api/live";
import { unseen } from "../lib/entity";
import type { Row } from "../lib/merge";
import { go } from "../lib/route";
import { typing } from "../shell/commands";
import { Copy, End, Link, Skeleton } from "./bits";
import { Back, Retry, Warn } from "./icons";
import { lastAddress, lastOrder, type Source } from "./list/useList";

export interface Entity<T> {
  got: T | null;
  error: { text: string; gone: boolean } | null;
  told: number; // counts changes, so that tables within are fetched again
  reload: () => void;
}

const CALM = 1000; // ms between two fetches under a storm of changes

/** One thing by its key. A key that holds a \u{…} is asked for again as the server may have it. */
export function useEntity<T>(key: string, kinds: readonly string[], fetch: (key: string, signal?: AbortSignal) => Promise<T | null>, concerns: (t: Told) => boolean = () => true): Entity<T> {
  const [got, setGot] = useState<T | null>(null);
  const [error, setError] = useState<Entity<T>["error"]>(null);
  const [told, setTold] = useState(0);
  const ask = useRef({ fetch, concerns });
  ask.current = { fetch, concerns };
  const load = useCallback(async (signal?: AbortSignal) => {
    const gone = (err: unknown) => isCode(err, Code.NotFound) || isCode(err, Code.InvalidArgument);
    try {
      const r = await ask.current.fetch(key, signal).catch((err: unknown) => {
        if (gone(err) && unseen(key) !== key) return ask.current.fetch(unseen(key), signal);
        throw err;
      });
      setGot(r);
      setError(r ? null : { text: "The server gave an answer with nothing in it.", gone: false });
    } catch (err) {
      if (!aborted(err)) setError({ text: sentence(err), gone: gone(err) });
    }
  }, [key]);
  const kindsKey = kinds.join();
  useEffect(() => {
    const stop = new AbortController();
    void load(stop.signal);
    let timer = 0;
    const off = onChange(kindsKey.split(","), (t) => {
      if (!t.reset && !t.many && !ask.current.concerns(t)) return;
      timer ||= window.setTimeout(() => { timer = 0; void load(stop.signal); setTold((n) => n + 1); }, CALM);
    });
    return () => { stop.abort(); off(); clearTimeout(timer); };
  }, [key, kindsKey, load]);
  return { got, error, told, reload: useCallback(() => void load(), [load]) };
}

/** j and k walk the list it was opened from, Esc goes back there. */
export function useEntityKeys<T extends Row, A>(source: Source<T, A>, id: string, address: (id: string) => string): void {
  const keys = useRef<(e: KeyboardEvent) => void>(() => undefined);
  keys.current = (e) => {
    if (typing(e) || e.ctrlKey || e.metaKey || e.altKey) return;
    const order = lastOrder(source);
    const at = order.indexOf(id);
    const to = e.key === "j" ? order[at + 1] : e.key === "k" ? order[at - 1] : undefined;
    if (at >= 0 && to !== undefined) go(address(to), true);
    else if (e.key === "/") dispatchEvent(new Event("dockreeve:filter"));
    else if (e.key === "Escape") go(lastAddress(source));
    else return;
    e.preventDefault();
  };
  useEffect(() => {
    const f = (e: KeyboardEvent) => keys.current(e);
    addEventListener("keydown", f);
    return () => removeEventListener("keydown", f);
  }, []);
}

export function Crumb<T extends Row, A>({ source, title, name, address }: { source: Source<T, A>; title: string; name: string; address: string }) {
  return <p className="crumb"><Link to={lastAddress(source)}><Back size={14} />{title}</Link><span className="mono faint crumb-name"><End>{name}</End></span><Copy text={`${location.origin}${address}`} what="address of this page" /></p>;
}

/** What stands on the page while there is nothing: why, and what still helps. */
export function Nothing({ of, what, gone }: { of: Entity<unknown>; what: string; gone: ReactNode }) {
  if (!of.error) return <Skeleton what={what} lines={4} />;
  return of.error.gone
    ? <div className="notice warn" role="alert"><h2><Warn />There is no such {what.replace(/^(the|one) /, "")}</h2><p>{of.error.text}</p>{gone}</div>
    : <div className="notice bad" role="alert"><h2><Warn />{what[0]!.toUpperCase() + what.slice(1)} could not be fetched</h2><p>{of.error.text}</p><button type="button" className="btn" onClick={of.reload}><Retry />Try again</button></div>;
}

export const NotUpToDate = ({ of }: { of: Entity<unknown> }) => (of.error && of.got ? <p className="field-error" role="alert">Not up to date: {of.error.text}</p> : null);
