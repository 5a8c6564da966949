package event

// Facts are what a source knows besides the slots of an Event: who did it, by
// key, and for lifecycle events the raw image of the process. The process table
// turns an Event and its Facts into an Event that points to its Process and
// Container. The live sensor and a replayed trace hand the table the same Facts,
// so both get the same processes.
//
// A Process inside Facts is flat: Parent and Container are nil, Stdio has no
// Peer, and ExeWritten and Phase are left to the table (PhaseInit is kept when
// the source already knows it).
type Facts struct {
	PID     int32  // who did it: thread-group id, host namespace; for a clone the new child
	Start   int64  // its start, nanoseconds since boot
	ExecGen uint32 // its exec generation when the event happened; 0 not known
	Comm    string // its kernel name then; used when nothing else is known about it

	// Image is the process as the kernel describes it: the new program for
	// execve and execveat, the child for clone. A clone's image with an empty
	// Comm carries ids only and the rest is inherited from the forking process.
	// For other events it is nil, or describes a process that the table lacks; an
	// image with another PID is not about this process and is left alone.
	Image *Process

	ForkPID   int32 // clone: who called it when that is not Image.PPID (CLONE_PARENT); 0 = Image.PPID
	ForkStart int64 // its start; 0 not known
	ExitCode  int32 // procexit: wait status, as the kernel encodes it; 0: Image's, if there is one
	ReaperPID int32 // procexit: who adopts the children; 0 not known

	// HasContainer says that Container is what the event's cgroup means (nil =
	// host); without it the process keeps the container it is in.
	HasContainer bool
	Container    *Container

	// Heal holds processes that the table lacks or knows too old, from iter/task,
	// parents before children. At most MaxLineage.
	Heal []Process
}

// Kept is one process of a snapshot: flat, with its parent by key (ParentPID 0:
// none). A process with an ExitTime is dead and kept for its descendants' sake.
type Kept struct {
	Process     *Process
	ParentPID   int32
	ParentStart int64
}

// WrittenFile is one file that a container wrote since it started.
type WrittenFile struct {
	Container string // cgroup path of the container, or its id where no path is known
	Dev, Ino  uint64
}

// PipeEnds remembers which programs held the two ends of a pipe as standard
// streams.
type PipeEnds struct {
	Ino    uint64
	Writer PipeEnd // on standard output or error
	Reader PipeEnd // on standard input
}

// PipeEnd is the program last started on one end of a pipe.
type PipeEnd struct {
	PID   int32
	Start int64
	Comm  string // "" = none seen
}
