package governance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/source/azure"
	"github.com/dockreeve/dockreeve/store"
)

const (
	day = int64(24 * time.Hour)
	// moneyDays is how far back charges and use are read: what is usual takes weeks to tell.
	moneyDays = 62
	// maxMoneyRows bounds the charges that one evaluation rests on, and maxUsageRows the
	// hours of use.
	maxMoneyRows = 2_000_000
	maxUsageRows = 1_000_000
	// MaxCharges bounds the bytes of one delivery of charges, maxChargeLine those of a charge.
	MaxCharges    = 2 << 30
	maxChargeLine = 64 << 10
)

// money is what there is to judge cost from. Without prices of a currency or charges it is
// still something: the prices that are shipped.
func (g *Governance) money(ctx context.Context, snap *azure.Snapshot, now int64) (*cost.Input, error) {
	shipped := cost.Shipped()
	in := &cost.Input{Sizes: cost.ShippedSizes(), Meters: append(append([]cost.Meter(nil), g.opt.Meters...), shipped.Meters...), Agents: g.opt.Agents, Budgets: g.opt.Budgets, AuditLoses: g.opt.AuditLoses}
	if len(in.Agents) == 0 {
		in.Agents = shipped.Agents
	}
	in.Prices = append(in.Prices, g.opt.Prices...)
	if snap != nil {
		in.Prices = append(in.Prices, snap.Prices...)
	}
	in.Prices = append(in.Prices, shipped.Prices...)
	var queried *cost.Bill
	var moreQueried int
	var failed error
	var group sync.WaitGroup
	group.Go(func() { queried, moreQueried, failed = g.charges(ctx, store.ChargesQuery, now) })
	bill, more, err := g.charges(ctx, store.ChargesBill, now)
	group.Wait()
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	bill.Merge(queried)
	in.Bill = bill
	in.Bad += more + moreQueried
	from := now - moneyDays*day
	var cut bool
	if in.Usage, cut, err = g.opt.DB.Usage(ctx, from, now, maxUsageRows); err != nil {
		return nil, err
	}
	if cut {
		g.opt.Log.Warn("more use is kept than an evaluation reads: the oldest is left out", "hours", maxUsageRows)
	}
	return in, nil
}

// charges reads those of the last weeks; over counts those beyond the bound, whose amounts
// no sum has.
func (g *Governance) charges(ctx context.Context, origin string, now int64) (bill *cost.Bill, over int, err error) {
	return g.opt.DB.Bill(ctx, origin, dayName(now-moneyDays*day), dayName(now), maxMoneyRows)
}

func dayName(at int64) string { return time.Unix(0, at).UTC().Format(time.DateOnly) }

// keepCharges stores what a snapshot's cost query told, so that it outlives the snapshot.
func (g *Governance) keepCharges(ctx context.Context, snap *azure.Snapshot) error {
	if snap.Bill.Len() == 0 {
		return nil
	}
	d, err := g.opt.DB.NewDelivery(ctx, store.ChargesQuery, true)
	if err != nil {
		return err
	}
	defer d.Abort(context.WithoutCancel(ctx)) // after Commit it does nothing
	for c := range snap.Bill.All() {
		if c.Start <= 0 {
			continue
		}
		if err := d.Add(ctx, &c); err != nil {
			return err
		}
	}
	_, err = d.Commit(ctx)
	return err
}

// Delivered says what became of charges that were handed in.
type Delivered struct {
	Rows   int // lines read
	Stored int
	Bad    int // lines that were no charge
	First  string
	Days   []string // that they are of, oldest first
}

// ErrCharges says that charges are not taken because of what was handed in.
var ErrCharges = errors.New("the charges are not taken, and those before stay")

// SubmitCharges takes lines of cost.Charge as JSON. All that are good are taken together at
// the end, or, with an error, none; a line that is no charge is counted. With replaceDays
// the days and subscriptions that are told hold nothing else of bills afterwards. The error
// wraps ErrCharges or store.ErrBusy where it is the caller's.
func (g *Governance) SubmitCharges(ctx context.Context, r io.Reader, replaceDays bool) (Delivered, error) {
	var out Delivered
	d, err := g.opt.DB.NewDelivery(ctx, store.ChargesBill, replaceDays)
	if err != nil {
		return out, err
	}
	defer d.Abort(context.WithoutCancel(ctx)) // after Commit it does nothing
	limited := &io.LimitedReader{R: r, N: MaxCharges + 1}
	in := bufio.NewScanner(limited)
	in.Buffer(make([]byte, 0, 64<<10), maxChargeLine)
	now := g.opt.Clock.Now().UnixNano()
	for in.Scan() {
		line := bytes.TrimSpace(in.Bytes())
		if len(line) == 0 {
			continue
		}
		out.Rows++
		c, err := parseCharge(line, now)
		if err != nil {
			if out.Bad++; out.First == "" {
				out.First = fmt.Sprintf("line %d: %v", out.Rows, err)
			}
			continue
		}
		if err := d.Add(ctx, &c); err != nil {
			return out, err
		}
		out.Stored++
	}
	switch err := in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return out, fmt.Errorf("%w: line %d has more than %d bytes", ErrCharges, out.Rows+1, maxChargeLine)
	case err != nil:
		return out, fmt.Errorf("%w: reading them broke off after %d lines: %w", ErrCharges, out.Rows, err)
	case limited.N == 0:
		return out, fmt.Errorf("%w: more than %d bytes", ErrCharges, MaxCharges)
	case out.Stored == 0 && out.Bad > 0:
		return out, fmt.Errorf("%w: none of %d lines is a charge; %s", ErrCharges, out.Rows, out.First)
	}
	if out.Days, err = d.Commit(ctx); err != nil {
		return out, err
	}
	g.Changed()
	return out, nil
}

// parseCharge reads one line.
func parseCharge(line []byte, now int64) (cost.Charge, error) {
	var c cost.Charge
	if err := json.Unmarshal(line, &c); err != nil {
		return c, err
	}
	return c, goodCharge(&c, now)
}

// goodCharge refuses what no sum could use: without a period, a currency, or within reason.
func goodCharge(c *cost.Charge, now int64) error {
	switch {
	case c.Start <= 0 || c.End <= c.Start:
		return errors.New("start and end: want Unix nanoseconds, the end later")
	case c.End-c.Start > 400*day:
		return errors.New("end: more than 400 days after its start")
	case c.Start > now+2*day || c.Start < now-(keepDays+2)*day:
		return fmt.Errorf("start: %s is not within the last %d days", dayName(c.Start), keepDays)
	case len(c.Currency) != 3:
		return fmt.Errorf("currency %.10q: want three letters", c.Currency)
	}
	return nil
}

// keepDays is how long charges are kept.
const keepDays = 400

// WriteFOCUS writes the charges of the last weeks that evaluations rest on, as FOCUS 1.2.
func (g *Governance) WriteFOCUS(ctx context.Context, w io.Writer) error {
	in, err := g.money(ctx, nil, g.opt.Clock.Now().UnixNano())
	if err != nil {
		return err
	}
	return cost.WriteFOCUS(w, in.Bill.All())
}
