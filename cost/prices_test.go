package cost

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

func TestShippedPricesSayWhereTheyAreFrom(t *testing.T) {
	f := Shipped()
	has := map[string]bool{}
	for _, p := range f.Prices {
		has[p.Key] = true
	}
	for _, k := range []string{PriceVCore, PriceScan, PriceIncluded, PriceMonth, PriceCPUShare, PriceAnalytics, PriceBasic, PriceAuxiliary, PriceThroughput, PriceEvents, PriceStorage} {
		if !has[k] {
			t.Errorf("no %s", k)
		}
	}
	kinds := map[string]bool{}
	for _, m := range f.Meters {
		kinds[m.What] = true
	}
	for _, k := range []string{MeterPlan, MeterScans, MeterUnits, MeterIngestion, MeterEventHubs, MeterCompute} {
		if !kinds[k] {
			t.Errorf("no meter %s", k)
		}
	}
	for _, n := range f.Names {
		if n.Key == "" || n.Source == "" || !isDate.MatchString(n.AsOf) {
			t.Errorf("name %+v", n)
		}
	}
}

// What our agents are said to reserve is what their manifests request.
func TestOurReservationsAreThoseOfTheManifests(t *testing.T) {
	var own AgentCost
	for _, a := range Shipped().Agents {
		if a.Provider == ProviderDockreeve {
			own = a
		}
	}
	for _, tt := range []struct {
		file        string
		cpu, memory float64
	}{{"node-agent.yaml", own.NodeCPU, own.NodeMemory}, {"cluster-agent.yaml", own.ClusterCPU, own.ClusterMemory}} {
		b, err := os.ReadFile("../deploy/kubernetes/" + tt.file)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`requests: \{cpu: (\d+)m, memory: (\d+)Mi\}`).FindAllStringSubmatch(string(b), -1)
		if len(m) != 1 {
			t.Fatalf("%s: %d requests of CPU and memory", tt.file, len(m))
		}
		cpu, _ := strconv.ParseFloat(m[0][1], 64)
		memory, _ := strconv.ParseFloat(m[0][2], 64)
		if cpu/1000 != tt.cpu || memory/1024 != tt.memory {
			t.Errorf("%s requests %gm and %gMi, the price file says %g cores and %g GiB", tt.file, cpu, memory, tt.cpu, tt.memory)
		}
	}
}

func TestSizesAreNotGuessed(t *testing.T) {
	table := sizesOf(&Input{Tenant: &cloud.Tenant{Sizes: []cloud.Size{{Name: "Standard_B2ms", VCPUs: 7, Memory: 1}}}, Sizes: []cloud.Size{{Name: "Standard_B2ms", VCPUs: 9}, {Name: "Own_1", VCPUs: 5}}})
	for name, vcpus := range map[string]int{
		"Standard_E4-2ads_v5": 2, "standard_e4-2s_v3": 2, "Standard_E96-24s_v5": 24, "Standard_M128-32ms": 32, "Standard_DS14-4_v2": 4, "Standard_D5_v2": 16, "Standard_D11_v2": 2, "Standard_B20ms": 20,
		"Standard_D4s_v5": 4, "D4s_v5": 4, "Standard_D128ds_v6": 128, "Standard_F72s_v2": 72, "Standard_NC6s_v3": 6, "Standard_ND96isr_H100_v5": 96, "Standard_NV36adms_A10_v5": 36, "Standard_L80as_v3": 80,
		"Standard_B2ms": 7, "Own_1": 5,
		"Standard_D7s_v5": 0, "Standard_D4s_v9": 0, "": 0,
	} {
		s, ok := table.find(name)
		if ok != (vcpus > 0) || s.VCPUs != vcpus {
			t.Errorf("%s: got %d (%v), want %d", name, s.VCPUs, ok, vcpus)
		}
	}
}

func TestFilesOfTheUsersOwn(t *testing.T) {
	for in, want := range map[string]string{
		`{"format":"dockreeve-prices","version":1,"prices":[{"key":"a","unit":"1","amount":1,"currency":"EUR","asOf":"2026-09-01","source":"x"}]}`: "",
		`{"format":"dockreeve-prices","version":2}`:             `"version" 2`,
		`{"format":"dockreeve-prices","version":1,"prises":[]}`: "prises",
		`{"format":"dockreeve-prices","version":1,"prices":[{"key":"a","unit":"1","amount":1,"currency":"EUR","asOf":"1.9.2026","source":"x"}]}`:    `entry 1 ("a"): "asOf"`,
		`{"format":"dockreeve-prices","version":1,"prices":[{"key":"a","unit":"1","amount":-1,"currency":"EUR","asOf":"2026-09-01","source":"x"}]}`: `"amount" is -1`,
		`{"format":"dockreeve-prices","version":1,"prices":[{"key":"a","unit":"1","amount":1,"currency":"euro","asOf":"2026-09-01","source":"x"}]}`: `"currency"`,
		`{"format":"dockreeve-prices","version":1,"prices":[{"key":"a","unit":"1","amount":1,"currency":"EUR","asOf":"2026-09-01"}]}`:               `"source"`,
		`{"format":"dockreeve-prices","version":1,"agents":[{"provider":"x","asOf":"2026-09-01","source":"y","nodeCPU":-1}]}`:                       "-1 is no amount",
		`{"format":"dockreeve-prices","version":1} x`: "something follows",
		``: "EOF",
	} {
		_, err := LoadPrices(strings.NewReader(in))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
	}
	for in, want := range map[string]string{
		"# mine\nname,vcpus,memoryGiB,gpus\nOwn_1,5,8,0\n": "",
		"":                            "empty",
		"name,cores\n":                "wrong number of fields",
		"size,vcpus,memoryGiB,gpus\n": "the heading is",
		"name,vcpus,memoryGiB,gpus\nOwn_1,4.5,8,0\n": "line 2, vcpus",
		"name,vcpus,memoryGiB,gpus\nOwn_1,4,NaN,0\n": "line 2, memoryGiB",
		"name,vcpus,memoryGiB,gpus\n,4,8,0\n":        "line 2: no name",
		"name,vcpus,memoryGiB,gpus\nOwn_1,4,8,-1\n":  "line 2, gpus",
	} {
		_, err := LoadSizes(strings.NewReader(in))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", in, err, want)
		}
	}
}

