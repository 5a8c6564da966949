package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/gate"
	"github.com/dockreeve/dockreeve/scan/image"
	"github.com/dockreeve/dockreeve/scan/scanner"
)

func newScan() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan IMAGE...",
		Short: "Scan images, archives, file systems and SBOMs: vulnerabilities, secrets, configuration",
		Long: `Scan container images and say what is wrong with them.

IMAGE is a reference such as registry.example/app:1 (looked for in the Docker daemon, in
containerd's store, then in the registry), a file (docker save, OCI archive, SBOM), a
directory (OCI layout, root file system), or "-" for an archive on standard input. A
prefix leaves no doubt: registry: docker: containerd: archive: oci: dir: sbom: host:

  dockreeve scan debian:12
  dockreeve scan app.tar --fail-on high+fixable,kev -o table,sarif=app.sarif
  docker save app | dockreeve scan -
  dockreeve scan host:                       # this machine itself
  dockreeve scan sbom.json                   # a list of packages made elsewhere

Vulnerabilities come from the advisory database that "dockreeve db update" fetches, or
"dockreeve db import" reads from files where there is no network. What could not be
looked at is always said, and is never a pass.

Exit codes: 0 clean, 1 the gate of --fail-on failed, 2 wrong usage, 3 could not scan,
4 advisory database missing or too old, or without an ecosystem of this image.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args)
		},
	}
	f.flags(cmd)
	cmd.AddCommand(newScanRegistry())
	return cmd
}

// scanFlags are what people may ask of a scan.
type scanFlags struct {
	source   sourceFlags
	db       dbFlags
	out      outputFlags
	judge    judgeFlags
	hub      hubFlags
	scanners []string
	malware  []string
	lock     bool
	timeout  time.Duration
	seen     *scanned
	show     *progress
}

func (f *scanFlags) flags(cmd *cobra.Command) {
	f.source.flags(cmd)
	f.db.flags(cmd)
	f.out.flags(cmd)
	f.judge.flags(cmd)
	f.hub.flags(cmd)
	fl := cmd.Flags()
	fl.StringSliceVar(&f.scanners, "scanners", []string{"vuln", "secret", "config"}, "what to look for: vuln, secret, config, license, malware")
	fl.StringSliceVar(&f.malware, "malware-list", nil, "files of SHA-256 hashes of known malware, for the malware scanner")
	fl.BoolVar(&f.lock, "lock-files", false, "also report what lock files speak of, though it is not installed")
	fl.DurationVar(&f.timeout, "timeout", 10*time.Minute, "give up after this long")
}

// run scans every image named, writes what was asked for, and returns the verdict as
// an exit code.
func (f *scanFlags) run(cmd *cobra.Command, refs []string) error {
	f.out.licenses = slices.Contains(f.scanners, "license") || len(f.judge.deny) > 0
	outputs, err := f.out.parse(cmd, len(refs), f.source.platform == "all")
	if err != nil {
		return err
	}
	judge, err := f.judge.load(cmd)
	if err != nil {
		return err
	}
	if f.judge.inUse && f.hub.server == "" {
		return withCode(exitUsage, "--in-use needs --server: only a server knows what is loaded where an image runs")
	}
	opt, closeDB, err := f.options(cmd)
	if err != nil {
		return err
	}
	defer closeDB()
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	show := newProgress(cmd.ErrOrStderr(), f.out.quiet)
	defer show.done()
	opt.Image.Progress = show.counter()
	f.show = show
	hub, err := f.hub.dial(judge.asked())
	if err != nil {
		return err
	}

	var verdicts []gate.Verdict
	var failed []error
	for _, ref := range refs {
		show.say("opening " + ref)
		reports, err := f.reports(ctx, scanner.New(opt), hub, ref)
		if errors.Is(err, image.ErrUsage) {
			return withCode(exitUsage, "%w", err)
		}
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("gave up after %v: allow more with --timeout: %w", f.timeout, err)
			}
			failed = append(failed, fmt.Errorf("%s: %w", ref, err))
			continue
		}
		for _, r := range reports {
			judge.apply(r)
			v := judge.verdict(r)
			judge.noteUnrated(r)
			verdicts = append(verdicts, v)
			if err := hub.record(ctx, r, v, judge); err != nil {
				failed = append(failed, fmt.Errorf("%s: record the gate: %w", ref, err))
			}
			show.done()
			shown := judge.show(r)
			if err := outputs.write(&shown, v, opt.Now()); err != nil {
				return withCode(exitFailed, "%w", err)
			}
		}
	}
	if len(failed) > 0 {
		return withCode(exitFailed, "%w", errors.Join(failed...))
	}
	return exitOf(verdicts)
}

// reports gives the reports of one reference: the server's where it has the digest,
// else one made here.
func (f *scanFlags) reports(ctx context.Context, s *scanner.Scanner, hub *hub, ref string) ([]*scan.Report, error) {
	var out []*scan.Report
	err := s.Each(ctx, ref, func(img *scan.Image, read func() (*scan.Catalog, error)) error {
		f.show.begin(img)
		r, err := hub.stored(ctx, img.Key())
		if err == nil && (r == nil || !f.answers(r)) {
			c, failed := read()
			switch {
			case failed != nil && r != nil: // what the server has is all there is
				out = append(out, r)
				return nil
			case failed != nil:
				return failed
			}
			if hub != nil {
				r, err = hub.submit(ctx, c)
			} else if r, err = s.Report(c); err == nil {
				f.seen.compare(r, s.Report)
				err = f.seen.add(c)
			}
		}
		if err == nil {
			out = append(out, r)
		}
		return err
	})
	return out, err
}

// answers reports whether a stored report says all that is asked for: whoever made it
// may have looked for less, or not have been able to read everything.
func (f *scanFlags) answers(r *scan.Report) bool {
	for _, g := range r.NotAssessed {
		if g.Unread || strings.HasPrefix(g.What, "layer ") {
			return false
		}
		for what := range strings.SplitSeq(g.What, ", ") {
			asked := map[string]string{scan.GapSecrets: "secret", scan.GapConfig: "config", scan.GapMalware: "malware"}[what]
			if asked != "" && slices.Contains(f.scanners, asked) {
				return false
			}
		}
	}
	return true
}

// options make the scanner's options and open the advisory database, which the
// function returned closes.
func (f *scanFlags) options(cmd *cobra.Command) (scanner.Options, func(), error) {
	opt := scanner.Options{Now: func() int64 { return time.Now().UnixNano() }}
	var err error
	if opt.Image, err = f.source.options(); err != nil {
		return opt, nil, err
	}
	opt.Image.Stdin = cmd.InOrStdin()
	opt.Catalog.Cache = f.source.layerCache()
	f.seen = openSeen(f.source.seenDir())
	opt.Bases = slices.Clone(f.seen.known)
	opt.Catalog.LockFiles = f.lock
	for _, s := range f.scanners {
		switch s {
		case "vuln":
			opt.Vulnerabilities = true
		case "secret":
			opt.Catalog.Secrets = true
		case "config":
			opt.Catalog.Config = true
		case "license": // packages state them anyway: it is a matter of showing
		case "malware":
			if len(f.malware) == 0 {
				return opt, nil, withCode(exitUsage, "--scanners malware needs --malware-list: without one only a harmless test file would be found")
			}
			lists, err := loadMalware(f.malware)
			if err != nil {
				return opt, nil, err
			}
			opt.Catalog.Malware = lists
		default:
			return opt, nil, withCode(exitUsage, "--scanners %q: want vuln, secret, config, license or malware", s)
		}
	}
	if len(f.malware) > 0 && opt.Catalog.Malware == nil {
		return opt, nil, withCode(exitUsage, "--malware-list does nothing without --scanners malware")
	}
	if !opt.Vulnerabilities || f.hub.server != "" {
		opt.Vulnerabilities = opt.Vulnerabilities && f.hub.server == ""
		return opt, func() {}, nil
	}
	db, gaps, err := f.db.open()
	if err != nil {
		return opt, nil, err
	}
	opt.Advisories, opt.AdvisoryGaps, opt.MaxAge = db, gaps, f.db.maxAge.Nanoseconds()
	return opt, func() {
		if db != nil {
			db.Close()
		}
	}, nil
}

// exitOf turns verdicts into an exit code: what could not be judged weighs more than
// what failed, because a pass cannot be trusted then.
func exitOf(verdicts []gate.Verdict) error {
	code := exitOK
	var why []string
	for i := range verdicts {
		v := &verdicts[i]
		if c := v.ExitCode(); c > code {
			code = c
		}
		if c := v.ExitCode(); c != exitOK {
			why = append(why, v.String())
		}
	}
	if code == exitOK {
		return nil
	}
	return withCode(code, "%s", strings.Join(why, "\n"))
}
