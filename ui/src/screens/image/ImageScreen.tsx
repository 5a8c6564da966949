import { useCallback, useEffect, useRef, useState } from "react";
import { aborted, Code, images, isCode, sentence } from "../../api/client";
import { onChange } from "../../api/live";
import type { GetImageResponse } from "../../gen/dockreeve/v1/dockreeve_pb";
import { bytes, imageName, imageSays, shortDigest } from "../../lib/image";
import { filtered, IMAGES, imageAddress, quote } from "../../lib/query";
import { go } from "../../lib/route";
import { num, plural } from "../../lib/time";
import { Ago, Command, Copy, End, Link, NotAssessed, Skeleton } from "../../parts/bits";
import { Counts } from "../../parts/counts";
import { Back, Retry, Warn } from "../../parts/icons";
import { lastAddress, lastOrder } from "../../parts/list/useList";
import { Exploited, GateMark } from "../../parts/marks";
import { type Tab, Tabs } from "../../parts/Tabs";
import { typing } from "../../shell/commands";
import { imageSource } from "../images/ImagesScreen";
import { Configuration, Gates, NotAssessedParts, Secrets, skipped, WhereItRuns } from "./facts";
import { Findings } from "./Findings";
import { History } from "./History";
import { Layers } from "./Layers";
import { Packages } from "./Packages";

