package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/store"
)

// Bounds of what a node may say. A node is trusted to judge but its words come
// from containers, and a broken node must not break the hub.
const (
	maxID       = 200
	maxText     = 64 << 10
	maxWhy      = 1024
	maxEvents   = 1024
	maxLosses   = 256
	maxWords    = 256
	maxRules    = 20_000
	maxNodeName = 253 // as Kubernetes bounds it
)

var errInvalid = errors.New("invalid")

// decode turns an envelope into what the store takes. Its error says what is
// wrong; the envelope is then counted as lost.
// dropped counts parts of it that are lost though the rest is good.
func decode(e link.Envelope) (item store.Item, dropped int, err error) {
	it := store.Item{Origin: e.Origin, Epoch: e.Epoch, Lane: e.Lane, Seq: e.Seq}
	if len(e.Bytes) > link.MaxBytes {
		return it, 0, fmt.Errorf("%w: %d bytes, at most %d", errInvalid, len(e.Bytes), link.MaxBytes)
	}
	switch e.Kind {
	case link.KindFinding:
		var f finding.Finding
		if err := json.Unmarshal(e.Bytes, &f); err != nil {
			return it, 0, fmt.Errorf("finding: %w", err)
		}
		if err := checkFinding(&f); err != nil {
			return it, 0, err
		}
		it.Finding, it.Raw = &f, e.Bytes
		cut := shorten(&f)
		// Whose it is, its sender's certificate says, not its words.
		if c := clusterOf(e.Origin); c != "" && c != f.Subject.Cluster {
			f.Subject.Cluster, cut = c, true
		}
		if strings.HasPrefix(e.Origin, nodePrefix) {
			cut = own(e.Origin, &f.Subject.Node) || cut
		}
		if cut {
			it.Raw = nil // the store writes what is left
		}
		if kind := canaryRules[f.Rule.ID]; kind != "" {
			it.Finding, it.Raw, it.CameBack = nil, nil, cameBack(&f, kind)
		}
	case link.KindLoss:
		var l event.Loss
		if err := json.Unmarshal(e.Bytes, &l); err != nil {
			return it, 0, fmt.Errorf("loss: %w", err)
		}
		if err := checkLoss(&l); err != nil {
			return it, 0, err
		}
		it.Loss = &l
	case link.KindStatus:
		var s link.Status
		if err := json.Unmarshal(e.Bytes, &s); err != nil {
			return it, 0, fmt.Errorf("status: %w", err)
		}
		if err := checkStatus(&s); err != nil {
			return it, 0, err
		}
		sender(e.Origin, &s.Node)
		it.Status = &s
	case link.KindRules:
		var r link.RuleSet
		if err := json.Unmarshal(e.Bytes, &r); err != nil {
			return it, 0, fmt.Errorf("rules: %w", err)
		}
		if err := checkName("node", r.Node); err != nil {
			return it, 0, err
		}
		if len(r.Rules) > maxRules {
			return it, 0, fmt.Errorf("%w: %d rules, at most %d", errInvalid, len(r.Rules), maxRules)
		}
		sender(e.Origin, &r.Node)
		it.Rules = &r
	case link.KindUse:
		var r inuse.Report
		if err := json.Unmarshal(e.Bytes, &r); err != nil {
			return it, 0, fmt.Errorf("use: %w", err)
		}
		if err := checkUse(&r); err != nil {
			return it, 0, err
		}
		sender(e.Origin, &r.Node)
		it.Use = &r
	case link.KindInventory:
		if it.Inventory, dropped, err = decodeInventory(e); err != nil {
			return it, 0, err
		}
	case link.KindHabits:
		if it.Habits, dropped, err = decodeHabits(e); err != nil {
			return it, 0, err
		}
	case link.KindUsage:
		if it.Usage, dropped, err = decodeUsage(e); err != nil {
			return it, 0, err
		}
	case link.KindCanary:
		if it.Canaries, dropped, err = decodeCanaries(e); err != nil {
			return it, 0, err
		}
	case link.KindKubelet:
		if it.Files, err = decodeFiles(e); err != nil {
			return it, 0, err
		}
	case link.KindAudit:
		if it.Audit, err = decodeAudit(e); err != nil {
			return it, 0, err
		}
	default:
		return it, 0, fmt.Errorf("%w: kind %d is not known", errInvalid, e.Kind)
	}
	return it, dropped, nil
}

