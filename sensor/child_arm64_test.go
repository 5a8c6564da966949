package sensor

func sysCreat() (uintptr, bool) { return 0, false }
