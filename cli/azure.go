package cli

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/source/azure"
)

func newAzure() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "azure",
		Short: "Read a tenant of Azure, with read-only rights",
		Long: `Read what Azure says of subscriptions, clusters, registries, protection plans, policies,
budgets, bills and activity, and keep it as a snapshot that every check runs on.

Credentials are found as the Azure CLI and SDKs do: environment, workload identity, managed
identity, "az login"; or DOCKREEVE_AZURE_TOKEN holds a bearer token, and nothing signs in.
"dockreeve azure export-role" prints the role that it needs, read-only.`,
	}
	cmd.AddCommand(newAzureCollect(), newAzureActivity(), newAzureRole(), newAzureImport())
	return cmd
}

// tokenEnv names the variable that holds a bearer token, for those who sign in themselves.
const tokenEnv = "DOCKREEVE_AZURE_TOKEN"

// azureCredential gives what signs in: a token of the environment, which goes to the
// endpoint and nowhere else, or what the Azure SDKs find.
func azureCredential() (azcore.TokenCredential, error) {
	if token, set := os.LookupEnv(tokenEnv); set {
		token = strings.TrimSpace(token)
		if token == "" || len(token) > 64<<10 || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, withCode(exitUsage, "%s: want one bearer token, as \"az account get-access-token --query accessToken -o tsv\" prints it", tokenEnv)
		}
		return heldToken(token), nil
	}
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, withCode(exitFailed, "no credentials for Azure: %w\nSign in with \"az login\", or see docs/azure.md.", err)
	}
	return cred, nil
}

// heldToken is a bearer token that somebody else got. When it runs out is not known: reads
// after that are answered with 401, and shown as denied.
type heldToken string

