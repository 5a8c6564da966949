package server

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dockreeve/dockreeve/link"
)

// rulesEvery is how often the rules that are sent down are read again.
const rulesEvery = 5 * time.Second

// pushRules states the rules that cluster agents and nodes are to run beside their own,
// to those that are connected and to those that come. With none to send it says that,
// so that what an earlier run has sent ends.
func (l *Link) pushRules() error {
	var m link.RuleFiles
	if l.opt.Rules != nil {
		var err error
		if m, err = l.opt.Rules(); err != nil {
			return err
		}
	}
	b, err := json.Marshal(&m)
	if err != nil {
		return err
	}
	if l.pushed != nil && string(b) == string(l.pushed) {
		return nil
	}
	if err := l.listener.SetDownAll(link.Down{Kind: link.KindRuleFiles, Bytes: b}); err != nil {
		return fmt.Errorf("rules to send down: %w", err)
	}
	l.pushed = b
	if l.opt.Rules != nil {
		l.opt.Log.Info("rules are sent down", "files", len(m.Files), "hash", m.Hash)
	}
	return nil
}

// watchRules sends rules down again when they change, until ctx ends. What is wrong with
// them is logged once and keeps those before in place.
func (l *Link) watchRules(ctx context.Context) {
	if l.opt.Rules == nil {
		return
	}
	tick := time.NewTicker(l.opt.RulesEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		err := l.pushRules()
		if err == nil {
			said = ""
			continue
		}
		if said != err.Error() {
			said = err.Error()
			l.opt.Log.Error("changed rules are not sent down; those before stay", "error", err)
		}
	}
}
