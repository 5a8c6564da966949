package cost

func budgets(in *Input, r *Report) {}
