package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/advisory"
)

// dbFlags say which advisory database is used and how old it may be.
type dbFlags struct {
	path   string
	maxAge time.Duration
}

func (f *dbFlags) flags(cmd *cobra.Command) {
	f.pathFlag(cmd)
	cmd.Flags().DurationVar(&f.maxAge, "max-db-age", 7*24*time.Hour, "how old the advisories may be; 0 = any age")
}

func (f *dbFlags) pathFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "db", "", "advisory database (default: $DOCKREEVE_DB, else advisories.db in the state directory)")
}

func (f *dbFlags) file() string {
	if f.path != "" {
		return f.path
	}
	if p := os.Getenv("DOCKREEVE_DB"); p != "" {
		return p
	}
	return filepath.Join(defaultState(), "advisories.db")
}

// open opens the database, or the last good one where it is damaged, which gaps tell. Its
// age is judged where it is used: see advisory.Stale.
// Without any the database is nil and a gap says so: what needs no advisories can
// still be done.
func (f *dbFlags) open() (*advisory.DB, []scan.Gap, error) {
	db, gaps, err := advisory.OpenLast(f.file())
	if err != nil {
		return nil, []scan.Gap{{What: "vulnerabilities", Reason: err.Error(), Remedy: "dockreeve db update", Data: true}}, nil
	}
	return db, gaps, nil
}

// mustOpen is for commands that are nothing without a database.
func (f *dbFlags) mustOpen(cmd *cobra.Command) (*advisory.DB, error) {
	db, gaps, err := advisory.OpenLast(f.file())
	if err != nil {
		return nil, withCode(exitData, "%w", err)
	}
	for _, g := range gaps {
		fmt.Fprintln(cmd.ErrOrStderr(), "dockreeve:", clean(g.What+": "+g.Reason))
	}
	return db, nil
}

func newDB() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Keep the advisory database: update, import, export, status, search",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDBUpdate(), newDBImport(), newDBExport(), newDBStatus(), newDBSearch())
	return cmd
}

func newDBUpdate() *cobra.Command {
	var f dbFlags
	var output, config, mirror string
	var only []string
	var opt advisory.Options
	cmd := &cobra.Command{
		Use:   "update",
		Short: "Ask every feed for what is new",
		Long: `Ask every feed for what is new and put a new database in the place of the old one,
which is kept as FILE.previous. Programs that have the old one open go on with it.

Only what changed is downloaded. A feed that cannot be read, or that has lost more than
half of its records, keeps its last good data and is named; then the exit code is 3.

The addresses are those of the publishers. --mirror URL asks URL/<host>/<path> instead;
--config FILE replaces the list of feeds.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			u := advisory.UpdateOptions{Options: opt, Mirror: mirror, Feeds: only}
			if config != "" {
				c, err := advisory.LoadConfig(config)
				if err != nil {
					return withCode(exitUsage, "%w", err)
				}
				u.Config = c
			}
			u.Progress = dbProgress(cmd)
			res, err := advisory.Update(cmd.Context(), f.file(), u)
			return printDBResult(cmd, output, f.file(), res, err)
		},
	}
	f.pathFlag(cmd)
	fl := cmd.Flags()
	fl.StringVarP(&output, "output", "o", "text", "text or json")
	fl.StringVar(&config, "config", "", "file with the list of feeds")
	fl.StringVar(&mirror, "mirror", "", "base address of a mirror of all feeds")
	fl.StringSliceVar(&only, "feed", nil, "only this feed, or all below it (osv, osv/Go, alpine); may be given again")
	dbBuildFlags(cmd, &opt)
	return cmd
}

func dbBuildFlags(cmd *cobra.Command, opt *advisory.Options) {
	cmd.Flags().BoolVar(&opt.AcceptShrink, "accept-shrink", false, "take feeds that lost more than half of their records")
	cmd.Flags().BoolVar(&opt.Rebuild, "rebuild", false, "start from nothing instead of from the database there is")
}

func newDBImport() *cobra.Command {
	var f dbFlags
	var output string
	var opt advisory.Options
	cmd := &cobra.Command{
		Use:   "import PATH...",
		Short: "Read advisories from files, for machines without a network",
		Long: `Read advisories from files and directories of files: what a feed publishes, told by
its content and possibly compressed, or a whole database that "dockreeve db export"
wrote on another machine.

The files that were taken are merged into the database. One that is no advisory or is
broken is named, and then the exit code is 3.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			opt.Progress = dbProgress(cmd)
			res, err := advisory.Import(cmd.Context(), f.file(), args, opt)
			return printDBResult(cmd, output, f.file(), res, err)
		},
	}
	f.pathFlag(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	dbBuildFlags(cmd, &opt)
	return cmd
}

