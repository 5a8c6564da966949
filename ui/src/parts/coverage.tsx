import type { ScanCoverage } from "../gen/dockreeve/v1/dockreeve_pb";
import { useNow } from "../lib/clock";
import { advised } from "../lib/image";
import { filtered, IMAGES } from "../lib/query";
import { num, plural } from "../lib/time";
import { Link } from "./bits";
import { Warn } from "./icons";

const Amber = ({ children }: { children: React.ReactNode }) => <span className="amber"><Warn size={13} />{children}</span>;

/** The denominators of every count of images: what runs, what of it has a verdict, how old that is. */
export function Coverage({ of }: { of: ScanCoverage | undefined }) {
  const now = useNow();
  if (!of) return null;
  const a = advised(of.advisories, now);
  const missing = of.running - of.runningAssessed;
  return (
    <>
      <span>{!of.watching ? <Amber>which images run is not assessed: no node reports containers</Amber>
        : of.running === 0n ? "no image is seen running"
        : missing > 0n ? <Link to={filtered(IMAGES, "running:yes assessed:no")} data-tip={of.notAssessed.slice(0, 5).map((g) => `${g.what}: ${g.reason}`).join("\n")}><Amber>{num(of.runningAssessed)} of {plural(of.running, "running image")} assessed</Amber></Link>
        : <>all {plural(of.running, "running image")} assessed</>}</span>
      <span><Link to="/advisories" data-tip={a.why || undefined}>{a.level === "warn" ? <Amber>advisories {a.short}</Amber> : <>advisories {a.short}</>}</Link></span>
      {of.watching && of.running > 0n && <span>{num(of.gatedRunning)} of {num(of.running)} running passed a gate</span>}
    </>
  );
}
