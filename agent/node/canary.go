package node

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/link"
)

// CanaryName is the name under which the agent starts itself to prove that it sees: the
// program then ends at once (IsCanary), and the rule canary-exec must find it.
const CanaryName = "dockreeve-canary"

// IsCanary says whether the program was started as a canary; its main then does nothing.
func IsCanary(argv []string) bool { return len(argv) > 0 && argv[0] == CanaryName }

// CanaryEvery is the interval that a flag says as Options take it, where 0 is never. Less
// than a second is an error: each is a program that starts.
func CanaryEvery(flag time.Duration) (time.Duration, error) {
	switch {
	case flag == 0:
		return -1, nil
	case flag < time.Second:
		return 0, fmt.Errorf("%s: want at least 1s, or 0 for never", flag)
	}
	return flag, nil
}

const (
	canaryEvery = 6 * time.Hour
	canaryFirst = 30 * time.Second // after the start: the sensor has settled
)

// canaries sends one now and then until ctx ends. That it was sent is told on the link;
// that it came back is the finding itself, so that silence of any part in between shows.
func (n *Node) canaries(ctx context.Context) {
	if n.opt.CanaryEvery < 0 {
		return
	}
	every := n.opt.CanaryEvery
	if every == 0 {
		every = canaryEvery
	}
	for wait := min(canaryFirst, every); ; wait = every {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		c := inventory.Canary{Kind: "exec", Node: n.opt.Name, Every: int64(every), Sent: time.Now().UnixNano()}
		cmd := exec.CommandContext(ctx, "/proc/self/exe")
		cmd.Args, cmd.Env = []string{CanaryName}, []string{}
		if err := cmd.Run(); err != nil && ctx.Err() == nil {
			c.Sent, c.NotAssessed = 0, "the canary could not be started: "+err.Error()
		}
		if b, err := json.Marshal(inventory.CanaryReport{Time: time.Now().UnixNano(), List: []inventory.Canary{c}}); err == nil {
			// A full lane loses this word, and counts it; the next one follows.
			_ = n.opt.Sender.Send(ctx, link.LaneInventory, link.KindCanary, b)
		}
	}
}
