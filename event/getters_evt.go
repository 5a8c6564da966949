package event

func evtType(e *Event, _ *Arg) (string, bool) {
	s := e.Type.String()
	return s, s != ""
}
