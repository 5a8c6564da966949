package cost

import (
	"strings"
	"testing"
)

// Where nobody can say where Dockreeve's agents run, what they cost is not nothing.
func TestUnknownAgentsAreNotFree(t *testing.T) {
	in := small()
	in.Here, in.HereWhy = nil, "files do not tell"
	r := Compute(in)
	wantGap(t, r.Gaps, "what Dockreeve costs", "files do not tell")
	c := r.Clusters[aks1]
	def, own := c.Protection[0], c.Protection[1]
	if def.Total.NotAssessed != "" || def.Total.Amount == 0 {
		t.Errorf("what is known of Defender is lost: %+v", def.Total)
	}
	if own.Total.NotAssessed != in.HereWhy || own.Agents.NotAssessed != in.HereWhy || own.Total.Amount != 0 {
		t.Errorf("agents that may run cost %+v", own)
	}
	if c.ShareWhy != "" || c.PerVCore.NotAssessed != "" {
		t.Errorf("what Defender costs by vCore and as a share is lost: %q, %+v", c.ShareWhy, c.PerVCore)
	}
	for _, s := range r.Protection {
		if unknown := s.Total.NotAssessed != ""; unknown != (s.Provider != ProviderDefender && !s.Hypothetic) {
			t.Errorf("%s, as if everywhere %v: %+v", s.Provider, s.Hypothetic, s.Total)
		}
	}
	for _, a := range r.Teams {
		if a.Protection.Amount != 0 && !strings.HasPrefix(a.Protection.NotAssessed, "in part: ") {
			t.Errorf("protection of %s is told as whole: %+v", a.Key, a.Protection)
		}
	}
}
