package govern

func findings(in *Input, ev *Evaluation) {}
