package posture

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestEveryControlIsJudgedOrSaysWhyNot(t *testing.T) {
	seen, cis := map[string]bool{}, map[string]bool{}
	automated := 0
	for _, c := range Controls() {
		seen[c.ID] = true
		if (checks()[c.ID] != nil) == c.Manual {
			t.Errorf("%s: manual is %v, and a check is there: %v", c.ID, c.Manual, checks()[c.ID] != nil)
		}
		for _, id := range c.Maps[FrameworkCIS] {
			cis[id] = true
			if !c.Manual {
				automated++
			}
		}
	}
	for id := range checks() {
		if !seen[id] {
			t.Errorf("a check is there for %s, which is no control", id)
		}
	}
	for _, g := range []struct {
		prefix string
		n      int
	}{{"2.1", 1}, {"3.1", 4}, {"3.2", 9}, {"4.1", 12}, {"4.2", 5}, {"4.4", 2}, {"4.5", 2}, {"4.6", 3}, {"5.1", 4}, {"5.2", 1}, {"5.3", 1}, {"5.4", 5}, {"5.5", 2}} {
		for i := 1; i <= g.n; i++ {
			if id := fmt.Sprintf("%s.%d", g.prefix, i); !cis[id] {
				t.Errorf("no control maps to CIS AKS %s", id)
			}
		}
	}
	if len(cis) != 51 || automated < 45 {
		t.Errorf("%d controls of CIS AKS are known and %d automated, want 51 and at least 45", len(cis), automated)
	}
}

// defenderRows are the policies of Microsoft's container recommendations for Azure; one
// has none and goes by a name of ours.
var defenderRows = strings.Fields(`
6b2122c1-8120-4ff5-801b-17625a355590 8dfab9c4-fe7b-49ad-85e4-1e9be085358f a1840de2-8088-4ea8-b153-b4c723e9cb01 0a15ec92-a229-4763-bb14-0ea34a568f8d
090c7b07-b4ed-4561-ad20-e9075f3ccaff 17f4b1cc-c55c-4d94-b1f9-2978f6ac2957 e345eecc-fa47-480f-9e88-67dcc122b164 febd0533-8e55-448f-b837-bd0e06f16469
5b9159ae-1701-4a6f-9a7a-aa9c8ddd0580 d0793b48-0edc-4296-a390-4c75d1bdfd71 e8eef0a8-67cf-4eb4-9386-14b0e78733d4 47a1ee2f-2a2a-4576-bf2a-e0e36709c2b8
511f5417-5d12-434d-ab2e-816901e72a5e 1c6e92c9-99f0-4e55-9cf2-0c234dc48f99 245fc9df-fa96-4414-9a0b-3738c2f7341c df49d893-a74c-421d-bc95-c663042e5b80
0e246bcf-5f6f-4f87-bc6f-775d4712c7ea 1a5b4dca-0b6f-4cf5-907c-56316bc1bf3d 423dd1ba-798e-40e4-9c4d-b6902674b423 d2e7ea85-6b44-4317-a0be-1b951587f626
9f061a12-e40d-4183-a00e-171812443373 c26596ff-4d70-4e6a-9a30-c2506bd2f80c 1c988dd6-ade4-430f-a608-2a3e5b0a6d38 95edb821-ddaf-4404-9732-666045e056b4
ac4a19c2-fa67-49b4-8ae5-0b2e78c49457 f06ddb64-5fa3-4b77-b166-acb36f7f6042 233a2a17-77ca-4fb1-9b6b-69223d272a44 82985f06-dc18-4a48-bc1c-b9f4f0098cfe
098fc59e-46c7-4d99-9b16-64990e543d75 aks-system-pods`)

func TestEveryRecommendationOfMicrosoftIsAControl(t *testing.T) {
	var have []string
	for _, c := range Controls() {
		have = append(have, c.Maps[FrameworkDefender]...)
	}
	for _, id := range defenderRows {
		if !slices.Contains(have, id) {
			t.Errorf("no control speaks of %s", id)
		}
	}
}

func TestAMistakeInTheTableOfControlsIsAnError(t *testing.T) {
	good := string(controlsFile)
	if _, err := load([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ name, old, now, want string }{
		{"a member that is not known", "  severity: high\n", "  severty: high\n", "severty"},
		{"a severity that is none", "  severity: high\n", "  severity: bad\n", "severity \"bad\""},
		{"a framework that is none", "    cis-aks-1.8: ", "    cis-aks-9: ", "cis-aks-9"},
		{"an id twice", "- id: aks-kms\n", "- id: aks-rbac\n", "the id is taken"},
		{"an effort out of bounds", "  effort: 1\n", "  effort: 9\n", "effort 9"},
	} {
		_, err := load([]byte(strings.Replace(good, x.old, x.now, 1)))
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want an error with %q", x.name, err, x.want)
		}
	}
}
