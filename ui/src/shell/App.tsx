import { lazy, Suspense, useEffect } from "react";
import { signedIn } from "../api/client";
import { health, link, run } from "../api/live";
import { useAtom } from "../lib/atom";
import { keyOf, part } from "../lib/entity";
import { useAddress } from "../lib/route";
import { Link, Menu, Tips } from "../parts/bits";
import { Bell, Book, Boxes, Bug, Check, Clipboard, Coin, Door, Hex, Keys, Layers, Ledger, Moon, Person, Pulse, Scales, Screen, SearchIcon, Shield, Sliders, Steps, Sun } from "../parts/icons";
import { Toasts } from "../parts/toast";
import { AlertsScreen } from "../screens/alerts/AlertsScreen";
import { opened, typing } from "./commands";
import { Help } from "./Help";
import { HonestyBar } from "./HonestyBar";
import { Lost } from "./Lost";
import { Search } from "./Search";
import { SignedOut } from "./SignedOut";
import { theme, type Theme } from "./theme";

const AlertScreen = lazy(() => import("../screens/alert/AlertScreen"));
const ClustersScreen = lazy(() => import("../screens/clusters/ClustersScreen"));
const ClusterScreen = lazy(() => import("../screens/cluster/ClusterScreen"));
const WorkloadsScreen = lazy(() => import("../screens/workloads/WorkloadsScreen"));
const WorkloadScreen = lazy(() => import("../screens/workload/WorkloadScreen"));
const IdentitiesScreen = lazy(() => import("../screens/identities/IdentitiesScreen"));
const IdentityScreen = lazy(() => import("../screens/identity/IdentityScreen"));
const AuditScreen = lazy(() => import("../screens/audit/AuditScreen"));
const AuditEventScreen = lazy(() => import("../screens/auditevent/AuditEventScreen"));
const ExposuresScreen = lazy(() => import("../screens/exposures/ExposuresScreen"));
const ExposureScreen = lazy(() => import("../screens/exposure/ExposureScreen"));
const ImagesScreen = lazy(() => import("../screens/images/ImagesScreen"));
const ImageScreen = lazy(() => import("../screens/image/ImageScreen"));
const VulnerabilitiesScreen = lazy(() => import("../screens/vulnerabilities/VulnerabilitiesScreen"));
const VulnerabilityScreen = lazy(() => import("../screens/vulnerability/VulnerabilityScreen"));
const AdvisoriesScreen = lazy(() => import("../screens/advisories/AdvisoriesScreen"));
const GovernanceScreen = lazy(() => import("../screens/governance/GovernanceScreen"));
const GovernanceClusterScreen = lazy(() => import("../screens/governancecluster/GovernanceClusterScreen"));
const CostScreen = lazy(() => import("../screens/cost/CostScreen"));
const ComplianceScreen = lazy(() => import("../screens/compliance/ComplianceScreen"));
const ControlScreen = lazy(() => import("../screens/compliance/ControlScreen"));
const RecommendationsScreen = lazy(() => import("../screens/recommendations/RecommendationsScreen"));
const RecommendationScreen = lazy(() => import("../screens/recommendations/RecommendationScreen"));
const PlaybookScreen = lazy(() => import("../screens/playbook/PlaybookScreen"));
const RulesScreen = lazy(() => import("../screens/rules/RulesScreen"));
const HealthScreen = lazy(() => import("../screens/health/HealthScreen"));

interface Room { to: string; name: string; short?: string; icon: React.ReactNode } // short is for a phone

