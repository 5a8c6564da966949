package advisory

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed data/feeds.yaml
var defaultFeeds []byte

// Feed is one feed as configured.
type Feed struct {
	Name    string
	Kind    string // osv, file, redhat-vex
	URL     string
	Licence string
	Off     bool // only read when asked for by name
}

// Config lists the feeds. Its file is documented in data/feeds.yaml.
type Config struct{ Feeds []Feed }

// DefaultConfig is the configuration that is built in.
func DefaultConfig() (*Config, error) { return parseConfig("feeds.yaml (built in)", defaultFeeds) }

// LoadConfig reads a configuration file.
func LoadConfig(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("feed configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, 1<<20+1))
	if err != nil {
		return nil, fmt.Errorf("feed configuration: %w", err)
	}
	if len(raw) > 1<<20 {
		return nil, fmt.Errorf("%s: more than 1 MiB", path)
	}
	return parseConfig(path, raw)
}

func parseConfig(path string, raw []byte) (*Config, error) {
	var file struct {
		Feeds []struct {
			Name    string   `yaml:"name"`
			Kind    string   `yaml:"kind"`
			URL     string   `yaml:"url"`
			Licence string   `yaml:"licence"`
			Each    []string `yaml:"each"`
			Off     bool     `yaml:"off"`
		} `yaml:"feeds"`
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c := &Config{}
	seen := map[string]bool{}
	for i, f := range file.Feeds {
		where := fmt.Sprintf("%s: feed %d (%s)", path, i+1, clip(f.Name, 60))
		switch f.Kind {
		case "osv", "file", "redhat-vex":
		default:
			return nil, fmt.Errorf("%s: kind %q: want osv, file or redhat-vex", where, f.Kind)
		}
		if f.Each == nil {
			f.Each = []string{""}
		}
		for _, e := range f.Each {
			one := Feed{Name: strings.ReplaceAll(f.Name, "{}", e), Kind: f.Kind, Licence: f.Licence, Off: f.Off}
			// An entry may hold slashes, which stay; the rest is escaped.
			parts := strings.Split(e, "/")
			for i := range parts {
				parts[i] = url.PathEscape(parts[i])
			}
			one.URL = strings.ReplaceAll(f.URL, "{}", strings.Join(parts, "/"))
			u, err := url.Parse(one.URL)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				return nil, fmt.Errorf("%s: url %q: want http or https with a host", where, clip(one.URL, 200))
			}
			if err := plain("name", one.Name, maxID); err != nil || one.Name == "" {
				return nil, fmt.Errorf("%s: no usable name", where)
			}
			if one.Kind == "osv" && !strings.HasPrefix(one.Name, prefixOSV) {
				return nil, fmt.Errorf("%s: a feed of kind osv is named osv/ and its ecosystem", where)
			}
			if seen[one.Name] {
				return nil, fmt.Errorf("%s: the name %s comes twice", where, one.Name)
			}
			seen[one.Name] = true
			c.Feeds = append(c.Feeds, one)
		}
	}
	if len(c.Feeds) == 0 {
		return nil, fmt.Errorf("%s: it lists no feed", path)
	}
	if len(c.Feeds) > maxFeeds {
		return nil, fmt.Errorf("%s: more than %d feeds", path, maxFeeds)
	}
	return c, nil
}

// licence returns the licence of a feed, also of one that is configured under another
// entry of the same family.
func (c *Config) licence(name string) string {
	family, _, _ := strings.Cut(name, "/")
	other := ""
	for _, f := range c.Feeds {
		if f.Name == name {
			return f.Licence
		}
		if of, _, _ := strings.Cut(f.Name, "/"); of == family && other == "" {
			other = f.Licence
		}
	}
	return other
}

// mirrored turns a feed's address into the mirror's.
func mirrored(mirror, address string) (string, error) {
	if mirror == "" {
		return address, nil
	}
	m, err := url.Parse(mirror)
	if err != nil || m.Scheme != "http" && m.Scheme != "https" || m.Host == "" {
		return "", fmt.Errorf("mirror %q: want http or https with a host", clip(mirror, 200))
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(mirror, "/") + "/" + u.Host + u.EscapedPath(), nil
}
