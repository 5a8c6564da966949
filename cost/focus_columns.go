package cost

import "strings"

// column is a column of FOCUS 1.2, or one of Azure's beside it, and its place in a
// Charge. One table reads and writes, so that both mean the same.
type column struct {
	name   string
	text   func(*Charge) *string
	lower  bool // ids, compared without case
	amount func(*Charge) *Amount
	number func(*Charge) *float64
	date   func(*Charge) *int64
	tags   bool
}

// focusColumns are FOCUS 1.2's columns in its order, then those of Azure's that have a
// place. A column without a place is kept in Charge.More by its name.
func focusColumns() []column {
	text := func(name string, at func(*Charge) *string) column { return column{name: name, text: at} }
	lowered := func(name string, at func(*Charge) *string) column { return column{name: name, text: at, lower: true} }
	amount := func(name string, at func(*Charge) *Amount) column { return column{name: name, amount: at} }
	number := func(name string, at func(*Charge) *float64) column { return column{name: name, number: at} }
	date := func(name string, at func(*Charge) *int64) column { return column{name: name, date: at} }
	more := func(name string) column { return column{name: name} }
	return []column{
		more("AvailabilityZone"),
		amount("BilledCost", func(c *Charge) *Amount { return &c.Billed }),
		text("BillingAccountId", func(c *Charge) *string { return &c.BillingAccount }),
		more("BillingAccountName"),
		more("BillingAccountType"),
		text("BillingCurrency", func(c *Charge) *string { return &c.Currency }),
		date("BillingPeriodEnd", func(c *Charge) *int64 { return &c.PeriodEnd }),
		date("BillingPeriodStart", func(c *Charge) *int64 { return &c.PeriodStart }),
		more("CapacityReservationId"),
		more("CapacityReservationStatus"),
		text("ChargeCategory", func(c *Charge) *string { return &c.Category }),
		text("ChargeClass", func(c *Charge) *string { return &c.Class }),
		text("ChargeDescription", func(c *Charge) *string { return &c.Description }),
		more("ChargeFrequency"),
		date("ChargePeriodEnd", func(c *Charge) *int64 { return &c.End }),
		date("ChargePeriodStart", func(c *Charge) *int64 { return &c.Start }),
		more("CommitmentDiscountCategory"),
		text("CommitmentDiscountId", func(c *Charge) *string { return &c.Commitment }),
		more("CommitmentDiscountName"),
		more("CommitmentDiscountQuantity"),
		text("CommitmentDiscountStatus", func(c *Charge) *string { return &c.CommitmentUse }),
		more("CommitmentDiscountType"),
		more("CommitmentDiscountUnit"),
		number("ConsumedQuantity", func(c *Charge) *float64 { return &c.Quantity }),
		text("ConsumedUnit", func(c *Charge) *string { return &c.QuantityUnit }),
		amount("ContractedCost", func(c *Charge) *Amount { return &c.Contracted }),
		more("ContractedUnitPrice"),
		amount("EffectiveCost", func(c *Charge) *Amount { return &c.Effective }),
		more("InvoiceId"),
		text("InvoiceIssuerName", func(c *Charge) *string { return &c.Issuer }),
		amount("ListCost", func(c *Charge) *Amount { return &c.List }),
		more("ListUnitPrice"),
		text("PricingCategory", func(c *Charge) *string { return &c.Pricing }),
		more("PricingCurrency"),
		more("PricingCurrencyContractedUnitPrice"),
		more("PricingCurrencyEffectiveCost"),
		more("PricingCurrencyListUnitPrice"),
		number("PricingQuantity", func(c *Charge) *float64 { return &c.Priced }),
		text("PricingUnit", func(c *Charge) *string { return &c.PricedUnit }),
		text("ProviderName", func(c *Charge) *string { return &c.Provider }),
		text("PublisherName", func(c *Charge) *string { return &c.Publisher }),
		text("RegionId", func(c *Charge) *string { return &c.Region }),
		more("RegionName"),
		lowered("ResourceId", func(c *Charge) *string { return &c.Resource }),
		text("ResourceName", func(c *Charge) *string { return &c.ResourceName }),
		text("ResourceType", func(c *Charge) *string { return &c.ResourceType }),
		text("ServiceCategory", func(c *Charge) *string { return &c.ServiceClass }),
		text("ServiceName", func(c *Charge) *string { return &c.Service }),
		more("ServiceSubcategory"),
		text("SkuId", func(c *Charge) *string { return &c.SKU }),
		more("SkuMeter"),
		more("SkuPriceDetails"),
		text("SkuPriceId", func(c *Charge) *string { return &c.SKUPrice }),
		lowered("SubAccountId", func(c *Charge) *string { return &c.SubAccount }),
		text("SubAccountName", func(c *Charge) *string { return &c.SubAccountName }),
		more("SubAccountType"),
		{name: "Tags", tags: true},
		text("x_CostCenter", func(c *Charge) *string { return &c.CostCentre }),
		more("x_ResourceGroupName"),
		text("x_SkuMeterCategory", func(c *Charge) *string { return &c.MeterCategory }),
		text("x_SkuMeterId", func(c *Charge) *string { return &c.MeterID }),
		text("x_SkuMeterName", func(c *Charge) *string { return &c.Meter }),
		text("x_SkuMeterSubcategory", func(c *Charge) *string { return &c.MeterSub }),
	}
}