// The rooms that exist. One line for each screen.
const rooms: Array<{ group: string; items: Room[] }> = [
  { group: "Respond", items: [{ to: "/alerts", name: "Alerts", icon: <Bell /> }, { to: "/audit", name: "Audit", icon: <Ledger /> }] },
  { group: "Inventory", items: [{ to: "/clusters", name: "Clusters", icon: <Hex /> }, { to: "/workloads", name: "Workloads", icon: <Boxes /> }, { to: "/images", name: "Images", icon: <Layers /> }, { to: "/identities", name: "Identities", icon: <Person /> }] },
  { group: "Risk", items: [{ to: "/vulnerabilities", name: "Vulnerabilities", short: "Vulns", icon: <Bug /> }, { to: "/exposure", name: "Exposure", icon: <Door /> }] },
  { group: "Govern", items: [{ to: "/governance", name: "Governance", short: "Govern", icon: <Shield /> }, { to: "/cost", name: "Cost", icon: <Coin /> }, { to: "/compliance", name: "Compliance", short: "Comply", icon: <Scales /> }, { to: "/recommendations", name: "Recommendations", short: "To do", icon: <Steps /> }, { to: "/playbook", name: "Playbook", icon: <Clipboard /> }] },
  { group: "Tune", items: [{ to: "/rules", name: "Rules", icon: <Sliders /> }, { to: "/advisories", name: "Advisories", icon: <Book /> }, { to: "/health", name: "Health", icon: <Pulse /> }] },
];

function screen(address: string) {
  const [path = "/", search = ""] = address.split(/(?=\?)/);
  if (path === "/" || path === "/alerts" || path === "/alerts/") return <AlertsScreen search={search} />;
  const [, list, name] = /^\/(alerts|images|vulnerabilities)\/([^/]+)$/.exec(path) ?? [];
  const id = name === undefined ? null : part(name);
  if (id !== null && list === "alerts") return <AlertScreen id={id} key={id} />;
  if (id !== null && list === "images") return <ImageScreen imageKey={id} search={search} key={id} />;
  if (id !== null && list === "vulnerabilities") return <VulnerabilityScreen id={id} key={id} />;
  const [, inside, home, rest] = /^\/(workloads|identities|exposure)\/([^/]+)\/(.+)$/.exec(path) ?? [];
  if (home !== undefined && rest !== undefined) {
    const cluster = keyOf(home), key = keyOf(rest), at = `${cluster}/${key}`;
    if (inside === "workloads") return <WorkloadScreen cluster={cluster} id={key} key={at} />;
    if (inside === "identities") return <IdentityScreen cluster={cluster} id={key} key={at} />;
    return <ExposureScreen cluster={cluster} id={key} key={at} />;
  }
  const [, room, one] = /^\/(clusters|audit|governance|compliance|recommendations)\/([^/]+)$/.exec(path) ?? [];
  if (one !== undefined && room === "clusters") return <ClusterScreen name={keyOf(one)} search={search} key={one} />;
  if (one !== undefined && room === "governance") return <GovernanceClusterScreen id={keyOf(one)} search={search} key={one} />;
  if (one !== undefined && room === "compliance") return <ControlScreen id={keyOf(one)} search={search} key={one} />;
  if (one !== undefined && room === "recommendations") return <RecommendationScreen id={keyOf(one)} key={one} />;
  if (one !== undefined) return <AuditEventScreen id={keyOf(one)} key={one} />;
  switch (path.replace(/(.)\/$/, "$1")) {
    case "/images": return <ImagesScreen search={search} />;
    case "/clusters": return <ClustersScreen search={search} />;
    case "/workloads": return <WorkloadsScreen search={search} />;
    case "/identities": return <IdentitiesScreen search={search} />;
    case "/audit": return <AuditScreen search={search} />;
    case "/exposure": return <ExposuresScreen search={search} />;
    case "/vulnerabilities": return <VulnerabilitiesScreen search={search} />;
    case "/governance": return <GovernanceScreen search={search} />;
    case "/cost": return <CostScreen search={search} />;
    case "/compliance": return <ComplianceScreen search={search} />;
    case "/recommendations": return <RecommendationsScreen search={search} />;
    case "/playbook": return <PlaybookScreen search={search} />;
    case "/advisories": return <AdvisoriesScreen />;
    case "/rules": return <RulesScreen search={search} />;
    case "/health": return <HealthScreen />;
  }
  return (
    <div className="page"><div className="notice"><h1>There is no page at {path}</h1><p>Pages are {rooms.flatMap((g) => g.items).map((r, i) => <span key={r.to}>{i > 0 && ", "}<Link to={r.to}>{r.name}</Link></span>)}. An alert's page is /alerts/ and its id, an image's /images/ and its digest, a vulnerability's /vulnerabilities/ and its id, a workload's /workloads/, its cluster and namespace/Kind/name.</p></div></div>
  );
}