func TestTheMostTrustedPriceIsTaken(t *testing.T) {
	price := func(source, region string, amount Amount, currency string) Price {
		return Price{Key: PriceAnalytics, Unit: "1 GB", Region: region, Amount: amount, Currency: currency, AsOf: "2026-09-01", Source: source}
	}
	in := &Input{Prices: []Price{price("negotiated", "", 1, "EUR"), price("negotiated", "westeurope", 2, "EUR"), price("list", "northeurope", 3, "EUR"), price("list", "", 4, "CHF")},
		Charges: []Charge{{Currency: "EUR", Start: day, More: map[string]string{"x_PricingCurrency": "CHF", "x_BillingExchangeRate": "1.5"}}}}
	b := bookOf(in, "EUR")
	for region, want := range map[string]Amount{"westeurope": 2, "WestEurope": 2, "northeurope": 1, "": 1} {
		if p, why := b.price(PriceAnalytics, "", region, nil); why != "" || p.Amount != want {
			t.Errorf("%s: got %+v (%s), want %d", region, p, why, want)
		}
	}
	if p, why := b.price(PriceVCore, "", "", nil); !strings.Contains(why, "known in USD, not in EUR") {
		t.Errorf("got %+v, %q", p, why)
	}
	if p, why := bookOf(in, "CHF").price(PriceAnalytics, "", "", nil); why != "" || p.Amount != 4 {
		t.Errorf("got %+v, %q", p, why)
	}
	in.Prices = in.Prices[3:]
	if p, why := bookOf(in, "EUR").price(PriceAnalytics, "", "", nil); why != "" || p.Amount != 6 || p.Currency != "EUR" || !strings.Contains(p.Source, "exchange rate of 1970-01-02") {
		t.Errorf("got %+v, %q", p, why)
	}
}

func TestPricesOfAPublishedListGetTheirKeys(t *testing.T) {
	got := keyed([]Price{
		{Service: "Virtual Machines", SKU: "Standard_D4s_v5", Unit: "1 Hour"}, {Service: "Virtual Machines", SKU: "Standard_D4s_v5", Unit: "1 Year", Type: "Reservation"}, {Service: "Virtual Machines", Unit: "1 Hour"},
		{Service: "Microsoft Defender for Cloud", Product: "Microsoft Defender for Containers", Meter: "Standard vCore", Unit: "1/Month"}, {Service: "Microsoft Defender for Cloud", Product: "Microsoft Defender for Servers", Meter: "Standard vCore", Unit: "1/Month"},
		{Service: "Microsoft Defender for Cloud", Product: "Microsoft Defender for Containers", Meter: "Standard Images", Unit: "1"},
		{Service: "azure monitor", Meter: "Basic Logs Data Ingestion", Unit: "1 GB"}, {Key: "mine", Service: "Virtual Machines", SKU: "x", Unit: "1 Hour"},
	})
	for i, want := range []string{PriceComputeHour, "", "", PriceVCore, "", PriceScan, PriceBasic, "mine"} {
		if got[i].Key != want {
			t.Errorf("%+v: want %q", got[i], want)
		}
	}
}

func FuzzLoadPrices(f *testing.F) {
	f.Add(string(shippedPrices))
	f.Add(`{"format":"dockreeve-prices","version":1,"prices":[{}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := LoadPrices(strings.NewReader(s))
		if err != nil {
			return
		}
		for i := range p.Prices {
			if p.Prices[i].AsOf == "" || p.Prices[i].Source == "" || p.Prices[i].Amount < 0 {
				t.Errorf("%+v", p.Prices[i])
			}
		}
	})
}

func FuzzLoadSizes(f *testing.F) {
	f.Add("name,vcpus,memoryGiB,gpus\nOwn_1,5,8,0\n")
	f.Fuzz(func(t *testing.T, s string) {
		sizes, err := LoadSizes(strings.NewReader(s))
		if err != nil {
			return
		}
		for _, x := range sizes {
			if x.Name == "" || x.VCPUs < 1 || !(x.Memory > 0) {
				t.Errorf("%+v", x)
			}
		}
	})
}