/** One image at its stable address, /images/<digest>. */
export default function ImageScreen({ imageKey, search }: { imageKey: string; search: string }) {
  const [got, setGot] = useState<GetImageResponse | null>(null);
  const [exploitedInUse, setExploitedInUse] = useState<bigint | null>(null);
  const [error, setError] = useState<{ text: string; gone: boolean } | null>(null);
  const [told, setTold] = useState(0);

  const load = useCallback(async (signal?: AbortSignal) => {
    const opt = signal ? { signal } : undefined;
    try {
      const r = await images.getImage({ key: imageKey }, opt);
      setGot(r.image ? r : null);
      setError(r.image ? null : { text: "The server gave an answer without an image.", gone: false });
      const i = r.image;
      if (i?.counts && i.counts.kev > 0n && i.use && i.use.since > 0n && !i.notAssessed) {
        const used = await images.listImageVulnerabilities({ key: i.key, filter: "kev:yes in_use:yes", pageSize: 1 }, opt);
        setExploitedInUse(used.total);
      } else setExploitedInUse(null);
    } catch (err) {
      if (!aborted(err)) setError({ text: sentence(err), gone: isCode(err, Code.NotFound) || isCode(err, Code.InvalidArgument) });
    }
  }, [imageKey]);
  useEffect(() => {
    const stop = new AbortController();
    void load(stop.signal);
    const off = onChange(["image", "advisories"], (t) => { if (t.reset || t.many || t.ids.has(imageKey) || t.ids.size === 0) { void load(); setTold((n) => n + 1); } });
    return () => { stop.abort(); off(); };
  }, [imageKey, load]);
  const i = got?.image;
  useEffect(() => { document.title = `${i ? imageName(i) : "Image"} · Dockreeve`; }, [i]);

  const keys = useRef<(e: KeyboardEvent) => void>(() => undefined);
  keys.current = (e) => {
    if (typing(e) || e.ctrlKey || e.metaKey || e.altKey) return;
    const order = lastOrder(imageSource);
    const at = order.indexOf(imageKey);
    const to = e.key === "j" ? order[at + 1] : e.key === "k" ? order[at - 1] : undefined;
    if (at >= 0 && to) go(imageAddress(to), true);
    else if (e.key === "/") dispatchEvent(new Event("dockreeve:filter"));
    else if (e.key === "Escape") go(lastAddress(imageSource));
    else return;
    e.preventDefault();
  };
  useEffect(() => {
    const f = (e: KeyboardEvent) => keys.current(e);
    addEventListener("keydown", f);
    return () => removeEventListener("keydown", f);
  }, []);

  const crumb = <p className="crumb"><Link to={lastAddress(imageSource)}><Back size={14} />Images</Link><span className="mono faint">{shortDigest(imageKey)}</span><Copy text={`${location.origin}${imageAddress(imageKey)}`} what="address of this image" /></p>;
  if (!got || !i) {
    return (
      <div className="page">
        {crumb}
        {!error ? <Skeleton what="the image" lines={4} /> : error.gone ? (
          <div className="notice warn" role="alert">
            <h2><Warn />This image has not been seen here</h2>
            <p>{error.text}</p>
            <p>It is neither scanned nor seen running on a watched machine, so nothing is known of it. To scan it:</p>
            <Command>{`dockreeve scan IMAGE --server ${location.origin}`}</Command>
            <Link to={IMAGES.path}>All images</Link>
          </div>
        ) : <div className="notice bad" role="alert"><h2><Warn />The image could not be fetched</h2><p>{error.text}</p><button type="button" className="btn" onClick={() => void load()}><Retry />Try again</button></div>}
      </div>
    );
  }
  const known = !i.notAssessed;
  const tabs: Tab[] = [
    { key: "vulnerabilities", label: "Vulnerabilities", count: known ? num(i.counts?.total ?? 0n) : "?", body: () => <Findings image={i} layers={got.layers} told={told} search={search} /> },
    { key: "packages", label: "Packages", count: i.scannedAt > 0n ? num(i.packages) : "?", body: () => <Packages image={i} licences={got.licences} told={told} search={search} /> },
    { key: "layers", label: "Layers", count: got.layers.length ? num(got.layers.length) : "?", body: () => <Layers of={got} /> },
    { key: "secrets", label: skipped(got, "malware") ? "Secrets" : "Secrets & malware", count: i.scannedAt > 0n && !(skipped(got, "secret") && got.secrets.length === 0) ? num(got.secrets.length + got.malware.length) : "?", body: () => <Secrets of={got} /> },
    { key: "configuration", label: "Configuration", count: i.scannedAt > 0n ? num(got.missteps.length) : "?", body: () => <Configuration of={got} /> },
    { key: "history", label: "History", count: "", body: () => <History of={got} /> },
    { key: "running", label: "Where it runs", count: num(got.running.filter((r) => r.until === 0n).length), body: () => <WhereItRuns of={got} /> },
    { key: "gates", label: "Gate runs", count: num(got.gates.length), body: () => <Gates of={got} /> },
    { key: "not-assessed", label: "Not assessed", count: num(got.notAssessed.length), warn: got.notAssessed.length > 0, body: () => <NotAssessedParts of={got} /> },
  ];
  const others = i.names.filter((n) => n !== i.name);
  return (
    <div className="page image">
      {crumb}
      <header className="alert-head">
        <p className="kicker"><b className="mono wrap">{imageName(i)}</b></p>
        <h1>{imageSays(got, exploitedInUse)}.</h1>
        {known && <p className="row verdict"><Counts of={i.counts} packages={i.packages} />{i.counts && i.counts.kev > 0n && <span className="row"><Exploited />{num(i.counts.kev)}</span>}{i.counts && i.counts.unrated > 0n && <span className="muted">{num(i.counts.unrated)} not rated</span>}{i.counts && i.counts.total > 0n && <span className="muted">{num(i.counts.fixable)} of {num(i.counts.total)} fixable</span>}</p>}
        {error && <p className="field-error" role="alert">Not up to date: {error.text}</p>}
        {got.notAssessed.length > 0 && known && <p className="amber"><Warn size={14} />{plural(got.notAssessed.length, "part")} of it could not be assessed: <Link to={`${imageAddress(imageKey)}?tab=not-assessed`}>see which and why</Link></p>}
      </header>
      <dl className="dl wide-facts">
        <div><dt>digest</dt><dd><End mono>{i.key}</End><Copy text={i.key} what="digest" /></dd></div>
        <div><dt>distribution</dt><dd>{i.distro || <span className="muted">{i.scannedAt > 0n ? "none recognised" : "not assessed"}</span>}</dd></div>
        <div><dt>base</dt><dd>{got.base?.name ? <span className="wrap"><Link to={filtered(IMAGES, `base:${quote(got.base.name)}`)}>{got.base.name}</Link>{got.base.layers > 0 ? <span className="muted">, {plural(got.base.layers, "layer")}</span> : null}</span> : <NotAssessed why="none of its layers is known as a base" />}</dd></div>
        <div><dt>scanned</dt><dd>{i.scannedAt > 0n ? <span><Ago ns={i.scannedAt} suffix /><span className="muted">, matched </span>{i.matchedAt > 0n ? <Ago ns={i.matchedAt} suffix /> : "never"}</span> : "never"}</dd></div>
        <div><dt>gate</dt><dd><GateMark of={i.gate} /></dd></div>
        <div><dt>size</dt><dd>{i.size > 0n ? <span>{bytes(i.size)}<span className="muted"> compressed, {i.platform || "platform not told"}</span></span> : <span className="muted">{i.platform || "not assessed"}</span>}</dd></div>
        <div><dt>first seen</dt><dd><span><Ago ns={i.firstSeen} suffix /><span className="muted">{i.source ? `, from ${i.source}` : ""}</span></span></dd></div>
        <div><dt>runs as user</dt><dd>{got.user ? <span className="mono">{got.user}</span> : i.scannedAt > 0n ? "root, as no user is set" : <NotAssessed />}</dd></div>
        {got.entrypoint.length > 0 && <div><dt>starts</dt><dd><End mono>{got.entrypoint.join(" ")}</End></dd></div>}
        {others.length > 0 && <div><dt>also named</dt><dd><span className="wrap" data-tip={others.join("\n")}>{others.slice(0, 2).join(", ")}{others.length > 2 ? ` and ${others.length - 2} more` : ""}</span></dd></div>}
      </dl>
      <Tabs of={tabs} search={search} address={imageAddress(imageKey)} label="Parts of the image" />
    </div>
  );
}
