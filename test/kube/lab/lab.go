// Package lab brings up a real Kubernetes on this machine and takes it down again without
// a trace: etcd, API server, controllers and scheduler as any user, and, as root, nodes
// with containerd, kubelet, kube-proxy and CNI, each in a mount and a network namespace of
// its own but in the machine's PID namespace, so that a sensor on the machine sees their
// processes as it would on a real node.
//
// The programs are built from source once and kept by content (build.go). Several labs may
// run at once. A lab outlives the program that started it until Down, unless that program
// named itself the owner: then the next Up, by whomever, removes what a dead owner left.
package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options of Up; the zero value is a control plane alone.
type Options struct {
	// Dir holds everything of this lab; it must be empty or not there, but for the logs of
	// a lab before, and Down empties it again. "" makes a temporary one, which Down removes.
	Dir string
	// Nodes is how many real nodes it has: 0, which needs no root, to 3.
	Nodes int
	// AuditURL is where the API server sends audit events in batches, as
	// https://HOST:PORT/PATH; AuditCA is the file of the CA that signed its certificate
	// ("" = the lab's own). "" sends them to the lab's own receiver, into
	// Lab.AuditWebhookFile. AuditTo changes both later.
	AuditURL, AuditCA string
	// Flags are added to those of the programs named.
	Flags map[string][]string
	// Stay lets the lab outlive this process.
	Stay bool
	// Kwok also builds kwok, for Lab.Kwok.
	Kwok bool
	// Log gets one line a step; nil = silent.
	Log io.Writer
}

// Lab is one lab: what Up started and lab.json in its directory describes. Its methods are
// not to be called concurrently.
type Lab struct {
	Dir       string            `json:"dir"`
	Temporary bool              `json:"temporary,omitempty"`
	Slot      int               `json:"slot"`
	APIIP     string            `json:"apiIP"`
	APIPort   int               `json:"apiPort"`
	AuditURL  string            `json:"auditURL"`
	AuditCA   string            `json:"auditCA"`
	Parts     map[string]string `json:"parts"`
	Nodes     []Node            `json:"nodes,omitempty"`
	Programs  []*Program        `json:"programs"` // in the order in which they were started

	log   io.Writer
	began time.Time
	api   *http.Client
	flags map[string][]string
}

// Node is a real node of a lab.
type Node struct {
	Name    string `json:"name"`
	IP      string `json:"ip"`
	HostIP  string `json:"hostIP"`  // this machine's end of the wire to it
	Wire    string `json:"wire"`    // name of that end
	Cgroup  string `json:"cgroup"`  // all its pods are below, without the leading slash
	Host    string `json:"host"`    // directory whose subdirectories are its /run/containerd, /var/lib/kubelet and so on
	PodCIDR string `json:"podCIDR"` // once the controllers gave it one
}

// Kubeconfig is the file that makes its user the cluster's administrator.
func (l *Lab) Kubeconfig() string { return filepath.Join(l.Dir, "admin.kubeconfig") }

// Server is the URL of the API server.
func (l *Lab) Server() string { return fmt.Sprintf("https://%s:%d", l.APIIP, l.APIPort) }

// AuditFile is what the API server's file backend writes: one event a line. At 100 MB it
// is renamed and begun anew.
func (l *Lab) AuditFile() string { return filepath.Join(l.Dir, "log", "audit.jsonl") }

// AuditWebhookFile is what the lab's own receiver of the webhook got.
func (l *Lab) AuditWebhookFile() string { return filepath.Join(l.Dir, "log", "audit-webhook.jsonl") }

// AdmissionURL is the lab's validating webhook, which refuses what carries the label
// dockreeve.lab/deny=webhook; its certificate is of the lab's CA (File "pki/ca.crt").
func (l *Lab) AdmissionURL() string {
	return fmt.Sprintf("https://%s:%d/validate", l.APIIP, l.port(portHook))
}

// File is a file below the lab's directory: pki/ca.crt, log/kubelet-node1.log…
func (l *Lab) File(name string) string { return filepath.Join(l.Dir, name) }

// ReceiverPort is a port of this machine that is kept free for a receiver of audit
// events: where the agent under test listens. pki/receiver.crt and .key are a certificate for it,
// and the API server shows it pki/audit-client.crt, signed by pki/ca.crt.
func (l *Lab) ReceiverPort() int { return l.port(portReceiver) }

// Bin is the path of one of the lab's programs: kubectl, ctr, kwok…
func (l *Lab) Bin(name string) string {
	for _, p := range []string{"kube", "hook", "containerd", "cni", "kwok"} {
		if d, ok := l.Parts[p]; ok {
			if _, err := os.Stat(filepath.Join(d, name)); err == nil {
				return filepath.Join(d, name)
			}
		}
	}
	return name
}

// Kubectl runs kubectl as the administrator and returns what it printed.
func (l *Lab) Kubectl(ctx context.Context, args ...string) (string, error) {
	return l.KubectlAs(ctx, l.Kubeconfig(), "", args...)
}

// KubectlAs runs kubectl with a kubeconfig and standard input.
func (l *Lab) KubectlAs(ctx context.Context, kubeconfig, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.Bin("kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+l.Dir)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Ctr runs containerd's own client on a node, in the namespace of the kubelet.
func (l *Lab) Ctr(ctx context.Context, node string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "nsenter", l.inside(node, append([]string{l.Bin("ctr"), "-a", "/run/containerd/containerd.sock", "-n", "k8s.io"}, args...)...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// API asks the API server as the administrator. A status of 400 and above is an error of
// type *StatusError.
func (l *Lab) API(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	if l.api == nil {
		pair, err := tls.LoadX509KeyPair(l.File("pki/admin.crt"), l.File("pki/admin.key"))
		if err != nil {
			return nil, err
		}
		ca, err := os.ReadFile(l.File("pki/ca.crt"))
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		l.api = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool}}}
	}
	req, err := http.NewRequestWithContext(ctx, method, l.Server()+path, strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := l.api.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		return b, &StatusError{Status: resp.StatusCode, Body: string(b)}
	}
	return b, nil
}

// StatusError is an answer of the API server that refuses.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the API server answers %d: %.300s", e.Status, e.Body)
}

// Open reads the lab in a directory.
func Open(dir string) (*Lab, error) {
	b, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no lab is up in %s", dir)
	}
	if err != nil {
		return nil, err
	}
	l := &Lab{log: io.Discard, began: time.Now()}
	if err := json.Unmarshal(b, l); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "lab.json"), err)
	}
	return l, nil
}

// save writes lab.json, whole or not at all.
func (l *Lab) save() error {
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	tmp := l.File("lab.json.new")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, l.File("lab.json"))
}

func (l *Lab) say(format string, args ...any) {
	fmt.Fprintf(l.log, "%6.1f s  %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
}

// wait asks until it is told yes. On failure the error names the log to read.
func (l *Lab) wait(ctx context.Context, what, logName string, within time.Duration, ready func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for !ready(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the lab: no %s within %v; the end of %s:\n%s", what, within, l.File("log/"+logName), l.tail(logName))
		case <-time.After(50 * time.Millisecond):
		}
	}
	l.say("%s", what)
	return nil
}

// tail is the end of a log.
func (l *Lab) tail(name string) string {
	b, err := os.ReadFile(l.File("log/" + name))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-1500):])
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
