package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/internal/sandbox"
)

// sighting is an alert at the moment a client could see that it came or changed.
// Times are Unix nanoseconds.
type sighting struct {
	Alert     string // its id
	Rule      string
	Title     string
	Severity  string // high, critical…
	Container string // id of the container of its latest occurrence; "" = the host
	Pod       string // namespace/name; "" = none
	Workload  string
	Owner     string
	Identity  string // who used the API; "" = nobody did
	Kernel    int64  // when the kernel saw the latest occurrence
	Stored    int64  // when that was committed
	Seen      int64  // when it arrived here
}

// alertWatcher gives alerts as they become visible through the API.
type alertWatcher interface {
	// Next blocks until the next alert comes or changes, or ctx ends.
	Next(ctx context.Context) (sighting, error)
}

// alertSource is a server that watches this machine.
type alertSource interface {
	// Address is where its console is; "" when it has none.
	Address() string
	// Watch returns once nothing that happens from then on can be missed. The
	// watcher lives until ctx ends.
	Watch(ctx context.Context) (alertWatcher, error)
	Close() error
}

// errNoServer is what dialServer wraps when nobody is there to talk to, as opposed
// to somebody who does not let us in.
var errNoServer = errors.New("no server is running")

func newDemo() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Harmless attacks on a throw-away container, and a made Azure tenant to explore",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDemoAttack(), newDemoTenant(), newDemoClean())
	return cmd
}

