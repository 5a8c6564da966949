package event

import "time"

func evtNum(e *Event, _ *Arg) (int64, bool) { return int64(max(e.ID.Seq, 1)), true }

func evtType(e *Event, _ *Arg) (string, bool) {
	s := e.Type.String()
	return s, s != ""
}

func syscallType(e *Event, a *Arg) (string, bool) {
	if e.Type == TypeProcexit || e.Source != SourceSyscall {
		return "", false
	}
	return evtType(e, a)
}

func evtCategory(e *Event, _ *Arg) (string, bool) {
	switch e.Type {
	case TypeOpen, TypeOpenat, TypeOpenat2, TypeCreat:
		return "file", true
	case TypeConnect:
		return "net", true
	case TypeExecve, TypeExecveat, TypeClone, TypeProcexit:
		return "process", true
	case TypeDup, TypeDup2, TypeDup3:
		return "IO-other", true
	}
	return "", false
}

func evtDir(*Event, *Arg) (string, bool) { return "<", true }

func evtCPU(e *Event, _ *Arg) (int64, bool) { return int64(e.CPU), e.CPU >= 0 }

func evtRes(e *Event, _ *Arg) (string, bool) {
	if e.Flags&FlagHasRet == 0 {
		return "", false
	}
	if e.Ret >= 0 {
		return "SUCCESS", true
	}
	name := errnoName(-e.Ret)
	return name, name != ""
}

func evtRawRes(e *Event, _ *Arg) (int64, bool) { return e.Ret, e.Flags&FlagHasRet != 0 }

func evtFailed(e *Event, _ *Arg) (bool, bool) {
	return e.Flags&FlagHasRet != 0 && e.Ret < 0, true
}

func evtCount(*Event, *Arg) (int64, bool) { return 1, true }

func evtCountError(e *Event, _ *Arg) (int64, bool) {
	if e.Flags&FlagHasRet != 0 && e.Ret < 0 {
		return 1, true
	}
	return 0, true
}

// The open flags of the kernel ABI shared by x86-64 and the generic table, except
// those that differ on arm64 (O_DIRECTORY, O_DIRECT, O_LARGEFILE), which the
// sensor hands over in their x86-64 form.
const (
	openAccess    = 0x3
	openWronly    = 0x1
	openRdwr      = 0x2
	openCreat     = 0x40
	openExcl      = 0x80
	openTrunc     = 0x200
	openAppend    = 0x400
	openNonblock  = 0x800
	openDsync     = 0x1000
	openDirect    = 0x4000
	openLargefile = 0x8000
	openDirectory = 0x10000
	openCloexec   = 0x80000
	openSync      = 0x101000 // includes openDsync
	openTmpfile   = 0x410000 // includes openDirectory
)

func (e *Event) isOpen() bool {
	return e.Type == TypeOpen || e.Type == TypeOpenat || e.Type == TypeOpenat2 || e.Type == TypeOpenByHandleAt
}

// OpensForRead reports whether the event is an open that asks to read.
func (e *Event) OpensForRead() bool {
	return e.isOpen() && e.OpenFlags&openAccess != openWronly
}

// OpensForWrite reports whether the event is an open that asks to write; creat
// counts here, though the rule language's evt.is_open_write leaves it out.
func (e *Event) OpensForWrite() bool {
	return e.Type == TypeCreat || e.isOpen() && e.OpenFlags&openAccess != 0
}

func evtIsOpenRead(e *Event, _ *Arg) (bool, bool) { return e.OpensForRead(), true }

func evtIsOpenWrite(e *Event, _ *Arg) (bool, bool) {
	return e.isOpen() && e.OpensForWrite(), true
}

func evtIsOpenExec(e *Event, _ *Arg) (bool, bool) {
	creates := e.Type == TypeCreat ||
		e.isOpen() && (e.OpenFlags&openCreat != 0 || e.OpenFlags&openTmpfile == openTmpfile)
	return creates && e.Mode&0o111 != 0, true
}

func evtIsOpenCreate(e *Event, _ *Arg) (bool, bool) { return e.Flags&FlagCreated != 0, true }

func evtTruncated(e *Event, _ *Arg) (bool, bool) {
	return e.Flags&FlagTruncated != 0 || e.Process != nil && e.Process.ArgsTruncated, true
}

func evtSource(e *Event, _ *Arg) (string, bool) { return e.Source.String(), true }

func evtIsAsync(*Event, *Arg) (bool, bool) { return false, true }

func evtTime(e *Event, _ *Arg) (string, bool) { return e.formatTime(derTime, "15:04:05.000000000") }

func evtTimeS(e *Event, _ *Arg) (string, bool) { return e.formatTime(derTimeS, "15:04:05") }

func evtTimeISO(e *Event, _ *Arg) (string, bool) {
	return e.formatTime(derTimeISO, "2006-01-02T15:04:05.000000000Z0700")
}

func evtDatetime(e *Event, _ *Arg) (string, bool) {
	return e.formatTime(derDatetime, "2006-01-02 15:04:05.000000000")
}

func evtDatetimeS(e *Event, _ *Arg) (string, bool) {
	return e.formatTime(derDatetimeS, "2006-01-02 15:04:05")
}

func (e *Event) formatTime(k derivedKey, layout string) (string, bool) {
	if s, ok, built := e.cached(k); built {
		return s, ok
	}
	from := len(e.scratch)
	e.scratch = time.Unix(0, e.Time).UTC().AppendFormat(e.scratch, layout)
	return e.keep(k, from)
}

func evtRawTime(e *Event, _ *Arg) (int64, bool) { return e.Time, true }

func evtRawTimeS(e *Event, _ *Arg) (int64, bool) { return e.Time / 1e9, true }

func evtRawTimeNS(e *Event, _ *Arg) (int64, bool) { return e.Time % 1e9, true }
