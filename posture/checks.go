package posture

import "sync"

// checks joins the controls of data/controls.yaml to what judges them. A test holds that
// each control that is not manual has exactly one.
var checks = sync.OnceValue(func() map[string]check {
	return map[string]check{
		// The tenant, as ARM tells it.
		"aks-audit-logs":         auditLogs,
		"aks-defender-profile":   defenderProfile,
		"arc-defender-extension": arcExtension("microsoft.azuredefender.kubernetes", "the Defender extension"),
		"aks-policy-addon":       policyAddon,
		"arc-policy-extension":   arcExtension("microsoft.policyinsights", "the Azure Policy extension"),
		"defender-plan":          defenderPlan,
		"image-scanning":         imageScanning,
		"aks-workload-identity":  workloadIdentity,
		"aks-kms":                kms,
		"aks-authorized-ranges":  authorizedRanges,
		"aks-private-endpoint":   privateEndpoint,
		"aks-private-nodes":      privateNodes,
		"aks-network-policy":     networkPolicy,
		"aks-cni":                cni,
		"aks-entra":              entra,
		"aks-azure-rbac":         azureRBAC,
		"aks-rbac":               rbac,
		"aks-local-accounts":     localAccounts,
		"aks-upgrades":           upgrades,

		"registry-network":         registryNetwork,
		"registry-private-link":    registryPrivateLink,
		"registry-customer-key":    registryCustomerKey,
		"registry-shared-accounts": registryShared,
		"registry-vulnerabilities": registryVulnerabilities,

		// Rights, as the cluster tells them.
		"rbac-cluster-admin":    clusterAdmin,
		"rbac-secrets":          power(powerSecrets),
		"rbac-wildcards":        power(powerWildcard),
		"rbac-create-pods":      power(powerPods),
		"rbac-default-accounts": defaultAccounts,
		"rbac-escalate":         power(powerEscalate),
		"rbac-volumes":          power(powerVolumes),
		"rbac-nodes-proxy":      power(powerNodesProxy),
		"rbac-approve-csr":      power(powerApprove),
		"rbac-webhooks":         power(powerWebhooks),
		"rbac-tokens":           power(powerTokens),

		// Workloads, as the cluster tells them.
		"pods-privileged":           podSecurity("run privileged containers", "privileged", "windowsHostProcess"),
		"pods-host-pid":             hostNamespace("hostPID"),
		"pods-host-ipc":             hostNamespace("hostIPC"),
		"pods-host-network":         hostNamespace("hostNetwork"),
		"pods-host-ports":           podSecurity("take ports of their node", "hostPorts"),
		"pods-privilege-escalation": podSecurity("let processes gain more privileges", "allowPrivilegeEscalation"),
		"pods-security-context":     podRestricted,
		"pods-apparmor":             podSecurity("switch AppArmor off or use a profile of no known origin", "appArmorProfile"),
		"pods-capabilities":         podSecurity("keep capabilities that they could drop", "capabilities_restricted"),
		"pods-root":                 podRoot,
		"pods-cap-sys-admin":        sysAdmin,
		"pods-limits":               limits,
		"pods-read-only-root":       readOnlyRoot,
		"pods-token-mounts":         tokenMounts,
		"pods-host-paths":           hostPaths,
		"pods-registries":           trustedRegistries,
		"secrets-as-files":          secretsAsFiles,
		"secrets-external":          externalSecrets,
		"default-namespace":         defaultNamespace,
		"namespaces-boundaries":     boundaries,
		"network-policies":          networkPolicies,
		"ingress-tls":               ingressTLS,
		"service-ports":             servicePorts,
		"running-vulnerabilities":   runningVulnerabilities,

		// Nodes, as their kubelets and files tell them.
		"node-kubeconfig-mode":   fileMode("kubeconfig"),
		"node-kubeconfig-owner":  fileOwner("kubeconfig"),
		"node-azure-json-mode":   fileMode("azure-json"),
		"node-azure-json-owner":  fileOwner("azure-json"),
		"kubelet-anonymous":      kubeletIs("authentication.anonymous.enabled", "false"),
		"kubelet-authorization":  kubeletNot("authorization.mode", "AlwaysAllow"),
		"kubelet-client-ca":      kubeletNot("authentication.x509.clientCAFile", ""),
		"kubelet-read-only-port": kubeletIs("readOnlyPort", "0"),
		"kubelet-stream-timeout": kubeletNot("streamingConnectionIdleTimeout", "0s", "0"),
		"kubelet-iptables":       kubeletIs("makeIPTablesUtilChains", "true"),
		"kubelet-events":         kubeletEvents,
		"kubelet-rotate-client":  kubeletIs("rotateCertificates", "true"),
		"kubelet-rotate-serving": kubeletServing,
	}
})
