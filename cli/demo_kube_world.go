package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Names of what the demo makes in a cluster.
const (
	demoLabel   = "app.kubernetes.io/managed-by"
	demoMark    = "dockreeve-demo"
	demoOwner   = "dockreeve-demo" // of the namespace, so that alerts have an owner
	demoShop    = "shop"           // deployment, its container, its account
	demoReader  = "shop-secrets"   // role and its binding
	demoOther   = "intruder"       // account that is made cluster administrator
	demoBinding = "dockreeve-demo-intruder"
	demoShell   = "node-shell" // privileged pod
	demoSecrets = 20           // made-up secrets
	agentByHand = "curl/8.5.0 (dockreeve demo)"
)

// kubeWorld is what the demo makes in a cluster, and takes away again.
type kubeWorld struct {
	api       *kubeAPI
	namespace string
	image     string
}

func (w *kubeWorld) core(rest string) string { return "/api/v1/namespaces/" + w.namespace + "/" + rest }

func (w *kubeWorld) rbac(rest string) string {
	return "/apis/rbac.authorization.k8s.io/v1/namespaces/" + w.namespace + "/" + rest
}

const (
	clusterBindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
	rbacGroup       = "rbac.authorization.k8s.io"
)

func meta(name string) object {
	return object{"name": name, "labels": object{demoLabel: demoMark, "app": name}}
}

// plan says, a line each, what will be made and done.
func (w *kubeWorld) plan() []string {
	return []string{
		fmt.Sprintf("namespace %s, labelled %s=%s, owner=%s, in which privileged pods are allowed", w.namespace, demoLabel, demoMark, demoOwner),
		fmt.Sprintf("deployment %s: one pod of %s, a made-up web shop that listens on its own loopback address only", demoShop, w.image),
		fmt.Sprintf("service account %s, and role and binding %s: it may read secrets of this namespace", demoShop, demoReader),
		fmt.Sprintf("%d secrets with made-up content", demoSecrets),
		fmt.Sprintf("pod %s of %s: privileged, with the node's processes; in it nsenter runs \"id\" on the node, and nothing else", demoShell, w.image),
		fmt.Sprintf("cluster role binding %s: cluster-admin for the service account %s, of which no token is made; it is deleted at once", demoBinding, demoOther),
	}
}

// create makes namespace, account, role, secrets and the shop, and waits for its pod.
func (w *kubeWorld) create(ctx context.Context) (*kubeVictim, error) {
	ns := meta(w.namespace)
	labels := ns["labels"].(object)
	labels["owner"], labels["pod-security.kubernetes.io/enforce"] = demoOwner, "privileged"
	err := w.api.do(ctx, http.MethodPost, "/api/v1/namespaces", object{"metadata": ns}, nil)
	if isCode(err, http.StatusConflict) {
		return nil, fmt.Errorf("there is a namespace %s already: %w\nIf an earlier demo left it, \"dockreeve demo clean --kubernetes\" removes it; else choose another with --namespace", w.namespace, err)
	}
	if err != nil {
		return nil, err
	}
	for _, account := range []string{demoShop, demoOther} {
		if err := w.api.do(ctx, http.MethodPost, w.core("serviceaccounts"), object{"metadata": meta(account)}, nil); err != nil {
			return nil, err
		}
	}
	for i := range demoSecrets {
		body := object{"metadata": meta(fmt.Sprintf("customer-%02d", i+1)), "stringData": object{"note": "made up"}}
		if err := w.api.do(ctx, http.MethodPost, w.core("secrets"), body, nil); err != nil {
			return nil, err
		}
	}
	pod := object{"metadata": object{"labels": object{demoLabel: demoMark, "app": demoShop}}, "spec": object{
		"serviceAccountName": demoShop, "terminationGracePeriodSeconds": 0,
		"containers": []object{{"name": demoShop, "image": w.image, "imagePullPolicy": "IfNotPresent", "command": []string{"/bin/sh", "-c", shopScript()}}},
	}}
	deployment := object{"metadata": meta(demoShop), "spec": object{"replicas": 1, "selector": object{"matchLabels": object{"app": demoShop}}, "template": pod}}
	if err := w.api.do(ctx, http.MethodPost, "/apis/apps/v1/namespaces/"+w.namespace+"/deployments", deployment, nil); err != nil {
		return nil, err
	}
	v, err := w.running(ctx, "app%3D"+demoShop, demoShop)
	if err != nil {
		return nil, err
	}
	err = until(ctx, "wait for the shop to answer", func() (bool, error) {
		out, err := v.Run(ctx, "", "cat", "/proc/net/tcp", "/proc/net/tcp6")
		return strings.Contains(out, fmt.Sprintf(":%04X 0", demoPort)), err
	})
	return v, err
}

// shopScript makes the shop's files and becomes its web server.
func shopScript() string {
	var b strings.Builder
	b.WriteString("set -e\nmkdir -p /www/cgi-bin\n")
	for _, name := range []string{"/www/index.html", "/www/cgi-bin/status.cgi", "/www/payload.sh", "/etc/shadow"} {
		fmt.Fprintf(&b, "cat > %s <<'DEMO'\n%sDEMO\n", name, demoFiles[name])
	}
	fmt.Fprintf(&b, "chmod 755 /www/cgi-bin/status.cgi\nexec /bin/httpd -f -p 127.0.0.1:%d -h /www\n", demoPort)
	return b.String()
}

