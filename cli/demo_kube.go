package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/source/kube"
)

// kubeDemoFlags say which cluster the demo is for.
type kubeDemoFlags struct {
	on        bool
	yes       bool
	kube      kube.ConfigOptions
	cluster   string
	namespace string
	image     string
}

func (f *kubeDemoFlags) flags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&f.on, "kubernetes", false, "in a real cluster, through its API server")
	fs.StringVar(&f.kube.Kubeconfig, "kubeconfig", "", "with --kubernetes: kubeconfig of the cluster")
	fs.StringVar(&f.kube.Context, "context", "", "with --kubernetes: context of the kubeconfig (default: its current one)")
	fs.StringVar(&f.namespace, "namespace", demoMark, "with --kubernetes: namespace that is made, and removed at the end")
}

// alone reports flags of the cluster's demo that were given without --kubernetes.
func (f *kubeDemoFlags) alone(cmd *cobra.Command) error {
	if f.on {
		return nil
	}
	for _, name := range []string{"kubeconfig", "context", "namespace", "image", "yes", "cluster"} {
		if fl := cmd.Flags().Lookup(name); fl != nil && fl.Changed {
			return withCode(exitUsage, "--%s goes with --kubernetes", name)
		}
	}
	return nil
}

// world connects to the cluster and learns who we are there.
func (f *kubeDemoFlags) world(ctx context.Context) (w *kubeWorld, conf kube.Config, me string, err error) {
	if conf, err = kube.LoadConfig(f.kube); err != nil {
		return nil, conf, "", withCode(exitFailed, "%w\nThe demo needs a cluster: name one with --kubeconfig", err)
	}
	api, err := newKubeAPI(conf.REST, "dockreeve-demo/"+version)
	if err != nil {
		return nil, conf, "", withCode(exitFailed, "%w", err)
	}
	var who struct {
		Status struct{ UserInfo struct{ Username string } }
	}
	const at = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	if err := api.do(ctx, http.MethodPost, at, object{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}, &who); err != nil {
		return nil, conf, "", withCode(exitFailed, "the cluster does not answer: %w", err)
	}
	return &kubeWorld{api: api, namespace: f.namespace, image: f.image}, conf, identityOf(who.Status.UserInfo.Username), nil
}

// identityOf is how alerts call a user of the API server.
func identityOf(user string) string {
	if rest, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		return "serviceaccount:" + strings.Replace(rest, ":", "/", 1)
	}
	if node, ok := strings.CutPrefix(user, "system:node:"); ok {
		return "node:" + node
	}
	return "user:" + user
}

// productive are words in names of clusters that nobody plays with.
var productive = []string{"prod", "prd", "live"}

