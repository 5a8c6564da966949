package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/store"
)

// newsStep bounds the news looked at in one step, lately how long ago an image must
// have been seen to still matter when it does not run.
const (
	newsStep = 200
	lately   = 3 * 24 * time.Hour
)

// Raise turns what is new and critical or known to be exploited, in images that run or
// were seen lately, into findings. It says each thing once: a finding's id is that of
// image and vulnerability, and all images of one repository share an alert, so that a
// rebuild that still has it opens none.
func (s *Images) Raise(ctx context.Context) error {
	for {
		news, err := s.opt.DB.News(ctx, newsStep)
		if err != nil || len(news) == 0 {
			return err
		}
		if s.opt.Raise != nil {
			var list []*finding.Finding
			for i := range news {
				f, err := s.findingOf(ctx, &news[i])
				if err != nil {
					return err
				}
				if f != nil {
					list = append(list, f)
				}
			}
			for part := range slices.Chunk(list, 50) {
				if err := s.opt.Raise(ctx, part); err != nil {
					return fmt.Errorf("store findings of new vulnerabilities: %w", err)
				}
			}
		}
		if err := s.opt.DB.ForgetNews(ctx, news); err != nil {
			return err
		}
	}
}

// findingOf makes the finding of one piece of news; nil when the image runs nowhere
// and was not seen lately, or no longer has it.
func (s *Images) findingOf(ctx context.Context, n *store.News) (*finding.Finding, error) {
	now := s.opt.Clock.Now().UnixNano()
	a, err := s.opt.DB.AffectedBy(ctx, n.Image, n.Vuln)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(a.Findings) == 0 || a.Image.Running == 0 && now-a.LastSeen > int64(lately) {
		return nil, nil
	}
	v := &a.Findings[0]
	name := a.Name
	if name == "" {
		name = a.Key
	}
	repository := Repository(name)
	rule := "vulnerability/" + v.ID
	f := &finding.Finding{
		ID:          finding.ID(rule, a.Key),
		Fingerprint: finding.Fingerprint(rule, repository, "", "image"),
		Severity:    finding.High,
		Time:        n.Time,
		Received:    now,
		Subject:     finding.Subject{Node: "hub", Workload: repository, Object: name, ObjectClass: "image"},
		EventIDs:    []string{a.Key, v.ID},
		Event:       json.RawMessage(`{}`),
	}
	if v.Severity == finding.Critical || v.KEV != nil && a.Image.Running > 0 {
		f.Severity = finding.Critical
	}
	what, title := "critical", "Critical vulnerability in an image"
	if v.KEV != nil {
		what, title = "known to be exploited", "Exploited vulnerability in an image"
		f.Why = append(f.Why, finding.Condition{Expr: "kev = yes", Field: "kev", Op: "=", Want: "yes", Got: "yes, listed " + v.KEV.Added, True: true})
	}
	f.Why = append(f.Why, finding.Condition{Expr: "severity = critical", Field: "severity", Op: "=", Want: "critical", Got: v.Severity.String(), True: v.Severity == finding.Critical})
	if a.Image.Running > 0 {
		title = strings.Replace(title, "an image", "a running image", 1)
		f.Why = append(f.Why, finding.Condition{Expr: "running = yes", Field: "running", Op: "=", Want: "yes", Got: fmt.Sprintf("%d containers", a.Image.Running), True: true})
	}
	var packages, fixes []string
	for i := range a.Findings {
		x := &a.Findings[i]
		packages = appendUpTo(packages, 3, x.Package.Name+" "+x.Package.Version)
		if x.FixedIn != "" {
			fixes = appendUpTo(fixes, 3, x.Package.Name+" "+x.FixedIn)
		}
	}
	f.Summary = fmt.Sprintf("%s is %s and affects %s in %s", v.ID, what, strings.Join(packages, ", "), name)
	if len(a.Workloads) > 0 {
		f.Summary += ", which runs as " + strings.Join(a.Workloads[:min(3, len(a.Workloads))], ", ")
		if more := len(a.Workloads) - 3; more > 0 {
			f.Summary += fmt.Sprintf(" and %d more", more)
		}
	}
	f.Output = f.Summary
	if v.Title != "" {
		f.Output += ": " + v.Title
	}
	fix := "no fixed version is known yet: mitigate, or take the package out"
	if len(fixes) > 0 {
		fix = "rebuild " + repository + " with " + strings.Join(fixes, ", ") + " or newer, and roll it out"
	}
	owner := a.Owner
	if owner == "" {
		owner = "nobody is known to own it: find who does"
	}
	f.Rule = finding.Rule{
		ID: rule, Name: title, Hash: v.Source, Priority: "Critical", Desc: v.Title, Tags: []string{"vulnerability", "image"},
		Tactics: []string{"Initial Access"}, Techniques: []string{"T1190"},
		Response: []string{
			fix,
			"see everywhere it is: dockreeve db search " + v.ID + ", or the console under Vulnerabilities",
			"owner: " + owner,
		},
	}
	if len(a.Running) > 0 {
		r := &a.Running[0]
		f.Subject.Node = r.Node
		f.Subject.Workload = r.Workload
		f.Subject.Container = &finding.Container{ID: r.Container, Name: r.Name, Image: name, Digest: a.Key}
	}
	if v.Use.Path != "" {
		f.Subject.Executable = "/" + v.Use.Path
		f.Summary += "; it was seen loaded"
	}
	return f, nil
}

func appendUpTo(list []string, n int, s string) []string {
	if len(list) == n || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// Repository is a reference without its tag and digest.
func Repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') && !strings.HasPrefix(name, "sha256:") && !strings.HasPrefix(name, "container:") {
		name = name[:i]
	}
	return name
}