export function App() {
  const address = useAddress();
  const inside = useAtom(signedIn);
  const win = useAtom(opened);
  const l = useAtom(link);
  const room = address.split(/[/?]/)[1] ?? "";
  useEffect(() => { document.querySelector(".room[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }); }, [room]); // on a phone not all rooms fit
  const h = useAtom(health);
  useEffect(() => { if (inside) void run(); }, [inside]);
  useEffect(() => {
    const key = (e: KeyboardEvent) => {
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "k") {
        e.preventDefault();
        if (!document.querySelector("dialog[open]")) opened.set("search");
      } else if (e.key === "?" && !typing(e)) {
        e.preventDefault();
        opened.set("help");
      }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
  if (!inside) return <><SignedOut /><Tips /></>;
  return (
    <div className="shell">
      <a className="skip" href="#screen" onClick={(e) => { e.preventDefault(); document.getElementById("screen")?.focus(); }}>Skip to the page</a>
      <nav className="nav" aria-label="Rooms">
        <Link to="/alerts" className="brand" aria-label="Dockreeve, alerts"><img src="/favicon.svg" width="22" height="22" alt="" /><span>Dockreeve</span></Link>
        {rooms.map((g) => (
          <div className="group" key={g.group}>
            <div className="label" id={`g-${g.group}`}>{g.group}</div>
            <ul aria-labelledby={`g-${g.group}`}>
              {g.items.map((r) => (
                <li key={r.to}><Link to={r.to} className="room" aria-current={new RegExp(`^${r.to}(/|\\?|$)`).test(address) || (r.to === "/alerts" && address.startsWith("/?")) || (r.to === "/alerts" && address === "/") ? "page" : undefined}>{r.icon}<span>{r.short ? <><span className="long">{r.name}</span><span className="short" aria-hidden="true">{r.short}</span></> : r.name}</span></Link></li>
              ))}
            </ul>
          </div>
        ))}
        <div className="grow" />
        <div className="tools">
          <ThemeMenu />
          <button type="button" className="btn plain icon keys-button" aria-label="keys and filters" data-tip="Keys and filters" onClick={() => opened.set("help")}><Keys /></button>
        </div>
        {h && <div className="version clip" data-tip={`version ${h.status.version}`}>{h.status.version}</div>}
      </nav>
      <header className="top">
        <HonestyBar path={address.split("?")[0]!} />
        <button type="button" className="btn find" onClick={() => opened.set("search")}><SearchIcon /><span>Search</span><kbd>Ctrl K</kbd></button>
      </header>
      <main id="screen" tabIndex={-1} className="screen">
        {l.state === "lost" && <div className="lost"><Lost /></div>}
        <Suspense fallback={<div className="page"><span className="skeleton" style={{ height: 22, width: 320 }} /></div>}>{screen(address)}</Suspense>
      </main>
      {win === "search" && <Search />}
      {win === "help" && <Help />}
      <Toasts />
      <Tips />
    </div>
  );
}

function ThemeMenu() {
  const t = useAtom(theme);
  const all: Array<[Theme, string, React.ReactNode]> = [["light", "Light", <Sun key="l" />], ["dark", "Dark", <Moon key="d" />], ["system", "As the system", <Screen key="s" />]];
  return (
    <div className="theme-menu">
      <Menu bare name={`theme: ${t}`} label={all.find(([k]) => k === t)?.[2]} className="btn plain icon">
        {(close) => all.map(([k, name, icon]) => (
          <button key={k} type="button" className="item" aria-pressed={t === k} onClick={() => { theme.set(k); close(); }}>{icon}<span className="grow">{name}</span>{t === k && <Check />}</button>
        ))}
      </Menu>
    </div>
  );
}