// run is `demo attack --kubernetes`.
func (f *kubeDemoFlags) run(ctx context.Context, to *target, timeout time.Duration, output string, stdout io.Writer) (err error) {
	w, conf, me, err := f.world(ctx)
	if err != nil {
		return err
	}
	progress := stdout
	if output == "json" {
		progress = io.Discard
	}
	p := func(format string, args ...any) { fmt.Fprintf(progress, format, args...) }
	p("Cluster %s at %s (context %s), as %s. This will be made, used and removed:\n", clean(conf.Cluster), clean(conf.REST.Host), clean(conf.Context), clean(me))
	for _, line := range w.plan() {
		p("  - %s\n", line)
	}
	p("The pods talk to nobody but themselves, except for one request to the cloud's metadata address.\n")
	if !f.yes {
		where := "context " + conf.Context
		for _, word := range productive {
			if strings.Contains(strings.ToLower(conf.Context+conf.Cluster), word) {
				where += ", which looks like production"
				break
			}
		}
		return withCode(exitUsage, "nothing was done: add --yes to do this in %s", clean(where))
	}
	c, err := to.dial()
	if err != nil {
		return withCode(exitFailed, "%w\nThe alerts come through a server: start one with \"dockreeve up --kubeconfig … --audit-webhook …\"", err)
	}
	name := f.cluster
	if name == "" {
		name = conf.Cluster
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch, err := remote{c}.Watch(ctx)
	if err != nil {
		return to.explain(err)
	}
	story := &kubeStory{world: w, me: me}
	p("\n")
	r, err := runKubeDemo(ctx, kubeDemo{
		world: w, story: story, watch: watch, timeout: timeout, now: time.Now, progress: progress,
		coverage: func(ctx context.Context) (*kubeCoverage, error) { return coverageOf(ctx, c, name, conf.REST.Host) },
	})
	if err != nil {
		return withCode(exitFailed, "%w", err)
	}
	r.Server, r.Context = c.url, conf.Context
	if output == "json" {
		if err := writeJSON(stdout, r); err != nil {
			return err
		}
	} else if err := r.print(stdout); err != nil {
		return err
	}
	return r.verdict(timeout)
}

// kubeDemo is what runKubeDemo needs from the world.
type kubeDemo struct {
	world    *kubeWorld
	story    *kubeStory
	watch    alertWatcher
	coverage func(context.Context) (*kubeCoverage, error)
	timeout  time.Duration
	now      func() time.Time
	progress io.Writer
}

// kubeReport is what came of it; its JSON is the output of -o json.
type kubeReport struct {
	Server      string      `json:"server"`
	Context     string      `json:"context"`
	Cluster     string      `json:"cluster"` // as the server calls it; "" = it knows it not
	Namespace   string      `json:"namespace"`
	Pod         string      `json:"pod"`
	Node        string      `json:"node"`
	Alerts      []kubeAlert `json:"alerts"`
	Missing     []string    `json:"missing"`     // rule ids
	NotAssessed []string    `json:"notAssessed"` // rule ids that could not be expected
	Also        []demoExtra `json:"also"`
	failed      bool
}

// kubeAlert is one expected alert and what it says.
type kubeAlert struct {
	Attack      string  `json:"attack"`
	Rule        string  `json:"rule"`
	Found       bool    `json:"found"`
	NotAssessed string  `json:"notAssessed,omitempty"` // why it could not be expected
	ID          string  `json:"id,omitempty"`
	Title       string  `json:"title,omitempty"`
	Severity    string  `json:"severity,omitempty"`
	Visible     float64 `json:"visibleMs,omitempty"` // from when it happened until it was seen here
	Pod         string  `json:"pod,omitempty"`
	Workload    string  `json:"workload,omitempty"`
	Owner       string  `json:"owner,omitempty"`
	Identity    string  `json:"identity,omitempty"`

	began         int64 // wall clock, nanoseconds
	cid, identity string
}

// kubeSlack is how far the clocks of API server and nodes may lie behind ours.
const kubeSlack = 5 * time.Second

// is reports whether an alert is the expected one.
func (a *kubeAlert) is(s *sighting) bool {
	return !a.Found && a.NotAssessed == "" && s.Rule == a.Rule && s.Kernel >= a.began-int64(kubeSlack) &&
		(a.cid == "" || s.Container == a.cid) && (a.identity == "" || s.Identity == a.identity)
}

// runKubeDemo makes the world, takes the steps, waits for what they must raise, and takes
// the world away again, whatever happens in between.
func runKubeDemo(ctx context.Context, o kubeDemo) (r *kubeReport, err error) {
	p := func(format string, args ...any) { fmt.Fprintf(o.progress, format, args...) }
	if _, err := o.world.clean(ctx); err != nil { // of an earlier demo that was killed
		return nil, fmt.Errorf("remove what an earlier demo left: %w", err)
	}
	defer func() {
		removed, err2 := o.world.clean(ctx)
		if len(removed) > 0 {
			p("\nRemoved: %s.\n", strings.Join(removed, ", "))
		}
		if err2 != nil {
			err = errors.Join(err, fmt.Errorf("%w\nNot everything is removed: \"dockreeve demo clean --kubernetes\" does it", err2))
		}
	}()
	p("Making namespace %s…\n", o.world.namespace)
	making, done := context.WithTimeout(ctx, 3*time.Minute)
	defer done()
	if o.story.shop, err = o.world.create(making); err != nil {
		return nil, err
	}
	shop := o.story.shop
	cov, err := o.settled(ctx)
	if err != nil {
		return nil, err
	}
	r = &kubeReport{Cluster: cov.cluster, Namespace: o.world.namespace, Pod: shop.pod, Node: shop.node, Alerts: []kubeAlert{}, Missing: []string{}, NotAssessed: []string{}, Also: []demoExtra{}}
	p("Attacking pod %s on node %s\n", shop.pod, shop.node)
	for _, why := range []string{cov.node(shop.node), cov.audit} {
		if why != "" {
			p("NOT WATCHED: %s\n", why)
		}
	}
	if cov.cluster != "" && !slices.Contains(cov.spaces, o.world.namespace) {
		p("The server has not heard of the namespace yet: it may not know whose pods these are.\n")
	}
	arrivals := make(chan arrival, 256)
	go pump(ctx, o.watch, arrivals)
	steps := o.story.steps()
	for i := range steps {
		st := &steps[i]
		p("\n%s: %s\n    $ %s\n", st.Attack, st.Say, st.Shown)
		from := len(r.Alerts)
		began := o.now().UnixNano()
		for _, rule := range st.API {
			r.Alerts = append(r.Alerts, kubeAlert{Attack: st.Attack, Rule: rule, began: began, identity: o.story.by(rule), NotAssessed: or(cov.audit, cov.rule(rule))})
		}
		out, err := o.take(ctx, st)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, rule := range st.Node {
			a := kubeAlert{Attack: st.Attack, Rule: rule, began: began}
			if v := o.story.in(rule); v != nil {
				a.cid, a.NotAssessed = v.cid, or(cov.node(v.node), cov.rule(rule))
			}
			r.Alerts = append(r.Alerts, a)
		}
		if err != nil {
			p("    it did not work: %s\n", clean(err.Error()))
			r.failed = true
			for j := from; j < len(r.Alerts); j++ {
				r.Alerts[j].NotAssessed = or(r.Alerts[j].NotAssessed, "the step did not work: "+err.Error())
			}
		} else {
			p("    %s\n", clean(lastLine(out)))
		}
		if err := r.collect(ctx, arrivals, nil, p); err != nil {
			return nil, err
		}
	}
	if r.waiting() {
		p("\nWaiting for alerts, %v at most; an API server may send its audit events in batches…\n", o.timeout)
	}
	late := time.NewTimer(o.timeout)
	defer late.Stop()
	if err := r.collect(ctx, arrivals, late.C, p); err != nil {
		return nil, err
	}
	for i := range r.Alerts {
		switch a := &r.Alerts[i]; {
		case a.NotAssessed != "":
			r.NotAssessed = append(r.NotAssessed, a.Rule)
		case !a.Found:
			r.Missing = append(r.Missing, a.Rule)
		}
	}
	return r, nil
}

// settling is how long a server is given to learn of what was made.
const settling = 20 * time.Second

// settled asks what is watched until the server knows the namespace and the pod's node
// is watched, for a while at most: what is judged before is not attributed.
func (o *kubeDemo) settled(ctx context.Context) (cov *kubeCoverage, err error) {
	until := o.now().Add(settling)
	for {
		if cov, err = o.coverage(ctx); err != nil {
			return nil, fmt.Errorf("ask what is watched: %w", err)
		}
		ready := cov.cluster == "" || slices.Contains(cov.spaces, o.world.namespace) && cov.node(o.story.shop.node) == ""
		if ready || o.now().After(until) {
			return cov, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// take does a step and checks that it really happened.
func (o *kubeDemo) take(ctx context.Context, st *kubeStep) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, max(o.timeout, 30*time.Second))
	defer cancel()
	out, err := st.Do(ctx)
	if err == nil && !strings.Contains(out, st.Proof) {
		err = fmt.Errorf("want %q in what it printed: %s", st.Proof, strings.TrimSpace(out))
	}
	return out, err
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// arrival is an alert as it was seen, or the end of them.
type arrival struct {
	sighting
	err error
}

// pump takes alerts off the stream as they come, so that when one was seen is not when
// somebody looked.
func pump(ctx context.Context, w alertWatcher, to chan<- arrival) {
	for {
		s, err := w.Next(ctx)
		select {
		case to <- arrival{s, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (r *kubeReport) waiting() bool {
	return slices.ContainsFunc(r.Alerts, func(a kubeAlert) bool { return !a.Found && a.NotAssessed == "" })
}

// collect takes what has arrived; with until, it waits for what is expected until then.
func (r *kubeReport) collect(ctx context.Context, arrivals <-chan arrival, until <-chan time.Time, p func(string, ...any)) error {
	for {
		var got arrival
		if until != nil && r.waiting() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-until:
				return nil
			case got = <-arrivals:
			}
		} else {
			select {
			case got = <-arrivals:
			default:
				return nil
			}
		}
		if got.err != nil {
			return fmt.Errorf("watch for alerts: %w", got.err)
		}
		r.take(&got.sighting, p)
	}
}

// take notes one alert.
func (r *kubeReport) take(s *sighting, p func(string, ...any)) {
	i := slices.IndexFunc(r.Alerts, func(a kubeAlert) bool { return a.is(s) })
	if i >= 0 {
		a := &r.Alerts[i]
		a.Found, a.ID, a.Title, a.Severity, a.Visible = true, s.Alert, s.Title, s.Severity, millis(s.Seen-s.Kernel)
		a.Pod, a.Workload, a.Owner, a.Identity = s.Pod, s.Workload, s.Owner, s.Identity
		p("    ✓ %s: %s (%s), seen %.0f ms after it happened\n", strings.ToUpper(a.Severity), clean(a.Title), a.Rule, a.Visible)
		return
	}
	ns, _, _ := strings.Cut(s.Workload, "/")
	if ns != r.Namespace && !strings.HasPrefix(s.Pod, r.Namespace+"/") && !strings.HasPrefix(s.Identity, "serviceaccount:"+r.Namespace+"/") {
		return
	}
	if slices.ContainsFunc(r.Alerts, func(a kubeAlert) bool { return a.Rule == s.Rule }) {
		return // an expected one, again
	}
	if i = slices.IndexFunc(r.Also, func(e demoExtra) bool { return e.Rule == s.Rule }); i < 0 {
		i = len(r.Also)
		r.Also = append(r.Also, demoExtra{Rule: s.Rule, Title: s.Title})
	}
	r.Also[i].Count++
}

func (r *kubeReport) print(w io.Writer) error {
	dash := func(s string) string { return or(clean(s), "–") }
	fmt.Fprintln(w)
	tw := columns(w)
	fmt.Fprintln(tw, "ATTACK\tALERT\tSEVERITY\tSEEN AFTER\tPOD\tOWNER\tIDENTITY")
	found := 0
	for _, a := range r.Alerts {
		severity, seen := a.Severity, fmt.Sprintf("%.0f ms", a.Visible)
		switch {
		case a.NotAssessed != "":
			severity, seen = "not assessed", "–"
		case !a.Found:
			severity, seen = "MISSING", "–"
		default:
			found++
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.Attack, a.Rule, severity, seen, dash(a.Pod), dash(a.Owner), dash(a.Identity))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(r.Also) > 0 {
		fmt.Fprintln(w, "\nAlso raised by these attacks:")
		for _, e := range r.Also {
			fmt.Fprintf(w, "  %s (%s)\n", clean(e.Title), e.Rule)
		}
	}
	var why []string
	for _, a := range r.Alerts {
		if a.NotAssessed != "" && !slices.Contains(why, a.NotAssessed) {
			why = append(why, a.NotAssessed)
		}
	}
	if len(why) > 0 {
		fmt.Fprintln(w, "\nCould not be expected, because:")
		for _, s := range why {
			fmt.Fprintf(w, "  %s\n", clean(s))
		}
	}
	_, err := fmt.Fprintf(w, "\n%d of %d alerts came, %d are missing, %d could not be expected.\n", found, len(r.Alerts), len(r.Missing), len(r.NotAssessed))
	return err
}

// verdict turns what is missing, or could not be tried, into the exit code.
func (r *kubeReport) verdict(timeout time.Duration) error {
	switch {
	case len(r.Missing) > 0:
		return withCode(exitFindings, "%d of %d expected alerts did not come within %v: %s\n\"dockreeve status\" says what is watched and what is not, and why.",
			len(r.Missing), len(r.Alerts)-len(r.NotAssessed), timeout, strings.Join(r.Missing, ", "))
	case r.failed:
		return withCode(exitFailed, "not every step worked, so this shows less than it should")
	case len(r.NotAssessed) > 0:
		return withCode(exitData, "%d alerts could not be expected: not everything here is watched", len(r.NotAssessed))
	}
	return nil
}
