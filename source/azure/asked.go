package azure

import (
	"encoding/json"
	"strconv"
)

// asked is what is kept of the body of a request in the Activity Log: whether it switches
// protection off. Bodies themselves are never kept. A body that is cut short or no JSON
// says nothing.
func asked(properties node) map[string]string {
	var body string
	for _, key := range properties.keys() {
		if isBody(key) && len(body) == 0 {
			switch v := properties.at(key).v.(type) {
			case string:
				body = v
			case map[string]any:
				b, _ := json.Marshal(v) // it was JSON
				body = string(b)
			}
		}
	}
	if body == "" {
		return nil
	}
	n, err := open(json.RawMessage(body))
	if err != nil {
		return nil
	}
	out := map[string]string{}
	if on := n.prop("securityProfile", "defender", "securityMonitoring", "enabled").flag(); on != nil {
		out["asked.defender"] = strconv.FormatBool(*on)
	}
	if tier := n.prop("pricingTier").text(); tier != "" {
		out["asked.pricingTier"] = clip(tier, maxShort)
	}
	return out
}
