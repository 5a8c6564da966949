package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// kubeStep is one thing an attacker does in or to a cluster.
type kubeStep struct {
	Attack, Say, Shown string
	Node               []string // rules that the sensor of the pod's node must raise
	API                []string // rules that the API server's audit events must raise
	Do                 func(context.Context) (string, error)
	Proof              string // as step.Proof; "" = no error is proof enough
}

// kubeStory is the demo in a cluster as it goes on: what a step finds, later ones use.
type kubeStory struct {
	world *kubeWorld
	shop  *kubeVictim
	shell *kubeVictim // the privileged pod; nil until it is there
	me    string      // identity of who runs the demo
	thief *kubeAPI    // speaks as the shop's account, from its pod; nil until the token is stolen
}

// robbed is the identity of the shop's service account.
func (s *kubeStory) robbed() string { return "serviceaccount:" + s.world.namespace + "/" + demoShop }

// steps are the node's attacks, in a real pod, and what only the API server sees.
func (s *kubeStory) steps() []kubeStep {
	var out []kubeStep
	for _, a := range attacks() {
		for _, st := range a.Steps {
			k := kubeStep{Attack: a.Name, Say: st.Say, Shown: st.Shown, Node: st.Expect, Proof: st.Proof,
				Do: func(ctx context.Context) (string, error) { return st.Do(ctx, s.shop) }}
			shell := func(command string) func(context.Context) (string, error) {
				return func(ctx context.Context) (string, error) { return s.shop.Run(ctx, "", "/bin/sh", "-c", command) }
			}
			switch {
			case slices.Contains(st.Expect, "service-account-token-read"): // a real one: not to be printed
				k.Shown, k.Proof = "cat "+tokenFile+" > /dev/null && echo read", "read"
				k.Do = shell(k.Shown)
			case slices.Contains(st.Expect, "metadata-service-by-hand"): // which may exist here
				k.Shown, k.Proof = "timeout 5 /bin/wget -q -O /dev/null '"+metadataURL+"'; echo asked", "asked"
				k.Do = shell(k.Shown)
			}
			out = append(out, k)
		}
	}
	// Every step above begins with an exec; one alert stands for them all.
	out[0].API = []string{"k8s-exec"}
	get := func(what string) string { return "curl -H 'Authorization: Bearer (stolen)' …" + what }
	return append(out,
		kubeStep{Attack: "token", Say: "Somebody lets the shop's account read secrets", Shown: "kubectl create rolebinding " + demoReader + " …",
			API: []string{"k8s-dangerous-grant"}, Do: s.world.bindReader},
		kubeStep{Attack: "token", Say: "The pod's token is copied and used through the pod: what may it do?", Shown: get("/selfsubjectrulesreviews"),
			API: []string{"k8s-service-account-recon"}, Do: s.recon},
		kubeStep{Attack: "token", Say: "It lists the namespace's secrets and reads them one by one", Shown: get("/secrets"),
			API: []string{"k8s-secrets-read-in-bulk"}, Do: s.secrets, Proof: "read"},
		kubeStep{Attack: "node", Say: "A privileged pod is started", Shown: "kubectl run " + demoShell + " --privileged …",
			API: []string{"k8s-privileged-container"}, Do: s.privileged},
		kubeStep{Attack: "node", Say: "From it a command runs on the node itself", Shown: intoNode,
			Node: []string{"container-nsenter", "container-on-host"}, Do: s.escape, Proof: "uid=0"},
		kubeStep{Attack: "cluster-admin", Say: "An account is made cluster administrator, for a moment", Shown: "kubectl create clusterrolebinding " + demoBinding + " …",
			API: []string{"k8s-cluster-admin-binding"}, Do: s.world.bindAdmin},
	)
}

// by is who does what the API server sees in a step.
func (s *kubeStory) by(rule string) string {
	if rule == "k8s-service-account-recon" || rule == "k8s-secrets-read-in-bulk" {
		return s.robbed()
	}
	return s.me
}

// in is the container in which a step's programs run; nil = it is not there.
func (s *kubeStory) in(rule string) *kubeVictim {
	if rule == "container-nsenter" || rule == "container-on-host" {
		return s.shell
	}
	return s.shop
}

func (s *kubeStory) recon(ctx context.Context) (_ string, err error) {
	if s.thief, err = s.shop.relay(ctx); err != nil {
		return "", err
	}
	review := object{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": object{"namespace": s.world.namespace}}
	return "it was told", s.thief.do(ctx, http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review, nil)
}

func (s *kubeStory) secrets(ctx context.Context) (string, error) {
	if s.thief == nil {
		return "", errors.New("there is no stolen token")
	}
	var list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	// The API server learns of the binding a moment after it is made.
	err := until(ctx, "wait for the right to read secrets", func() (bool, error) {
		err := s.thief.do(ctx, http.MethodGet, s.world.core("secrets"), nil, &list)
		if isCode(err, http.StatusForbidden) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return "", err
	}
	for _, item := range list.Items {
		if err := s.thief.do(ctx, http.MethodGet, s.world.core("secrets/"+item.Metadata.Name), nil, nil); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d read", len(list.Items)), nil
}

func (s *kubeStory) privileged(ctx context.Context) (_ string, err error) {
	s.shell, err = s.world.nodeShell(ctx)
	return "it runs", err
}

// intoNode runs a command on the node's files. Where nobody may look at process 1, the
// kernel's own process 2 leads to the same place.
const intoNode = "nsenter -t 1 -m -- /bin/sh -c id || nsenter -t 2 -m -- /bin/sh -c id"

func (s *kubeStory) escape(ctx context.Context) (string, error) {
	if s.shell == nil {
		return "", errors.New("there is no privileged pod")
	}
	return s.shell.Run(ctx, "", "/bin/sh", "-c", intoNode)
}
