// Package trace owns recorded events: the NDJSON format of docs/trace-format.md,
// its Writer and its Reader.
//
// A trace holds what went into the process table, not what came out: the slots
// of each event with its facts, a snapshot of the table to begin with, losses
// where they happened, and an end record. Replayed through a process.Table it
// gives the same processes and so the same detections as the live run. Audit events
// are recorded with what was computed about them (event.AuditFacts, in their JSON), so
// that they need no inventory to be judged again. The package does no I/O but on the reader and writer it is given.
package trace

import (
	"errors"

	"github.com/dockreeve/dockreeve/event"
)

// The name and version that a trace's first line carries.
const (
	Format  = "dockreeve-trace"
	Version = 1
)

// MaxLine is the longest line, in bytes without its newline.
const MaxLine = event.MaxEncoded

// maxContainers is how many containers back a record may refer.
const maxContainers = 4096

// Errors of a Reader, to be told apart with errors.Is.
var (
	// ErrFormat reports a file that is no trace, or of a version not known here.
	ErrFormat = errors.New("not a readable trace")
	// ErrLine reports one line that is wrong; the lines before it were good.
	ErrLine = errors.New("bad trace line")
	// ErrCut reports a trace that ends without its end record, or with one that
	// counts more than was found. Everything before was good and was delivered.
	ErrCut = errors.New("trace cut short")
)

// Header describes a recording.
type Header struct {
	Format      string `json:"format"`
	Version     int    `json:"version"`
	Kernel      string `json:"kernel,omitempty"`         // release, as uname -r says it
	Node        string `json:"node,omitempty"`           // name of the node
	Cluster     string `json:"cluster,omitempty"`        // name of the cluster whose audit events it holds
	Environment string `json:"environment,omitempty"`    // what else matters: distribution, runtime, cgroup version
	Started     int64  `json:"started,string,omitempty"` // wall clock, Unix nanoseconds
	Comment     string `json:"comment,omitempty"`        // what the recording is for
	Loads       bool   `json:"loads,omitempty"`          // what containers load was collected from Started on

	// The snapshot that follows. Counts of 0 with records present are allowed, so
	// that a trace can be written by hand.
	Containers int    `json:"containers,omitempty"`
	Processes  int    `json:"processes,omitempty"`
	Written    int    `json:"written,omitempty"`
	Pipes      int    `json:"pipes,omitempty"`
	Sockets    int    `json:"sockets,omitempty"`
	HostMntNS  uint32 `json:"host_mnt_ns,omitempty"`
	Exact      bool   `json:"exact,omitempty"` // see process.Snapshot
}

// End is the last record: what the trace holds and what it lost.
type End struct {
	Events uint64 `json:"events"`        // event records
	Losses uint64 `json:"losses"`        // loss records
	Lost   uint64 `json:"lost"`          // sum of their counts
	Ended  int64  `json:"ended,string"`  // wall clock of the last event, Unix nanoseconds
	Why    string `json:"why,omitempty"` // why the recording ended, if not on request
}
