package govern

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

// Thresholds are what KPIs, checks and pitfalls measure with. The zero value of a member is
// the default of thresholds.json, which says what each means and between which bounds it may
// be set.
type Thresholds struct {
	FollowedWithin time.Duration `json:"followedWithin,omitempty"`
	LoudRule       int           `json:"loudRule,omitempty"`
	BenignShare    float64       `json:"benignShare,omitempty"`
	BroadQuiet     int           `json:"broadQuiet,omitempty"`
	AuditSilent    time.Duration `json:"auditSilent,omitempty"`
	StaleAdvisory  time.Duration `json:"staleAdvisory,omitempty"`
	KeepUnlisted   time.Duration `json:"keepUnlisted,omitempty"`
	TriageGoal     float64       `json:"triageGoal,omitempty"`
	RiseLeast      int           `json:"riseLeast,omitempty"`
	RiseFactor     float64       `json:"riseFactor,omitempty"`
	RiseDoubt      float64       `json:"riseDoubt,omitempty"`
	RiseDoubtAlone float64       `json:"riseDoubtAlone,omitempty"`
	RiseWeeks      int           `json:"riseWeeks,omitempty"`
}

//go:embed thresholds.json
var thresholdsFile []byte

// threshold is one entry of thresholds.json.
type threshold struct {
	Key                  string
	Unit                 string // duration, count, share, factor
	Default, Least, Most any
	Why                  string
}

// thresholdTable is thresholds.json, and its defaults.
type thresholdTable struct {
	all      []threshold
	defaults Thresholds
}

// shippedThresholds reads thresholds.json once; a test holds that it can be read.
var shippedThresholds = sync.OnceValue(func() *thresholdTable {
	var file struct{ Thresholds []threshold }
	t := &thresholdTable{}
	if err := json.Unmarshal(thresholdsFile, &file); err != nil {
		panic("thresholds.json: " + err.Error()) // shipped with the program
	}
	t.all = file.Thresholds
	plain := map[string]any{}
	for i := range t.all {
		v, err := t.all[i].value(t.all[i].Default)
		if err != nil {
			panic("thresholds.json: " + err.Error())
		}
		plain[t.all[i].Key] = v
	}
	if err := decodeThresholds(plain, &t.defaults); err != nil {
		panic("thresholds.json: " + err.Error())
	}
	return t
})

func decodeThresholds(plain map[string]any, into *Thresholds) error {
	b, err := json.Marshal(plain)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

// with fills in the defaults.
func (t Thresholds) with() Thresholds {
	d := shippedThresholds().defaults
	fill(&t.FollowedWithin, d.FollowedWithin)
	fill(&t.LoudRule, d.LoudRule)
	fill(&t.BenignShare, d.BenignShare)
	fill(&t.BroadQuiet, d.BroadQuiet)
	fill(&t.AuditSilent, d.AuditSilent)
	fill(&t.StaleAdvisory, d.StaleAdvisory)
	fill(&t.KeepUnlisted, d.KeepUnlisted)
	fill(&t.TriageGoal, d.TriageGoal)
	fill(&t.RiseLeast, d.RiseLeast)
	fill(&t.RiseFactor, d.RiseFactor)
	fill(&t.RiseDoubt, d.RiseDoubt)
	fill(&t.RiseDoubtAlone, d.RiseDoubtAlone)
	fill(&t.RiseWeeks, d.RiseWeeks)
	return t
}

func fill[T int | float64 | time.Duration](to *T, v T) {
	if *to == 0 {
		*to = v
	}
}

// thresholds are those in force.
func (in *Input) thresholds() Thresholds { return in.Config.Thresholds.with() }

// thresholdsOf checks what a configuration sets and puts it as numbers; raw is the file, to
// name the line of what is wrong.
func thresholdsOf(v any, raw []byte) (map[string]any, error) {
	set, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%sthresholds: want values by name, as in {auditSilent: 26h}", lineOf(raw, "thresholds"))
	}
	table, out := shippedThresholds().all, map[string]any{}
	for _, key := range sortedKeys(set) {
		i := slices.IndexFunc(table, func(t threshold) bool { return t.Key == key })
		if i < 0 {
			var names []string
			for _, t := range table {
				names = append(names, t.Key)
			}
			return nil, fmt.Errorf("%sthresholds.%s is not known: want some of %s", lineOf(raw, "thresholds", key), key, strings.Join(names, ", "))
		}
		n, err := table[i].value(set[key])
		if err != nil {
			return nil, fmt.Errorf("%sthresholds.%w", lineOf(raw, "thresholds", key), err)
		}
		out[key] = n
	}
	return out, nil
}

// value checks one value against its unit and bounds.
func (t *threshold) value(v any) (float64, error) {
	n, err := t.number(v)
	least, errLeast := t.number(t.Least)
	most, errMost := t.number(t.Most)
	if errLeast != nil || errMost != nil {
		return 0, fmt.Errorf("%s: its bounds are no %s", t.Key, t.Unit)
	}
	if err != nil || !(n >= least && n <= most) {
		return 0, fmt.Errorf("%s: %v is no %s between %v and %v", t.Key, v, t.Unit, t.Least, t.Most)
	}
	return n, nil
}

func (t *threshold) number(v any) (float64, error) {
	if t.Unit == "duration" {
		d, err := nanoseconds(t.Key, v)
		if err != nil {
			return 0, err
		}
		return float64(d.(int64)), nil
	}
	n, ok := v.(float64)
	if !ok || math.IsNaN(n) || t.Unit == "count" && n != math.Trunc(n) {
		return 0, fmt.Errorf("%s: want a number", t.Key)
	}
	return n, nil
}

// lineOf names the line of a key in a file of YAML or JSON, as "line 4: "; "" = not found.
func lineOf(raw []byte, path ...string) string {
	var doc yaml.Node
	if yaml.Unmarshal(raw, &doc) != nil || len(doc.Content) == 0 {
		return ""
	}
	at, line := doc.Content[0], 0
	for _, key := range path {
		found := false
		for i := 0; at.Kind == yaml.MappingNode && i+1 < len(at.Content); i += 2 {
			if at.Content[i].Value == key {
				line, at, found = at.Content[i].Line, at.Content[i+1], true
				break
			}
		}
		if !found {
			return ""
		}
	}
	return fmt.Sprintf("line %d: ", line)
}