func checkFinding(f *finding.Finding) error {
	if err := checkKey("id", f.ID); err != nil {
		return err
	}
	if err := checkKey("fingerprint", f.Fingerprint); err != nil {
		return err
	}
	if f.Rule.ID == "" {
		return fmt.Errorf("%w: finding %s names no rule", errInvalid, f.ID)
	}
	if f.Severity < finding.Informational || f.Severity > finding.Critical {
		return fmt.Errorf("%w: finding %s has severity %s", errInvalid, f.ID, f.Severity)
	}
	if f.Time <= 0 {
		return fmt.Errorf("%w: finding %s has no time", errInvalid, f.ID)
	}
	return nil
}

// shorten cuts what says too much: a finding that is too long in parts is still one,
// and whoever can make it long must not be able to make it vanish.
func shorten(f *finding.Finding) (cut bool) {
	for _, p := range []*string{
		&f.Rule.ID, &f.Rule.Name, &f.Rule.Desc, &f.Summary, &f.Output, &f.Subject.Object, &f.Subject.ObjectClass,
		&f.Subject.Executable, &f.Subject.Process, &f.Subject.User, &f.Subject.Workload, &f.Subject.Node,
		&f.Subject.Cluster, &f.Subject.Identity, &f.Subject.Source, &f.Subject.Agent, &f.Subject.Owner, &f.Subject.Tenant,
	} {
		if len(*p) > maxText {
			*p, cut = strings.ToValidUTF8((*p)[:maxText], "")+"…", true
		}
	}
	for _, one := range []bool{
		cutList(&f.Why, maxWhy), cutList(&f.Lineage, event.MaxLineage+1), cutList(&f.EventIDs, maxEvents),
		cutList(&f.Losses, maxLosses), cutList(&f.Rule.Tactics, maxWords), cutList(&f.Rule.Techniques, maxWords),
		cutList(&f.Subject.Reaches, maxWords),
	} {
		cut = cut || one
	}
	return cut
}

func cutList[T any](list *[]T, most int) bool {
	if len(*list) <= most {
		return false
	}
	*list = (*list)[:most]
	return true
}

// checkKey holds hashes to printable ASCII: they become addresses and log lines. A
// rule's id is none: people name rules in their own language.
func checkKey(what, s string) error {
	if s == "" || len(s) > maxID {
		return fmt.Errorf("%w: finding's %s has %d bytes, want 1 to %d", errInvalid, what, len(s), maxID)
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return fmt.Errorf("%w: finding's %s %.40q holds more than printable ASCII", errInvalid, what, s)
		}
	}
	return nil
}

func checkLoss(l *event.Loss) error {
	switch {
	case l.Hop == "" || len(l.Hop) > maxID || len(l.Reason) > maxID || !utf8.ValidString(l.Hop+l.Reason):
		return fmt.Errorf("%w: loss at hop %.40q for reason %.40q: want names of at most %d bytes", errInvalid, l.Hop, l.Reason, maxID)
	case l.Count == 0:
		return fmt.Errorf("%w: loss at hop %s of nothing", errInvalid, l.Hop)
	}
	return nil
}