// running waits for the one pod that a selector finds.
func (w *kubeWorld) running(ctx context.Context, selector, container string) (*kubeVictim, error) {
	v := &kubeVictim{api: w.api, namespace: w.namespace, container: container}
	said := ""
	err := until(ctx, "wait for the pod to run", func() (bool, error) {
		var list struct {
			Items []struct {
				Metadata struct{ Name string }
				Spec     struct{ NodeName string }
				Status   struct {
					PodIP             string
					Conditions        []struct{ Message string }
					ContainerStatuses []struct {
						ContainerID string
						State       struct {
							Running *struct{}
							Waiting *struct{ Reason, Message string }
						}
					}
				}
			}
		}
		if err := w.api.do(ctx, http.MethodGet, w.core("pods?labelSelector="+selector), nil, &list); err != nil {
			return false, err
		}
		for _, p := range list.Items {
			for _, c := range p.Status.Conditions {
				if c.Message != "" {
					said = c.Message
				}
			}
			for _, s := range p.Status.ContainerStatuses {
				if s.State.Waiting != nil && s.State.Waiting.Message != "" {
					said = s.State.Waiting.Reason + ": " + s.State.Waiting.Message
				}
				if _, id, ok := strings.Cut(s.ContainerID, "://"); ok && s.State.Running != nil {
					v.pod, v.node, v.ip, v.cid = p.Metadata.Name, p.Spec.NodeName, p.Status.PodIP, id
					return true, nil
				}
			}
		}
		return false, nil
	})
	if err != nil && said != "" {
		err = fmt.Errorf("%w: %s\nIs the image %s there? --image names another with busybox in it", err, clean(said), w.image)
	}
	return v, err
}

// bindReader lets the shop's account read secrets of its namespace.
func (w *kubeWorld) bindReader(ctx context.Context) (string, error) {
	role := object{"metadata": meta(demoReader), "rules": []object{{"apiGroups": []string{""}, "resources": []string{"secrets"}, "verbs": []string{"get", "list"}}}}
	if err := w.api.do(ctx, http.MethodPost, w.rbac("roles"), role, nil); err != nil {
		return "", err
	}
	binding := object{"metadata": meta(demoReader), "roleRef": object{"apiGroup": rbacGroup, "kind": "Role", "name": demoReader},
		"subjects": []object{{"kind": "ServiceAccount", "name": demoShop, "namespace": w.namespace}}}
	return "bound", w.api.do(ctx, http.MethodPost, w.rbac("rolebindings"), binding, nil)
}

// bindAdmin makes an account without tokens cluster administrator, for a moment.
func (w *kubeWorld) bindAdmin(ctx context.Context) (string, error) {
	binding := object{"metadata": meta(demoBinding), "roleRef": object{"apiGroup": rbacGroup, "kind": "ClusterRole", "name": "cluster-admin"},
		"subjects": []object{{"kind": "ServiceAccount", "name": demoOther, "namespace": w.namespace}}}
	if err := w.api.do(ctx, http.MethodPost, clusterBindings, binding, nil); err != nil {
		return "", err
	}
	return "bound, and deleted again", w.unbind(context.WithoutCancel(ctx))
}

func (w *kubeWorld) unbind(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	at := clusterBindings + "/" + demoBinding
	if ours, err := w.ours(ctx, at); err != nil || !ours {
		return err
	}
	return w.api.do(ctx, http.MethodDelete, at, nil, nil)
}

// nodeShell makes the privileged pod and waits until it runs.
func (w *kubeWorld) nodeShell(ctx context.Context) (*kubeVictim, error) {
	pod := object{"metadata": meta(demoShell), "spec": object{
		"hostPID": true, "terminationGracePeriodSeconds": 0, "restartPolicy": "Never", "automountServiceAccountToken": false,
		"containers": []object{{"name": "shell", "image": w.image, "imagePullPolicy": "IfNotPresent", "command": []string{"/bin/sleep", "3600"}, "securityContext": object{"privileged": true}}},
	}}
	if err := w.api.do(ctx, http.MethodPost, w.core("pods"), pod, nil); err != nil {
		return nil, err
	}
	return w.running(ctx, "app%3D"+demoShell, "shell")
}

// ours reports whether an object is there and was made by a demo.
func (w *kubeWorld) ours(ctx context.Context, at string) (bool, error) {
	var o struct {
		Metadata struct{ Labels map[string]string }
	}
	err := w.api.do(ctx, http.MethodGet, at, nil, &o)
	if isCode(err, http.StatusNotFound) {
		return false, nil
	}
	return o.Metadata.Labels[demoLabel] == demoMark, err
}

// clean removes whatever a demo made, and returns once it is gone. It leaves alone what
// bears the names but not the label.
func (w *kubeWorld) clean(ctx context.Context) (removed []string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	at := clusterBindings + "/" + demoBinding
	if ours, err2 := w.ours(ctx, at); err2 != nil {
		err = err2
	} else if ours {
		if err = w.api.do(ctx, http.MethodDelete, at, nil, nil); err == nil {
			removed = append(removed, "cluster role binding "+demoBinding)
		}
	}
	at = "/api/v1/namespaces/" + w.namespace
	ours, err2 := w.ours(ctx, at)
	if err2 != nil || !ours {
		return removed, errors.Join(err, err2)
	}
	if err2 := w.api.do(ctx, http.MethodDelete, at, nil, nil); err2 != nil && !isCode(err2, http.StatusConflict) {
		return removed, errors.Join(err, err2)
	}
	err2 = until(ctx, "wait until the namespace "+w.namespace+" is gone", func() (bool, error) {
		err := w.api.do(ctx, http.MethodGet, at, nil, nil)
		if isCode(err, http.StatusNotFound) {
			return true, nil
		}
		return false, err
	})
	if err2 == nil {
		removed = append(removed, "namespace "+w.namespace+" with all that was in it")
	}
	return removed, errors.Join(err, err2)
}
