package store

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/query"
)

// The manual of the filter lists the fields that exist, word for word, list by list.
// Run with DOCKREEVE_UPDATE=1 to write it.
func TestManualListsTheFields(t *testing.T) {
	const page = "../docs/query.md"
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	have := string(raw)
	want := have
	for _, l := range []struct {
		title string
		s     *query.Schema
	}{
		{"alerts", AlertFields()},
		{"images", ImageFields()},
		{"an image's vulnerabilities", FindingFields()},
		{"an image's packages", PackageFields()},
		{"vulnerabilities", VulnerabilityFields()},
		{"remediation", RemediationFields()},
		{"clusters", ClusterFields()},
		{"workloads", WorkloadFields()},
		{"identities", IdentityFields()},
		{"exposures", ExposureFields()},
		{"audit events", AuditFields()},
		{"governed clusters", GovernanceFields(GovCluster)},
		{"subscriptions", GovernanceFields(GovSubscription)},
		{"results of controls", GovernanceFields(GovResult)},
		{"recommendations", GovernanceFields(GovRecommendation)},
		{"governance findings", GovernanceFields(GovFinding)},
	} {
		before, rest, ok := strings.Cut(want, "## Fields of "+l.title+"\n")
		if !ok {
			t.Fatalf("%s: the fields of %s are gone", page, l.title)
		}
		const head = "|---|---|---|---|---|\n"
		top, rest, ok := strings.Cut(rest, head)
		if !ok {
			t.Fatalf("%s: the table of fields of %s is gone", page, l.title)
		}
		_, after, _ := strings.Cut(rest, "\n\n")
		want = before + "## Fields of " + l.title + "\n" + top + head + tableOf(l.s) + "\n" + strings.TrimPrefix(after, "\n")
	}
	if want == have {
		return
	}
	if os.Getenv("DOCKREEVE_UPDATE") == "" {
		t.Fatalf("%s does not list the fields as they are: run this test with DOCKREEVE_UPDATE=1", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func tableOf(s *query.Schema) string {
	types := map[query.Type]string{query.Text: "text", query.Number: "number", query.Decimal: "decimal", query.Bool: "yes, no", query.Time: "time", query.Age: "age"}
	var b strings.Builder
	for _, f := range s.Fields {
		typ := types[f.Type]
		if typ == "" {
			typ = strings.Join(f.Words, ", ")
		}
		if f.Type == query.Ranked {
			typ += " (in this order)"
		}
		if f.List {
			typ = "several texts: any may match"
		}
		free := ""
		if f.Free {
			free = "yes"
		}
		short := ""
		if len(f.Aliases) > 0 {
			short = "`" + strings.Join(f.Aliases, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Name, short, typ, free, f.Doc)
	}
	return b.String()
}
