package cost

func reconcile(in *Input, r *Report) {}
