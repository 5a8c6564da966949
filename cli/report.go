package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/notify"
	"github.com/dockreeve/dockreeve/report"
)

func newReport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Documents: the playbook, evidence for auditors, my team",
	}
	cmd.AddCommand(newReportPlaybook(), newReportEvidence(), newReportVerify(), newReportTeam())
	return cmd
}

// toFile runs write on a file that is put in place whole, or on standard output.
func toFile(stdout io.Writer, path string, write func(io.Writer) error) error {
	if path == "" || path == "-" {
		return write(stdout)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return withCode(exitFailed, "%w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // in place by then, or of no use
	defer tmp.Close()
	if err := write(tmp); err != nil {
		return err
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Close(), os.Rename(tmp.Name(), path)); err != nil {
		return withCode(exitFailed, "%w", err)
	}
	return nil
}

func newReportPlaybook() *cobra.Command {
	var f tenantFlags
	var file string
	var opt report.Options
	cmd := &cobra.Command{
		Use:   "playbook",
		Short: "The checklist as live checks, the KPIs and the pitfalls",
		Long: `Write the playbook: checks none of which can be ticked by hand, four KPIs with trend and
denominator, and the pitfalls found from data. Each item says how it is computed.

  dockreeve report playbook -o pdf -f playbook.pdf
  dockreeve report playbook --snapshot snapshot.json -o html -f playbook.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(f.output, report.Formats()...); err != nil {
				return err
			}
			if f.output == "pdf" && file == "" {
				return withCode(exitUsage, "a PDF goes to a file: -f playbook.pdf")
			}
			j, err := f.judge(cmd)
			if err != nil {
				return err
			}
			opt.Version = version
			return toFile(cmd.OutOrStdout(), file, func(w io.Writer) error { return report.Playbook(w, f.output, j.ev, opt) })
		},
	}
	f.flags(cmd, strings.Join(report.Formats(), ", "))
	cmd.Flags().Lookup("output").DefValue = "md"
	f.output = "md"
	cmd.Flags().StringVarP(&file, "file", "f", "", "file to write (default: standard output)")
	cmd.Flags().StringVar(&opt.Name, "organisation", "", "name on the report")
	return cmd
}

func newReportEvidence() *cobra.Command {
	var f tenantFlags
	var file, key, from, to, name string
	cmd := &cobra.Command{
		Use:   "evidence --from DATE --to DATE -f FILE",
		Short: "A signed bundle for auditors, with denominators, gaps and exemptions",
		Long: `Write a bundle (tar.gz) with the evaluation, its numbers over the period with their
denominators, what was not assessed, exemptions, reviews, verdicts with evidence and the
prices used, under a manifest that is signed with Ed25519.

The key is made at the first use, in the state directory, and its public half beside the
bundle. Anybody can check it:

  dockreeve report verify evidence.tar.gz --key evidence.pub`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return withCode(exitUsage, "name the bundle's file: -f evidence.tar.gz")
			}
			start, end, err := period(from, to)
			if err != nil {
				return err
			}
			if key == "" {
				key = filepath.Join(f.to.state, "evidence.key")
			}
			private, err := evidenceKey(key)
			if err != nil {
				return err
			}
			j, err := f.judge(cmd)
			if err != nil {
				return err
			}
			o := report.EvidenceOptions{From: start, To: end, Name: name, Version: version, Evaluation: j.ev, Days: j.in.History, Tenant: j.in.Tenant, Exemptions: j.in.Config.Exemptions,
				Reviews: j.in.Reviews, Alerts: j.in.Alerts, Images: j.in.Images, Gates: j.in.Gates, Results: j.in.Posture, Controls: j.in.Controls, Costs: j.in.Costs, Key: private}
			if f.snapshot == "" {
				if err := f.askEvidence(cmd.Context(), &o); err != nil {
					return err
				}
			}
			if err := toFile(cmd.OutOrStdout(), file, func(w io.Writer) error { return report.Evidence(w, o) }); err != nil {
				return withCode(exitFailed, "%w", err)
			}
			pub := private.Public().(ed25519.PublicKey)
			der, err := x509.MarshalPKIXPublicKey(pub)
			if err != nil {
				return withCode(exitFailed, "%w", err)
			}
			public := strings.TrimSuffix(strings.TrimSuffix(file, ".gz"), ".tar") + ".pub"
			if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644); err != nil {
				return withCode(exitFailed, "%w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s, signed by the key %s\n%s holds its public half; give it to auditors by another way than the bundle.\n", file, report.KeyID(pub), public)
			return nil
		},
	}
	f.flags(cmd, "")
	_ = cmd.Flags().MarkHidden("output")
	fl := cmd.Flags()
	fl.StringVarP(&file, "file", "f", "", "bundle to write")
	fl.StringVar(&from, "from", "", "first day of the period, YYYY-MM-DD (default: 30 days before --to)")
	fl.StringVar(&to, "to", "", "last day of the period, YYYY-MM-DD (default: today)")
	fl.StringVar(&key, "sign-key", "", "Ed25519 private key, PEM (default: evidence.key in the state directory, made at the first use)")
	fl.StringVar(&name, "organisation", "", "name in the bundle")
	return cmd
}

// period reads the days; the end is exclusive.
func period(from, to string) (start, end int64, err error) {
	last := time.Now().UTC().Truncate(24 * time.Hour)
	if to != "" {
		if last, err = time.Parse(time.DateOnly, to); err != nil {
			return 0, 0, withCode(exitUsage, "--to %q: want a date as in 2026-11-26", to)
		}
	}
	first := last.AddDate(0, 0, -30)
	if from != "" {
		if first, err = time.Parse(time.DateOnly, from); err != nil {
			return 0, 0, withCode(exitUsage, "--from %q: want a date as in 2026-11-26", from)
		}
	}
	if first.After(last) {
		return 0, 0, withCode(exitUsage, "--from %s is after --to %s", first.Format(time.DateOnly), last.Format(time.DateOnly))
	}
	return first.UnixNano(), last.AddDate(0, 0, 1).UnixNano(), nil
}

// evidenceKey reads a key, or makes one.
func evidenceKey(path string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, withCode(exitFailed, "%w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return nil, withCode(exitFailed, "%w", err)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)); err != nil {
			return nil, withCode(exitFailed, "keep the key: %w", err)
		}
		return private, nil
	case err != nil:
		return nil, withCode(exitFailed, "%w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, withCode(exitUsage, "%s: want a private key as PEM", path)
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, withCode(exitUsage, "%s: %w", path, err)
	}
	private, ok := any.(ed25519.PrivateKey)
	if !ok {
		return nil, withCode(exitUsage, "%s: want an Ed25519 key: openssl genpkey -algorithm ed25519", path)
	}
	return private, nil
}

func newReportVerify() *cobra.Command {
	var key, output string
	cmd := &cobra.Command{
		Use:   "verify FILE --key FILE",
		Short: "Check that a bundle is whole and signed by a key",
		Long: `Check that a bundle holds exactly the files that were signed, and that this key signed them.
Exits 1 when it does not, and names each file that was changed, removed or added. What the
signature shows, and how to check it without Dockreeve: docs/reports.md.

  dockreeve report verify evidence.tar.gz --key evidence.pub`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(output, "text", "json"); err != nil {
				return err
			}
			if key == "" {
				return withCode(exitUsage, "name the public key: --key evidence.pub")
			}
			raw, err := os.ReadFile(key)
			if err != nil {
				return withCode(exitUsage, "--key: %w", err)
			}
			block, _ := pem.Decode(raw)
			if block == nil {
				return withCode(exitUsage, "%s: want a public key as PEM", key)
			}
			any, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return withCode(exitUsage, "%s: %w", key, err)
			}
			pub, ok := any.(ed25519.PublicKey)
			if !ok {
				return withCode(exitUsage, "%s: want an Ed25519 key", key)
			}
			f, err := os.Open(args[0])
			if err != nil {
				return withCode(exitData, "%w", err)
			}
			defer f.Close()
			v, err := report.VerifyEvidence(f, pub)
			if err != nil {
				return withCode(exitFindings, "%s is not what was signed: %w", args[0], err)
			}
			if output == "json" {
				return printValue(cmd.OutOrStdout(), v)
			}
			return printVerified(cmd.OutOrStdout(), args[0], v)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "public key, PEM")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// printVerified says what a bundle that is as it was signed holds.
func printVerified(w io.Writer, file string, v *report.Verification) error {
	m := &v.Manifest
	last, _, _ := strings.Cut(m.To, "T")
	if end, err := time.Parse(time.RFC3339, m.To); err == nil {
		last = end.Add(-time.Second).Format(time.DateOnly) // the end is the first moment after the period
	}
	first, _, _ := strings.Cut(m.From, "T")
	fmt.Fprintf(w, "%s is as it was signed: %d files, by the key %s\n\n", file, len(m.Files), v.KeyID)
	t := columns(w)
	fmt.Fprintf(t, "period\t%s to %s\nevaluated\t%s\nAzure as read on\t%s\nmade by\tDockreeve %s\n", clean(first), clean(last), clean(m.Evaluated), orDash(clean(m.TenantRead)), clean(m.MadeBy))
	for _, what := range slices.Sorted(maps.Keys(m.Counts)) {
		fmt.Fprintf(t, "%s\t%d\n", clean(what), m.Counts[what])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nWhat it does not say stands in its gaps.json. That the key is the right one must be known by another way.")
	return err
}

func newReportTeam() *cobra.Command {
	var f tenantFlags
	var owner, smtp, from, link string
	var to []string
	cmd := &cobra.Command{
		Use:   "team --owner OWNER",
		Short: "My clusters, my first five fixes, my cost, what expires; by mail with --mail-to",
		Long: `Write what one owner should know this week. With --mail-to it is sent by mail. The server
does that each week by itself: "dockreeve up --mail-server … --mail-from …".

  dockreeve report team --owner payments@example.com
  dockreeve report team --owner payments@example.com --mail-to payments@example.com --mail-server @smtp.txt --mail-from reeve@example.com`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(f.output, "text", "html", "json"); err != nil {
				return err
			}
			if owner == "" {
				return withCode(exitUsage, "name the owner: --owner team@example.org")
			}
			if len(to) == 0 && (smtp != "" || from != "") {
				return withCode(exitUsage, "--mail-server and --mail-from go with --mail-to")
			}
			j, err := f.judge(cmd)
			if err != nil {
				return err
			}
			if owner, err = ownerNamed(j, owner); err != nil {
				return err
			}
			if f.snapshot == "" { // what expires: exemptions and reviews
				facts, err := f.askFacts(cmd.Context(), j.ev.At, j.ev.At+1)
				if err != nil {
					return err
				}
				j.in.Config, j.in.Tenant, j.in.Reviews = facts.Config, facts.Tenant, facts.Reviews
			}
			s, err := report.Team(report.TeamOptions{Owner: owner, Evaluation: j.ev, Costs: j.in.Costs, Exemptions: j.in.Config.Exemptions, Tenant: j.in.Tenant, Reviews: j.in.Reviews, Link: link, Version: version})
			if err != nil {
				return withCode(exitUsage, "%w", err)
			}
			if len(to) > 0 {
				return mailTeam(cmd.Context(), cmd.OutOrStdout(), s, smtp, from, to, j.ev.At)
			}
			switch f.output {
			case "json":
				return printValue(cmd.OutOrStdout(), s)
			case "html":
				return s.HTML(cmd.OutOrStdout())
			}
			return s.Text(cmd.OutOrStdout())
		},
	}
	f.flags(cmd, "text, html or json")
	f.output = "text"
	cmd.Flags().Lookup("output").DefValue = "text"
	fl := cmd.Flags()
	fl.StringVar(&owner, "owner", "", "whose things: as the column OWNER of \"dockreeve coverage\" names it")
	fl.StringSliceVar(&to, "mail-to", nil, "send it to these addresses instead of writing it")
	fl.StringVar(&smtp, "mail-server", "", "with --mail-to: smtps://user:password@host:465, or smtp://host:587, or @FILE that holds it")
	fl.StringVar(&from, "mail-from", "", "with --mail-to: sender's address")
	fl.StringVar(&link, "link", "", "address of the console to name in it")
	return cmd
}

// ownerNamed finds the owner that a person means: as it is called, in another case, or as
// tables show it where it is an id.
func ownerNamed(j *judged, name string) (string, error) {
	var known, like []string
	for i := range j.ev.Clusters {
		if o := j.ev.Clusters[i].Ownership.Owner; !slices.Contains(known, o) {
			known = append(known, o)
		}
	}
	if j.in.Costs != nil {
		for _, a := range j.in.Costs.Teams {
			if !slices.Contains(known, a.Key) {
				known = append(known, a.Key)
			}
		}
	}
	if slices.Contains(known, name) {
		return name, nil
	}
	for _, o := range known {
		if strings.EqualFold(o, name) || owner(o) == name {
			return o, nil
		}
		if strings.Contains(strings.ToLower(o), strings.ToLower(name)) {
			like = append(like, o)
		}
	}
	slices.Sort(like)
	switch {
	case len(like) == 1:
		return "", withCode(exitUsage, "no owner is called %q; do you mean %q?", name, like[0])
	case len(like) > 1 && len(like) <= 10:
		return "", withCode(exitUsage, "no owner is called %q; do you mean one of %q?", name, like)
	}
	return name, nil // the report says who is known
}

func mailTeam(ctx context.Context, w io.Writer, s *report.Summary, server, from string, to []string, at int64) error {
	server, err := fromFile(server)
	if err != nil {
		return withCode(exitUsage, "--mail-server: %w", err)
	}
	m, err := notify.ParseMail(server, from)
	if err != nil {
		return withCode(exitUsage, "%w", err)
	}
	for _, one := range to {
		var b bytes.Buffer
		if err := s.Mail(&b, report.MailOptions{From: from, To: []string{one}, At: at}); err != nil {
			return withCode(exitUsage, "%w", err)
		}
		if err := m.Send(ctx, one, b.Bytes()); err != nil {
			return withCode(exitFailed, "%w", err)
		}
		fmt.Fprintf(w, "sent to %s\n", clean(one))
	}
	return nil
}

// askFacts fetches from the server what a report holds beyond the evaluation; alerts and
// days are those of the period.
func (f *tenantFlags) askFacts(ctx context.Context, from, to int64) (*govern.Input, error) {
	c, err := f.to.dial()
	if err != nil {
		return nil, err
	}
	res, err := c.governance.GetEvidence(ctx, connect.NewRequest(&v1.GetEvidenceRequest{From: from, To: to}))
	if err != nil {
		return nil, f.to.explain(err)
	}
	facts := &govern.Input{}
	if err := json.Unmarshal([]byte(res.Msg.FactsJson), facts); err != nil {
		return nil, withCode(exitFailed, "the server's evidence: %w", err)
	}
	return facts, nil
}

// askEvidence fetches from the server what a bundle holds beyond the evaluation.
func (f *tenantFlags) askEvidence(ctx context.Context, o *report.EvidenceOptions) error {
	facts, err := f.askFacts(ctx, o.From, o.To)
	if err != nil {
		return err
	}
	o.Days, o.Tenant, o.Exemptions, o.Reviews, o.Alerts, o.Images, o.Gates, o.Controls = facts.History, facts.Tenant, facts.Config.Exemptions, facts.Reviews, facts.Alerts, facts.Images, facts.Gates, facts.Controls
	var err2 error
	o.Results, err2 = f.results(ctx)
	return err2
}
