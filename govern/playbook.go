package govern

func playbook(in *Input, ev *Evaluation) {}
