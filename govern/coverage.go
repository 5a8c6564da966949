package govern

func coverage(in *Input, ev *Evaluation) {}
