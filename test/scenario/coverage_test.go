package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/detect/activity"
	"github.com/dockreeve/dockreeve/detect/rules"
	"github.com/dockreeve/dockreeve/test/need"
)

// answers are the alerts of others that the shipped rules say they answer, with the ids of
// those rules in the order of the pack, then those of the Activity Log.
func answers(t *testing.T) map[string][]string {
	t.Helper()
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ +(id|answers): \[?(.*?)\]?$`)
	out := map[string][]string{}
	for _, f := range files {
		id := ""
		for _, m := range line.FindAllStringSubmatch(string(f.Data), -1) {
			if m[1] == "id" {
				id = m[2]
				continue
			}
			for a := range strings.SplitSeq(m[2], ",") {
				out[strings.TrimSpace(a)] = append(out[strings.TrimSpace(a)], id)
			}
		}
	}
	for _, r := range activity.Shipped().Rules {
		for _, a := range r.Answers {
			out[a] = append(out[a], r.ID)
		}
	}
	return out
}

// TestCoverage holds docs/coverage.md to the rules: each row has the rules that answer it,
// else a reason; every answer has its row; and the sums are right.
func TestCoverage(t *testing.T) {
	page, err := os.ReadFile("../../docs/coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	have, rows := answers(t), map[string]bool{}
	answered, all, said := 0, 0, ""
	sum := func() {
		if want := fmt.Sprintf("%d of %d answered.", answered, all); said != "" && said != want {
			t.Errorf("docs/coverage.md says %q, want %q", said, want)
		}
		answered, all = 0, 0
	}
	for text := range strings.Lines(string(page)) {
		text = strings.TrimSpace(text)
		if strings.HasSuffix(text, " answered.") && !strings.HasPrefix(text, "|") {
			sum()
			said = text
		}
		cells := strings.Split(text, "|")
		if len(cells) != 6 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		id := strings.Trim(cells[1], " `")
		if rows[id] {
			t.Errorf("%s has two rows", id)
		}
		rows[id] = true
		all++
		want := "–"
		if len(have[id]) > 0 {
			want = "`" + strings.Join(have[id], "`, `") + "`"
			answered++
		}
		if got := strings.TrimSpace(cells[3]); got != want {
			t.Errorf("%s: the page has %s, the rules %s", id, got, want)
		}
		if why := strings.TrimSpace(cells[4]); (why == "") != (len(have[id]) > 0) {
			t.Errorf("%s: answered by %v, and why not: %q", id, have[id], why)
		}
	}
	sum()
	for id := range have {
		if !rows[id] {
			t.Errorf("%s is answered by %v and has no row", id, have[id])
		}
	}
	if len(rows) != 127 {
		t.Errorf("%d rows, want 127", len(rows))
	}
}

// TestCoverageHasEveryAlert holds the rows to the list that was gathered, where it is.
func TestCoverageHasEveryAlert(t *testing.T) {
	dir := os.Getenv("DOCKREEVE_SHARED")
	if dir == "" {
		dir = "../../../shared"
	}
	b, err := os.ReadFile(filepath.Join(dir, "reference", "defender_alerts.json"))
	if errors.Is(err, os.ErrNotExist) {
		need.Skip(t, need.Shared, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ ID string }
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, a := range list {
		want = append(want, a.ID)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("rows\n%v\nwant\n%v", got, want)
	}
}
