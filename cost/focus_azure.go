package cost

import (
	"fmt"
	"strings"
)

// olderRow puts what Azure's older exports say in their own way where FOCUS has it.
func (f *focusReader) olderRow(c *Charge, special map[string]string) (column string, err error) {
	if s := special["*Date"]; s != "" {
		t, _, _, err := dateOf(s, f.sum.Dates)
		if err != nil {
			return "Date", err
		}
		c.Start, c.End = t, t+day
	}
	if s := special["*BillingPeriodEndDate"]; s != "" {
		t, _, _, err := dateOf(s, f.sum.Dates)
		if err != nil {
			return "BillingPeriodEndDate", err
		}
		c.PeriodEnd = t + day // the last day, where FOCUS has the first after it
	}
	if s := lower(strings.TrimSpace(special["*SubscriptionId"])); s != "" {
		if !strings.HasPrefix(s, "/") {
			s = "/subscriptions/" + s
		}
		c.SubAccount = f.intern(s)
	}
	if c.Provider == "" {
		c.Provider = "Microsoft"
	}
	if c.Service == "" {
		c.Service = c.MeterCategory
	}
	if c.ResourceName == "" && c.Resource != "" {
		c.ResourceName = c.Resource[strings.LastIndexByte(c.Resource, '/')+1:]
	}
	switch s := lower(strings.TrimSpace(special["*ChargeType"])); s {
	case "", "usage":
		c.Category = "Usage"
	case "purchase":
		c.Category = "Purchase"
	case "refund":
		c.Category, c.Class = "Purchase", "Correction"
	case "tax":
		c.Category = "Tax"
	case "credit":
		c.Category = "Credit"
	case "adjustment", "roundingadjustment":
		c.Category = "Adjustment"
	case "unusedreservation", "unusedsavingsplan":
		c.Category, c.CommitmentUse = "Usage", "Unused"
		f.sum.Amortised = true
	default:
		return "ChargeType", fmt.Errorf("%.40q is none that is known: expected Usage, Purchase, Refund, Tax, Credit, Adjustment, RoundingAdjustment, UnusedReservation or UnusedSavingsPlan", s)
	}
	switch s := lower(strings.TrimSpace(special["*PricingModel"])); s {
	case "":
	case "ondemand":
		c.Pricing = "Standard"
	case "spot":
		c.Pricing = "Dynamic"
	case "reservation", "savingsplan":
		c.Pricing = "Committed"
		if c.CommitmentUse == "" && c.Category == "Usage" {
			c.CommitmentUse = "Used"
		}
	default:
		f.more(c, "PricingModel", s)
	}
	return "", nil
}