// dbProgress tells on a terminal what is done now.
func dbProgress(cmd *cobra.Command) func(string) {
	w, ok := cmd.ErrOrStderr().(*os.File)
	if !ok {
		return nil
	}
	if st, err := w.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return func(s string) { fmt.Fprintln(w, clean(s)) }
}

func printDBResult(cmd *cobra.Command, output, path string, res *advisory.Result, err error) error {
	if errors.Is(err, context.Canceled) {
		return withCode(exitFailed, "interrupted; the last good database stays: %w", err)
	}
	if res == nil {
		return err
	}
	w := cmd.OutOrStdout()
	if output == "json" {
		if e := writeJSON(w, res); e != nil {
			return e
		}
	} else {
		tw := columns(w)
		fmt.Fprintln(tw, "FEED\tRECORDS\tWHAT CAME")
		for _, r := range res.Feeds {
			fmt.Fprintf(tw, "%s\t%d\t%s\n", clean(r.Name), r.Records, clean(feedWords(&r)))
		}
		if e := tw.Flush(); e != nil {
			return e
		}
		for _, r := range res.Feeds {
			for _, why := range r.Why {
				fmt.Fprintf(w, "%s: skipped %s\n", clean(r.Name), clean(why))
			}
		}
		fmt.Fprintf(w, "%s: version %s\n", clean(path), res.Database.Version)
	}
	if err != nil {
		return withCode(exitFailed, "%w", err)
	}
	if bad := res.Failed(); len(bad) > 0 {
		return withCode(exitFailed, "%d of %d feeds or files could not be read; their last good data stays", len(bad), len(res.Feeds))
	}
	return nil
}

func feedWords(r *advisory.FeedResult) string {
	if r.Error != "" {
		return "NOT READ: " + r.Error
	}
	if r.Unchanged {
		return "unchanged"
	}
	s := fmt.Sprintf("%d read", r.Read)
	if r.Before > 0 {
		s += fmt.Sprintf(", %d before", r.Before)
	}
	if r.Withdrawn > 0 {
		s += fmt.Sprintf(", %d withdrawn", r.Withdrawn)
	}
	if r.Skipped > 0 {
		s += fmt.Sprintf(", %d BAD AND SKIPPED", r.Skipped)
	}
	return s
}

func newDBExport() *cobra.Command {
	var f dbFlags
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Copy the database to a file, to be imported on another machine",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := advisory.Export(f.file(), args[0]); err != nil {
				if errors.Is(err, advisory.ErrMissing) {
					return withCode(exitData, "%w", err)
				}
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: written; read it with \"dockreeve db import\"\n", clean(args[0]))
			return err
		},
	}
	f.pathFlag(cmd)
	return cmd
}

// dbStatus is what `db status` knows, as its JSON says it.
type dbStatus struct {
	Path       string                `json:"path"`
	Built      int64                 `json:"built"`
	AsOf       int64                 `json:"asOf"` // up to when the freshest feed knows what was published
	Version    string                `json:"version"`
	Feeds      []advisory.FeedDetail `json:"feeds"`
	Ecosystems map[string]int        `json:"ecosystems"`
	Missing    []string              `json:"missing"` // feeds that are configured and not here
	Gaps       []scan.Gap            `json:"gaps,omitempty"`
}

