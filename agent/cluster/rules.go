package cluster

import (
	"context"

	"github.com/dockreeve/dockreeve/agent"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
)

// Rules takes the rules that the hub sends; load compiles them. They judge from the next
// event on. A set in which something is wrong is refused whole: what runs goes on, and
// status says why. It never waits for the link, so that whoever hears the hub may call it,
// one goroutine at a time.
func (a *Agent) Rules(m link.RuleFiles, load func(link.RuleFiles) (*rule.Rules, error)) {
	set, err := load(m)
	a.mu.Lock()
	if err != nil {
		a.bad = &link.Gap{What: "rules sent from above", Reason: "they are not taken, those before go on: " + err.Error(), Remedy: "correct them where they are kept, and send them again"}
		a.mu.Unlock()
		a.opt.Log.Error("the rules sent from above are not taken; those before go on", "error", err)
		return
	}
	a.bad = nil
	if agent.Hash(set) == agent.Hash(a.rules) { // said again after a reconnect
		a.mu.Unlock()
		return
	}
	a.rules = set
	judges := []*judge{a.judge}
	for _, j := range a.others {
		judges = append(judges, j)
	}
	for _, j := range judges {
		j.next.Store(set)
	}
	a.mu.Unlock()
	if err := a.sendRules(context.Background()); err != nil {
		a.opt.Log.Error("telling which rules run", "error", err)
	}
}

// running are the rules that run, and what is to be said of others that were sent.
func (a *Agent) running() (*rule.Rules, []link.Gap) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bad == nil {
		return a.rules, nil
	}
	return a.rules, []link.Gap{*a.bad}
}
