package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/gate"
	"github.com/dockreeve/dockreeve/scan/image"
	"github.com/dockreeve/dockreeve/scan/license"
	"github.com/dockreeve/dockreeve/scan/malware"
	"github.com/dockreeve/dockreeve/scan/render"
	"github.com/dockreeve/dockreeve/scan/vex"
)

// sourceFlags say where images come from.
type sourceFlags struct {
	platform  string
	cache     string
	noCache   bool
	insecure  []string
	mirrors   []string
	ca        string
	namespace string
	root      string // of containerd
	offline   bool
}

func (f *sourceFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.platform, "platform", "", `os/arch[/variant] to choose from a manifest list, or "all"; default: this machine's`)
	fl.StringVar(&f.cache, "cache-dir", "", "where results of layers are kept (default: below the user's cache directory)")
	fl.BoolVar(&f.noCache, "no-cache", false, "read every layer again")
	fl.StringSliceVar(&f.insecure, "insecure-registry", nil, "registries to be spoken to over plain HTTP or with a certificate nobody vouches for")
	fl.StringSliceVar(&f.mirrors, "registry-mirror", nil, "REGISTRY=MIRROR: ask MIRROR first for images of REGISTRY")
	fl.StringVar(&f.ca, "registry-ca", "", "file of certificates to trust for registries, beside the system's")
	fl.StringVar(&f.namespace, "containerd-namespace", "", "namespace of containerd to look in (default: all)")
	fl.StringVar(&f.root, "containerd-root", "", "where containerd keeps its state (default: /var/lib/containerd)")
	fl.BoolVar(&f.offline, "offline", false, "ask no registry and no feed")
}

// cacheRoot is where what earlier scans found is kept.
func (f *sourceFlags) cacheRoot() string {
	if f.cache != "" {
		return f.cache
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = defaultState() // no home
	}
	return filepath.Join(dir, "dockreeve")
}

// layerCache is where results of layers are kept; "" = nowhere.
func (f *sourceFlags) layerCache() string {
	if f.noCache {
		return ""
	}
	return filepath.Join(f.cacheRoot(), "layers")
}

// seenDir is where images scanned before are remembered; "" = nowhere.
func (f *sourceFlags) seenDir() string {
	if f.noCache {
		return ""
	}
	return filepath.Join(f.cacheRoot(), "images")
}

func (f *sourceFlags) options() (image.Options, error) {
	opt := image.Options{Platform: f.platform, ContainerdNamespace: f.namespace, ContainerdRoot: f.root}
	r := &opt.Registry
	r.Insecure, r.CAFile, r.Offline = f.insecure, f.ca, f.offline
	for _, m := range f.mirrors {
		of, mirror, ok := strings.Cut(m, "=")
		if !ok || of == "" || mirror == "" {
			return opt, withCode(exitUsage, "--registry-mirror %q: want REGISTRY=MIRROR", m)
		}
		if r.Mirrors == nil {
			r.Mirrors = map[string][]string{}
		}
		r.Mirrors[of] = append(r.Mirrors[of], mirror)
	}
	return opt, nil
}

// judgeFlags say what is held against an image and what is not.
type judgeFlags struct {
	failOn    []string
	ignores   []string
	noIgnore  bool
	vexFiles  []string
	severity  string
	inUse     bool
	allowGaps bool
	deny      []string
}

func (f *judgeFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringSliceVar(&f.failOn, "fail-on", nil, "fail (exit 1) on any of these: critical, high, medium, low, kev, epss>=0.5, fixable, in-use, secret, misstep>=high, malware, eol; join with + for both at once: high+fixable")
	fl.StringSliceVar(&f.ignores, "ignore-file", nil, "files of findings to leave out, each with reason and expiry; .trivyignore and Grype's ignore rules are read too (default: .dockreeveignore.yaml, .trivyignore where they are)")
	fl.BoolVar(&f.noIgnore, "no-default-ignore", false, "do not look for ignore files that are not named")
	fl.StringSliceVar(&f.vexFiles, "vex", nil, "VEX documents: OpenVEX, CSAF, CycloneDX")
	fl.StringVar(&f.severity, "severity", "", "show only findings of this severity and above, those that are exploited, and those nobody has rated; the gate sees all")
	fl.BoolVar(&f.inUse, "in-use", false, "show only findings in packages seen loaded where the image runs; needs --server")
	fl.StringSliceVar(&f.deny, "deny-license", nil, "fail on packages under these licences: SPDX ids (GPL-3.0, AGPL-*) or permissive, weak-copyleft, strong-copyleft, network-copyleft, proprietary, unknown")
	fl.BoolVar(&f.allowGaps, "allow-gaps", false, "let a gate pass although layers or files could not be read")
}

