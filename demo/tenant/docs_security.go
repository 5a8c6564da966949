package tenant

import (
	"fmt"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

var planParts = []string{cloud.ExtRegistries, cloud.ExtDiscovery, cloud.ExtVMScanning, cloud.ExtSensor, cloud.ExtIntegrity}

func yesNo(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// planParts are the plan's extensions as pricings give them: isEnabled is a word.
func partDocs(standard bool, off []string, gating bool) []doc {
	var out []doc
	for _, name := range planParts {
		enabled := standard
		for _, o := range off {
			enabled = enabled && o != name
		}
		d := doc{"name": name, "isEnabled": yesNo(enabled), "additionalExtensionProperties": nil}
		if enabled {
			d["operationStatus"] = doc{"code": "Succeeded", "message": "Successfully enabled extension"}
		}
		if name == cloud.ExtVMScanning && enabled {
			d["additionalExtensionProperties"] = doc{"ExclusionTags": "[]"}
		}
		if name == cloud.ExtSensor && enabled {
			d["additionalExtensionProperties"] = doc{"SecurityGatingEnabled": yesNo(gating)}
		}
		out = append(out, d)
	}
	return out
}

// planDocs are a subscription's pricings: Containers, the older names where the plan is
// on by them, and one that has nothing to do with containers.
func (w *World) planDocs(s *subscription, out emit) error {
	add := func(name string, p doc) error {
		return out(doc{"id": s.path() + "/providers/Microsoft.Security/pricings/" + name, "name": name, "type": "Microsoft.Security/pricings", "properties": p})
	}
	free := doc{"pricingTier": "Free", "freeTrialRemainingTime": "P30D", "enforce": "False"}
	containers := doc{"pricingTier": "Free", "freeTrialRemainingTime": "P30D", "enforce": "False", "extensions": partDocs(false, nil, false)}
	switch s.Plan {
	case planOn, planPartial, planTrial:
		left := "PT0S"
		if s.Plan == planTrial {
			left = fmt.Sprintf("P%dDT%dH", max(1, 30-int(w.now.Sub(s.Since).Hours()/24)), 3)
		}
		containers = doc{"pricingTier": "Standard", "freeTrialRemainingTime": left, "enablementTime": micro(s.Since), "enforce": "False",
			"extensions": partDocs(true, s.Off, s.i%3 == 0), "resourcesCoverageStatus": "FullyCovered"}
	}
	if err := add("Containers", containers); err != nil {
		return err
	}
	if s.Plan == planLegacy {
		for _, name := range []string{"KubernetesService", "ContainerRegistry"} {
			if err := add(name, doc{"pricingTier": "Standard", "freeTrialRemainingTime": "PT0S", "enablementTime": micro(s.Since.AddDate(-2, 0, 0)), "deprecated": true, "replacedBy": []string{"Containers"}}); err != nil {
				return err
			}
		}
	}
	return add("VirtualMachines", free)
}

// clusterPlanDocs is the plan as it stands at one cluster.
func (w *World) clusterPlanDocs(c *cluster, out emit) error {
	p := doc{"pricingTier": "Free", "freeTrialRemainingTime": "PT0S", "inherited": "True", "inheritedFrom": c.sub.path(), "extensions": partDocs(false, nil, false)}
	switch {
	case c.Override != "":
		p["inherited"], p["pricingTier"], p["extensions"] = "False", c.Override, partDocs(c.Override == "Standard", nil, false)
		delete(p, "inheritedFrom")
		if c.Override == "Standard" {
			p["enablementTime"] = micro(w.ago(40 * 24 * time.Hour))
		}
	case c.planned() && c.sub.Plan != planLegacy:
		p["pricingTier"], p["enablementTime"], p["extensions"] = "Standard", micro(c.sub.Since), partDocs(true, c.sub.Off, c.Gating)
	}
	return out(doc{"id": c.path() + "/providers/Microsoft.Security/pricings/Containers", "name": "Containers", "type": "Microsoft.Security/pricings", "properties": p})
}

// notice is an alert of Defender as the demo tells it.
type notice struct {
	Type, Title, Text, Severity, Intent string
	Techniques                          []string
	Node                                bool // of the sensor: with a process
}

var notices = map[string]notice{
	"miner":    {"K8S.NODE_CryptoCoinMinerExecution", "Potential crypto coin miner started", "A process in a container was started the way coin miners are started.", "Medium", "Execution", []string{"T1496"}, true},
	"identity": {"K8S_AbnormalMiActivity", "Abnormal activity of managed identity associated with Kubernetes (Preview)", "The identity of an add-on did what that add-on never does.", "Medium", "LateralMovement", []string{"T1528"}, false},
	"priv":     {"K8S_PrivilegedContainer", "Privileged container detected", "A container runs with all powers of its node.", "Informational", "PrivilegeEscalation", []string{"T1611"}, false},
	"exposed":  {"K8S_ExposedDashboard", "Exposed Kubernetes dashboard detected", "A dashboard can be reached from outside the cluster.", "High", "InitialAccess", []string{"T1133"}, false},
	"shell":    {"K8S.NODE_ReverseShell", "Potential reverse shell detected", "A shell was connected to an address outside.", "Medium", "Exfiltration", []string{"T1059"}, true},
	"drift":    {"K8S.NODE_DriftDetection", "A drift binary detected executing in the container", "A program ran that is not part of the image.", "High", "Execution", []string{"T1105"}, true},
	"imds":     {"K8S.NODE_ImdsCall", "Access to cloud metadata service detected", "A container asked the metadata service of its node.", "Medium", "CredentialAccess", []string{"T1552.005"}, true},
}

func (w *World) alertDocs(s *subscription, out emit) error {
	for _, c := range s.clusters {
		if !c.planned() {
			continue
		}
		r := w.rng("alerts|"+c.Name, 0)
		if c.Story == "miner" && (c.Profile || c.Helm) {
			if err := out(w.alertDoc(c, notices["miner"], w.day(3).Add(2*time.Hour+40*time.Minute), "Active", minerWork)); err != nil {
				return err
			}
		}
		if c.Story == "stolen-identity" {
			if err := out(w.alertDoc(c, notices["identity"], w.day(5).Add(23*time.Hour), "Active", "")); err != nil {
				return err
			}
		}
		n := 0
		if chance(r, 40) {
			n = 1 + r.IntN(3)
		}
		for range n {
			of := notices[one(r, []string{"priv", "priv", "priv", "exposed", "shell", "drift", "imds"})]
			if of.Node && !c.Profile && !c.Helm {
				continue
			}
			work := one(r, w.workOf(c))
			if err := out(w.alertDoc(c, of, w.ago(time.Duration(1+r.IntN(80*24))*time.Hour), one(r, []string{"Active", "Active", "InProgress", "Resolved", "Dismissed"}), work)); err != nil {
				return err
			}
		}
	}
	return nil
}

// minerWork is the workload in which the miner of the story runs: namespace/Kind/name.
const minerWork = "batch/Deployment/queue-worker"

func (w *World) alertDoc(c *cluster, n notice, at time.Time, status, work string) doc {
	id := w.guidOf("alert", c.Name, n.Type, micro(at), work)
	path := c.path()
	ref := doc{"$id": "2", "resourceId": path, "type": "azure-resource"}
	cluster := doc{"$id": "3", "cloudResource": doc{"$ref": "2"}, "type": "K8s-cluster"}
	entities := []doc{{"$id": "1", "dnsDomain": "", "ntDomain": "", "hostName": c.Name, "type": "host"}, ref, cluster}
	more := doc{"resourceType": "Kubernetes Service", "EffectiveAzureResourceId": path, "EffectiveSubscriptionId": c.sub.GUID, "CompromisedEntity": path, "ProductComponentName": "Containers", "actionTaken": "Detected"}
	if work != "" {
		ns, _, name := splitWork(work)
		pod := podName(w, c, work, 0)
		entities = append(entities, doc{"$id": "4", "name": ns, "cluster": doc{"$ref": "3"}, "type": "K8s-namespace"},
			doc{"$id": "5", "name": pod, "namespace": doc{"$ref": "4"}, "type": "K8s-pod"},
			doc{"$id": "6", "imageId": w.imageOf(c, work), "type": "container-image"},
			doc{"$id": "7", "name": name, "image": doc{"$ref": "6"}, "pod": doc{"$ref": "5"}, "type": "container"})
		more["Namespace"], more["Pod name"], more["Container name"], more["Image name"] = ns, pod, name, w.imageOf(c, work)
		if n.Node {
			line := map[string]string{"K8S.NODE_CryptoCoinMinerExecution": "/tmp/.x/kworkerd -o stratum+tcp://pool.miner.example:3333 --threads 24", "K8S.NODE_ReverseShell": "sh -i", "K8S.NODE_DriftDetection": "/tmp/update", "K8S.NODE_ImdsCall": "curl -H Metadata:true http://169.254.169.254/metadata/identity"}[n.Type]
			entities = append(entities, doc{"$id": "8", "processId": fmt.Sprintf("0x%x", 4000+c.i), "commandLine": line, "imageFile": doc{"$ref": "9"}, "creationTimeUtc": micro(at), "type": "process"},
				doc{"$id": "9", "directory": "/tmp", "name": strings.Fields(line)[0], "type": "file"})
			more["Suspicious Process"], more["Suspicious Command Line"] = strings.Fields(line)[0], line
		}
	} else {
		use := "omsagent"
		entities = append(entities, doc{"$id": "4", "name": "omsagent-" + strings.ToLower(c.Name), "aadUserId": c.identity[use][1], "type": "account"},
			doc{"$id": "5", "address": stolenFrom, "type": "ip"})
		more["Managed identity"], more["Operation"], more["Caller IP address"] = c.identityPath(use), "Microsoft.Storage/storageAccounts/listKeys/action", stolenFrom
	}
	return doc{"id": c.sub.path() + "/resourceGroups/" + c.RG + "/providers/Microsoft.Security/locations/" + c.Region.Name + "/alerts/" + id, "name": id, "type": "Microsoft.Security/Locations/alerts",
		"properties": doc{"version": "2022-01-01.0", "alertType": n.Type, "systemAlertId": id, "productComponentName": "Containers", "productName": "Microsoft Defender for Cloud", "vendorName": "Microsoft",
			"alertDisplayName": n.Title, "description": n.Text, "severity": n.Severity, "intent": n.Intent, "startTimeUtc": micro(at), "endTimeUtc": micro(at.Add(90 * time.Second)),
			"timeGeneratedUtc": micro(at.Add(7 * time.Minute)), "processingEndTimeUtc": micro(at.Add(6 * time.Minute)), "status": status, "isIncident": false, "correlationKey": nil, "compromisedEntity": c.Name,
			"resourceIdentifiers": []doc{{"$id": "r1", "type": "AzureResource", "azureResourceId": path}, {"$id": "r2", "type": "AAD", "aadTenantId": w.tenant}},
			"remediationSteps":    []string{"Look at what ran and who started it.", "Isolate the pod where it was not meant to run."},
			"extendedLinks":       nil, "alertUri": "https://portal.azure.com/#blade/Microsoft_Azure_Security_AzureDefenderForData/AlertBlade/alertId/" + id + "/subscriptionId/" + c.sub.GUID,
			"entities": entities, "extendedProperties": more, "techniques": n.Techniques, "subTechniques": []string{}, "supportingEvidence": nil}}
}

// assessed are recommendations of Defender that the demo holds: key, title, severity,
// policy, and whether a cluster meets it.
var assessed = []struct {
	Key, Title, Severity, Policy string
	Healthy                      func(c *cluster) bool
}{
	{"56a83a6e-c417-42ec-b567-1e6fcb3d09a9", "Azure Kubernetes Service clusters should have Defender profile enabled", "High", "a1840de2-8088-4ea8-b153-b4c723e9cb01", func(c *cluster) bool { return c.Profile }},
	{"08e628db-e2ed-4793-bc91-d13e684401c3", "Azure Kubernetes Service clusters should have the Azure Policy add-on for Kubernetes installed", "High", "0a15ec92-a229-4763-bb14-0ea34a568f8d", func(c *cluster) bool { return c.Policy }},
	{"bb318338-de6a-42ff-8428-8274c897d564", "Diagnostic logs in Kubernetes services should be enabled", "Low", "245fc9df-fa96-4414-9a0b-3738c2f7341c", func(c *cluster) bool { return c.Logs.Kind != "" || len(c.Logs.More) > 0 }},
	{"1a2b5b4c-f80d-46e7-ac81-b51a9fb363de", "Kubernetes API server should be configured with restricted access", "High", "0e246bcf-5f6f-4f87-bc6f-775d4712c7ea", func(c *cluster) bool { return c.Private || len(c.Ranges) > 0 }},
	{"c609cf0f-71ab-41e9-a3c6-9a1f7fe1b8d5", "Azure running container images should have vulnerabilities resolved", "High", "17f4b1cc-c55c-4d94-b1f9-2978f6ac2957", func(c *cluster) bool { return c.few(50) }},
}

const arcDefender = "3ef9848c-c2c8-4ff3-8b9c-4c8eb8ddfce6"

func (w *World) assessmentDocs(s *subscription, out emit) error {
	if s.Plan == planOff {
		return nil
	}
	add := func(c *cluster, key, title, severity, policy string, healthy bool) error {
		status := doc{"code": "Healthy"}
		if !healthy {
			status = doc{"code": "Unhealthy"}
		}
		if c.Stopped {
			status = doc{"code": "NotApplicable", "cause": "OffByPolicy", "description": "the cluster is stopped"}
		}
		status["firstEvaluationDate"], status["statusChangeDate"] = micro(c.Created.Add(20*time.Hour)), micro(w.ago(time.Duration(24+c.Flags%1500)*time.Hour))
		return out(doc{"id": strings.ToLower(c.path()) + "/providers/Microsoft.Security/assessments/" + key, "name": key, "type": "Microsoft.Security/assessments",
			"properties": doc{"displayName": title, "resourceDetails": doc{"source": "Azure", "id": strings.ToLower(c.path())}, "status": status, "additionalData": doc{},
				"metadata": doc{"displayName": title, "assessmentType": "BuiltIn", "severity": severity, "policyDefinitionId": definitionPath(policy), "categories": []string{"Container"}, "implementationEffort": "Low", "userImpact": "Low"},
				"links":    doc{"azurePortal": "portal.azure.com/#blade/Microsoft_Azure_Security/RecommendationsBlade/assessmentKey/" + key}}})
	}
	for _, c := range s.clusters {
		if c.Arc {
			if err := add(c, arcDefender, "Azure Arc-enabled Kubernetes clusters should have the Defender extension installed", "High", "8dfab9c4-fe7b-49ad-85e4-1e9be085358f", c.Profile); err != nil {
				return err
			}
			continue
		}
		for _, a := range assessed {
			if err := add(c, a.Key, a.Title, a.Severity, a.Policy, a.Healthy(c)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *World) suppressionDocs(s *subscription, out emit) error {
	if s.i%9 != 0 || s.Plan == planOff || len(s.clusters)+len(s.regs) == 0 {
		return nil
	}
	add := func(name, kind, reason, state, comment string, expires time.Time, scope []doc) error {
		p := doc{"alertType": kind, "reason": reason, "state": state, "comment": comment, "lastModifiedUtc": micro(s.Since)}
		if !expires.IsZero() {
			p["expirationDateUtc"] = micro(expires)
		}
		if len(scope) > 0 {
			p["suppressionAlertsScope"] = doc{"allOf": scope}
		}
		return out(doc{"id": s.path() + "/providers/Microsoft.Security/alertsSuppressionRules/" + name, "name": name, "type": "Microsoft.Security/alertsSuppressionRules", "properties": p})
	}
	if err := add("quiet-privileged", "K8S_PrivilegedContainer", "Noise", "Enabled", "build agents need it", time.Time{}, []doc{{"field": "entities.kubernetesnamespace.name", "in": []string{"build"}}}); err != nil {
		return err
	}
	if s.i%2 == 0 {
		if err := add("drift-deploys", "K8S.NODE_DriftDetection", "FalsePositive", "Expired", "while the agent updates itself", w.ago(50*24*time.Hour), []doc{{"field": "entities.process.commandline", "contains": "selfupdate"}}); err != nil {
			return err
		}
	}
	if s.i == 0 {
		return add("everything", "*", "Other", "Enabled", "", time.Time{}, nil)
	}
	return nil
}
