package kube

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dockreeve/dockreeve/inventory"
)

// Bounds of an export. What is beyond is named as a Problem.
const (
	maxFiles       = 20_000
	maxFileBytes   = 1 << 30
	maxExported    = 500_000 // objects
	maxProblems    = 200     // kept; the rest is counted
	maxSkipped     = 200     // kinds told apart that are not kept
	maxFolderDepth = 32
)

// Export is what files of exported objects say.
type Export struct {
	Objects   []*inventory.Object
	Files     int            // that were read
	Ignored   int            // neither YAML nor JSON by their name
	Documents int            // objects in them, understood or not
	Skipped   map[string]int // objects of kinds that are not kept, by kind and version
	Problems  []Problem      // at most 200
	More      int            // problems beyond that

	from string
	at   map[string]place // where each object was, by its key
}

// place is where an object was read.
type place struct {
	where string // file:line
	index int    // in Objects
}

// errFull says that an export has more objects than are taken.
var errFull = fmt.Errorf("more than %d objects: the rest was not read", maxExported)

// Problem is one thing of an export that was not read.
type Problem struct {
	Where  string `json:"where"` // file:line
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

func (p Problem) String() string {
	s := p.Where + ": " + p.What
	if p.Remedy != "" {
		s += "; " + p.Remedy
	}
	return s
}

// ReadFolder reads a file of exported objects, or all YAML and JSON files of a folder
// and the folders in it. It fails only when there is nothing to read at all: one bad
// file or document is a Problem, and the rest goes on.
func ReadFolder(ctx context.Context, path string) (*Export, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read exported objects: %w", err)
	}
	e := newExport(path)
	if !info.IsDir() {
		if err := e.file(ctx, path); err != nil {
			return nil, err
		}
		return e, nil
	}
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("read exported objects: %w", err)
	}
	err = filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		if stop := ctx.Err(); stop != nil {
			return stop
		}
		if err != nil {
			e.problem(at, 0, err.Error(), "")
			return nil
		}
		if d.IsDir() {
			return e.folder(path, at, d)
		}
		switch strings.ToLower(filepath.Ext(at)) {
		case ".yaml", ".yml", ".json":
		default:
			e.Ignored++
			return nil
		}
		if e.Files >= maxFiles {
			e.problem(at, 0, fmt.Sprintf("more than %d files: the rest was not read", maxFiles), "read parts of the folder")
			return fs.SkipAll
		}
		if why := outside(root, at, d); why != "" {
			e.problem(at, 0, why, "")
			return nil
		}
		if err := e.file(ctx, at); err != nil {
			if ctx.Err() != nil {
				return err
			}
			e.problem(at, 0, err.Error(), "")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if e.Files == 0 {
		return nil, fmt.Errorf("%s has no files that end in .yaml, .yml or .json", path)
	}
	return e, nil
}

// ReadStream reads exported objects, YAML or JSON, from standard input or the like.
func ReadStream(ctx context.Context, name string, r io.Reader) (*Export, error) {
	e := newExport(name)
	if err := e.stream(ctx, name, r); err != nil {
		return nil, err
	}
	return e, nil
}

func newExport(from string) *Export {
	return &Export{from: from, Skipped: map[string]int{}, at: map[string]place{}}
}

// folder says whether to go into a folder.
func (e *Export) folder(root, at string, d fs.DirEntry) error {
	if at == root {
		return e.chart(at)
	}
	if strings.HasPrefix(d.Name(), ".") {
		return fs.SkipDir
	}
	if rel, err := filepath.Rel(root, at); err == nil && strings.Count(rel, string(filepath.Separator)) >= maxFolderDepth {
		e.problem(at, 0, fmt.Sprintf("folders more than %d deep are not read", maxFolderDepth), "")
		return fs.SkipDir
	}
	return e.chart(at)
}

// chart passes a Helm chart over: its files are objects only once it is rendered.
func (e *Export) chart(at string) error {
	if _, err := os.Lstat(filepath.Join(at, "Chart.yaml")); err != nil {
		return nil
	}
	e.Files++ // it was looked at
	e.problem(at, 0, "a Helm chart: its templates are no objects until they are rendered",
		"helm template "+at+" | dockreeve cluster inspect --from -")
	return fs.SkipDir
}

// outside says why an entry of a folder is not read: it is no file, or a link that leads
// out of the folder.
func outside(root, at string, d fs.DirEntry) string {
	if d.Type()&fs.ModeSymlink != 0 {
		to, err := filepath.EvalSymlinks(at)
		if err != nil {
			return err.Error()
		}
		if rel, err := filepath.Rel(root, to); err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return "a link that leads out of the folder is not followed"
		}
		info, err := os.Stat(at)
		if err != nil {
			return err.Error()
		}
		if !info.Mode().IsRegular() {
			return "not a file"
		}
		return ""
	}
	if !d.Type().IsRegular() {
		return "not a file"
	}
	return ""
}

