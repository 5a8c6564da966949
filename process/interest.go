package process

import "github.com/dockreeve/dockreeve/event"

// Interest is what a Table needs to see besides process events to answer what it
// promises: which files a container wrote (proc.exe_written), who is at the other
// end of a pipe (proc.stdin.peer), and which side of a connection connected.
func Interest() event.Interest {
	var i event.Interest
	i.Add(event.Need{
		Reason: "drift: files written in containers",
		Types:  event.NewTypeSet(event.TypeOpen, event.TypeOpenat, event.TypeOpenat2, event.TypeCreat),
		Opens:  event.OpenWrites | event.OpenCreates,
	})
	i.Add(event.Need{Reason: "standard streams: who is at the other end", Types: event.NewTypeSet(event.TypeDup, event.TypeDup2, event.TypeDup3)})
	i.Add(event.Need{Reason: "connections: which side connected", Types: event.NewTypeSet(event.TypeConnect)})
	return i
}