func newDemoAttack() *cobra.Command {
	var to target
	var o demoOptions
	var only []string
	var output string
	var keep bool
	var k kubeDemoFlags
	cmd := &cobra.Command{
		Use:   "attack",
		Short: "Attack a throw-away container and say how long each alert took",
		Long: `Attack a throw-away container and say how long each expected alert took until it was
visible through the API.

The container is real, with namespaces and a cgroup of its own, and harmless: its
network is a loopback interface with no way out, its files are made up, and it is
removed at the end. Needs root, a static busybox, and best runc
(Debian: apt install busybox-static runc).

A server that is running on this machine is used, so that the alerts show in its
console; otherwise one is started for as long as the demo runs.

With --kubernetes the same is done in a pod of a real cluster, through its API server, with
attacks that only the API server sees added: a stolen token that asks what it may do and
reads secrets, a privileged pod and the way from it to the node, a cluster-admin binding.
What it will make is printed first; --yes does it. All of it bears the label
app.kubernetes.io/managed-by=dockreeve-demo and is removed at the end, also after Ctrl-C;
"dockreeve demo clean --kubernetes" removes what a killed demo left. It needs a server that
watches the cluster; alerts that cannot come because a node or the API server is not
watched are named, with the reason, and never count as come.

Exit codes: 0 every alert came, 1 one is missing, 2 wrong usage, 3 could not do it,
4 some could not be expected, because not everything is watched.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			if o.timeout <= 0 {
				return withCode(exitUsage, "--timeout %v: want more than nothing, for example 10s", o.timeout)
			}
			if o.attacks, err = pick(only); err != nil {
				return err
			}
			if err := k.alone(cmd); err != nil {
				return err
			}
			if k.on {
				if len(only) > 0 || keep {
					return withCode(exitUsage, "--only and --keep do not go with --kubernetes")
				}
				if !cmd.Flags().Changed("timeout") {
					o.timeout = 90 * time.Second // API servers send audit events every 30 s, if not told otherwise
				}
				return k.run(cmd.Context(), &to, o.timeout, output, cmd.OutOrStdout())
			}
			if err := sandbox.Available(); err != nil {
				return withCode(exitFailed, "%w", err)
			}
			ctx := cmd.Context()
			o.source, err = dialServer(ctx, &to)
			if errors.Is(err, errNoServer) {
				o.embedded = true
				o.source, err = startEmbedded(ctx)
			}
			if err != nil {
				return withCode(exitFailed, "%w", err)
			}
			defer func() { err = errors.Join(err, o.source.Close()) }()
			// What an earlier demo left, killed or kept, goes first.
			if _, err := sandbox.Sweep(); err != nil {
				return withCode(exitFailed, "%w", err)
			}
			o.progress = cmd.OutOrStdout()
			if output == "json" {
				o.progress = io.Discard
			}
			o.now = time.Now
			o.start = func(ctx context.Context) (victim, error) {
				v, err := newVictim(ctx)
				if err != nil {
					return nil, withCode(exitFailed, "%w", err)
				}
				return v, nil
			}
			o.stop = func(v victim) error {
				box := v.(*sandboxVictim).box
				if !keep {
					return box.Close()
				}
				enter := "nsenter -t " + fmt.Sprint(box.Pid) + " -a sh"
				if box.Runtime == "runc" {
					enter = "runc exec -t " + box.Name + " sh"
				}
				_, err := fmt.Fprintf(cmd.ErrOrStderr(), "The container is kept. Look around in it: %s\nRemove it: dockreeve demo clean\n", enter)
				return err
			}
			report, err := runDemo(ctx, o)
			if err != nil {
				return err
			}
			if output == "json" {
				b, err := json.MarshalIndent(report, "", "  ")
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b); err != nil {
					return err
				}
			} else if err := printDemo(cmd.OutOrStdout(), report); err != nil {
				return err
			}
			return report.verdict()
		},
	}
	to.flags(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&only, "only", nil, "only these attacks: "+strings.Join(attackNames(), ", "))
	f.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long to wait for the alerts of each step (with --kubernetes of all of them, 90s)")
	f.StringVarP(&output, "output", "o", "text", "text or json")
	f.BoolVar(&keep, "keep", false, "leave the container running at the end")
	k.flags(cmd)
	f.BoolVar(&k.yes, "yes", false, "with --kubernetes: do it, not only say what would be done")
	f.StringVar(&k.image, "image", "docker.io/library/busybox:1.35", "with --kubernetes: image of the pods, with busybox in it")
	f.StringVar(&k.cluster, "cluster", "", "with --kubernetes: the server's name of the cluster (default: as the kubeconfig calls it)")
	return cmd
}

func newDemoClean() *cobra.Command {
	var k kubeDemoFlags
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove throw-away containers, or what the demo made in a cluster, that were kept or left over",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := k.alone(cmd); err != nil {
				return err
			}
			clean := func() ([]string, error) { return sandbox.Sweep() }
			if k.on {
				w, _, _, err := k.world(cmd.Context())
				if err != nil {
					return err
				}
				clean = func() ([]string, error) { return w.clean(cmd.Context()) }
			}
			removed, err := clean()
			for _, id := range removed {
				fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", id)
			}
			if err != nil {
				return withCode(exitFailed, "%w", err)
			}
			return nil
		},
	}
	k.flags(cmd)
	return cmd
}

// demoOptions is what runDemo needs from the world.
type demoOptions struct {
	attacks  []attack
	source   alertSource
	embedded bool
	start    func(context.Context) (victim, error)
	stop     func(victim) error
	timeout  time.Duration
	now      func() time.Time
	progress io.Writer
}

// demoReport is what came of it; its JSON is the output of -o json.
type demoReport struct {
	Server    string      `json:"server"`
	Embedded  bool        `json:"embedded"`
	Container string      `json:"container"`
	Alerts    []demoAlert `json:"alerts"`
	Missing   []string    `json:"missing"` // rule ids
	Also      []demoExtra `json:"also"`    // raised by the attacks, but not waited for
	timeout   time.Duration
}

// demoAlert is one expected alert. Durations are in milliseconds.
type demoAlert struct {
	Attack          string  `json:"attack"`
	Rule            string  `json:"rule"`
	Found           bool    `json:"found"`
	Title           string  `json:"title,omitempty"`
	Severity        string  `json:"severity,omitempty"`
	ID              string  `json:"id,omitempty"`
	KernelToStored  float64 `json:"kernelToStoredMs,omitempty"`
	KernelToVisible float64 `json:"kernelToVisibleMs,omitempty"`
	StepToVisible   float64 `json:"stepToVisibleMs,omitempty"`
}

type demoExtra struct {
	Rule  string `json:"rule"`
	Title string `json:"title"`
	Count int    `json:"count"`
}

// clockSlack is how far the kernel's clock, translated to wall time, may lie behind
// ours: an alert of an earlier step must not count for this one.
const clockSlack = 50 * time.Millisecond

// runDemo attacks and waits. Only alerts about the attacked container count.
func runDemo(ctx context.Context, o demoOptions) (_ *demoReport, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := o.source.Watch(ctx)
	if err != nil {
		return nil, withCode(exitFailed, "watch for alerts: %w", err)
	}
	v, err := o.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.stop(v)) }()
	r := &demoReport{Server: o.source.Address(), Embedded: o.embedded, Container: v.ID(), Alerts: []demoAlert{}, Missing: []string{}, Also: []demoExtra{}, timeout: o.timeout}
	p := func(format string, args ...any) { fmt.Fprintf(o.progress, format, args...) }
	p("Attacking container %.12s (%s): nothing leaves it, it has no network but its own loopback.\n", v.ID(), demoName)
	if o.embedded {
		p("No server is running here, so one runs for as long as this takes.\n")
	} else {
		p("The alerts show in the console at %s\n", o.source.Address())
	}

	arrivals := make(chan arrival, 64)
	go pump(ctx, w, arrivals)

	extra := func(s sighting) {
		if s.Container != v.ID() {
			return
		}
		i := slices.IndexFunc(r.Also, func(e demoExtra) bool { return e.Rule == s.Rule })
		if i < 0 {
			i = len(r.Also)
			r.Also = append(r.Also, demoExtra{Rule: s.Rule, Title: s.Title})
		}
		r.Also[i].Count++
	}
	for _, a := range o.attacks {
		p("\n%s\n", a.Title)
		for _, st := range a.Steps {
			p("  %s\n    $ %s\n", st.Say, st.Shown)
			began := o.now()
			out, err := attackStep(ctx, o.timeout, v, st)
			if err != nil {
				return nil, withCode(exitFailed, "attack %s, step %q: %w", a.Name, st.Say, err)
			}
			p("    %s\n", clean(lastLine(out)))
			pending := slices.Clone(st.Expect)
			deadline := time.NewTimer(o.timeout)
		waiting:
			for len(pending) > 0 {
				select {
				case <-ctx.Done():
					deadline.Stop()
					return nil, ctx.Err()
				case <-deadline.C:
					break waiting
				case got := <-arrivals:
					if got.err != nil {
						deadline.Stop()
						return nil, withCode(exitFailed, "watch for alerts: %w", got.err)
					}
					i := slices.Index(pending, got.Rule)
					if i < 0 || got.Container != v.ID() || got.Kernel < began.Add(-clockSlack).UnixNano() {
						extra(got.sighting)
						continue
					}
					pending = slices.Delete(pending, i, i+1)
					da := demoAlert{
						Attack: a.Name, Rule: got.Rule, Found: true, Title: got.Title, Severity: got.Severity, ID: got.Alert,
						KernelToStored: millis(got.Stored - got.Kernel), KernelToVisible: millis(got.Seen - got.Kernel),
						StepToVisible: millis(got.Seen - began.UnixNano()),
					}
					r.Alerts = append(r.Alerts, da)
					p("    ✓ %s: %s (%s), seen %.1f ms after it happened\n", strings.ToUpper(da.Severity), clean(da.Title), da.Rule, da.KernelToVisible)
				}
			}
			deadline.Stop()
			for _, rule := range pending {
				r.Alerts = append(r.Alerts, demoAlert{Attack: a.Name, Rule: rule})
				r.Missing = append(r.Missing, rule)
				p("    ✗ MISSING: no alert of rule %s within %v\n", rule, o.timeout)
			}
		}
	}
	for {
		select {
		case got := <-arrivals:
			if got.err == nil {
				extra(got.sighting)
				continue
			}
		default:
		}
		return r, nil
	}
}

// attackStep does one step and checks that it really happened.
func attackStep(ctx context.Context, timeout time.Duration, v victim, st step) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, max(timeout, 10*time.Second))
	defer cancel()
	out, err := st.Do(ctx, v)
	if err != nil {
		return out, err
	}
	if !strings.Contains(out, st.Proof) {
		return out, fmt.Errorf("it did not work, so no alert can be expected: want %q in what it printed: %s", st.Proof, clean(strings.TrimSpace(out)))
	}
	return out, nil
}

// lastLine is the part of an attacker's screen worth a line.
func lastLine(out string) string {
	lines := strings.FieldsFunc(out, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

func millis(ns int64) float64 { return float64(ns/1e4) / 100 }

// verdict turns missing alerts into the exit code.
func (r *demoReport) verdict() error {
	if len(r.Missing) == 0 {
		return nil
	}
	return withCode(exitFindings, "%d of %d expected alerts did not come within %v: %s\n"+
		"\"dockreeve status\" says what is watched and what is not, and why.",
		len(r.Missing), len(r.Alerts), r.timeout, strings.Join(r.Missing, ", "))
}

func printDemo(w io.Writer, r *demoReport) error {
	fmt.Fprintln(w)
	tw := columns(w)
	fmt.Fprintln(tw, "ATTACK\tALERT\tSEVERITY\tKERNEL→STORED\tKERNEL→SEEN\tSTEP→SEEN")
	for _, a := range r.Alerts {
		if !a.Found {
			fmt.Fprintf(tw, "%s\t%s\tMISSING\t–\t–\t–\n", a.Attack, a.Rule)
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%.1f ms\t%.1f ms\t%.1f ms\n", a.Attack, a.Rule, a.Severity, a.KernelToStored, a.KernelToVisible, a.StepToVisible)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(r.Also) > 0 {
		fmt.Fprintln(w, "\nAlso raised, or raised again, by these attacks:")
		for _, e := range r.Also {
			fmt.Fprintf(w, "  %s (%s), %d times\n", clean(e.Title), e.Rule, e.Count)
		}
	}
	_, err := fmt.Fprintf(w, "\n%d of %d expected alerts came.\n", len(r.Alerts)-len(r.Missing), len(r.Alerts))
	return err
}