func (e *Export) file(ctx context.Context, path string) error {
	if base := strings.ToLower(filepath.Base(path)); base == "kustomization.yaml" || base == "kustomization.yml" {
		e.Files++
		e.problem(path, 0, "a kustomization: what it changes is not applied, the other files are read as they are",
			"kubectl kustomize "+filepath.Dir(path)+" | dockreeve cluster inspect --from -")
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return e.stream(ctx, path, f)
}

// stream reads one file. What ends it early is a problem, and what came before counts.
func (e *Export) stream(ctx context.Context, name string, r io.Reader) error {
	e.Files++
	err := e.read(ctx, name, r)
	if err != nil && ctx.Err() == nil {
		e.problem(name, 0, err.Error(), "")
	}
	return ctx.Err()
}

func (e *Export) read(ctx context.Context, name string, r io.Reader) error {
	in := bufio.NewReaderSize(&stopped{ctx, &allowance{r: r, left: maxFileBytes, err: fmt.Errorf("larger than %d MiB: the rest was not read", maxFileBytes>>20)}}, 64<<10)
	first, err := sniff(in)
	switch {
	case err == io.EOF:
		return nil // an empty file says nothing
	case err != nil:
		return err
	case first == '{':
		return e.jsonFile(name, in)
	}
	return e.yamlFile(name, in)
}

// sniff returns the first byte that is no space, without taking it.
func sniff(in *bufio.Reader) (byte, error) {
	if mark, err := in.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
		in.Discard(3)
	}
	for n := 1; ; n++ {
		head, err := in.Peek(n)
		if len(head) < n {
			if errors.Is(err, bufio.ErrBufferFull) {
				return ' ', nil
			}
			return 0, cmp.Or(err, io.EOF)
		}
		if c := head[n-1]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, nil
		}
	}
}

// stopped is a reader that ends with its context.
type stopped struct {
	ctx context.Context
	r   io.Reader
}

func (s *stopped) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

func (e *Export) problem(file string, line int, what, remedy string) {
	if len(e.Problems) >= maxProblems {
		e.More++
		return
	}
	where := file
	if line > 0 {
		where = fmt.Sprintf("%s:%d", file, line)
	}
	e.Problems = append(e.Problems, Problem{where, cut(what, 512), remedy})
}

// add takes one object of a file. It returns an error when no more are taken.
func (e *Export) add(file string, line int, doc []byte) error {
	e.Documents++
	o, err := inventory.Decode(doc)
	if errors.Is(err, inventory.ErrUnknownKind) {
		e.skip(file, line, doc)
		return nil
	}
	if err != nil {
		e.problem(file, line, err.Error(), "")
		return nil
	}
	if strings.Contains(o.Name, "{{") {
		e.template(file, line)
		return nil
	}
	at := fmt.Sprintf("%s:%d", file, line)
	key := fmt.Sprintf("%s/%s %s", o.Kind, o.APIKind, path(o.Namespace, o.Name))
	if before, ok := e.at[key]; ok {
		if e.Objects[before.index].Version != o.Version || o.Version == "" {
			e.problem(file, line, fmt.Sprintf("%s %s is also in %s: this one counts", o.Kind, path(o.Namespace, o.Name), before.where), "")
		}
		e.Objects[before.index], e.at[key] = o, place{at, before.index}
		return nil
	}
	if len(e.Objects) >= maxExported {
		return errFull
	}
	e.at[key] = place{at, len(e.Objects)}
	e.Objects = append(e.Objects, o)
	return nil
}

// skip counts an object of a kind that is not kept, and names what is no object.
func (e *Export) skip(file string, line int, doc []byte) {
	kind, version := kindOf(doc)
	if kind == "" || version == "" {
		e.problem(file, line, "no Kubernetes object: it has no apiVersion and kind", "")
		return
	}
	name := cut(kind, 128) + " " + cut(version, 128)
	if _, ok := e.Skipped[name]; !ok && len(e.Skipped) >= maxSkipped {
		name = "others"
	}
	e.Skipped[name]++
}

func (e *Export) template(file string, line int) {
	e.problem(file, line, "a template, no object until it is rendered", "helm template CHART | dockreeve cluster inspect --from -")
}

// Apply hands the objects to a sink.
func (e *Export) Apply(sink Sink) {
	for _, o := range e.Objects {
		sink.Put(o)
	}
}

// Gaps says what the export does not tell: kinds of which it has none, as they may have
// been left out of it.
func (e *Export) Gaps() []inventory.Gap {
	have := map[inventory.Kind]bool{}
	for _, o := range e.Objects {
		have[o.Kind] = true
	}
	resources := map[inventory.Kind]string{}
	for _, w := range wanted(false) {
		if resources[w.kind] == "" {
			resources[w.kind] = w.resource
		}
	}
	var gaps []inventory.Gap
	for _, k := range []struct {
		kinds []inventory.Kind
		any   bool // one of the kinds is enough
		lost  string
	}{
		{kinds: []inventory.Kind{inventory.KindNode}, lost: "where things run"},
		{kinds: []inventory.Kind{inventory.KindNamespace}, lost: "owners, tenants and the Pod Security level that their labels set"},
		{kinds: []inventory.Kind{inventory.KindPod}, lost: "what runs, with which image digest and since when"},
		{kinds: []inventory.Kind{inventory.KindServiceAccount}, lost: "whether a token is mounted"},
		{kinds: []inventory.Kind{inventory.KindRole, inventory.KindClusterRole, inventory.KindRoleBinding, inventory.KindClusterBinding}, lost: "what identities may do"},
		{kinds: []inventory.Kind{inventory.KindService}, lost: "what can be reached"},
		{kinds: []inventory.Kind{inventory.KindIngress, inventory.KindGateway, inventory.KindRoute}, any: true, lost: "what is reached through them"},
		{kinds: []inventory.Kind{inventory.KindNetworkPolicy}, lost: "who may reach what"},
	} {
		var names []string
		for _, kind := range k.kinds {
			if !have[kind] {
				names = append(names, resources[kind])
			}
		}
		if len(names) == 0 || k.any && len(names) < len(k.kinds) {
			continue
		}
		ask := names
		if k.any {
			ask = names[:1] // a server without the others would refuse the whole request
		}
		gaps = append(gaps, inventory.Gap{
			What:   strings.Join(names, ", "),
			Reason: "none in " + e.from + ", where they may have been left out; they decide " + k.lost,
			Remedy: "kubectl get " + strings.Join(ask, ",") + " -A -o yaml",
		})
	}
	return gaps
}
