package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/source/kube"
)

// inspection is what was found out about a cluster, as -o json prints it.
type inspection struct {
	Documents []inventory.Document `json:"documents"`
	Coverage  []kube.Coverage      `json:"coverage,omitempty"` // of an API server, by resource
	Files     *inspectedFiles      `json:"files,omitempty"`    // of exported objects
}

type inspectedFiles struct {
	Files    int            `json:"files"`
	Objects  int            `json:"objects"`
	Skipped  map[string]int `json:"skipped,omitempty"`  // kinds that are not kept
	Problems []kube.Problem `json:"problems,omitempty"` // at most 200
	More     int            `json:"moreProblems,omitempty"`
}

func newClusterInspect() *cobra.Command {
	var f clusterFlags
	var from, namespace, output string
	var everywhere, secrets bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Look at a cluster once: what runs, whose it is, what it may do, how it is reached",
		Long: `Look at a cluster once: what runs, whose it is, what it may do, how it is reached.

Reads the API server that --kubeconfig, KUBECONFIG or ~/.kube/config names, or with --from
a file or folder of exported YAML and JSON, or - for standard input. Nothing is installed,
nothing is changed, and contents of secrets are not asked for. What the account may not
read is named at the end, with what to do. docs/inventory.md explains the words.

  dockreeve cluster inspect --context prod
  kubectl get all,ns,no,sa,cm,ing,netpol,roles,rolebindings,clusterroles,clusterrolebindings -A -o yaml | dockreeve cluster inspect --from -

Exit codes: 0 looked at, 2 wrong usage, 3 the cluster or the files could not be read,
4 they were read and held nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(output, "text", "json", "yaml"); err != nil {
				return err
			}
			if namespace != "" && everywhere {
				return withCode(exitUsage, "-n and -A exclude each other")
			}
			if from != "" && (f.kube.Kubeconfig != "" || f.kube.Context != "") {
				return withCode(exitUsage, "--from and --kubeconfig exclude each other: files or an API server")
			}
			conf, err := f.inventoryConfig()
			if err != nil {
				return err
			}
			if err := conf.Validate(); err != nil {
				return withCode(exitUsage, "--inventory-config %s: %w", f.inventory, err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			look := inspector{name: f.name, namespace: namespace, conf: conf, in: cmd.InOrStdin()}
			var found inspection
			if from != "" {
				found, err = look.files(ctx, from)
			} else {
				found, err = look.server(ctx, f.kube, secrets)
			}
			if err != nil {
				return withCode(exitFailed, "%w", err)
			}
			if namespace != "" {
				found.Documents = inNamespace(found.Documents, namespace)
			}
			if err := found.print(cmd.OutOrStdout(), output, time.Now()); err != nil {
				return err
			}
			return found.verdict(namespace)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.kube.Kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default: KUBECONFIG, ~/.kube/config, or the pod's service account)")
	fs.StringVar(&f.kube.Context, "context", "", "context of the kubeconfig (default: its current one)")
	fs.StringVar(&from, "from", "", "read exported objects from this file or folder instead, - for standard input")
	fs.StringVarP(&namespace, "namespace", "n", "", "only this namespace (default: all)")
	fs.BoolVarP(&everywhere, "all-namespaces", "A", false, "all namespaces: the default")
	fs.StringVar(&f.name, "cluster", "", "name of the cluster (default: as the kubeconfig calls it)")
	fs.StringVar(&f.inventory, "inventory-config", "", "YAML file that says how owners and tenants are read (docs/inventory.md)")
	fs.BoolVar(&secrets, "secrets", false, "read names of secrets too; never their contents")
	fs.DurationVar(&timeout, "timeout", 5*time.Minute, "give up after this time")
	fs.StringVarP(&output, "output", "o", "text", "text, json or yaml")
	return cmd
}

// inspector looks at one cluster.
type inspector struct {
	name, namespace string
	conf            inventory.Config
	in              io.Reader
}

// onlyLooked is what an inspection cannot tell, whatever it reads.
var onlyLooked = []inventory.Gap{
	{What: "images", Reason: "not scanned here", Remedy: "dockreeve scan IMAGE, or dockreeve cluster with a server, which scans what runs"},
	{What: "API audit", Reason: "what identities have done is not in the objects", Remedy: "dockreeve cluster, with the API server's audit events"},
}

func (look *inspector) server(ctx context.Context, opt kube.ConfigOptions, secrets bool) (found inspection, err error) {
	conf, err := kube.LoadConfig(opt)
	if err != nil {
		return found, err
	}
	w, err := kube.Open(kube.Options{Config: conf.REST, Namespace: look.namespace, Secrets: secrets})
	if err != nil {
		return found, err
	}
	name := look.name
	if name == "" {
		name = conf.Cluster
	}
	state := inventory.NewState(inventory.Options{Config: look.conf, Cluster: name})
	if err := w.ReadOnce(ctx, state); err != nil {
		reason, remedy := kube.Explain(err)
		if remedy != "" {
			reason += "\n" + remedy
		}
		return found, fmt.Errorf("%s", reason)
	}
	found.Coverage = w.Coverage()
	at := w.Server()
	base := inventory.ClusterDoc{Name: name, Server: at.Address, Version: at.Version, Platform: at.Platform, Custom: at.Custom, Gaps: slices.Concat(kube.Gaps(found.Coverage), onlyLooked)}
	if look.namespace != "" {
		base.Gaps = append(base.Gaps, inventory.Gap{What: "other namespaces", Reason: "not read: -n " + look.namespace, Remedy: "leave -n out; what reaches in from there is missing too"})
	}
	state.SetCluster(base)
	found.Documents = state.Full()
	return found, nil
}

func (look *inspector) files(ctx context.Context, from string) (found inspection, err error) {
	var e *kube.Export
	name := look.name
	if from == "-" {
		e, err = kube.ReadStream(ctx, "standard input", look.in)
	} else {
		e, err = kube.ReadFolder(ctx, from)
	}
	if err != nil {
		return found, err
	}
	if name == "" && from != "-" {
		if abs, err := filepath.Abs(from); err == nil {
			name = filepath.Base(abs)
		}
	}
	if name == "" {
		name = "standard-input"
	}
	state := inventory.NewState(inventory.Options{Config: look.conf, Cluster: name})
	e.Apply(state)
	state.SetCluster(inventory.ClusterDoc{Name: name, Gaps: slices.Concat(e.Gaps(), onlyLooked)})
	found.Files = &inspectedFiles{Files: e.Files, Objects: len(e.Objects), Skipped: e.Skipped, Problems: e.Problems, More: e.More}
	found.Documents = state.Full()
	return found, nil
}

// inNamespace keeps what belongs to one namespace, and the cluster with its nodes.
func inNamespace(docs []inventory.Document, namespace string) []inventory.Document {
	return slices.DeleteFunc(docs, func(d inventory.Document) bool {
		switch {
		case d.Namespace != nil:
			return d.Namespace.Name != namespace
		case d.Workload != nil:
			return d.Workload.Namespace != namespace
		case d.Exposure != nil:
			return d.Exposure.Namespace != namespace
		case d.Identity != nil:
			return d.Identity.Namespace != namespace && !slices.ContainsFunc(d.Identity.Rights, func(r inventory.Right) bool { return r.Namespace == namespace })
		}
		return false
	})
}

// verdict is an error when nothing was found to look at.
func (i *inspection) verdict(namespace string) error {
	if i.Files != nil {
		if i.Files.Objects > 0 {
			return nil
		}
		if len(i.Files.Problems) > 0 {
			return withCode(exitData, "no Kubernetes object could be read; the first of %d problems is %s", len(i.Files.Problems)+i.Files.More, i.Files.Problems[0])
		}
		return withCode(exitData, "no Kubernetes object was found in %d files", i.Files.Files)
	}
	var why string
	for _, c := range i.Coverage {
		if c.State == kube.Read {
			return nil
		}
		if why == "" {
			why = c.Reason
		}
	}
	where := "the API server"
	if namespace != "" {
		where = "namespace " + namespace
	}
	return withCode(exitData, "nothing of %s could be read: %s", where, why)
}

func (i *inspection) print(w io.Writer, output string, now time.Time) error {
	if output == "text" {
		p := inspectPrinter{w: w, now: now}
		p.all(i)
		return p.err
	}
	doc, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	doc = cleanJSON(doc)
	if output == "yaml" {
		if doc, err = yaml.JSONToYAML(doc); err != nil {
			return err
		}
		_, err = io.WriteString(w, cleanLines(strings.TrimSuffix(string(doc), "\n"))+"\n")
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", doc)
	return err
}
