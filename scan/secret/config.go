package secret

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

var envSecret = kind{"password", "Secret in the image configuration", finding.High, 20, 0}

// FindConfig returns the secrets in an image's configuration: environment, entry point,
// command, labels and history with its build arguments; at most MaxPerConfig. It has to
// see the configuration before it is redacted.
func (d *Detector) FindConfig(c scan.Config) []scan.Secret {
	var out []scan.Secret
	add := func(where, text string) {
		if len(out) < MaxPerConfig {
			out = append(out, d.text(where, text, MaxPerConfig-len(out))...)
		}
	}
	for _, kv := range c.Env {
		name, _, _ := strings.Cut(kv, "=")
		add("env "+label(name), kv)
	}
	add("entrypoint", strings.Join(c.Entrypoint, " "))
	add("cmd", strings.Join(c.Cmd, " "))
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		add("label "+label(k), k+"="+c.Labels[k])
	}
	for i, h := range c.History {
		add(fmt.Sprintf("history step %d", i+1), h)
	}
	return out
}

// text searches one text of the configuration.
func (d *Detector) text(where, text string, most int) []scan.Secret {
	if len(text) < minContent {
		return nil
	}
	f := &finder{content: []byte(text[:min(len(text), MaxSize)]), where: where, place: place{config: true}, most: most}
	d.run(f)
	f.order()
	for i := range f.out {
		if f.out[i].Rule == envSecret.id {
			f.out[i].Title, f.out[i].Severity = envSecret.title, envSecret.severity
		}
	}
	return f.out
}

// label is a name as it may be shown.
func label(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return s
}

// Redact returns one setting of an environment, NAME=value, or any other text, without
// the secrets in it: a telling name loses its whole value.
func Redact(s string) string {
	p := event.Process{Env: []string{s}}
	p.Redact()
	return p.Env[0]
}

// RedactConfig returns the configuration as it may be kept and shown. Call FindConfig first.
func RedactConfig(c scan.Config) scan.Config {
	each := func(in []string, redact func(string) string) []string {
		out := slices.Clone(in)
		for i := range out {
			out[i] = redact(out[i])
		}
		return out
	}
	c.Env = each(c.Env, Redact)
	c.Entrypoint = args(c.Entrypoint)
	c.Cmd = args(c.Cmd)
	c.History = each(c.History, event.RedactText)
	if c.Labels != nil {
		c.Labels = maps.Clone(c.Labels)
		for k, v := range c.Labels {
			c.Labels[k] = strings.TrimPrefix(Redact(k+"="+v), k+"=")
		}
	}
	return c
}

func args(in []string) []string {
	if len(in) == 0 {
		return in
	}
	p := event.Process{Comm: in[0], Args: slices.Clone(in[1:])}
	p.Redact()
	return append([]string{event.RedactText(in[0])}, p.Args...)
}
