package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestFolders runs the stories of testdata: the files of a folder, then what is read.
func TestFolders(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatal("no stories in testdata", err)
	}
	for _, story := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(story), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(story)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			var want string
			for _, f := range ar.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				at := filepath.Join(dir, f.Name)
				if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			e, err := ReadFolder(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(tell(e), dir, "DIR"); got != want {
				t.Errorf("read\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// tell writes what was read, in the order in which it was.
func tell(e *Export) string {
	var b strings.Builder
	for _, o := range e.Objects {
		fmt.Fprintf(&b, "%s %s\n", apiKindOf(o), path(o.Namespace, o.Name))
	}
	var skipped []string
	for k, n := range e.Skipped {
		skipped = append(skipped, fmt.Sprintf("skipped %d %s\n", n, k))
	}
	slices.Sort(skipped)
	b.WriteString(strings.Join(skipped, ""))
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "problem %s\n", p)
	}
	return b.String()
}

// kubectlList is a list as kubectl prints it.
func kubectlList(n int) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nitems:\n")
	for i := range n {
		fmt.Fprintf(&b, "- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: web-%d\n    namespace: shop\n    annotations:\n      note: |\n        - a list\n\n        kind: none\n  spec:\n    containers:\n    - name: web\n      image: nginx:1.29\n      args:\n      - --port\n      - \"80\"\n", i)
	}
	b.WriteString("kind: List\nmetadata:\n  resourceVersion: \"\"\n")
	return b.String()
}

func TestALongListIsReadItemByItem(t *testing.T) {
	const n = 40_000 // far more than one document may have
	text := kubectlList(n)
	if len(text) <= maxYAMLBytes {
		t.Fatalf("the list has only %d bytes", len(text))
	}
	e, err := ReadStream(t.Context(), "stdin", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Objects) != n || len(e.Problems) > 0 {
		t.Errorf("%d objects, %v; want %d and no problem", len(e.Objects), e.Problems, n)
	}
	if c := e.Objects[n-1].Pod.Containers; len(c) != 1 || c[0].Image != "nginx:1.29" {
		t.Errorf("the last pod has the containers %+v", c)
	}
}

func TestYAMLAndJSONSayTheSame(t *testing.T) {
	fromYAML, err := ReadStream(t.Context(), "stdin", strings.NewReader(kubectlList(3)))
	if err != nil {
		t.Fatal(err)
	}
	docs, _, err := yamlToJSON([]byte(kubectlList(3)))
	if err != nil {
		t.Fatal(err)
	}
	var list bytes.Buffer
	list.WriteString(`{"apiVersion":"v1","items":[`)
	for i, d := range docs {
		if i > 0 {
			list.WriteByte(',')
		}
		list.Write(d.json)
	}
	list.WriteString(`],"kind":"List","metadata":{}}`)
	fromJSON, err := ReadStream(t.Context(), "stdin", &list)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(fromYAML.Objects)
	b, _ := json.Marshal(fromJSON.Objects)
	if len(fromYAML.Objects) != 3 || !bytes.Equal(a, b) {
		t.Errorf("YAML: %s\nJSON: %s", a, b)
	}
}

