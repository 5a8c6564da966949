// Package inuse owns what containers load while they run: which programs, shared
// objects, archives and scripts of an image were really used, since when that has been
// watched, and where the image runs. It judges from events alone: no I/O, no clock.
package inuse

// Report is what a node says of one container. The first one of a container and one
// every FullEvery carry everything known, those between only what is new, so that a
// lost report heals. Nothing is ever taken back within one life of a container: whoever
// receives reports joins their loads by path. What does not fit into one message comes
// in several reports, none of which is Full. All times are Unix nanoseconds.
type Report struct {
	Node      string `json:"node"`
	Container string `json:"container"` // id
	Name      string `json:"name,omitempty"`
	Workload  string `json:"workload"`          // namespace/kind/name, else the container's name, as in finding.Subject
	Image     string `json:"image,omitempty"`   // as the runtime names it
	Digest    string `json:"digest,omitempty"`  // of the manifest, where the runtime tells
	ImageID   string `json:"imageID,omitempty"` // digest of the configuration, where the runtime tells
	Runtime   string `json:"runtime,omitempty"`
	Rootfs    string `json:"rootfs,omitempty"`  // host path of the root file system
	PID       int32  `json:"pid,omitempty"`     // of a process in it, host namespace: a way to its root while it lives
	Unknown   string `json:"unknown,omitempty"` // why the image is not known

	Started int64 `json:"started,omitempty"` // of the container; 0 unknown
	// Since is from when on every load was seen; later than Started where watching
	// began after the container, or was broken by a loss. 0 = loads are not watched.
	Since int64 `json:"since"`
	Until int64 `json:"until"`           // what this report covers up to
	Ended bool  `json:"ended,omitempty"` // the container is gone; nothing more follows

	NotWatched string `json:"notWatched,omitempty"` // why Since is 0 or was moved: in words
	Full       bool   `json:"full,omitempty"`       // carries everything known, alone
	Loads      []Load `json:"loads,omitempty"`      // by path
}

// Load is one file that was loaded: executed, mapped executable, or read by an interpreter.
type Load struct {
	Path  string `json:"path"` // as the container sees it, without the leading slash; what is no UTF-8 is U+FFFD
	First int64  `json:"first"`
	Last  int64  `json:"last"` // as of the report; within a few minutes
	// Changed says that the file was written or copied up in this container: what ran
	// is no longer the image's file, whatever package that belongs to.
	Changed bool `json:"changed,omitempty"`
}

// Bounds of what is kept. What is beyond them is said in NotWatched, never dropped in
// silence.
const (
	MaxPaths      = 8192    // files of one container
	MaxNodePaths  = 1 << 16 // files of all containers of one node: about 12 MiB
	MaxContainers = 1024    // containers of one node
)
