// Labctl brings the Kubernetes lab up and down by hand; `make lab` and `make lab-down` call
// it. docs/lab.md says what is in it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/dockreeve/dockreeve/test/kube/lab"
)

const usage = `usage: labctl [flags] up | down | restart PROGRAM | stop PROGRAM | audit-to KUBECONFIG | audit-to URL [CA] | env | build [PART…]

  up        build what is missing and bring the lab up: a node when root, else a control plane
  down      end it and remove every trace
  restart   end one program and start it again: kube-apiserver, kubelet-node1…
  audit-to  send the API server's audit events to the receiver that wrote KUBECONFIG, or to URL; CA is
            the file that URL's certificate is signed by
  env       print what a shell needs to use the lab
  build     build what up needs, or the parts named (kube, hook, containerd, cni, images, kwok)
`

func main() {
	dir := flag.String("dir", ".dockreeve/lab", "directory of the lab")
	nodes := flag.Int("nodes", -1, "real nodes; 0 = a control plane alone (default: 1 when root, else 0)")
	audit := flag.String("audit-url", "", "receiver of the audit webhook; default: a file in the lab")
	auditCA := flag.String("audit-ca", "", "CA `file` of that receiver; default: the lab's own CA")
	kwok := flag.Bool("kwok", false, "also run kwok, for nodes and pods by the thousand that run nothing")
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage, "\nflags:\n"); flag.PrintDefaults() }
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if *nodes < 0 {
		if *nodes = 0; os.Getuid() == 0 {
			*nodes = 1
		}
	}
	err := do(ctx, lab.Options{Dir: *dir, Nodes: *nodes, AuditURL: *audit, AuditCA: *auditCA, Kwok: *kwok, Stay: true, Log: os.Stderr}, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "labctl:", err)
		os.Exit(3)
	}
}

func do(ctx context.Context, o lab.Options, args []string) error {
	if len(args) == 0 {
		flag.Usage()
		os.Exit(2)
	}
	switch {
	case args[0] == "build":
		names := args[1:]
		if len(names) == 0 {
			if names = lab.ControlParts; o.Nodes > 0 {
				names = lab.NodeParts
			}
		}
		_, err := lab.Build(ctx, names, o.Log)
		return err
	case args[0] == "up":
		l, err := lab.Open(o.Dir)
		if err != nil {
			if l, err = lab.Up(ctx, o); err != nil {
				return err
			}
			if o.Kwok {
				if err := l.Kwok(); err != nil {
					return err
				}
			}
		}
		env(l)
		return nil
	}
	l, err := lab.Open(o.Dir)
	if err != nil {
		if args[0] == "down" {
			fmt.Fprintln(os.Stderr, err)
			return nil
		}
		return err
	}
	switch {
	case args[0] == "down":
		return l.Down(ctx)
	case args[0] == "env":
		env(l)
		return nil
	case args[0] == "restart" && len(args) == 2:
		return l.Restart(ctx, args[1])
	case args[0] == "stop" && len(args) == 2:
		return l.Stop(args[1])
	case args[0] == "audit-to" && (len(args) == 2 || len(args) == 3):
		return l.AuditTo(ctx, args[1], append(args[2:], "")[0])
	}
	flag.Usage()
	os.Exit(2)
	return nil
}

func env(l *lab.Lab) {
	fmt.Printf("export KUBECONFIG=%s PATH=%s:$PATH\n", l.Kubeconfig(), filepath.Dir(l.Bin("kubectl")))
}
