// Fields that filters of governance may name, for completion. The server says which
// exist; a Go test asks it about every example.
import type { FieldHint } from "./fields";

export const GOVERNED_FIELDS: readonly FieldHint[] = [
  ["cluster", "its name or ARM id", "cluster:prod*"],
  ["owner", "who answers for it", "owner:unowned"],
  ["environment", "production, staging…", "environment:production"],
  ["production", "whether it counts as production", "production:yes"],
  ["protected", "yes, no, unknown", "protected:no"],
  ["profile", "Defender profile: yes, no, unknown", "profile:no"],
  ["plan", "Defender plan: yes, no, unknown", "plan:no"],
  ["agents", "Dockreeve's agents: yes, no, unknown", "agents:yes"],
  ["inside", "closed, open, not-assessed", "inside:open"],
  ["images", "closed, open, not-assessed", "images:open"],
  ["runtime", "closed, open, not-assessed", "runtime:open"],
  ["enforcement", "closed, open, not-assessed", "enforcement:open"],
  ["onboarded", "whether Dockreeve sees it itself", "onboarded:no"],
  ["subscription", "its subscription", "subscription:sub-pay*"],
  ["kind", "aks, arc, other", "kind:arc"],
  ["location", "its region", "location:westeurope"],
  ["score", "of the chosen benchmark, 0 to 100", "score:<60"],
  ["critical", "critical vulnerabilities that run", "critical:>0"],
  ["alerts", "open high and critical alerts", "alerts:>0"],
  ["anomaly", "its cost or nodes are unusual", "anomaly:yes"],
  ["budget", "within, near, over, none", "budget:over"],
  ["cost", "month to date, in currency units", "cost:>=1000"],
];

export const RECOMMENDATION_FIELDS: readonly FieldHint[] = [
  ["id", "of the control", "id:aks-*"],
  ["owner", "who is to do it", "owner:payments"],
  ["severity", "how bad it is", "severity:>=high"],
  ["source", "dockreeve, defender", "source:defender"],
  ["overdue", "its time to fix is over", "overdue:yes"],
  ["disagree", "Defender and Dockreeve do not say the same", "disagree:yes"],
  ["fixed", "verified by evaluation", "fixed:no"],
  ["effort", "1 a setting, 2 a change, 3 a project", "effort:1"],
  ["title", "its title", "title:*network*"],
];

export const RESULT_FIELDS: readonly FieldHint[] = [
  ["control", "id of the control", "control:aks-authorized-ranges"],
  ["verdict", "pass, fail, not-assessed, exempt", "verdict:fail"],
  ["cluster", "name or ARM id", "cluster:*prod*"],
  ["resource", "what was judged", "resource:*registries*"],
  ["owner", "who answers for it", "owner:payments"],
  ["severity", "of the control", "severity:>=high"],
  ["framework", "a benchmark that it belongs to", "framework:cis-aks-1.8"],
];

export const GOVERN_VALUES: Readonly<Record<string, readonly string[]>> = {
  protected: ["no", "yes", "unknown"], profile: ["no", "yes", "unknown"], plan: ["no", "yes", "unknown"], agents: ["yes", "no", "unknown"], production: ["yes", "no"], onboarded: ["no", "yes"], anomaly: ["yes", "no"],
  inside: ["open", "not-assessed", "closed"], images: ["open", "not-assessed", "closed"], runtime: ["open", "not-assessed", "closed"], enforcement: ["open", "not-assessed", "closed"],
  environment: ["production", "staging", "test", "development", "unknown"], owner: ["unowned"], kind: ["aks", "arc", "other"], budget: ["over", "near", "within", "none"],
  severity: [">=high", "critical", "high", "medium", "low"], source: ["dockreeve", "defender"], overdue: ["yes", "no"], disagree: ["yes", "no"], fixed: ["no", "yes"], effort: ["1", "2", "3"],
  verdict: ["fail", "not-assessed", "exempt", "pass", "not-applicable"],
};
