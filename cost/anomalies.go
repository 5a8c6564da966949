package cost

func anomalies(in *Input, r *Report) {}