// GetToken gives the token.
func (t heldToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(t), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func newAzureCollect() *cobra.Command {
	var out, resume string
	var o azure.Options
	var quiet bool
	cmd := &cobra.Command{
		Use:   "collect -o FILE",
		Short: "Read a tenant into a snapshot",
		Long: `Read a tenant into a snapshot. What cannot be read (missing rights, throttling, half a page)
is part of the snapshot and shown by every check; the rest goes on. Interrupted, it goes on
with --resume from what was read.

  dockreeve azure collect -o snapshot.json
  dockreeve coverage --snapshot snapshot.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return withCode(exitUsage, "name the snapshot's file: -o snapshot.json")
			}
			var err error
			if o.Credential, err = azureCredential(); err != nil {
				return err
			}
			if !quiet {
				o.Progress = azureProgress(cmd.ErrOrStderr())
			}
			return collectTo(cmd.Context(), cmd.OutOrStdout(), out, resume, o)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&out, "output", "o", "", "file to write; .gz compresses")
	fl.StringVar(&resume, "resume", "", "take over what ended well in this snapshot, which was interrupted")
	fl.StringSliceVar(&o.Subscriptions, "subscription", nil, "only these subscriptions, by id (default: all that can be seen)")
	fl.StringVar(&o.Endpoint, "endpoint", "", "of Azure Resource Manager (default: the public cloud's)")
	fl.IntVar(&o.CostDays, "cost-days", 0, "days of cost to read, up to 365 (default 60)")
	fl.IntVar(&o.ActivityDays, "activity-days", 0, "days of the Activity Log to read, up to 89 (default 7)")
	fl.StringSliceVar(&o.Skip, "skip", nil, "reads to leave out, as in costs,activity-log")
	fl.StringVar(&o.PricesEndpoint, "prices-endpoint", "", "of the retail prices (default: the public one)")
	fl.StringVar(&o.Currency, "currency", "", "of the retail prices (default USD); give the bill's")
	fl.DurationVar(&o.Patience, "patience", 0, "how long Azure may make a read wait before it is given up (default 10m)")
	fl.BoolVarP(&quiet, "quiet", "q", false, "do not show progress")
	return cmd
}

// collectTo collects into a file beside the one asked for and puts it in place at the
// end, whole or, where it was interrupted, as far as it came.
func collectTo(ctx context.Context, w io.Writer, path, resume string, o azure.Options) (err error) {
	if resume != "" {
		if _, err := os.Stat(resume); err != nil {
			return withCode(exitUsage, "--resume: %w", err)
		}
		o.Previous = func(each func(azure.Record) error) error {
			_, err := azure.ReadFile(resume, each)
			return err
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return withCode(exitFailed, "%w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // in place by then, or of no use
	defer tmp.Close()
	var to io.Writer = tmp
	var zip *gzip.Writer
	if strings.HasSuffix(path, ".gz") {
		zip = gzip.NewWriter(tmp)
		to = zip
	}
	out, err := azure.NewWriter(to, azure.Head{Source: "live", Started: time.Now().UnixNano()})
	if err != nil {
		return withCode(exitFailed, "%w", err)
	}
	records, reads := 0, 0
	var failed []cloud.Read
	o.Sink = func(r azure.Record) error {
		records++
		if r.Read != nil {
			reads++
			if r.Read.Outcome != cloud.ReadOK && r.Read.Outcome != cloud.ReadAbsent && r.Read.Outcome != cloud.ReadSkipped {
				failed = append(failed, *r.Read)
			}
		}
		return out.Write(r)
	}
	collected := azure.Collect(ctx, o)
	if collected == nil {
		err = out.Close(time.Now())
	}
	if zip != nil {
		err = errors.Join(err, zip.Close())
	}
	if err = errors.Join(err, tmp.Chmod(0o600), tmp.Sync(), tmp.Close(), os.Rename(tmp.Name(), path)); err != nil {
		return withCode(exitFailed, "%w", err)
	}
	fmt.Fprintf(w, "%s: %d records of %d reads, %d of which did not end well\n", path, records, reads, len(failed))
	printFailed(w, failed)
	if collected != nil {
		return withCode(exitFailed, "the collection did not end: %w\nWhat came is kept; go on with: dockreeve azure collect -o %s --resume %s", collected, path, path)
	}
	return nil
}

// printFailed says what did not end well, by scope: mostly one right is missing there.
func printFailed(w io.Writer, failed []cloud.Read) {
	var order []string
	of := map[string][]cloud.Read{}
	for _, r := range failed {
		k := r.Scope + "\x00" + r.Outcome
		if of[k] == nil {
			order = append(order, k)
		}
		of[k] = append(of[k], r)
	}
	for i, k := range order {
		if i == 20 {
			fmt.Fprintf(w, "  and %d more; every check names them\n", len(order)-i)
			return
		}
		list := of[k]
		slices.SortFunc(list, func(a, b cloud.Read) int { return cmp.Compare(a.What, b.What) })
		var what []string
		for _, r := range list {
			what = append(what, r.What)
		}
		fmt.Fprintf(w, "  %s at %s: %s\n    %s\n", list[0].Outcome, clean(orTenant(list[0].Scope)), strings.Join(what, ", "), clean(list[0].Reason))
	}
}

func orTenant(scope string) string {
	if scope == "" {
		return "the tenant"
	}
	return scope
}

// azureProgress writes a line a second at most, and each time Azure makes us wait.
func azureProgress(w io.Writer) func(azure.Progress) {
	last := time.Time{}
	return func(p azure.Progress) {
		now := time.Now()
		switch {
		case !p.Waiting.IsZero():
			fmt.Fprintf(w, "%d of %d reads; Azure makes %s wait until %s\n", p.Done, p.Total, p.Lane, p.Waiting.Local().Format(time.TimeOnly))
		case now.Sub(last) > time.Second:
			fmt.Fprintf(w, "%d of %d reads\n", p.Done, p.Total)
		default:
			return
		}
		last = now
	}
}

func newAzureRole() *cobra.Command {
	var scopes []string
	cmd := &cobra.Command{
		Use:   "export-role",
		Short: "Print the role definition that collecting needs, all of it read-only",
		Long: `Print the custom role that "azure collect" needs, to be assigned at the scopes that you name:

  dockreeve azure export-role --scope /providers/Microsoft.Management/managementGroups/GROUP >role.json
  az role definition create --role-definition role.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role, err := azure.Role(scopes...)
			if err != nil {
				return withCode(exitFailed, "%w", err)
			}
			_, err = cmd.OutOrStdout().Write(role)
			return err
		},
	}
	cmd.Flags().StringArrayVar(&scopes, "scope", nil, "management group or subscription to assign it at, as an ARM id (may be repeated)")
	return cmd
}

func newAzureImport() *cobra.Command {
	var to target
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Give a snapshot to the server, which evaluates it at once",
		Long: `Give a snapshot to the server, which evaluates it at once. It takes the place of the one
before only as a whole: one that is cut short, of another version, or older than the one in
force is refused with exit code 2, and nothing changes.

  dockreeve azure collect -q -o snapshot.json.gz
  dockreeve azure import snapshot.json.gz

From another machine, with a token in DOCKREEVE_TOKEN ("dockreeve login --pipeline NAME --scope governance"):

  dockreeve azure import snapshot.json.gz --server https://dockreeve.example`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return withCode(exitData, "%w", err)
			}
			defer f.Close()
			c, err := to.dial()
			if err != nil {
				return err
			}
			res, err := submitSnapshot(cmd.Context(), c, f)
			if err != nil {
				return to.explain(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The server took %d records: %d clusters in %d subscriptions.\n", res.Records, res.Clusters, res.Subscriptions)
			const shown = 8
			if err := printGaps(cmd.OutOrStdout(), res.Gaps[:min(shown, len(res.Gaps))]); err != nil {
				return err
			}
			if n := len(res.Gaps) - shown; n > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "  and %d more; \"dockreeve coverage\" tells them by what is missing\n", n)
			}
			return nil
		},
	}
	to.flags(cmd)
	return cmd
}
