package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/dockreeve/dockreeve/agent/cluster"
	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
	"github.com/dockreeve/dockreeve/source/kube"
	"github.com/dockreeve/dockreeve/source/kubeaudit"
)

// clusterFlags say which cluster is looked after and how its audit events come.
type clusterFlags struct {
	name      string
	kube      kube.ConfigOptions
	inventory string
	learn     time.Duration
	canary    time.Duration
	proxies   []string
	anonymous string

	webhook, webhookCA, webhookName string
	webhookHosts                    []string
	files                           []string
	stdin, atEnd                    bool
	hub, hubGroup                   string
	hubTopics                       []string
}

func (f *clusterFlags) flags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.name, "cluster", "", "name of the cluster (default: as the kubeconfig calls it)")
	fs.StringVar(&f.kube.Kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	fs.StringVar(&f.kube.Context, "context", "", "context of the kubeconfig (default: its current one)")
	fs.StringVar(&f.inventory, "inventory-config", "", "YAML file that says how owners and tenants are read (docs/inventory.md)")
	fs.DurationVar(&f.learn, "learn", 72*time.Hour, "how long habits are learned before anything is called unusual")
	fs.DurationVar(&f.canary, "canary-every", 6*time.Hour, "how often what watches proves that it sees, by something harmless that must come back as a finding, and what the cluster denies, by a dry run; 0 = never (docs/governance.md)")
	fs.StringSliceVar(&f.proxies, "api-proxies", nil, "addresses or networks of proxies in front of the API server")
	fs.StringVar(&f.anonymous, "anonymisers", "", "file of addresses and networks of anonymising networks, one a line; it is read again when it changes")
	fs.StringVar(&f.webhook, "audit-webhook", "", "listen on this address for the API server's audit webhook (docs/audit.md)")
	fs.StringSliceVar(&f.webhookHosts, "audit-webhook-host", nil, "names and addresses by which the API server calls it (default: the host it listens on)")
	fs.StringVar(&f.webhookCA, "audit-webhook-client-ca", "", "the API server proves itself with a certificate of this authority, not with a token")
	fs.StringVar(&f.webhookName, "audit-webhook-client-name", "", "common name of that certificate")
	fs.StringSliceVar(&f.files, "audit-file", nil, "follow this audit log of an API server (may be repeated)")
	fs.BoolVar(&f.atEnd, "audit-from-now", false, "begin logs and event hubs with what comes from now on, where nothing was read before")
	fs.BoolVar(&f.stdin, "audit-stdin", false, "read audit events from standard input, as the API server writes them or as Azure exports them")
	fs.StringVar(&f.hub, "audit-event-hub", "", "read an Azure event hub: file that holds its connection string")
	fs.StringSliceVar(&f.hubTopics, "audit-event-hub-name", nil, "names of the event hubs (default: as the connection string says)")
	fs.StringVar(&f.hubGroup, "audit-event-hub-group", "", "consumer group (default: $Default)")
}

// asked reports whether any way to a cluster is named.
func (f *clusterFlags) asked() bool {
	return f.kube.Kubeconfig != "" || f.kube.Context != "" || f.webhook != "" || len(f.files) > 0 || f.stdin || f.hub != ""
}

// clusterParts are what a cluster agent is put together with.
type clusterParts struct {
	sender  link.Sender
	alone   bool
	nodes   *link.Listener
	pods    func(inventory.PodsFor)
	rules   *rule.Rules
	which   detect.Which
	dir     string // of its state
	stdin   io.Reader
	log     *slog.Logger
	watched bool // an API server is looked for even where no flag names one
}

// clusterAgent is a cluster agent and the ways by which its audit events come.
type clusterAgent struct {
	*cluster.Agent
	name    string
	server  string // address of the API server; "" = none
	ways    []cluster.Way
	audited bool   // one of them brings audit events
	ended   func() // called when standard input has ended; nil = that ends nothing
	webhook string // its address; "" = none
	config  string // kubeconfig for the API server
}

