package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/gate"
	"github.com/dockreeve/dockreeve/scan/registry"
	"github.com/dockreeve/dockreeve/scan/scanner"
)

func newScanRegistry() *cobra.Command {
	var f scanFlags
	var walk registry.Options
	var statePath string
	var again bool
	cmd := &cobra.Command{
		Use:   "registry HOST",
		Short: "Scan what is new in a whole registry since the last time",
		Long: `List the repositories and tags of a registry and scan every digest that was not scanned
before. What is done is written down as it goes, so an interrupted walk goes on where it
stopped.

  dockreeve scan registry team.azurecr.io --repository 'apps/**' -o json=reports/{}.json

One line is printed for each image; -o with a file holding {} writes whole reports.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			walk.Host = args[0]
			if statePath == "" {
				statePath = filepath.Join(f.source.cacheRoot(), "registries", unsafeName.ReplaceAllString(walk.Host, "-")+".json")
			}
			return f.walk(cmd, walk, statePath, again)
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.StringSliceVar(&walk.Repositories, "repository", nil, "globs of repositories to take; ** crosses slashes (default: all)")
	fl.StringSliceVar(&walk.Exclude, "exclude", nil, "globs of repositories to leave out")
	fl.StringSliceVar(&walk.Tags, "tag", nil, "globs of tags to take (default: all)")
	fl.IntVar(&walk.Newest, "newest", 0, "only so many tags of a repository, the last updated; 0 = all")
	fl.IntVar(&walk.Concurrency, "concurrency", 4, "images scanned at once")
	fl.StringVar(&statePath, "walk-state", "", "file that says what was scanned before (default: below the cache directory)")
	fl.BoolVar(&again, "again", false, "scan everything, also what was scanned before")
	return cmd
}

func (f *scanFlags) walk(cmd *cobra.Command, walk registry.Options, statePath string, again bool) error {
	if f.source.offline {
		return withCode(exitUsage, "a registry cannot be walked with --offline")
	}
	outputs, err := f.out.parseFiles(cmd)
	if err != nil {
		return err
	}
	judge, err := f.judge.load(cmd)
	if err != nil {
		return err
	}
	if judge.asked() && !again {
		return withCode(exitUsage, "--fail-on judges what is scanned in this run, and images scanned before are not scanned again: add --again")
	}
	opt, closeDB, err := f.options(cmd)
	if err != nil {
		return err
	}
	defer closeDB()
	hub, err := f.hub.dial(judge.asked())
	if err != nil {
		return err
	}
	if walk.State, err = registry.LoadState(statePath); errors.Is(err, fs.ErrNotExist) || again {
		walk.State, err = &registry.State{}, nil
	}
	if err != nil {
		return withCode(exitFailed, "%w", err)
	}
	if err := os.MkdirAll(filepath.Dir(statePath), 0o700); err != nil {
		return withCode(exitFailed, "%w", err)
	}
	walk.Client = opt.Image.Registry
	walk.Save = func(s *registry.State) error { return s.Write(statePath) }
	s := scanner.New(opt)
	var mu sync.Mutex
	var verdicts []gate.Verdict
	walk.Scan = func(ctx context.Context, ref, tag, _ string) error {
		repository, _, _ := strings.Cut(ref, "@")
		name := repository + ":" + tag
		ctx, cancel := context.WithTimeout(ctx, f.timeout)
		defer cancel()
		reports, err := f.reports(ctx, s, hub, "registry:"+ref)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			fmt.Fprintf(cmd.OutOrStdout(), "%s\tnot assessed: %s\n", clean(name), clean(err.Error()))
			return err
		}
		for _, r := range reports {
			r.Image.Name = name
			judge.apply(r)
			v := judge.verdict(r)
			judge.noteUnrated(r)
			verdicts = append(verdicts, v)
			c := scan.Count(r)
			fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\t%d critical, %d high, %d known exploited of %d vulnerabilities in %d packages", clean(name), clean(r.Image.Platform), c.Critical, c.High, c.KEV, c.Total, len(r.Packages))
			if n := len(r.NotAssessed); n > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "; %d things not assessed", n)
			}
			fmt.Fprintln(cmd.OutOrStdout())
			shown := judge.show(r)
			if err := outputs.write(&shown, v, opt.Now()); err != nil {
				return err
			}
		}
		return nil
	}
	sum, err := registry.Walk(cmd.Context(), walk)
	if sum != nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%d repositories, %d tags: %d images scanned, %d unchanged since the last time, %d failed\n", sum.Repositories, sum.Tags, sum.Scanned-sum.Failed, sum.Unchanged, sum.Failed)
		for _, g := range sum.Gaps {
			fmt.Fprintf(cmd.OutOrStdout(), "not assessed: %s: %s\n", clean(g.What), clean(g.Reason))
		}
		if sum.MoreGaps > 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "and %d more that could not be assessed\n", sum.MoreGaps)
		}
	}
	if err != nil {
		return withCode(exitFailed, "%w", err)
	}
	if sum.Failed > 0 || len(sum.Gaps) > 0 {
		return withCode(exitFailed, "parts of %s could not be scanned: run it again to try those", walk.Host)
	}
	return exitOf(verdicts)
}

// parseFiles reads -o for many images: the table is replaced by a line each.
func (f *outputFlags) parseFiles(cmd *cobra.Command) (*outputs, error) {
	var files []string
	for _, o := range f.formats {
		if o == "table" && !cmd.Flags().Changed("output") {
			continue
		}
		if !strings.Contains(o, "=") {
			return nil, withCode(exitUsage, "-o %s: a registry has many images: give a file with {} in its name", o)
		}
		files = append(files, o)
	}
	g := *f
	g.formats = files
	return g.parse(cmd, 2, false)
}
