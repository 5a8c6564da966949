package cost

func allocate(in *Input, r *Report) {}
