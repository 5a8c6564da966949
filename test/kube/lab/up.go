package lab

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

//go:embed conf
var conf embed.FS

// render writes a file of conf, its fields filled in, to a path.
func (l *Lab) render(name, path string, fields map[string]any) error {
	text, err := conf.ReadFile("conf/" + name)
	if err != nil {
		return err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return fmt.Errorf("conf/%s: %w", name, err)
	}
	all := map[string]any{"Dir": l.Dir, "PKI": l.File("pki"), "ClusterCIDR": l.clusterCIDR()}
	for k, v := range fields {
		all[k] = v
	}
	var b bytes.Buffer
	if err := t.Execute(&b, all); err != nil {
		return fmt.Errorf("conf/%s: %w", name, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// clusterCIDR is where pods get their addresses: with nodes a network of the slot's own,
// which this machine routes; without them nobody routes it, and there may be thousands.
func (l *Lab) clusterCIDR() string {
	if len(l.Nodes) == 0 {
		return "10.240.0.0/12"
	}
	return fmt.Sprintf("10.%d.0.0/16", 100+l.Slot)
}

// Up builds what is missing and brings a lab up. It returns when the API server answers,
// the controllers work and every node is ready. When it fails it leaves nothing behind.
func Up(ctx context.Context, o Options) (_ *Lab, err error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Nodes < 0 || o.Nodes > 3 {
		return nil, fmt.Errorf("a lab has 0 to 3 nodes, not %d", o.Nodes)
	}
	if err := Possible(o.Nodes); err != nil {
		return nil, err
	}
	names := ControlParts
	if o.Nodes > 0 {
		names = NodeParts
	}
	if o.Kwok {
		names = append(names[:len(names):len(names)], "kwok")
	}
	l := &Lab{log: o.Log, flags: o.Flags, AuditURL: o.AuditURL, AuditCA: o.AuditCA}
	if l.Parts, err = Build(ctx, names, o.Log); err != nil {
		return nil, err
	}
	if l.Dir = o.Dir; l.Dir == "" {
		l.Temporary = true
		if l.Dir, err = os.MkdirTemp("", "dockreeve-lab-"); err != nil {
			return nil, err
		}
	}
	if l.Dir, err = filepath.Abs(l.Dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(l.File("lab.json")); err == nil {
		return nil, fmt.Errorf("a lab is up in %s already: use it, or take it down first", l.Dir)
	}
	// Down empties the directory: it must be the lab's alone.
	have, err := os.ReadDir(l.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, f := range have {
		if f.Name() != "log" { // of the lab before
			return nil, fmt.Errorf("%s is not empty: it holds %s; a lab needs a directory of its own", l.Dir, f.Name())
		}
	}
	if err := os.MkdirAll(l.Dir, 0o700); err != nil {
		return nil, err
	}
	l.began = time.Now() // what is told of times leaves the building out
	if err := l.take(ctx, o.Stay); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Down(context.WithoutCancel(ctx)))
		}
	}()
	for _, d := range []string{"log", "pki"} {
		if err := os.RemoveAll(l.File(d)); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(l.File(d), 0o700); err != nil {
			return nil, err
		}
	}
	l.APIIP, l.APIPort = "127.0.0.1", l.port(portAPI)
	for i := range o.Nodes {
		l.Nodes = append(l.Nodes, l.newNode(i))
	}
	if o.Nodes > 0 {
		l.APIIP = l.Nodes[0].HostIP
	}
	if err := l.save(); err != nil {
		return nil, err
	}
	for i := range l.Nodes {
		if err := l.makeNode(ctx, &l.Nodes[i]); err != nil {
			return nil, err
		}
	}
	if err := l.makePKI(); err != nil {
		return nil, err
	}
	if err := l.startAPI(); err != nil {
		return nil, err
	}
	// While the API server starts, and then while its controllers do.
	for i := range l.Nodes {
		if err := l.startRuntime(ctx, &l.Nodes[i]); err != nil {
			return nil, err
		}
	}
	if err := l.startControllers(ctx); err != nil {
		return nil, err
	}
	for i := range l.Nodes {
		if err := l.startKubelet(&l.Nodes[i]); err != nil {
			return nil, err
		}
	}
	if err := l.wait(ctx, "controllers (the default service account)", "kube-controller-manager.log", 2*time.Minute, func(ctx context.Context) bool {
		_, err := l.API(ctx, "GET", "/api/v1/namespaces/default/serviceaccounts/default", nil)
		return err == nil
	}); err != nil {
		return nil, err
	}
	for i := range l.Nodes {
		if err := l.joinNode(ctx, &l.Nodes[i]); err != nil {
			return nil, err
		}
	}
	l.say("up in %s", l.Dir)
	return l, l.save()
}

// startAPI starts etcd, the API server and what it talks to.
func (l *Lab) startAPI() error {
	if err := os.WriteFile(l.File("resolv.conf"), []byte("nameserver 127.0.0.1\n"), 0o600); err != nil {
		return err
	}
	if err := l.render("audit-policy.yaml", l.File("audit-policy.yaml"), nil); err != nil {
		return err
	}
	pki := l.File("pki") + "/"
	hook := fmt.Sprintf("%s:%d", l.APIIP, l.port(portHook))
	if l.AuditURL == "" {
		l.AuditURL = "https://" + hook + "/audit"
	}
	if err := l.auditConf(); err != nil {
		return err
	}
	if _, err := l.start("hook", nil, l.Bin("hook"), "-addr", hook, "-cert", pki+"hook.crt", "-key", pki+"hook.key", "-client-ca", pki+"ca.crt",
		"-audit", l.AuditWebhookFile(), "-reviews", l.File("log/reviews.jsonl")); err != nil {
		return err
	}
	etcd, peer := fmt.Sprintf("http://127.0.0.1:%d", l.port(portEtcd)), fmt.Sprintf("http://127.0.0.1:%d", l.port(portEtcdPeer))
	if _, err := l.start("etcd", nil, l.Bin("etcd"), "--data-dir", l.File("etcd"), "--name", "lab", "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "lab="+peer, "--unsafe-no-fsync", "--log-level", "warn"); err != nil {
		return err
	}
	// A loopback address may not be published as the endpoint of the kubernetes service.
	endpoint := []string{"--endpoint-reconciler-type=none"}
	if len(l.Nodes) > 0 {
		endpoint = []string{"--advertise-address", l.APIIP}
	}
	api := append([]string{l.Bin("kube-apiserver"), "--etcd-servers", etcd, "--bind-address", l.APIIP, "--secure-port", fmt.Sprint(l.APIPort),
		"--service-cluster-ip-range", "10.96.0.0/16", "--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction", "--allow-privileged=true",
		"--client-ca-file", pki + "ca.crt", "--tls-cert-file", pki + "apiserver.crt", "--tls-private-key-file", pki + "apiserver.key",
		"--kubelet-client-certificate", pki + "apiserver-kubelet-client.crt", "--kubelet-client-key", pki + "apiserver-kubelet-client.key",
		"--kubelet-certificate-authority", pki + "ca.crt", "--kubelet-preferred-address-types", "InternalIP",
		"--service-account-issuer", "https://kubernetes.default.svc.cluster.local", "--service-account-key-file", pki + "sa.pub", "--service-account-signing-key-file", pki + "sa.key",
		"--requestheader-client-ca-file", pki + "front-proxy-ca.crt", "--requestheader-allowed-names", "front-proxy-client", "--requestheader-username-headers", "X-Remote-User",
		"--requestheader-group-headers", "X-Remote-Group", "--requestheader-extra-headers-prefix", "X-Remote-Extra-",
		"--proxy-client-cert-file", pki + "front-proxy-client.crt", "--proxy-client-key-file", pki + "front-proxy-client.key",
		"--audit-policy-file", l.File("audit-policy.yaml"), "--audit-log-path", l.AuditFile(), "--audit-log-maxsize", "100", "--audit-log-maxbackup", "2",
		"--audit-webhook-config-file", l.File("audit-webhook.kubeconfig"), "--audit-webhook-mode", "batch", "--audit-webhook-initial-backoff", "500ms",
		"--audit-webhook-batch-max-wait", "200ms", "--audit-webhook-batch-max-size", "400", "--audit-webhook-batch-buffer-size", "100000", "--audit-webhook-batch-throttle-qps", "50",
		"--profiling=false"}, endpoint...)
	_, err := l.start("kube-apiserver", nil, append(api, l.flags["kube-apiserver"]...)...)
	return err
}

// startControllers waits for the API server and starts the controllers and the scheduler.
func (l *Lab) startControllers(ctx context.Context) error {
	pki := l.File("pki") + "/"
	if err := l.wait(ctx, "API server", "kube-apiserver.log", 2*time.Minute, l.apiReady); err != nil {
		return err
	}
	common := func(name string, port int) []string {
		k := l.File(name + ".kubeconfig")
		return []string{l.Bin(name), "--kubeconfig", k, "--authentication-kubeconfig", k, "--authorization-kubeconfig", k,
			"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(l.port(port)), "--leader-elect=false"}
	}
	kcm := append(common("kube-controller-manager", portControllers), "--use-service-account-credentials=true", "--service-account-private-key-file", pki+"sa.key",
		"--root-ca-file", pki+"ca.crt", "--cluster-signing-cert-file", pki+"ca.crt", "--cluster-signing-key-file", pki+"ca.key",
		"--allocate-node-cidrs=true", "--cluster-cidr", l.clusterCIDR(), "--service-cluster-ip-range", "10.96.0.0/16",
		"--kube-api-qps", "200", "--kube-api-burst", "400") // by default it waits five seconds for its own limit when it starts
	if _, err := l.start("kube-controller-manager", nil, append(kcm, l.flags["kube-controller-manager"]...)...); err != nil {
		return err
	}
	_, err := l.start("kube-scheduler", nil, append(common("kube-scheduler", portScheduler), l.flags["kube-scheduler"]...)...)
	return err
}

func (l *Lab) auditConf() error {
	if l.AuditCA == "" {
		l.AuditCA = l.File("pki/ca.crt")
	}
	return l.render("audit-webhook.kubeconfig", l.File("audit-webhook.kubeconfig"), map[string]any{"AuditURL": l.AuditURL, "AuditCA": l.AuditCA})
}

// AuditTo sends the API server's audit events elsewhere from now on, and restarts it for
// that. Where is the kubeconfig that the receiver wrote, or its URL; of a URL ca is the file
// of the CA that signed the receiver's certificate, "" = the lab's own.
func (l *Lab) AuditTo(ctx context.Context, where, ca string) error {
	if strings.Contains(where, "://") {
		l.AuditURL, l.AuditCA = where, ca
		if err := l.auditConf(); err != nil {
			return err
		}
		return l.Restart(ctx, "kube-apiserver")
	}
	if ca != "" {
		return fmt.Errorf("%s is a kubeconfig, which names its CA itself", where)
	}
	conf, err := os.ReadFile(where)
	if err != nil {
		return fmt.Errorf("neither a URL nor a kubeconfig: %w", err)
	}
	if err := os.WriteFile(l.File("audit-webhook.kubeconfig"), conf, 0o600); err != nil {
		return err
	}
	return l.Restart(ctx, "kube-apiserver")
}

// Kwok starts kwok, which makes nodes with the annotation kwok.x-k8s.io/node=fake ready
// and their pods run without running anything. The lab must have been started with it.
func (l *Lab) Kwok() error {
	if l.Parts["kwok"] == "" {
		return errors.New("the lab was not started with kwok")
	}
	_, err := l.start("kwok", nil, l.Bin("kwok"), "--kubeconfig", l.Kubeconfig(), "--config", filepath.Join(l.Parts["kwok"], "stages.yaml"),
		"--manage-nodes-with-annotation-selector", "kwok.x-k8s.io/node=fake", "--node-lease-duration-seconds", "40", "--cidr", "10.64.0.0/12", "--node-ip", "127.0.0.1",
		"--server-address", fmt.Sprintf("127.0.0.1:%d", l.port(portKwok)))
	return err
}