// judge is what judgeFlags say, read.
type judge struct {
	policy   gate.Policy
	ignore   []*gate.Ignores
	vex      []*vex.Document
	severity finding.Severity
	inUse    bool
	licenses license.Policy
	warn     io.Writer
}

func (f *judgeFlags) load(cmd *cobra.Command) (*judge, error) {
	j := &judge{inUse: f.inUse, warn: cmd.ErrOrStderr()}
	var err error
	if cmd.Flags().Changed("fail-on") && strings.TrimSpace(strings.Join(f.failOn, "")) == "" {
		return nil, withCode(exitUsage, "--fail-on is empty: leave it out where nothing shall be judged")
	}
	if j.policy, err = gate.ParsePolicy(f.failOn...); err != nil {
		return nil, withCode(exitUsage, "--fail-on: %w", err)
	}
	j.policy.AllowGaps, j.policy.Now = f.allowGaps, time.Now().UnixNano()
	j.licenses.Deny = f.deny
	if err := j.licenses.Validate(); err != nil {
		return nil, withCode(exitUsage, "--deny-license: %w", err)
	}
	if f.severity != "" {
		if j.severity, err = finding.ParseSeverity(f.severity); err != nil {
			return nil, withCode(exitUsage, "--severity: %w", err)
		}
	}
	for _, name := range f.ignoreFiles() {
		ig, err := readIgnores(name)
		if err != nil {
			return nil, withCode(exitUsage, "%w", err)
		}
		for _, w := range ig.Warnings {
			fmt.Fprintln(j.warn, "dockreeve:", clean(w))
		}
		j.ignore = append(j.ignore, ig)
	}
	for _, name := range f.vexFiles {
		d, err := vex.Load(name)
		if err != nil {
			return nil, withCode(exitUsage, "%w", err)
		}
		j.vex = append(j.vex, d)
	}
	return j, nil
}

// asked reports whether there is anything to judge by.
func (j *judge) asked() bool { return len(j.policy.Rules) > 0 || len(j.licenses.Deny) > 0 }

// noteUnrated says what rules about severities cannot see.
func (j *judge) noteUnrated(r *scan.Report) {
	policy := j.policy.String()
	bySeverity := slices.ContainsFunc(finding.SeverityWords(), func(w string) bool { return strings.Contains(policy, w) })
	if n := scan.Count(r).Unrated; n > 0 && bySeverity && !strings.Contains(policy, "unrated") {
		fmt.Fprintf(j.warn, "dockreeve: %d vulnerabilities are rated by nobody, so rules about severities do not see them: add unrated or epss>=0.1 to --fail-on\n", n)
	}
}

// ignoreFiles are those named, else those that lie where people put them.
func (f *judgeFlags) ignoreFiles() []string {
	if len(f.ignores) > 0 || f.noIgnore {
		return f.ignores
	}
	var found []string
	for _, name := range []string{".dockreeveignore.yaml", ".trivyignore", ".trivyignore.yaml", ".grype.yaml"} {
		if _, err := os.Stat(name); err == nil {
			found = append(found, name)
		}
	}
	return found
}

func readIgnores(name string) (*gate.Ignores, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("ignore file: %w", err)
	}
	defer f.Close()
	return gate.ReadIgnores(name, f)
}

// apply takes away what people have decided about, and says on standard error which
// VEX statements named a finding and did not apply.
func (j *judge) apply(r *scan.Report) {
	for _, n := range vex.Apply(r, j.vex...) {
		if !n.Applied {
			fmt.Fprintln(j.warn, "dockreeve: vex:", clean(n.String()))
		}
	}
	for _, ig := range j.ignore {
		for _, e := range ig.Apply(r, j.policy.Now).Expired {
			fmt.Fprintln(j.warn, "dockreeve:", clean(e))
		}
	}
}

// verdict judges a report by the policy, licences included.
func (j *judge) verdict(r *scan.Report) gate.Verdict {
	v := gate.Evaluate(r, j.policy)
	if len(j.licenses.Deny) == 0 {
		return v
	}
	byRule := map[string]int{}
	for _, d := range j.licenses.Evaluate(r.Packages).Denied {
		i, ok := byRule[d.By]
		if !ok {
			i = len(v.Reasons)
			byRule[d.By] = i
			v.Reasons = append(v.Reasons, gate.Reason{Rule: "license " + d.By})
		}
		reason := &v.Reasons[i]
		if reason.Count++; len(reason.Examples) < gate.MaxExamples {
			reason.Examples = append(reason.Examples, r.Packages[d.Package].Name+" "+d.License)
		}
		v.Passed = false
	}
	return v
}

