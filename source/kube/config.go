package kube

import (
	"errors"
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ConfigOptions says where to find the address and credentials of an API server, as
// kubectl's flags do.
type ConfigOptions struct {
	Kubeconfig string // file; "" = $KUBECONFIG, else ~/.kube/config, else the pod's service account
	Context    string // of the kubeconfig; "" = its current one
}

// Config is an API server to talk to.
type Config struct {
	REST      *rest.Config
	Cluster   string // its name in the kubeconfig; "" inside a pod
	Context   string // "" inside a pod
	Namespace string // that the context names, or the pod's own; "" = none
}

// LoadConfig finds the configuration of an API server. Its errors say which file is
// meant and what to do.
func LoadConfig(opt ConfigOptions) (Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.WarnIfAllMissing = false
	rules.Warner = func(error) {} // a missing file of several in $KUBECONFIG
	rules.ExplicitPath = opt.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: opt.Context})
	raw, err := loader.RawConfig()
	if err != nil {
		return Config{}, fmt.Errorf("kubeconfig: %w", err)
	}
	if len(raw.Contexts) == 0 && len(raw.Clusters) == 0 && opt.Kubeconfig == "" && opt.Context == "" {
		return inCluster()
	}
	name := raw.CurrentContext
	if opt.Context != "" {
		name = opt.Context
	}
	if name == "" {
		return Config{}, errors.New("the kubeconfig names no current context: choose one with --context or kubectl config use-context")
	}
	ctx := raw.Contexts[name]
	if ctx == nil {
		return Config{}, fmt.Errorf("the kubeconfig has no context %q: kubectl config get-contexts lists them", name)
	}
	cfg, err := loader.ClientConfig()
	if err != nil {
		return Config{}, fmt.Errorf("kubeconfig, context %q: %w", name, err)
	}
	return Config{REST: cfg, Cluster: ctx.Cluster, Context: name, Namespace: ctx.Namespace}, nil
}

func inCluster() (Config, error) {
	cfg, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return Config{}, errors.New("no API server is known: name a kubeconfig with --kubeconfig or KUBECONFIG (inside a pod, its service account is used)")
	}
	if err != nil {
		return Config{}, fmt.Errorf("service account of this pod: %w", err)
	}
	namespace, _ := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace") // only a name to show
	return Config{REST: cfg, Namespace: cut(string(namespace), 63)}, nil
}
