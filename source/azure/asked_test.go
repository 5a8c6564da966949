package azure

import (
	"encoding/json"
	"maps"
	"testing"
)

// TestOfABodyOnlyWhatSwitchesProtectionIsKept holds that both ways in keep the same.
func TestOfABodyOnlyWhatSwitchesProtectionIsKept(t *testing.T) {
	for body, want := range map[string]map[string]string{
		`{"properties":{"securityProfile":{"defender":{"securityMonitoring":{"enabled":false}}},"linuxProfile":{"adminPassword":"hush"}}}`: {"asked.defender": "false", "statusCode": "OK"},
		`{"properties":{"pricingTier":"Free"}}`:           {"asked.pricingTier": "Free", "statusCode": "OK"},
		`{"properties":{"securityProfile":{"defender":{"`: {"statusCode": "OK"}, // cut short
		`[1]`:                           {"statusCode": "OK"},
		``:                              {"statusCode": "OK"},
		`{"properties":{"pricingTier":`: {"statusCode": "OK"},
	} {
		quoted, _ := json.Marshal(body)
		doc := json.RawMessage(`{"eventDataId":"e","eventTimestamp":"2026-11-20T10:00:00Z","resourceId":"/subscriptions/00000000-0000-0000-0000-000000000001/x","operationName":{"value":"Microsoft.ContainerService/managedClusters/write"},"caller":"jo@x","properties":{"statusCode":"OK","requestbody":` + string(quoted) + `}}`)
		for way, d := range map[string]json.RawMessage{"export": doc, "live": trimEvent(doc)} {
			b := NewBuilder()
			n, err := open(d)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.event("", n); err != nil {
				t.Fatal(err)
			}
			if got := b.activity["e"].Properties; !maps.Equal(got, want) {
				t.Errorf("%s, %s: %v, want %v", body, way, got, want)
			}
		}
	}
}