// show leaves out what --severity and --in-use do not ask for. The gate has seen it all.
func (j *judge) show(r *scan.Report) scan.Report {
	shown := *r
	if j.severity == finding.SeverityNone && !j.inUse {
		return shown
	}
	shown.Vulnerabilities = nil
	shown.Suppressed = slices.Clip(r.Suppressed)
	for _, v := range r.Vulnerabilities {
		// What nobody has rated may be bad, and what is exploited is.
		by := ""
		if v.Severity < j.severity && v.Severity != finding.SeverityNone && v.KEV == nil {
			by = "--severity"
		}
		if j.inUse && v.Use.State != scan.Loaded {
			by = "--in-use"
		}
		if by != "" {
			shown.Suppressed = append(shown.Suppressed, scan.Suppressed{Vulnerability: v, By: by, Reason: "not asked for; the gate has seen it"})
			continue
		}
		shown.Vulnerabilities = append(shown.Vulnerabilities, v)
	}
	return shown
}

// outputFlags say what is written where.
type outputFlags struct {
	formats    []string
	quiet      bool
	all        bool
	suppressed bool
	licenses   bool
}

func (f *outputFlags) flags(cmd *cobra.Command) {
	var names []string
	for _, x := range render.Formats() {
		names = append(names, x.Name)
	}
	fl := cmd.Flags()
	fl.StringSliceVarP(&f.formats, "output", "o", []string{"table"}, "FORMAT or FORMAT=FILE, several with commas: "+strings.Join(names, ", "))
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	fl.BoolVar(&f.all, "all", false, "cut nothing short in the table")
	fl.BoolVar(&f.suppressed, "show-suppressed", false, "list what ignore files and VEX took away")
}

// outputs are the writers of one run.
type outputs struct {
	opt  render.Options
	each []output
}

type output struct {
	format render.Format
	file   string // "" = standard output; {} stands for the image
	w      io.Writer
}

// parse reads -o. A file takes one report, so several images need {} in its name.
func (f *outputFlags) parse(cmd *cobra.Command, images int, allPlatforms bool) (*outputs, error) {
	out := &outputs{opt: render.Options{Version: version, All: f.all, ShowSuppressed: f.suppressed, Licences: f.licenses}}
	stdout := 0
	for _, o := range f.formats {
		name, file, _ := strings.Cut(o, "=")
		format, err := render.Find(name)
		if err != nil {
			return nil, withCode(exitUsage, "-o: %w", err)
		}
		if file == "" {
			stdout++
		} else if (images > 1 || allPlatforms) && !strings.Contains(file, "{}") {
			return nil, withCode(exitUsage, "-o %s: one file holds one report: put {} into its name, which becomes the image's", o)
		}
		out.each = append(out.each, output{format: format, file: file, w: cmd.OutOrStdout()})
	}
	if stdout > 1 {
		return nil, withCode(exitUsage, "-o %s: only one format can go to standard output: give the others a file, as in sarif=out.sarif", strings.Join(f.formats, ","))
	}
	if file, ok := cmd.OutOrStdout().(*os.File); ok && isTerminal(file) {
		out.opt.Color = render.UseColor(true, os.Getenv)
		if w, _, err := term.GetSize(int(file.Fd())); err == nil {
			out.opt.Width = w
		}
	}
	return out, nil
}

var unsafeName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func (o *outputs) write(r *scan.Report, v gate.Verdict, now int64) error {
	opt := o.opt
	opt.Now = now
	opt.Failed = v.Words()
	for _, x := range o.each {
		if path := os.Getenv("GITHUB_STEP_SUMMARY"); path != "" && x.format.Name == "github" {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			if err != nil {
				return fmt.Errorf("the step's summary: %w", err)
			}
			defer f.Close()
			opt.StepSummary = f
		}
		if x.file == "" {
			if err := x.format.Write(x.w, r, opt); err != nil {
				return fmt.Errorf("write %s: %w", x.format.Name, err)
			}
			continue
		}
		name := r.Image.Name
		if r.Image.Platform != "" {
			name += "-" + r.Image.Platform
		}
		path := strings.ReplaceAll(x.file, "{}", strings.Trim(unsafeName.ReplaceAllString(name, "-"), "-."))
		if err := writeFile(path, func(w io.Writer) error { return x.format.Write(w, r, opt) }); err != nil {
			return fmt.Errorf("write %s to %s: %w", x.format.Name, path, err)
		}
	}
	return nil
}

// writeFile replaces a file only once its new content is whole.
func writeFile(path string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".dockreeve-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func loadMalware(files []string) (*malware.Lists, error) {
	l, err := malware.Load(files...)
	if err != nil {
		return nil, withCode(exitUsage, "--malware-list: %w", err)
	}
	return l, nil
}