func newDBStatus() *cobra.Command {
	var f dbFlags
	var output, config string
	var verify bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what the database holds, how old it is and what is missing",
		Long: `Say what the database holds, how old each feed is and what is missing.

A feed that was asked online is as old as that answer; one that was read from a file is
as old as its data says, whenever it was read. The database is as old as its freshest
feed; scores (EPSS, KEV) do not make it younger.

Exits with 4 when there is no database, when it is older than --max-db-age, or when a
feed that is asked online has not answered for so long. Older feeds from files are
told.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			conf, err := advisory.DefaultConfig()
			if config != "" {
				conf, err = advisory.LoadConfig(config)
			}
			if err != nil {
				return withCode(exitUsage, "%w", err)
			}
			db, gaps, err := advisory.OpenLast(f.file())
			if err != nil {
				return withCode(exitData, "%w", err)
			}
			defer func() { _ = db.Close() }()
			if verify {
				if err := db.Verify(); err != nil {
					return err
				}
			}
			now := time.Now()
			info := db.Info()
			st := &dbStatus{Path: db.Path(), Built: info.Built, AsOf: info.AsOf, Version: info.Version, Feeds: db.Feeds(), Ecosystems: db.Ecosystems(), Missing: []string{}, Gaps: gaps}
			st.Gaps = append(st.Gaps, db.Stale(now.UnixNano(), f.maxAge.Nanoseconds())...)
			for _, c := range conf.Feeds {
				if !c.Off && !slices.ContainsFunc(st.Feeds, func(d advisory.FeedDetail) bool { return d.Name == c.Name && d.Records > 0 }) {
					st.Missing = append(st.Missing, c.Name)
				}
			}
			if output == "json" {
				err = writeJSON(cmd.OutOrStdout(), st)
			} else {
				err = printDBStatus(cmd.OutOrStdout(), st, now)
			}
			if err != nil {
				return err
			}
			bad := slices.DeleteFunc(slices.Clone(st.Gaps), func(g scan.Gap) bool { return !g.Data })
			if len(bad) > 0 {
				g := bad[0]
				return withCode(exitData, "%s: %s (%d such); %s", clean(g.What), clean(g.Reason), len(bad), clean(g.Remedy))
			}
			return nil
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().StringVar(&config, "config", "", "file with the list of feeds that should be there")
	cmd.Flags().BoolVar(&verify, "verify", false, "read the whole file and check every block of it")
	return cmd
}

func printDBStatus(w io.Writer, st *dbStatus, now time.Time) error {
	fmt.Fprintf(w, "%s: data of %s, built %s, version %s\n\n", clean(st.Path), date(st.AsOf), ago(now, st.Built), st.Version)
	tw := columns(w)
	fmt.Fprintln(tw, "FEED\tRECORDS\tDATA OF\tREAD\tLICENCE\tERROR")
	for _, f := range st.Feeds {
		licence, _, _ := strings.Cut(f.Licence, ":")
		problem := f.Error
		if f.Skipped > 0 && problem == "" {
			problem = fmt.Sprintf("%d bad records skipped", f.Skipped)
		}
		of := date(f.Date)
		if f.Undated {
			of += " (its file)"
		}
		read := ago(now, f.Fetched)
		if f.Imported {
			read += ", from a file"
		}
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%s\t%s\n", clean(f.Name), f.Records, of, read, clean(licence), clean(problem))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	bases := map[string]int{}
	for e, n := range st.Ecosystems {
		b, _, _ := strings.Cut(e, ":")
		bases[b] += n
	}
	names := make([]string, 0, len(bases))
	for b := range bases {
		names = append(names, b)
	}
	slices.Sort(names)
	fmt.Fprintf(w, "\nPackages with advisories:")
	for i, b := range names {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, " %s %d", clean(b), bases[b])
	}
	fmt.Fprintln(w)
	for _, g := range st.Gaps {
		if !g.Data {
			fmt.Fprintf(w, "Old: %s\n", clean(g.Reason))
		}
	}
	if len(st.Missing) > 0 {
		fmt.Fprintf(w, "Missing, so nothing can be said of: %s\n", clean(strings.Join(st.Missing, ", ")))
	}
	return nil
}

func date(ns int64) string {
	if ns == 0 {
		return "unknown"
	}
	return time.Unix(0, ns).UTC().Format(time.DateOnly)
}

// dbMatch is one hit of `db search`.
type dbMatch struct {
	*advisory.Record
	EPSS *scan.EPSS `json:"epss,omitempty"`
	KEV  *scan.KEV  `json:"kev,omitempty"`
}

func newDBSearch() *cobra.Command {
	var f dbFlags
	var output string
	var limit int
	cmd := &cobra.Command{
		Use:   "search ID|PACKAGE",
		Short: "Show what the advisories say of a CVE, another id, or a package",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			db, err := f.mustOpen(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = db.Close() }()
			records, err := db.Find(args[0])
			if err != nil {
				return err
			}
			if len(records) == 0 {
				keys, err := db.FindPackage(args[0])
				if err != nil {
					return err
				}
				for _, k := range keys {
					entries, err := db.Affected(k.Ecosystem, k.Name)
					if err != nil {
						return err
					}
					for _, e := range entries {
						r := *e.Record
						r.Affected = []advisory.Affected{e.Affected}
						records = append(records, &r)
					}
				}
			}
			hits := make([]dbMatch, 0, len(records))
			for _, r := range records {
				m := dbMatch{Record: r}
				for _, id := range append([]string{r.ID}, r.Aliases...) {
					if advisory.IsCVE(id) && m.EPSS == nil && m.KEV == nil {
						m.EPSS, m.KEV = db.EPSS(id), db.KEV(id)
					}
				}
				hits = append(hits, m)
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), hits)
			}
			if len(hits) == 0 {
				info := db.Info()
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "No advisory of %d feeds, built %s, names %s.\n", len(info.Feeds), ago(time.Now(), info.Built), clean(args[0]))
				return err
			}
			return printDBMatches(cmd.OutOrStdout(), hits, limit)
		},
	}
	f.pathFlag(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().IntVar(&limit, "limit", 50, "rows shown; 0 = all")
	return cmd
}

func printDBMatches(w io.Writer, hits []dbMatch, limit int) error {
	tw := columns(w)
	fmt.Fprintln(tw, "ID\tECOSYSTEM\tPACKAGE\tAFFECTED\tSEVERITY\tFEED")
	rows, shown := 0, 0
	for _, m := range hits {
		for _, a := range m.Record.Affected {
			rows++
			if limit > 0 && shown >= limit {
				continue
			}
			shown++
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", clean(m.ID), clean(a.Ecosystem), clean(a.Name), clean(affectedWords(&a)), severityWords(m.Record, &a), clean(m.Feed))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if shown < rows {
		fmt.Fprintf(w, "%d more rows; --limit 0 shows all\n", rows-shown)
	}
	told := map[string]bool{}
	for _, m := range hits {
		for _, id := range append([]string{m.ID}, m.Aliases...) {
			if !advisory.IsCVE(id) || told[id] || len(told) >= 20 {
				continue
			}
			told[id] = true
			if m.KEV != nil {
				fmt.Fprintf(w, "%s is known to be exploited, since %s\n", clean(id), clean(m.KEV.Added))
			}
			if m.EPSS != nil {
				fmt.Fprintf(w, "%s: EPSS %.2f %%, higher than %.1f %% of all\n", clean(id), 100*m.EPSS.Score, 100*m.EPSS.Percentile)
			}
		}
	}
	return nil
}

func severityWords(r *advisory.Record, a *advisory.Affected) string {
	s := r.Severity
	if a.Severity != finding.SeverityNone {
		s = a.Severity
	}
	switch {
	case s == finding.SeverityNone && r.Vector == "":
		return "not rated"
	case r.Vector == "":
		return s.String()
	case s == finding.SeverityNone:
		return fmt.Sprintf("CVSS %.1f", r.CVSS)
	}
	return fmt.Sprintf("%s, CVSS %.1f", s, r.CVSS)
}

func affectedWords(a *advisory.Affected) string {
	if a.NotAffected {
		return "not affected"
	}
	var list []string
	for _, r := range a.Ranges {
		s := "all versions"
		if r.Introduced != "" && r.Introduced != "0" {
			s = "from " + r.Introduced
		}
		switch {
		case r.Fixed != "" && s == "all versions":
			s = "before " + r.Fixed
		case r.Fixed != "":
			s += " before " + r.Fixed
		case r.LastAffected != "" && s == "all versions":
			s = "up to " + r.LastAffected
		case r.LastAffected != "":
			s += " up to " + r.LastAffected
		}
		list = append(list, s)
	}
	if len(list) > 3 {
		list = append(list[:3], fmt.Sprintf("%d more ranges", len(a.Ranges)-3))
	}
	if n := len(a.Versions); n > 0 && len(list) == 0 {
		list = append(list, fmt.Sprintf("%d versions, %s…", n, a.Versions[0]))
	}
	if a.Status != "" {
		list = append(list, "("+string(a.Status)+")")
	}
	if a.Module != "" {
		list = append(list, "in module "+a.Module)
	}
	return strings.Join(list, ", ")
}
