package rule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/rule/filter"
)

// CompileOptions tunes Compile. The zero value is right for live events.
type CompileOptions struct {
	// Disable switches off the rules whose names contain one of these texts. It is
	// the short form of Select and applies before it.
	Disable []string
	// Select switches rules on and off, in order, after what the files say.
	Select []Selection
	// Supplied are the event types that can arrive; nil means those of the kernel
	// sensor and audit events. It decides what is assessed, not what is evaluated.
	Supplied *event.TypeSet
	// MaxErrors bounds the diagnostics of one condition; 0 means 10.
	MaxErrors int

	resolve resolver // tests bring fields of their own
}

// Rules is a compiled rule set. It is immutable and safe to share.
type Rules struct {
	rules   []*Rule
	byName  map[string]*Rule
	graph   *graph
	checks  [sources]map[*filter.Check]loweredCheck
	program *program
}

// All returns every rule that compiled, disabled ones included, in evaluation
// order. The slice is shared: do not write to it.
func (r *Rules) All() []*Rule { return r.rules }

// Find returns the rule of a name.
func (r *Rules) Find(name string) (*Rule, bool) {
	x, ok := r.byName[name]
	return x, ok
}

// Types returns the event types that some enabled rule of a source can match.
func (r *Rules) Types(source event.Source) event.TypeSet {
	var set event.TypeSet
	for _, x := range r.rules {
		if x.info.Enabled && x.source == source {
			set = set.Union(x.info.Types)
		}
	}
	return set
}

// Rule is one compiled rule. It is immutable and safe to share.
type Rule struct {
	info    Info
	res     *Resolved
	source  event.Source
	types   event.TypeSet
	output  *Format
	summary *Format
	node    nodeID
	uses    []fieldUse
}

// Info is what a rule says about itself. It is shared: do not write to it.
type Info struct {
	ID         string // our slug, or source/name for rules that have none
	Name       string
	Hash       string // of everything that decides what the rule does and says, after expansion
	Desc       string
	Source     string // syscall, k8s_audit
	Priority   Priority
	Tags       []string // sorted
	Tactics    []string // MITRE ATT&CK
	Techniques []string
	Answers    []string
	Response   []string
	File       string
	Line       int
	Enabled    bool
	Types      event.TypeSet // event types it can match, by its text
	Fields     []string      // fields of the condition, with arguments, sorted
	Assessment Assessment    // whether anything supplies what it asks for
}

// Info returns what the rule says about itself.
func (r *Rule) Info() *Info { return &r.info }

// Resolved returns the rule as it was loaded.
func (r *Rule) Resolved() *Resolved { return r.res }

// Output returns the compiled output text.
func (r *Rule) Output() *Format { return r.output }

// AppendOutput appends the output text for ev. It may be called from several
// goroutines, each with an event of its own.
func (r *Rule) AppendOutput(dst []byte, ev *event.Event) []byte { return r.output.Append(dst, ev) }

// HasSummary reports whether the rule has a summary sentence.
func (r *Rule) HasSummary() bool { return r.summary != nil }

// AppendSummary appends the summary sentence for ev, nothing when there is none.
func (r *Rule) AppendSummary(dst []byte, ev *event.Event) []byte {
	if r.summary == nil {
		return dst
	}
	return r.summary.Append(dst, ev)
}

// ValidField reports whether an operand as an exception names it exists for rules
// of a source; LoadOptions.ValidField takes it.
func ValidField(source, operand string) bool {
	s, ok := sourceByName(source)
	if !ok {
		return false
	}
	o, err := filter.ParseOperand(operand, filter.Options{})
	if err != nil {
		return false
	}
	b := &builder{resolve: event.ResolveField, source: s}
	_, cerr := b.operand(o)
	return cerr == nil
}

func sourceByName(name string) (event.Source, bool) {
	switch name {
	case "syscall":
		return event.SourceSyscall, true
	case "k8s_audit":
		return event.SourceK8sAudit, true
	}
	return 0, false
}

// maxEventTypes is from how many event types on a rule draws a warning.
const maxEventTypes = 100

