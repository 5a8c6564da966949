package govern

func remember(in *Input, ev *Evaluation) {}
