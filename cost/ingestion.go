package cost

func ingestion(in *Input, r *Report) {}
