package govern

func recommendations(in *Input, ev *Evaluation) {}
