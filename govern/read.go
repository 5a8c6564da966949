package govern

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// maxConfig bounds what ReadConfig reads, in bytes.
const maxConfig = 1 << 20

// ReadConfig reads a configuration from YAML or JSON (docs/governance.md). Durations are
// written as 30d, 26h or 15m. A key that is not known is an error: a misspelt exemption
// must not silently exempt nothing.
func ReadConfig(r io.Reader) (Config, error) {
	var c Config
	raw, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return c, fmt.Errorf("read: %w", err)
	}
	if len(raw) > maxConfig {
		return c, fmt.Errorf("larger than %d bytes", maxConfig)
	}
	var doc map[string]any
	if err := yaml.UnmarshalStrict(raw, &doc); err != nil {
		return c, err
	}
	for _, key := range []string{"reviewEvery", "staleScan", "staleAgent", "staleCanary", "staleTenant", "maxExemption"} {
		if v, ok := doc[key]; ok {
			if doc[key], err = nanoseconds(key, v); err != nil {
				return c, err
			}
		}
	}
	for _, key := range []string{"acknowledge", "fix"} {
		m, ok := doc[key].(map[string]any)
		for k, v := range m {
			if m[k], err = nanoseconds(key+"."+k, v); err != nil {
				return c, err
			}
		}
		if _, there := doc[key]; there && !ok {
			return c, fmt.Errorf("%s: want a duration by severity, as in {critical: 7d}", key)
		}
	}
	if p, ok := doc["posture"].(map[string]any); ok && p["staleAfter"] != nil {
		if p["staleAfter"], err = nanoseconds("posture.staleAfter", p["staleAfter"]); err != nil {
			return c, err
		}
	}
	if v, ok := doc["thresholds"]; ok {
		if doc["thresholds"], err = thresholdsOf(v, raw); err != nil {
			return c, err
		}
	}
	plain, err := json.Marshal(doc)
	if err != nil {
		return c, err
	}
	dec := json.NewDecoder(bytes.NewReader(plain))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return c, c.check()
}

func nanoseconds(key string, v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("%s: want a duration as in 30d, 26h or 15m, not %v", key, v)
	}
	d, err := time.ParseDuration(s)
	if days, cut := strings.CutSuffix(s, "d"); cut {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 || d > 3650*24*time.Hour {
		return nil, fmt.Errorf("%s: %q is no duration as in 30d, 26h or 15m", key, s)
	}
	return int64(d), nil
}

func (c *Config) check() error {
	switch c.Provider {
	case "", providerDefender, providerDockreeve, providerEither:
	default:
		return fmt.Errorf("provider: %q is none of defender, dockreeve, either", c.Provider)
	}
	if c.Goal < 0 || c.Goal > 1 {
		return fmt.Errorf("goal: %v is not between 0 and 1", c.Goal)
	}
	for i, t := range c.Tags {
		if t.Name == "" || len(t.Tags) == 0 {
			return fmt.Errorf("tags[%d]: want a name and the tags it is written as", i)
		}
	}
	for _, p := range c.Posture.ServicePorts {
		if p < 1 || p > 65535 {
			return fmt.Errorf("posture.servicePorts: %d is no port", p)
		}
	}
	for _, p := range c.Posture.HostPaths {
		if !strings.HasPrefix(p, "/") {
			return fmt.Errorf("posture.hostPaths: %q is no path from the root", p)
		}
	}
	for _, r := range c.Posture.Registries {
		if r == "" || strings.Contains(r, "://") || strings.ContainsAny(r, " *") {
			return fmt.Errorf("posture.registries: %q is no host, or host/path, as in registry.example.com/team", r)
		}
	}
	for i, e := range c.Exemptions {
		if _, err := time.Parse(time.DateOnly, e.Expires); err != nil {
			return fmt.Errorf("exemptions[%d].expires: %q is no date as in 2027-03-31; an exemption has an end", i, e.Expires)
		}
		if e.Control == "" || e.Scope == "" || e.By == "" || e.Why == "" {
			return fmt.Errorf("exemptions[%d]: want control, scope, by, why and expires", i)
		}
	}
	return nil
}