// TestHostileYAML holds that what is small on disk does not become large in memory.
func TestHostileYAML(t *testing.T) {
	laughs := func(first, item string) string {
		var b strings.Builder
		b.WriteString(first)
		for i := 1; i < 12; i++ {
			fmt.Fprintf(&b, "l%d: &l%d %s\n", i, i, strings.ReplaceAll(item, "@", fmt.Sprintf("*l%d", i-1)))
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"aliases":      laughs("l0: &l0 [lol]\n", "[@,@,@,@,@,@,@,@,@,@]"),
		"merges":       laughs("l0: &l0 {a: b}\n", "{<<: [@,@,@,@,@,@,@,@,@,@]}"),
		"loop":         "a: &a [*a]\n",
		"depth":        strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		"keys":         "a: 1\na: 2\n",
		"commas":       "a: [" + strings.Repeat(",", maxYAMLMarks) + "]",
		"no mapping":   "<<: text\n",
		"complex keys": "? [a]\n: b\n",
	} {
		if _, _, err := yamlToJSON([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	e, err := ReadStream(t.Context(), "stdin", strings.NewReader("a: "+strings.Repeat("x", maxYAMLBytes)+"\n---\n"+kubectlList(1)))
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Objects) != 1 || len(e.Problems) != 1 || !strings.Contains(e.Problems[0].String(), "stdin:1: a document of more than 8 MiB") {
		t.Errorf("after a document that is too large: %d objects, %v", len(e.Objects), e.Problems)
	}
}

func TestLinksOutOfTheFolderAreNotFollowed(t *testing.T) {
	outer, dir := t.TempDir(), t.TempDir()
	pod := []byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"}}`)
	for _, err := range []error{
		os.WriteFile(filepath.Join(outer, "secret.json"), pod, 0o600),
		os.Symlink(filepath.Join(outer, "secret.json"), filepath.Join(dir, "out.json")),
		// As a mounted ConfigMap lays its files out.
		os.Mkdir(filepath.Join(dir, "..data"), 0o755),
		os.WriteFile(filepath.Join(dir, "..data", "in.json"), pod, 0o600),
		os.Symlink(filepath.Join("..data", "in.json"), filepath.Join(dir, "in.json")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	e, err := ReadFolder(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Objects) != 1 || len(e.Problems) != 1 || !strings.Contains(e.Problems[0].What, "leads out of the folder") {
		t.Errorf("%d objects, %v", len(e.Objects), e.Problems)
	}
}

func FuzzReadStream(f *testing.F) {
	f.Add([]byte(kubectlList(2)))
	f.Add([]byte("a: &a {<<: *a}\n---\nkind: PodList\napiVersion: v1\nitems:\n  - metadata: {name: x}\n"))
	f.Add([]byte(`{"kind":"List","apiVersion":"v1","items":[{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}]}{"kind":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ReadStream(t.Context(), "fuzz", bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range e.Objects {
			if o.Name == "" || o.Kind == "" {
				t.Errorf("an object without name or kind: %+v", o)
			}
		}
	})
}

func FuzzYAML(f *testing.F) {
	f.Add([]byte("a: [1, 0x1f, 1.5, .inf, yes, null, '1', 2026-01-01]\nb: &b {c: d}\ne: {<<: *b}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		docs, _, err := yamlToJSON(text)
		if err != nil {
			return
		}
		for _, d := range docs {
			if !json.Valid(d.json) {
				t.Errorf("%q became %q, which is no JSON", text, d.json)
			}
		}
	})
}

// FuzzWire feeds the readers of what an API server sends.
func FuzzWire(f *testing.F) {
	f.Add([]byte(`{"kind":"PodList","metadata":{"resourceVersion":"7","continue":"x"},"items":[{"metadata":{"name":"a"}},null]}`))
	f.Add([]byte(`{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}}{"type":"BOOKMARK","object":{}}`))
	f.Add([]byte(`{"type":"ERROR","object":{"kind":"Status","code":410}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		readList(bytes.NewReader(text), func(item []byte) error {
			doc := typed(item, "v1", "Pod")
			if !json.Valid(doc) {
				t.Errorf("%q became %q, which is no JSON", item, doc)
			}
			return nil
		})
		readWatch(bytes.NewReader(text), func(ev event) error {
			if ev.Type == "ERROR" && failure(ev.Object) == nil {
				t.Error("an error event without error")
			}
			headerOf(ev.Object)
			onlyMetadata(ev.Object, "v1", "Secret")
			return nil
		})
	})
}

func TestAnAnswerThatIsTooLargeIsRefused(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"items":[{"a":"`), neverEnding('x'))
	if _, err := readList(endless, func([]byte) error { return nil }); !errors.Is(err, errTooLarge) {
		t.Errorf("a list with an endless object ended with %v", err)
	}
	endless = io.MultiReader(strings.NewReader(`{"type":"`), neverEnding('x'))
	if err := readWatch(endless, func(event) error { return nil }); !errors.Is(err, errTooLarge) {
		t.Errorf("a watch with an endless event ended with %v", err)
	}
}

type neverEnding byte

func (n neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(n)
	}
	return len(p), nil
}

func TestItemsTakeTheKindOfTheirList(t *testing.T) {
	for _, item := range []string{`{}`, ` { "metadata":{}}`, `{"metadata":{"name":"a"}}`, `{"kind":"Pod","apiVersion":"v1"}`, `{"apiVersion":"v1","kind":"Pod"}`, `{"metadata":{},"kind":"Pod","apiVersion":"v1"}`} {
		kind, version := kindOf(typed([]byte(item), "v1", "Pod"))
		if kind != "Pod" || version != "v1" {
			t.Errorf("%s became a %q of %q", item, kind, version)
		}
	}
}

func TestGapsOfAnExport(t *testing.T) {
	e, err := ReadStream(t.Context(), "standard input", strings.NewReader(kubectlList(1)))
	if err != nil {
		t.Fatal(err)
	}
	var of []string
	for _, g := range e.Gaps() {
		of = append(of, g.What)
		if g.Reason == "" || g.Remedy == "" {
			t.Errorf("%s: neither reason nor remedy", g.What)
		}
	}
	if slices.Contains(of, "pods") || !slices.Contains(of, "nodes") || !slices.Contains(of, "roles, clusterroles, rolebindings, clusterrolebindings") {
		t.Errorf("gaps of an export with pods only: %v", of)
	}
}