// Compile checks and compiles the rules of a source. A rule with an error is left
// out and the others are compiled all the same; the diagnostics say where and why.
func Compile(src *Source, opt CompileOptions) (*Rules, []Diagnostic) {
	if opt.resolve == nil {
		opt.resolve = event.ResolveField
	}
	if opt.MaxErrors <= 0 {
		opt.MaxErrors = 10
	}
	c := &compiler{
		opt:   opt,
		out:   &Rules{graph: newGraph(), byName: map[string]*Rule{}},
		types: newTypeAnalysis(),
		slots: map[string]int{},
		hash:  newHasher(),
	}
	supplied := event.SuppliedTypes().Union(event.NewTypeSet(event.TypePluginevent))
	if opt.Supplied != nil {
		supplied = *opt.Supplied
	}
	for s := range c.lower {
		c.lower[s] = newLowering(c.out.graph, &builder{resolve: opt.resolve, source: event.Source(s), slots: c.slots})
	}
	for _, res := range src.Rules {
		c.rule(res)
	}
	enabled := selected(c.out.rules, opt)
	var roots []root
	for i, r := range c.out.rules {
		r.info.Enabled = enabled[i]
		if enabled[i] {
			roots = append(roots, root{r, r.node})
		}
	}
	for s := range c.lower {
		c.out.checks[s] = c.lower[s].checks
	}
	c.out.assess(supplied)
	c.out.program = link(c.out.graph, roots, len(c.slots))
	return c.out, c.diags
}

type compiler struct {
	opt   CompileOptions
	out   *Rules
	lower [sources]*lowering
	types *typeAnalysis
	slots map[string]int
	hash  *hasher
	diags []Diagnostic
}

// rule compiles one rule, or says what is wrong with it.
func (c *compiler) rule(res *Resolved) {
	source, ok := sourceByName(res.Source)
	if !ok || res.Condition == nil {
		c.diag(res, SeverityWarning, CodeUnknownSource, res.Pos, fmt.Sprintf("unknown source %s", res.Source), "known sources are syscall and k8s_audit")
		return
	}
	l := c.lower[source]
	id := l.lower(res.Condition, false)
	if errs := l.errors(res.Condition, c.opt.MaxErrors); len(errs) > 0 {
		for _, e := range errs {
			c.reject(res, CodeCompileCondition, res.Place(e.pos), e)
		}
		return
	}
	r := &Rule{res: res, source: source, node: id}
	var cerr *compileError
	if r.output, cerr = compileFormat(res.Output, source, c.opt.resolve); cerr != nil {
		c.reject(res, CodeCompileOutput, orPlace(res.OutputPos, res.Pos), cerr)
		return
	}
	if res.Meta != nil && res.Meta.Summary != "" {
		if r.summary, cerr = compileFormat(res.Meta.Summary, source, c.opt.resolve); cerr != nil {
			c.reject(res, CodeCompileOutput, orPlace(res.Meta.SummaryPos, res.Pos), cerr)
			return
		}
	}
	if source == event.SourceSyscall {
		r.types = c.types.of(res.Condition, false)
		if n := r.types.Len(); n > maxEventTypes && res.WarnEvttypes {
			c.diag(res, SeverityWarning, CodeNoEvttype, res.Pos,
				fmt.Sprintf("rule matches %d event types, which costs time on every event", n), "narrow it with evt.type, or set warn_evttypes: false")
		}
	} else {
		r.types = event.NewTypeSet(event.TypePluginevent)
	}
	c.warn(res)
	r.uses = l.usesOf(res.Condition)
	r.info = Info{
		Name: res.Name, Desc: res.Desc, Source: res.Source, Priority: res.Priority, Tags: res.Tags,
		File: res.Pos.File, Line: res.Pos.Line, Enabled: res.Enabled, Types: r.types,
		ID: res.Source + "/" + res.Name, Fields: names(r.uses), Hash: c.hash.rule(res),
	}
	if m := res.Meta; m != nil {
		r.info.Tactics, r.info.Techniques, r.info.Answers, r.info.Response = m.Tactics, m.Techniques, m.Answers, m.Response
		if m.ID != "" {
			r.info.ID = m.ID
		}
	}
	c.out.rules = append(c.out.rules, r)
	c.out.byName[res.Name] = r
}

