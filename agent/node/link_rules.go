package node

import (
	"fmt"

	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
)

// Rules takes the rules that the cluster agent or the hub sends, read after those this
// node was started with (base). They run from the next event on. A set in which
// something is wrong is refused whole: what runs goes on, and status says why. Safe to
// call from one goroutine beside Run.
func (n *Node) Rules(m link.RuleFiles, base RuleSet) {
	set, err := base.With(m)
	if err == nil && setHash(set) == setHash(n.rules.Load()) {
		n.set(func(v *view) { v.refused = nil })
		return // said again after a reconnect
	}
	if err == nil {
		err = n.useRules(set)
	}
	if err != nil {
		n.opt.Log.Error("the rules sent from above are not taken; those before go on", "err", err)
		n.set(func(v *view) {
			v.refused = &link.Gap{What: "rules sent from above", Reason: "they are not taken, those before go on: " + err.Error(), Remedy: "correct them where they are kept, and send them again"}
		})
		return
	}
	n.set(func(v *view) { v.refused = nil })
	if err := n.sendRules(); err != nil {
		n.opt.Log.Error("telling which rules run", "err", err)
	}
}

// useRules makes the kernel collect what the rules need and hands them to the event
// goroutine.
func (n *Node) useRules(set *rule.Rules) error {
	before := n.rules.Swap(set)
	n.mu.Lock()
	s := n.view.sensor
	n.mu.Unlock()
	if s != nil {
		if err := s.SetInterest(n.interest()); err != nil {
			n.rules.Store(before)
			return fmt.Errorf("the kernel cannot be told what they need: %w", err)
		}
	}
	n.next.Store(set)
	return nil
}

// takeRules begins with rules that were sent. It runs on the event goroutine.
func (n *Node) takeRules() {
	set := n.next.Swap(nil)
	if set == nil {
		return
	}
	n.engine.Flush(n.send) // what the rules before had folded
	n.engine = n.engine.Next(set)
}
