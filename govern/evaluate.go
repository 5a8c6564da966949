package govern

// Evaluate says what follows from what is known. The order matters: rows first, then what
// is counted over them, then what is concluded from the counts.
func Evaluate(in *Input) *Evaluation {
	ev := &Evaluation{At: in.Now}
	rows(in, ev)
	coverage(in, ev)
	recommendations(in, ev)
	kpis(in, ev)
	pitfalls(in, ev)
	playbook(in, ev)
	findings(in, ev)
	remember(in, ev)
	return ev
}
