package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/link"
)

// beginUse starts the tracker of what containers load: at a time in Unix nanoseconds,
// with the processes there were. why says why loads are not among the events.
func (n *Node) beginUse(at int64, have []event.Kept, why string) {
	n.useMu.Lock()
	defer n.useMu.Unlock()
	n.use = inuse.New(inuse.Options{Node: n.opt.Name, NotWatched: why})
	n.use.Begin(at, have)
}

// tellUse sends what is due at a time, and at the end what is left. It is called by the
// status goroutine while the kernel is watched and by the event goroutine of a replay.
func (n *Node) tellUse(now int64, rest bool) error {
	n.useMu.Lock()
	if n.use == nil {
		n.useMu.Unlock()
		return nil
	}
	if n.pruneUse && n.opt.Replay == "" {
		n.pruneUse = false
		n.use.Prune(func(pid int32) bool {
			return unix.Access("/proc/"+strconv.Itoa(int(pid)), unix.F_OK) == nil
		})
	}
	reports := n.use.Due(now)
	if rest {
		reports = append(reports, n.use.Rest()...)
	}
	n.useMu.Unlock()
	for i := range reports {
		b, err := json.Marshal(&reports[i])
		if err != nil {
			return fmt.Errorf("encode what container %s uses: %w", reports[i].Container, err)
		}
		// A lane that is full drops it, counts that and says so: the next full report heals it.
		if err := n.opt.Sender.Send(context.Background(), link.LaneEvent, link.KindUse, b); err != nil && !errors.Is(err, link.ErrFull) && !errors.Is(err, link.ErrTooBig) {
			return fmt.Errorf("send what container %s uses: %w", reports[i].Container, err)
		}
	}
	return nil
}

// useGaps says what the tracker has no room for.
func (n *Node) useGaps() []link.Gap {
	n.useMu.Lock()
	defer n.useMu.Unlock()
	if n.use == nil {
		return nil
	}
	var gaps []link.Gap
	if s := n.use.Stats(); s.Untracked > 0 {
		gaps = append(gaps, link.Gap{
			What:   "packages in use of some containers",
			Reason: fmt.Sprintf("%d containers are followed at once; there were more", inuse.MaxContainers),
			Remedy: "none: it is a bound of the node agent",
		})
	}
	return gaps
}
