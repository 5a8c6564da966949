// Package link carries envelopes between the roles: node → cluster → hub.
//
// Contract, the same for every transport: envelopes of a lane arrive in order of
// Seq; the receiver acknowledges a lane up to a Seq only after it has stored
// everything up to it; the sender may forget only what is acknowledged, and after
// a reconnect sends the rest again, so delivery is at least once and the receiver
// must be idempotent by (Origin, Lane, Seq). What does not fit is counted in the
// Ledger and announced in the stream as a loss envelope; it is never silent.
package link

import (
	"context"
	"errors"
	"fmt"
)

// Errors of Send and Ack. Callers test with errors.Is.
var (
	// ErrFull says the lane had no room; the loss is counted.
	ErrFull = errors.New("lane full")
	// ErrTooBig says the payload is over MaxBytes; the loss is counted.
	ErrTooBig = errors.New("payload too big")
	// ErrClosed says the link takes nothing any more; the loss is counted.
	ErrClosed = errors.New("link closed")
	// ErrAck says an acknowledgement names what was never delivered.
	ErrAck = errors.New("acknowledged more than was delivered")
)

// Lane separates classes of envelopes so that a flood of one cannot delay or
// displace another. Lower numbers are more precious.
type Lane uint8

// The lanes.
const (
	LaneAlert  Lane = 1 // findings: never dropped while another lane has room to give
	LaneLoss   Lane = 2 // losses of any hop
	LaneStatus Lane = 3 // coverage and health snapshots: the newest replaces older ones
	LaneEvent  Lane = 4 // events kept for history
	// LaneInventory carries inventory.Delta in order: a lost one would leave ghosts, so
	// it blocks rather than drops, and its sender states everything again after a break.
	LaneInventory Lane = 5
)

// lanes is every lane, the most precious first.
var lanes = [...]Lane{LaneAlert, LaneLoss, LaneStatus, LaneEvent, LaneInventory}

// Valid reports whether l is one of the declared lanes.
func (l Lane) Valid() bool { return l >= LaneAlert && l <= LaneInventory }

// Precious lanes block a full Send instead of dropping.
func (l Lane) Precious() bool { return l == LaneAlert || l == LaneLoss || l == LaneInventory }

// String is the lane's word, as it appears in hop names: link.alert.
func (l Lane) String() string {
	switch l {
	case LaneAlert:
		return "alert"
	case LaneLoss:
		return "loss"
	case LaneStatus:
		return "status"
	case LaneEvent:
		return "event"
	case LaneInventory:
		return "inventory"
	}
	return fmt.Sprintf("lane(%d)", uint8(l))
}

// Kind says what Bytes holds.
type Kind uint8

// The kinds.
const (
	KindFinding Kind = 1 // JSON of finding.Finding
	KindLoss    Kind = 2 // JSON of event.Loss
	KindStatus  Kind = 3 // JSON of link.Status
	// KindRules is 4, beside its type.
	KindUse       Kind = 5  // JSON of inuse.Report: what a container loads; travels on LaneEvent
	KindInventory Kind = 6  // JSON of inventory.Delta; travels on LaneInventory
	KindAudit     Kind = 7  // JSON of event.Event of an audit source, for history; travels on LaneEvent
	KindHabits    Kind = 8  // JSON of inventory.Habits; travels on LaneInventory
	KindUsage     Kind = 9  // JSON of inventory.UsageReport; travels on LaneInventory
	KindCanary    Kind = 10 // JSON of inventory.CanaryReport; travels on LaneInventory
	KindKubelet   Kind = 11 // JSON of inventory.Kubelet, from a node to its cluster agent, which takes it in; travels on LaneInventory

	// Downwards, from cluster agent to node or from hub to cluster agent.
	KindPods      Kind = 16 // JSON of inventory.PodsFor
	KindRuleFiles Kind = 17 // JSON of link.RuleFiles: the rules to run, replacing those before
)

// Envelope is one message. Bytes is at most MaxBytes and belongs to the receiver
// once delivered.
type Envelope struct {
	Origin string // node identity: stable across restarts of the process
	Epoch  uint64 // when the sender's memory began, Unix nanoseconds: of a Pipe its process, of a Spool its directory
	Lane   Lane
	Seq    uint64 // rising from 1, with gaps, per (Origin, Epoch, Lane)
	Kind   Kind
	Bytes  []byte
}

// MaxBytes bounds one envelope's payload.
const MaxBytes = 1 << 20

// Sender is the near end. Safe for concurrent use.
type Sender interface {
	// Send queues the payload and gives it its Seq. It blocks while the lane is
	// full and ctx lives on lanes that are never dropped; on other lanes it
	// counts the loss and returns ErrFull. The payload is copied. Every error
	// means the payload was not taken and is counted as lost in the Ledger.
	Send(ctx context.Context, lane Lane, kind Kind, payload []byte) error
}

// Receiver is the far end; one goroutine uses it.
type Receiver interface {
	// Receive returns up to max envelopes, at least one, blocking until there
	// are some, ctx ends, or the link closes (io.EOF after the last).
	Receive(ctx context.Context, max int) ([]Envelope, error)
	// Ack says everything of the lane up to seq is stored.
	Ack(origin string, epoch uint64, lane Lane, seq uint64) error
}