// judged are the columns without a place that judgements ask for: they are kept even where
// the rest is not.
func judged(name string) bool {
	switch name {
	case "x_ResourceGroupName", "x_PricingCurrency", "PricingCurrency", "x_BillingExchangeRate", "x_SkuDetails", "AdditionalInfo":
		return true
	}
	return false
}

// spellings gives known columns of Azure's their own spelling, whatever a file writes.
func spellings() []string {
	return []string{"x_PricingCurrency", "x_BillingExchangeRate", "x_SkuDetails"}
}

// Columns of Azure's older exports (actual and amortised cost), as folded, and what they
// are. Those with a star need more than a place.
func olderColumns() map[string]string {
	return map[string]string{
		"costinbillingcurrency": "BilledCost", "cost": "BilledCost", "pretaxcost": "BilledCost", "kosten": "BilledCost",
		"date": "*Date", "usagedate": "*Date", "usagedatetime": "*Date", "datum": "*Date",
		"billingcurrency": "BillingCurrency", "billingcurrencycode": "BillingCurrency", "currency": "BillingCurrency", "währung": "BillingCurrency", "abrechnungswährung": "BillingCurrency",
		"billingperiodstartdate": "BillingPeriodStart", "billingperiodenddate": "*BillingPeriodEndDate",
		"billingaccountid": "BillingAccountId", "billingaccountname": "BillingAccountName",
		"subscriptionid": "*SubscriptionId", "subscriptionguid": "*SubscriptionId", "abonnementid": "*SubscriptionId", "abonnementguid": "*SubscriptionId",
		"subscriptionname": "SubAccountName", "abonnementname": "SubAccountName",
		"resourcegroup": "x_ResourceGroupName", "resourcegroupname": "x_ResourceGroupName", "ressourcengruppe": "x_ResourceGroupName",
		"resourcelocation": "RegionId", "ressourcenstandort": "RegionId",
		"resourceid": "ResourceId", "instanceid": "ResourceId", "ressourcenid": "ResourceId",
		"resourcename": "ResourceName", "resourcetype": "ResourceType",
		"metercategory": "x_SkuMeterCategory", "kategoriederverbrauchseinheit": "x_SkuMeterCategory",
		"metersubcategory": "x_SkuMeterSubcategory", "unterkategoriederverbrauchseinheit": "x_SkuMeterSubcategory",
		"metername": "x_SkuMeterName", "namederverbrauchseinheit": "x_SkuMeterName",
		"meterid": "x_SkuMeterId", "idderverbrauchseinheit": "x_SkuMeterId",
		"quantity": "ConsumedQuantity", "usagequantity": "ConsumedQuantity", "consumedquantity": "ConsumedQuantity", "menge": "ConsumedQuantity",
		"unitofmeasure": "ConsumedUnit", "maßeinheit": "ConsumedUnit",
		"tags": "Tags", "costcenter": "x_CostCenter", "kostenstelle": "x_CostCenter",
		"productname": "ChargeDescription", "product": "ChargeDescription",
		"servicename": "ServiceName", "servicefamily": "ServiceCategory",
		"publishername": "PublisherName", "provider": "ProviderName",
		"chargetype": "*ChargeType", "pricingmodel": "*PricingModel",
		"reservationid": "CommitmentDiscountId", "benefitid": "CommitmentDiscountId", "reservationname": "CommitmentDiscountName", "benefitname": "CommitmentDiscountName",
		"additionalinfo": "AdditionalInfo", "zusätzlicheinformationen": "AdditionalInfo",
		"availabilityzone": "AvailabilityZone", "invoiceid": "InvoiceId", "frequency": "ChargeFrequency",
		"pricingcurrency": "x_PricingCurrency", "pricingcurrencycode": "x_PricingCurrency", "exchangeratepricingtobilling": "x_BillingExchangeRate",
	}
}

// fold makes headings comparable: case, spaces and punctuation do not count, and of
// "Kosten (PreTaxCost)" what is in the brackets does.
func foldHeading(heading string) string {
	h := strings.TrimSpace(strings.TrimPrefix(heading, "\ufeff"))
	if i := strings.LastIndexByte(h, '('); i > 0 && strings.HasSuffix(h, ")") && len(h)-i > 2 {
		h = h[i+1 : len(h)-1]
	}
	var b strings.Builder
	for _, r := range strings.ToLower(h) {
		if r == '_' || r == ' ' || r == '-' || r == '.' || r == '/' || r == '\u00a0' {
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