func (f *clusterFlags) agent(p clusterParts) (*clusterAgent, error) {
	out := &clusterAgent{name: f.name}
	opt := cluster.Options{
		Version: version, Rules: p.rules, Which: p.which, Sender: p.sender, Alone: p.alone, Nodes: p.nodes, Pods: p.pods, Learn: f.learn, Log: p.log,
	}
	var err error
	if opt.CanaryEvery, err = node.CanaryEvery(f.canary); err != nil {
		return nil, withCode(exitUsage, "--canary-every %w", err)
	}
	for _, s := range f.proxies {
		one, err := netip.ParsePrefix(s)
		if ip, err2 := netip.ParseAddr(s); err != nil && err2 == nil {
			one, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil {
			return nil, withCode(exitUsage, "--api-proxies: %q is no address and no network", s)
		}
		opt.Auditor.Proxies = append(opt.Auditor.Proxies, one)
	}
	if f.anonymous != "" {
		list, err := cluster.OpenAnonymisers(f.anonymous, func(err error) { p.log.Warn("the list before it stays in use", "error", err) })
		if err != nil {
			return nil, withCode(exitUsage, "--%w", err)
		}
		opt.Auditor.Anonymisers = list
		out.ways = append(out.ways, list)
	}
	if opt.Inventory, err = f.inventoryConfig(); err != nil {
		return nil, err
	}
	if p.watched || f.kube.Kubeconfig != "" || f.kube.Context != "" {
		conf, err := kube.LoadConfig(f.kube)
		if err != nil {
			return nil, withCode(exitFailed, "%w", err)
		}
		if opt.Objects, err = kube.Open(kube.Options{Config: conf.REST}); err != nil {
			return nil, withCode(exitFailed, "%w", err)
		}
		out.server = conf.REST.Host
		if out.name == "" {
			out.name = conf.Cluster
		}
	}
	if out.name == "" {
		return nil, withCode(exitUsage, "what is the cluster called? Give --cluster NAME")
	}
	if strings.ContainsAny(out.name, "/ \t\n") {
		return nil, withCode(exitUsage, "--cluster %q: a name without blanks and slashes", out.name)
	}
	opt.Name = out.name
	opt.StateDir = filepath.Join(p.dir, "cluster", out.name)
	if err := os.MkdirAll(opt.StateDir, 0o700); err != nil {
		return nil, withCode(exitFailed, "%w", err)
	}
	if out.Agent, err = cluster.New(opt); err != nil {
		return nil, withCode(exitFailed, "%w", err)
	}
	return out, f.auditWays(out, opt.StateDir, p.stdin)
}

func (f *clusterFlags) auditWays(out *clusterAgent, dir string, stdin io.Reader) error {
	in := out.Intake()
	out.audited = f.webhook != "" || len(f.files) > 0 || f.stdin || f.hub != ""
	if f.webhook != "" {
		w, err := out.Webhook(cluster.WebhookOptions{
			Listen: f.webhook, Hosts: f.webhookHosts, Dir: filepath.Join(dir, "audit-webhook"), ClientCA: f.webhookCA, ClientName: f.webhookName,
		})
		if err != nil {
			return withCode(exitFailed, "%w", err)
		}
		out.ways = append(out.ways, w)
		out.webhook, out.config = w.URL(), filepath.Join(dir, "audit-webhook", cluster.HookKubeconfig)
	}
	for _, path := range f.files {
		out.ways = append(out.ways, in.File(kubeaudit.FileOptions{Path: path, AtEnd: f.atEnd, Checkpoints: kubeaudit.Folder(filepath.Join(dir, "audit-files"))}))
	}
	if len(f.files) > 0 {
		out.Way("file")
	}
	if f.stdin {
		if stdin == nil {
			return withCode(exitUsage, "--audit-stdin: there is no standard input here")
		}
		out.ways = append(out.ways, finite{in.Reader(stdin), out})
		out.Way("stdin")
	}
	if f.hub != "" {
		b, err := os.ReadFile(f.hub)
		if err != nil {
			return withCode(exitFailed, "--audit-event-hub: %w", err)
		}
		h, err := in.Hubs(kubeaudit.HubsOptions{ConnectionString: strings.TrimSpace(string(b)), Topics: f.hubTopics, Group: f.hubGroup, AtEnd: f.atEnd})
		if err != nil {
			return withCode(exitUsage, "--audit-event-hub %s: %w", f.hub, err)
		}
		out.ways = append(out.ways, h)
		out.Way("event-hub")
	}
	return nil
}

// finite is a way that comes to an end, as a file on standard input does.
type finite struct {
	cluster.Way
	agent *clusterAgent
}

func (w finite) Run(ctx context.Context) error {
	err := w.Way.Run(ctx)
	if err == nil && w.agent.ended != nil {
		w.agent.ended()
	}
	return err
}

// inventoryConfig reads how owners and tenants are told.
func (f *clusterFlags) inventoryConfig() (inventory.Config, error) {
	var c inventory.Config
	if f.inventory == "" {
		return c, nil
	}
	file, err := os.Open(f.inventory)
	if err != nil {
		return c, withCode(exitFailed, "--inventory-config: %w", err)
	}
	defer file.Close()
	d := yaml.NewDecoder(io.LimitReader(file, 4<<20))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, withCode(exitUsage, "--inventory-config %s: %w", f.inventory, err)
	}
	if err := c.Validate(); err != nil {
		return c, withCode(exitUsage, "--inventory-config %s: %w", f.inventory, err)
	}
	return c, nil
}

// greet says what of the cluster is watched.
func (c *clusterAgent) greet(w io.Writer) {
	fmt.Fprintf(w, "  cluster   %s", clean(c.name))
	if c.server != "" {
		fmt.Fprintf(w, ", API server %s", c.server)
	} else {
		fmt.Fprint(w, ", inventory not kept: no --kubeconfig")
	}
	fmt.Fprintln(w)
	switch {
	case c.webhook != "":
		fmt.Fprintf(w, "  audit     at %s\n            give the API server --audit-webhook-config-file=%s\n", c.webhook, c.config)
	case !c.audited:
		fmt.Fprintln(w, "  audit     NOT WATCHED: --audit-webhook, --audit-file, --audit-event-hub or --audit-stdin (docs/audit.md)")
	default:
		fmt.Fprintf(w, "  audit     read\n")
	}
}
