package node

import (
	"fmt"
	"path"
	"slices"

	"github.com/dockreeve/dockreeve/detect"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/rule"
)

// maxRuleFiles bounds the files of one message.
const maxRuleFiles = 1000

// Rules takes the rules that the cluster agent or the hub sends, read after those this
// node was started with (base). They run from the next event on. A set in which
// something is wrong is refused whole: what runs goes on, and status says why. Safe to
// call from one goroutine beside Run.
func (n *Node) Rules(m link.RuleFiles, base RuleSet) {
	set, err := sentRules(m, base)
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

// sentRules compiles a message's rules with those of base. Errors that base has on its
// own were told at the start and keep nothing out.
func sentRules(m link.RuleFiles, base RuleSet) (*rule.Rules, error) {
	if len(m.Files) > maxRuleFiles {
		return nil, fmt.Errorf("%d files, at most %d", len(m.Files), maxRuleFiles)
	}
	base.NoBuiltin = base.NoBuiltin || m.NoBuiltin
	base.Disable = slices.Concat(base.Disable, m.Disable)
	sent := map[string]bool{}
	for i, f := range m.Files {
		name := path.Join("sent", fmt.Sprint(i+1), path.Base("/"+f.Name))
		sent[name] = true
		base.More = append(base.More, rule.File{Name: name, Data: []byte(f.Text)})
	}
	set, diags, err := base.Load()
	if err != nil {
		return nil, err
	}
	for _, d := range diags {
		if d.Severity == rule.SeverityError && sent[d.File] {
			return nil, d
		}
	}
	return set, nil
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
	n.engine = detect.New(detect.Options{Rules: set, Which: n.opt.Which, Node: n.opt.Name})
}
