package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockreeve/dockreeve/notify"
	"github.com/dockreeve/dockreeve/server/governance"
	"github.com/dockreeve/dockreeve/source/azure"
)

// governFlags say how a server governs.
type governFlags struct {
	azure    bool
	every    time.Duration
	config   string
	prices   string
	mail     string
	from     string
	link     string
	endpoint string
	retail   string
}

func (f *governFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.azure, "azure", false, "read the tenant of Azure now and then, with read-only rights (docs/azure.md)")
	fl.DurationVar(&f.every, "azure-every", 6*time.Hour, "with --azure: how often")
	fl.StringVar(&f.endpoint, "azure-endpoint", "", "with --azure: Azure Resource Manager (default: the public cloud's)")
	fl.StringVar(&f.retail, "azure-prices-endpoint", "", "with --azure: of the retail prices (default: the public one)")
	fl.StringVar(&f.config, "governance", "", "what your organisation decides: provider, tags, environments, exemptions (docs/governance.md)")
	fl.StringVar(&f.prices, "prices", "", "price file that goes before the prices that come with Dockreeve (docs/cost.md)")
	fl.StringVar(&f.mail, "mail-server", "", "send owners a weekly mail by smtps://user:password@host:465 or smtp://host:587, or @FILE that holds it")
	fl.StringVar(&f.from, "mail-from", "", "with --mail-server: sender's address")
	fl.StringVar(&f.link, "mail-link", "", "with --mail-server: address of the console that mails name")
}

// options reads what the flags name.
func (f *governFlags) options(state string) (governance.Options, error) {
	o := governance.Options{Dir: filepath.Join(state, "azure"), AuditLoses: auditLoses(), CollectEvery: f.every}
	var err error
	if f.config != "" {
		if o.Config, err = readGovernance(f.config); err != nil {
			return o, err
		}
	}
	if f.prices != "" {
		p, err := readPrices(f.prices)
		if err != nil {
			return o, err
		}
		o.Prices, o.Meters, o.Agents = p.Prices, p.Meters, p.Agents
	}
	if f.mail == "" && (f.from != "" || f.link != "") {
		return o, withCode(exitUsage, "--mail-from and --mail-link go with --mail-server")
	}
	if f.mail != "" {
		server, err := fromFile(f.mail)
		if err != nil {
			return o, withCode(exitUsage, "--mail-server: %w", err)
		}
		m, err := notify.ParseMail(server, f.from)
		if err != nil {
			return o, withCode(exitUsage, "--mail-server, --mail-from: %w", err)
		}
		o.Mail = &governance.Mail{Server: m, Link: f.link, Version: version}
	}
	if f.azure {
		if f.every < time.Minute {
			return o, withCode(exitUsage, "--azure-every %s: want at least a minute", f.every)
		}
		cred, err := azureCredential()
		if err != nil {
			return o, fmt.Errorf("--azure: %w", err)
		}
		o.Collect = func(ctx context.Context, sink func(azure.Record) error) error {
			return azure.Collect(ctx, azure.Options{Credential: cred, Sink: sink, Endpoint: f.endpoint, PricesEndpoint: f.retail, Client: &http.Client{Timeout: 2 * time.Minute}})
		}
	} else if f.endpoint != "" || f.retail != "" {
		return o, withCode(exitUsage, "--azure-endpoint and --azure-prices-endpoint go with --azure")
	}
	return o, nil
}

// fromFile is a secret of a command line, or what stands in the file that @FILE names: a
// command line can be read by everybody on the machine.
func fromFile(s string) (string, error) {
	path, ok := strings.CutPrefix(s, "@")
	if !ok {
		return s, nil
	}
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}
