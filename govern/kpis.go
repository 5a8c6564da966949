package govern

func kpis(in *Input, ev *Evaluation) {}
