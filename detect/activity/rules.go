package activity

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/dockreeve/dockreeve/finding"
)

//go:embed rules.yaml
var rulesFile []byte

// Rules are what identities of clusters are for, and what of the log is abuse.
type Rules struct {
	AsOf    string   `json:"asOf"` // date of the facts
	Sources []string `json:"sources"`
	Learn   span     `json:"learn"` // of the log that must have been read before something is new
	Known   span     `json:"known"` // how long before it a caller or address counts as known
	Uses    []Use    `json:"uses"`  // the last, "", stands for all others
	Rules   []Rule   `json:"rules"` // gravest first
}

// Use is what an identity of a cluster is for.
type Use struct {
	Use     string           `json:"use"`
	Names   []string         `json:"names,omitempty"` // how names of such identities begin, where nothing else tells
	Title   string           `json:"title"`
	Does    string           `json:"does"`
	Unusual finding.Severity `json:"unusual"` // of an operation that is new for it
	Allows  []Allow          `json:"allows,omitempty"`
}

// Allow is what a use may do at a place.
type Allow struct {
	Where      string   `json:"where"` // nodes, cluster, group, any
	Operations patterns `json:"operations"`
}

// Rule is one kind of abuse.
type Rule struct {
	ID         string            `json:"id"`
	Title      string            `json:"title"`
	Severity   finding.Severity  `json:"severity,omitempty"` // none = the use's own
	Actor      string            `json:"actor"`              // identity, stranger, anyone
	Did        string            `json:"did"`                // half a sentence: who …
	Desc       string            `json:"desc"`
	Operations patterns          `json:"operations,omitempty"`
	Resources  patterns          `json:"resources,omitempty"` // none = any
	Asked      map[string]string `json:"asked,omitempty"`     // properties that must be so
	Outcome    string            `json:"outcome,omitempty"`   // succeeded; "" = refused ones too
	Learned    bool              `json:"learned,omitempty"`   // only what is new after Rules.Learn
	Refused    int               `json:"refused,omitempty"`   // so many different refusals…
	Within     span              `json:"within,omitempty"`    // …in this time
	Still      string            `json:"still,omitempty"`     // plan-off, profile-off: holds of the tenant now
	Undone     *Undone           `json:"undone,omitempty"`
	Tactics    []string          `json:"tactics"`
	Techniques []string          `json:"techniques"`
	Answers    []string          `json:"answers,omitempty"`
	Response   []string          `json:"response"`

	hash string
}

// Undone is what makes up for an operation when it follows soon.
type Undone struct {
	Operations patterns `json:"operations"`
	Within     span     `json:"within"`
}

// The kinds of actor.
const (
	actorIdentity = "identity" // a managed identity of a cluster
	actorStranger = "stranger" // anyone else who is not known to work on clusters
	actorAnyone   = "anyone"   // anyone else
)

// span is a duration as Go writes them.
type span time.Duration

// UnmarshalJSON reads a duration: "72h".
func (s *span) UnmarshalJSON(b []byte) error {
	d, err := time.ParseDuration(strings.Trim(string(b), `"`))
	if err != nil || d <= 0 {
		return fmt.Errorf("%s: want a duration above nought, as in 72h", b)
	}
	*s = span(d)
	return nil
}

// patterns are texts in lower case in which * stands for any characters.
type patterns []string

func (p patterns) match(lower string) (string, bool) {
	for _, one := range p {
		if glob(one, lower) {
			return one, true
		}
	}
	return "", false
}

// glob matches s whole. It takes at most len(pattern) × len(s) steps.
func glob(pattern, s string) bool {
	star, back := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, back = i, j
			i++
		case i < len(pattern) && pattern[i] == s[j]:
			i, j = i+1, j+1
		case star >= 0:
			back++
			i, j = star+1, back
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

var shipped = sync.OnceValue(func() *Rules {
	r, err := load(rulesFile)
	if err != nil {
		panic("detect/activity: rules.yaml: " + err.Error()) // a test loads it
	}
	return r
})

// Shipped are the rules that this build knows. They must not be changed.
func Shipped() *Rules { return shipped() }

// load reads a table of rules. A member that is not known is an error.
func load(doc []byte) (*Rules, error) {
	r := &Rules{}
	if err := yaml.UnmarshalStrict(doc, r); err != nil {
		return nil, err
	}
	if r.Learn == 0 || r.Known == 0 || len(r.Sources) == 0 {
		return nil, errors.New("learn, known and sources: missing")
	}
	if _, err := time.Parse(time.DateOnly, r.AsOf); err != nil {
		return nil, fmt.Errorf("asOf: %w", err)
	}
	if len(r.Uses) == 0 || r.Uses[len(r.Uses)-1].Use != "" {
		return nil, errors.New(`uses: the last must be "", which stands for all others`)
	}
	lower := func(list patterns) {
		for i := range list {
			list[i] = strings.ToLower(list[i])
		}
	}
	seen := map[string]bool{}
	for i := range r.Uses {
		u := &r.Uses[i]
		if seen[u.Use] || u.Title == "" || u.Does == "" || u.Unusual == finding.SeverityNone {
			return nil, fmt.Errorf("use %q: there twice, or without title, does or unusual", u.Use)
		}
		seen[u.Use] = true
		for _, a := range u.Allows {
			if !slices.Contains([]string{"nodes", "cluster", "group", "any"}, a.Where) || len(a.Operations) == 0 {
				return nil, fmt.Errorf("use %q: where %q: want nodes, cluster, group or any, and operations", u.Use, a.Where)
			}
			lower(a.Operations)
		}
	}
	for i := range r.Rules {
		x := &r.Rules[i]
		lower(x.Operations)
		lower(x.Resources)
		if x.Undone != nil {
			lower(x.Undone.Operations)
		}
		if err := x.check(seen); err != nil {
			return nil, fmt.Errorf("rule %q: %w", x.ID, err)
		}
		seen[x.ID] = true
		b, err := json.Marshal([]any{x, r.Uses, r.Learn, r.Known})
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(b)
		x.hash = hex.EncodeToString(sum[:16])
	}
	return r, nil
}

func (x *Rule) check(seen map[string]bool) error {
	switch {
	case x.ID == "" || seen[x.ID]:
		return errors.New("no id, or there twice")
	case x.Title == "" || x.Did == "" || x.Desc == "" || len(x.Response) == 0 || len(x.Tactics) == 0 || len(x.Techniques) == 0:
		return errors.New("title, did, desc, response, tactics and techniques are needed")
	case !slices.Contains([]string{actorIdentity, actorStranger, actorAnyone}, x.Actor):
		return fmt.Errorf("actor %q: want identity, stranger or anyone", x.Actor)
	case !slices.Contains([]string{"", "succeeded"}, x.Outcome):
		return fmt.Errorf("outcome %q: want succeeded or none", x.Outcome)
	case !slices.Contains([]string{"", stillPlanOff, stillProfileOff}, x.Still):
		return fmt.Errorf("still %q: want plan-off or profile-off", x.Still)
	case x.Refused > 0 != (x.Within > 0) || x.Refused > 0 != (len(x.Operations) == 0):
		return errors.New("refused and within go together, and without operations")
	case x.Severity == finding.SeverityNone && x.Actor != actorIdentity:
		return errors.New("severity: only of an identity's use is there one to take")
	case x.Undone != nil && (len(x.Undone.Operations) == 0 || x.Undone.Within <= 0):
		return errors.New("undone: operations and within are needed")
	}
	return nil
}