func checkStatus(s *link.Status) error {
	if err := checkName("node", s.Node); err != nil {
		return err
	}
	switch {
	case s.Since < 0 || s.Every < 0:
		return fmt.Errorf("%w: status of %s has a negative time", errInvalid, s.Node)
	case s.Since == 0 && s.NotAssessed == "":
		return fmt.Errorf("%w: status of %s watches since never, and gives no reason", errInvalid, s.Node)
	}
	// A status that says too much still says what matters: the list is cut, and says so.
	if n := len(s.Gaps); n > link.MaxGaps {
		s.Gaps = append(s.Gaps[:link.MaxGaps-1:link.MaxGaps-1], link.Gap{What: fmt.Sprintf("%d more things", n-link.MaxGaps+1), Reason: "the list is longer than is kept"})
	}
	if n := len(s.Hops); n > link.MaxHops {
		s.Gaps = append(s.Gaps, link.Gap{What: fmt.Sprintf("counters of %d hops", n-link.MaxHops), Reason: "the list is longer than is kept"})
		s.Hops = s.Hops[:link.MaxHops]
	}
	return nil
}

func checkName(what, s string) error {
	if s == "" || len(s) > maxNodeName || !utf8.ValidString(s) {
		return fmt.Errorf("%w: %s name has %d bytes, want 1 to %d of UTF-8", errInvalid, what, len(s), maxNodeName)
	}
	return nil
}

// Bounds of a report of use. Linux bounds a path by 4,096 bytes; an image's name is
// at most 512 where registries follow the specification.
const (
	maxUsePath = 4096
	maxUseName = 1024
)

// checkUse refuses what could be mistaken for a statement that it is not: a container
// without a name, a time out of order, more files than a node keeps. A path too long
// to exist is refused too, because cut it would name another file.
func checkUse(r *inuse.Report) error {
	if err := checkName("node", r.Node); err != nil {
		return err
	}
	if strings.HasPrefix(r.Node, agentPrefix) {
		return fmt.Errorf("%w: report of use by %.80q: no node has a name like that", errInvalid, r.Node)
	}
	if r.Container == "" || len(r.Container) > maxID {
		return fmt.Errorf("%w: report of use by %.80q names a container of %d bytes, want 1 to %d", errInvalid, r.Node, len(r.Container), maxID)
	}
	for _, s := range []string{r.Container, r.Name, r.Workload, r.Image, r.Digest, r.ImageID, r.Runtime, r.Rootfs, r.Unknown, r.NotWatched} {
		if len(s) > maxUsePath || !utf8.ValidString(s) {
			return fmt.Errorf("%w: report of use by container %.80q holds a text of %d bytes, want at most %d of UTF-8", errInvalid, r.Container, len(s), maxUsePath)
		}
	}
	for _, s := range []string{r.Image, r.Digest, r.ImageID, r.Name, r.Workload, r.Runtime} {
		if len(s) > maxUseName {
			return fmt.Errorf("%w: report of use by container %.80q holds a name of %d bytes, want at most %d", errInvalid, r.Container, len(s), maxUseName)
		}
	}
	switch {
	case r.Since < 0 || r.Started < 0 || r.Until <= 0 || r.Since > r.Until:
		return fmt.Errorf("%w: report of use by container %.80q is watched from %d until %d", errInvalid, r.Container, r.Since, r.Until)
	case r.Since == 0 && r.NotWatched == "":
		return fmt.Errorf("%w: report of use by container %.80q is watched since never, and gives no reason", errInvalid, r.Container)
	case len(r.Loads) > inuse.MaxPaths:
		return fmt.Errorf("%w: report of use by container %.80q has %d files, at most %d", errInvalid, r.Container, len(r.Loads), inuse.MaxPaths)
	}
	for i := range r.Loads {
		l := &r.Loads[i]
		switch {
		case l.Path == "" || len(l.Path) > maxUsePath || l.Path[0] == '/':
			return fmt.Errorf("%w: report of use by container %.80q: path %.80q has %d bytes, want 1 to %d without the leading slash", errInvalid, r.Container, l.Path, len(l.Path), maxUsePath)
		case l.First <= 0 || l.Last < l.First:
			return fmt.Errorf("%w: report of use by container %.80q: %.80q was loaded from %d to %d", errInvalid, r.Container, l.Path, l.First, l.Last)
		}
	}
	return nil
}
