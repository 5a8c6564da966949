package store

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/query"
)

// The manual of the filter lists the fields that exist, word for word. Run with
// DOCKREEVE_UPDATE=1 to write it.
func TestManualListsTheFields(t *testing.T) {
	types := map[query.Type]string{query.Text: "text", query.Number: "number", query.Bool: "yes, no", query.Time: "time", query.Age: "age"}
	var b strings.Builder
	for _, f := range AlertFields().Fields {
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
	const page = "../docs/query.md"
	have, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const head = "|---|---|---|---|---|\n"
	before, rest, ok := strings.Cut(string(have), head)
	if !ok {
		t.Fatalf("%s: the table of fields is gone", page)
	}
	_, after, _ := strings.Cut(rest, "\n\n")
	want := before + head + b.String() + "\n" + strings.TrimPrefix(after, "\n")
	if want == string(have) {
		return
	}
	if os.Getenv("DOCKREEVE_UPDATE") == "" {
		t.Fatalf("%s does not list the fields as they are: run this test with DOCKREEVE_UPDATE=1", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
