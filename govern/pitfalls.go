package govern

func pitfalls(in *Input, ev *Evaluation) {}
