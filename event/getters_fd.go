package event

func fdName(e *Event, _ *Arg) (string, bool) { return e.Path, e.Path != "" }

func fdNum(e *Event, _ *Arg) (int64, bool) { return e.FD, e.Flags&FlagHasFD != 0 }
