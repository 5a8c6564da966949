package cost

func increases(in *Input, r *Report) {}
