// Package cost owns money: what was billed (Charge, in FOCUS terms), what things cost by
// published prices (Price), what that means for clusters, teams and protection, and when
// it is unusual. It does no I/O beyond the reader it is given, reads no clock, and knows
// no price by itself: prices are dated data with a source.
package cost

import (
	"fmt"
	"math"
)

// Amount is money in millionths of a currency unit. Sums that would overflow are errors
// of the function that sums, never a wrapped number.
type Amount int64

// Unit is one unit of a currency.
const Unit Amount = 1_000_000

// Float is the amount in currency units, for printing and statistics, never for sums.
func (a Amount) Float() float64 { return float64(a) / float64(Unit) }

// FromFloat rounds half away from zero. What is beyond an Amount becomes the largest one,
// never a wrapped number; what is no number becomes 0.
func FromFloat(f float64) Amount {
	switch v := math.Round(f * float64(Unit)); {
	case math.IsNaN(v):
		return 0
	case v >= math.MaxInt64:
		return math.MaxInt64
	case v <= math.MinInt64:
		return -math.MaxInt64
	default:
		return Amount(v)
	}
}

// Money is an amount that says in what currency it is, as of when, and how it is known.
// Amounts of different currencies are never added (see Sum).
type Money struct {
	Amount      Amount `json:"micros"`
	Currency    string `json:"currency"`              // ISO 4217
	AsOf        string `json:"asOf,omitempty"`        // date of the price or bill, YYYY-MM-DD
	Source      string `json:"source,omitempty"`      // bill, list price, negotiated price, estimate…
	NotAssessed string `json:"notAssessed,omitempty"` // why the amount means nothing
}

// ErrCurrency is returned where amounts of different currencies would be added.
var ErrCurrency = fmt.Errorf("amounts of different currencies cannot be added")

// Charge is one row of a bill, in FOCUS 1.2 terms (column names in comments). Times are
// Unix nanoseconds, ends exclusive.
type Charge struct {
	Provider       string            `json:"provider,omitempty"` // ProviderName
	Publisher      string            `json:"publisher,omitempty"`
	Issuer         string            `json:"issuer,omitempty"`         // InvoiceIssuerName
	BillingAccount string            `json:"billingAccount,omitempty"` // BillingAccountId
	SubAccount     string            `json:"subAccount,omitempty"`     // SubAccountId: /subscriptions/guid, lower case
	SubAccountName string            `json:"subAccountName,omitempty"`
	PeriodStart    int64             `json:"periodStart,omitempty"` // BillingPeriodStart
	PeriodEnd      int64             `json:"periodEnd,omitempty"`
	Start          int64             `json:"start"` // ChargePeriodStart
	End            int64             `json:"end"`
	Category       string            `json:"category"`        // Usage, Purchase, Tax, Credit, Adjustment
	Class          string            `json:"class,omitempty"` // Correction
	Description    string            `json:"description,omitempty"`
	Currency       string            `json:"currency"` // BillingCurrency
	Billed         Amount            `json:"billed"`
	Effective      Amount            `json:"effective"`
	List           Amount            `json:"list,omitempty"`
	Contracted     Amount            `json:"contracted,omitempty"`
	Quantity       float64           `json:"quantity,omitempty"` // ConsumedQuantity
	QuantityUnit   string            `json:"quantityUnit,omitempty"`
	Priced         float64           `json:"priced,omitempty"` // PricingQuantity
	PricedUnit     string            `json:"pricedUnit,omitempty"`
	Pricing        string            `json:"pricing,omitempty"`       // PricingCategory: Standard, Dynamic, Committed
	Commitment     string            `json:"commitment,omitempty"`    // CommitmentDiscountId
	CommitmentUse  string            `json:"commitmentUse,omitempty"` // CommitmentDiscountStatus: Used, Unused
	Region         string            `json:"region,omitempty"`
	Resource       string            `json:"resource,omitempty"` // ResourceId, lower case
	ResourceName   string            `json:"resourceName,omitempty"`
	ResourceType   string            `json:"resourceType,omitempty"`
	Service        string            `json:"service,omitempty"`      // ServiceName
	ServiceClass   string            `json:"serviceClass,omitempty"` // ServiceCategory
	SKU            string            `json:"sku,omitempty"`          // SkuId
	SKUPrice       string            `json:"skuPrice,omitempty"`     // SkuPriceId
	Tags           map[string]string `json:"tags,omitempty"`
	Meter          string            `json:"meter,omitempty"`         // x_SkuMeterName
	MeterCategory  string            `json:"meterCategory,omitempty"` // x_SkuMeterCategory
	MeterSub       string            `json:"meterSub,omitempty"`      // x_SkuMeterSubcategory
	MeterID        string            `json:"meterID,omitempty"`       // x_SkuMeterId
	CostCentre     string            `json:"costCentre,omitempty"`    // x_CostCenter
	More           map[string]string `json:"more,omitempty"`          // columns that have no place above, as read
}

// Price is one published price.
type Price struct {
	Key      string `json:"key"` // what we call it: defender.vcore-month, logs.analytics-gb…
	Meter    string `json:"meter,omitempty"`
	MeterID  string `json:"meterID,omitempty"`
	Service  string `json:"service,omitempty"`
	Region   string `json:"region,omitempty"`  // ARM region name; "" = any
	SKU      string `json:"sku,omitempty"`     // ARM SKU name: a VM size
	Product  string `json:"product,omitempty"` // productName: tells Windows from Linux
	Type     string `json:"type,omitempty"`    // Consumption, Reservation, DevTestConsumption; spot by Meter
	Unit     string `json:"unit"`              // 1 Hour, 1 GB, vCore-month…
	Amount   Amount `json:"amount"`            // per Unit
	Currency string `json:"currency"`
	AsOf     string `json:"asOf"` // YYYY-MM-DD
	Source   string `json:"source"`
	Verified bool   `json:"verified"` // false = told by others, not read at its publisher: shown so
}

// Protection is what protection costs one cluster in one day, by provider.
type Protection struct {
	Provider  string  `json:"provider"` // defender, dockreeve
	Plan      Money   `json:"plan"`
	Scans     Money   `json:"scans"`     // beyond what the plan includes
	Ingestion Money   `json:"ingestion"` // logs that protection needs
	Agents    Money   `json:"agents"`    // CPU and memory that agents reserve
	Total     Money   `json:"total"`     // of those that are assessed
	VCores    float64 `json:"vcores"`    // average of the day over running pools
}
