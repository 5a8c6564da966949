package govern

import (
	"strings"
	"testing"
	"time"
)

// TestOneNodesCanaryProvesNothingOfAnother: a row is closed by what came back from every
// node, and is unknown where some could not send one.
func TestOneNodesCanaryProvesNothingOfAnother(t *testing.T) {
	back := func(node string) Canary {
		return Canary{Kind: CanaryExec, Node: node, Sent: testNow - int64(time.Minute), Seen: testNow - int64(time.Minute), Every: int64(time.Hour)}
	}
	for name, c := range map[string]struct {
		canaries []Canary
		state    string
		why      string
	}{
		"all":            {[]Canary{back("n1"), back("n2")}, RowClosed, ""},
		"one has none":   {[]Canary{back("n1")}, RowNotAssessed, "proven on 1 of them: from the others no canary was sent yet"},
		"one cannot":     {[]Canary{back("n1"), {Kind: CanaryExec, Node: "n2", NotAssessed: "could not be started"}}, RowNotAssessed, "could not be started"},
		"one is silent":  {[]Canary{back("n1"), {Kind: CanaryExec, Node: "n2", Sent: testNow}}, RowOpen, "did not come back in time (n2)"},
		"none was sent":  {nil, RowNotAssessed, "no canary was sent"},
		"another's kind": {[]Canary{{Kind: CanaryAudit, Sent: 1, Seen: testNow}}, RowNotAssessed, "no canary was sent"},
	} {
		in := &Input{Now: testNow, Config: Config{Provider: "dockreeve"}, Observed: []Observed{{Cluster: "c", Agent: "1", LastWord: testNow, Nodes: 2, NodesWatched: 2, Canaries: c.canaries}}}
		r := Evaluate(in).Clusters[0].Inside
		if r.State != c.state || !strings.Contains(r.Why, c.why) {
			t.Errorf("%s: %s: %s", name, r.State, r.Why)
		}
	}
}
