package govern

func rows(in *Input, ev *Evaluation) {}