func orPlace(p, or Place) Place {
	if p.Line == 0 {
		return or
	}
	return p
}

func (c *compiler) reject(res *Resolved, code string, at Place, e *compileError) {
	if e.unknown && res.SkipIfUnknownFilter {
		c.diag(res, SeverityWarning, CodeUnknownFilter, at, e.message, e.remedy)
		return
	}
	c.diag(res, SeverityError, code, at, e.message, e.remedy)
}

func (c *compiler) diag(res *Resolved, sev Severity, code string, at Place, message, remedy string) {
	c.diags = append(c.diags, Diagnostic{
		Severity: sev, Code: code, File: at.File, Line: at.Line, Col: at.Col,
		Item: fmt.Sprintf("rule %q", res.Name), Message: message, Remedy: remedy,
	})
}

// names returns the names of fields, sorted.
func names(uses []fieldUse) []string {
	out := make([]string, len(uses))
	for i, u := range uses {
		out[i] = u.name
	}
	slices.Sort(out)
	return out
}

// eachCheck visits the checks of a condition; subtrees that occur several times
// are visited once.
func eachCheck(e filter.Expr, visit func(*filter.Check)) {
	seen := map[filter.Expr]bool{}
	filter.Walk(e, func(n any) bool {
		x, ok := n.(filter.Expr)
		if !ok || seen[x] {
			return false
		}
		seen[x] = true
		if ch, ok := n.(*filter.Check); ok {
			visit(ch)
			return false
		}
		return true
	})
}

// warn reports constants that are legal but likely a slip. What the text alone
// tells (deprecated fields, <NA>) the loader has reported.
func (c *compiler) warn(res *Resolved) {
	eachCheck(res.Condition, func(ch *filter.Check) {
		switch v := ch.Right.(type) {
		case *filter.Literal:
			c.warnLiteral(res, ch, v)
		case *filter.List:
			for _, w := range v.Items {
				c.warnLiteral(res, ch, w)
			}
		}
	})
}

// warnLiteral reports constants that look like fields or transforms, and regular
// expressions that a plainer operator could replace.
func (c *compiler) warnLiteral(res *Resolved, ch *filter.Check, w *filter.Literal) {
	warn := func(format string, args ...any) {
		c.diag(res, SeverityWarning, CodeWarnCompileFilter, res.Place(w.Pos), fmt.Sprintf(format, args...), "")
	}
	if ch.Op == "regex" && plainRegex(w.Text) {
		warn("regex check with '%s' may be optimized with simpler operators such as '=', 'contains', 'startswith', 'endswith'", w.Text)
	}
	text := strings.Join(strings.Fields(w.Text), "")
	if !strings.ContainsAny(text, ".(") || len(text) > 256 {
		return
	}
	if o, err := filter.ParseOperand(text, filter.Options{}); err == nil {
		if f, ok := o.(*filter.Field); ok {
			if _, _, ok := c.opt.resolve(f.Name); ok {
				warn("'%s' may be a valid field misused as a const string value", w.Text)
			}
		}
	}
	for _, t := range append(filter.Transforms(), "val") {
		if strings.HasPrefix(text, t+"(") && strings.HasSuffix(text, ")") {
			warn("'%s' may be a valid field transformer misused as a const string value", w.Text)
		}
	}
}

// plainRegex reports whether an expression has nothing that =, contains,
// startswith or endswith could not say: anchors, and "any text" at its ends.
func plainRegex(re string) bool {
	for i := 0; i < len(re); i++ {
		if i == 0 && re[i] == '^' || i == len(re)-1 && re[i] == '$' {
			continue
		}
		if (i == 0 && len(re) > 1 || i == len(re)-2) && re[i] == '.' && strings.IndexByte("+*?", re[i+1]) >= 0 {
			i++
			continue
		}
		if strings.IndexByte(`.+*?^$()[]{}|\`, re[i]) >= 0 {
			return false
		}
	}
	return true
}
