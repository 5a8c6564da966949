package cost

func protect(in *Input, r *Report) {}
