package azure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// leap is a clock that moves as soon as anybody waits, and notes for how long.
type leap struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func newLeap() *leap { return &leap{now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)} }

func (l *leap) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *leap) After(d time.Duration) (<-chan time.Time, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d > 0 {
		l.now = l.now.Add(d)
		l.slept = append(l.slept, d)
	}
	c := make(chan time.Time, 1)
	c <- l.now
	return c, func() {}
}

func (l *leap) waited() (sum time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.slept {
		sum += d
	}
	return sum
}

type fixedToken struct{ err error }

func (f fixedToken) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "secret-token", ExpiresOn: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}, f.err
}

// fake answers as ARM does for one tenant of two subscriptions: a holds a cluster, an Arc
// cluster and a registry, b nothing. special answers first where it has something for a
// path (in lower case, without a query).
type fake struct {
	t       *testing.T
	mu      sync.Mutex
	asked   []string
	special map[string]func(w http.ResponseWriter, r *http.Request, n int)
	times   map[string]int
	url     string
}

const registryA = `{"id":"` + subA + `/resourceGroups/rg-one/providers/Microsoft.ContainerRegistry/registries/reg","name":"reg","subscriptionId":"` + guidA + `","properties":{"loginServer":"reg.azurecr.io"}}`

func newFake(t *testing.T) *fake {
	f := &fake{t: t, special: map[string]func(http.ResponseWriter, *http.Request, int){}, times: map[string]int{}}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.ToLower(r.URL.Path)
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+path)
	n := f.times[path]
	f.times[path]++
	special := f.special[path]
	f.mu.Unlock()
	auth := r.Header.Get("Authorization")
	if open := strings.HasPrefix(path, "/api/retail/"); open == (auth != "") {
		f.t.Errorf("%s: authorization %q", path, auth)
	}
	if r.Method != http.MethodGet && !(r.Method == http.MethodPost && (strings.HasSuffix(path, "/resources") || strings.HasSuffix(path, "/query") || strings.HasSuffix(path, "/queryresults"))) {
		f.t.Errorf("%s %s: only GET and queries may be sent", r.Method, path)
	}
	if special != nil {
		special(w, r, n)
		return
	}
	fmt.Fprint(w, f.plain(path, r))
}

func (f *fake) plain(path string, r *http.Request) string {
	value := func(docs ...string) string { return `{"value":[` + strings.Join(docs, ",") + `]}` }
	switch path {
	case "/subscriptions":
		return value(`{"id":"`+subA+`","displayName":"a","state":"Enabled","tenantId":"`+guidB+`"}`, `{"id":"`+subB+`","displayName":"b","state":"Enabled","tenantId":"`+guidB+`"}`)
	case "/providers/microsoft.management/managementgroups":
		return value(`{"id":"/providers/Microsoft.Management/managementGroups/`+guidB+`","name":"`+guidB+`","type":"Microsoft.Management/managementGroups","properties":{"displayName":"Root","tenantId":"`+guidB+`"}}`,
			`{"id":"/providers/Microsoft.Management/managementGroups/prod","name":"prod","type":"Microsoft.Management/managementGroups","properties":{"displayName":"Prod","tenantId":"`+guidB+`"}}`)
	case "/providers/microsoft.management/managementgroups/" + guidB + "/descendants":
		return value(`{"id":"/providers/Microsoft.Management/managementGroups/prod","name":"prod","type":"Microsoft.Management/managementGroups","properties":{"displayName":"Prod","parent":{"id":"/providers/Microsoft.Management/managementGroups/`+guidB+`"}}}`,
			`{"id":"`+subA+`","name":"`+guidA+`","type":"Microsoft.Management/managementGroups/subscriptions","properties":{"displayName":"a","parent":{"id":"/providers/Microsoft.Management/managementGroups/prod"}}}`)
	case "/providers/microsoft.resourcegraph/resources":
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "type =~ 'microsoft.containerregistry/registries'") {
			return `{"totalRecords":1,"count":1,"data":[` + registryA + `],"facets":[],"resultTruncated":"false"}`
		}
		return `{"totalRecords":0,"count":0,"data":[]}`
	case subA + "/providers/microsoft.containerservice/managedclusters":
		return value(aksNested)
	case subA + "/providers/microsoft.kubernetes/connectedclusters":
		return value(`{"id":"` + arcA + `","name":"arc-one","location":"westeurope","properties":{"kubernetesVersion":"1.31.2"}}`)
	case subA + "/providers/microsoft.security/pricings", subB + "/providers/microsoft.security/pricings":
		scope := strings.TrimSuffix(path, "/providers/microsoft.security/pricings")
		return value(`{"id":"` + scope + `/providers/Microsoft.Security/pricings/Containers","name":"Containers","properties":{"pricingTier":"Standard"}}`)
	case aksA + "/providers/microsoft.security/pricings/containers":
		return `{"id":"` + aksA + `/providers/Microsoft.Security/pricings/Containers","name":"Containers","properties":{"pricingTier":"Standard","inherited":"True"}}`
	case subA + "/providers/microsoft.authorization/policyassignments":
		return value(`{"id":"` + subA + `/providers/Microsoft.Authorization/policyAssignments/p","name":"p","properties":{"policyDefinitionId":"/providers/Microsoft.Authorization/policyDefinitions/d"}}`)
	case "/providers/microsoft.authorization/policydefinitions/d":
		return `{"id":"/providers/Microsoft.Authorization/policyDefinitions/d","name":"d","properties":{"displayName":"D"}}`
	case subA + "/providers/microsoft.compute/skus":
		return value(`{"resourceType":"virtualMachines","name":"Standard_D4s_v5","capabilities":[{"name":"vCPUs","value":"4"}]}`, `{"resourceType":"virtualMachines","name":"Standard_NotUsed","capabilities":[{"name":"vCPUs","value":"4"}]}`)
	case subA + "/providers/microsoft.costmanagement/query":
		return `{"properties":{"nextLink":null,"columns":[{"name":"Cost"},{"name":"UsageDate"},{"name":"Currency"},{"name":"ResourceId"}],"rows":[[1,20261101,"EUR","` + aksA + `"],[2,20261102,"EUR","` + aksA + `"]]}}`
	case "/api/retail/prices":
		return `{"Items":[{"currencyCode":"EUR","retailPrice":0.2,"meterId":"` + r.URL.Query().Get("$filter")[:12] + `","meterName":"D4s v5","unitOfMeasure":"1 Hour"}],"NextPageLink":null}`
	}
	return value()
}

func (f *fake) options(b *Builder) Options {
	return Options{Credential: fixedToken{}, Endpoint: f.url, PricesEndpoint: f.url, Currency: "EUR", Clock: newLeap(), Sink: b.Add}
}

func (f *fake) collect(o func(*Options)) *Snapshot {
	f.t.Helper()
	b := NewBuilder()
	opts := f.options(b)
	if o != nil {
		o(&opts)
	}
	if err := Collect(context.Background(), opts); err != nil {
		f.t.Fatal(err)
	}
	return b.Snapshot()
}

func (f *fake) count(method, path string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.asked {
		if a == method+" "+path {
			n++
		}
	}
	return n
}

func arm(w http.ResponseWriter, status int, code, text string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%q,"message":%q}}`, code, text)
}

func TestCollectReadsATenant(t *testing.T) {
	f := newFake(t)
	var last Progress
	s := f.collect(func(o *Options) { o.Progress = func(p Progress) { last = p } })
	tn := s.Tenant
	if len(tn.Subscriptions) != 2 || len(tn.Clusters) != 2 || len(tn.Registries) != 1 || len(tn.Definitions) != 1 || len(tn.Sizes) != 1 || len(tn.Groups) != 2 || s.Bill.Len() != 2 || len(s.Prices) != 2 {
		t.Errorf("got %+v, %d charges, %d prices", tn, s.Bill.Len(), len(s.Prices))
	}
	if g := tn.Subscriptions[0].Group; g != groupPrefix+"prod" {
		t.Errorf("group %q", g)
	}
	for _, r := range tn.Reads {
		want := cloud.ReadOK
		if slices.Contains([]string{cloud.ReadStates, cloud.ReadAlerts, cloud.ReadAssessments, cloud.ReadSuppressions, cloud.ReadActivity, cloud.ReadCosts, cloud.ReadAmortized}, r.What) && r.Scope == subB {
			want = cloud.ReadSkipped
		}
		if r.Outcome != want || r.Bad != 0 {
			t.Errorf("want %s: %+v", want, r)
		}
	}
	// two tenant lists, definitions, sizes, prices; 18 of each subscription; 2 of the cluster, 1 of the Arc cluster
	if want := 5 + 2*18 + 3; len(tn.Reads) != want || last.Done != want || last.Total != want {
		t.Errorf("%d reads, %+v; want %d", len(tn.Reads), last, want)
	}
	if n := f.count("GET", subB+"/providers/microsoft.costmanagement/query") + f.count("POST", subB+"/providers/microsoft.costmanagement/query"); n != 0 {
		t.Errorf("a subscription without clusters was asked for costs %d times", n)
	}
	if n := f.count("GET", subA+"/providers/microsoft.containerregistry/registries"); n != 0 {
		t.Errorf("what Resource Graph gave was asked again %d times", n)
	}
}

func TestOneReadThatFailsStopsNoOther(t *testing.T) {
	f := newFake(t)
	answer := func(status int, code string) func(http.ResponseWriter, *http.Request, int) {
		return func(w http.ResponseWriter, _ *http.Request, _ int) { arm(w, status, code, "told\nso") }
	}
	f.special[subA+"/providers/microsoft.consumption/budgets"] = answer(403, "AuthorizationFailed")
	f.special[subB+"/providers/microsoft.consumption/budgets"] = answer(401, "ExpiredAuthenticationToken")
	f.special[subA+"/providers/microsoft.security/pricings"] = answer(409, "MissingSubscriptionRegistration")
	f.special[subB+"/providers/microsoft.security/pricings"] = answer(404, "Subscription Not Registered")
	f.special[subA+"/providers/microsoft.security/alerts"] = answer(500, "InternalServerError")
	f.special[aksA+"/providers/microsoft.security/pricings/containers"] = answer(404, "ResourceNotFound")
	f.special[aksA+"/providers/microsoft.insights/diagnosticsettings"] = func(w http.ResponseWriter, _ *http.Request, _ int) { fmt.Fprint(w, "<html>") }
	s := f.collect(nil)
	for _, c := range []struct{ what, scope, outcome, reason, remedy string }{
		{cloud.ReadBudgets, subA, cloud.ReadDenied, "AuthorizationFailed: told so", "grant Microsoft.Consumption/budgets/read on " + subA},
		{cloud.ReadBudgets, subB, cloud.ReadDenied, "ExpiredAuthenticationToken", "grant"},
		{cloud.ReadPlan, subA, cloud.ReadAbsent, "MissingSubscriptionRegistration", ""},
		{cloud.ReadPlan, subB, cloud.ReadAbsent, "Not Registered", ""},
		{cloud.ReadAlerts, subA, cloud.ReadFailed, "InternalServerError", "again"},
		{cloud.ReadClusterPlan, aksA, cloud.ReadAbsent, "ResourceNotFound", ""},
		{cloud.ReadDiagnostics, aksA, cloud.ReadPartial, "broke off", "again"},
		{cloud.ReadClusters, subA, cloud.ReadOK, "", ""},
		{cloud.ReadCosts, subA, cloud.ReadOK, "", ""},
	} {
		r := readOf(t, s, c.what, c.scope)
		if r.Outcome != c.outcome || !strings.Contains(r.Reason, c.reason) || !strings.Contains(r.Remedy, c.remedy) {
			t.Errorf("%+v", r)
		}
	}
	if n := f.count("GET", subB+"/providers/microsoft.consumption/budgets"); n != 2 {
		t.Errorf("401: asked %d times, want twice: the token may have run out", n)
	}
	if n := f.count("GET", subA+"/providers/microsoft.security/alerts"); n != maxTries {
		t.Errorf("500: asked %d times, want %d", n, maxTries)
	}
}

func TestASubscriptionThatCannotBeReadIsNamed(t *testing.T) {
	f := newFake(t)
	for _, l := range perSub() {
		f.special[subB+strings.ToLower(l.path)] = func(w http.ResponseWriter, _ *http.Request, _ int) { arm(w, 403, "AuthorizationFailed", "no") }
	}
	for _, p := range []string{costPath, activityPath} {
		path, _, _ := strings.Cut(p, "?")
		f.special[subB+strings.ToLower(path)] = func(w http.ResponseWriter, _ *http.Request, _ int) { arm(w, 403, "AuthorizationFailed", "no") }
	}
	s := f.collect(nil)
	n := 0
	for _, r := range s.Tenant.Reads {
		if r.Scope == subB {
			if n++; r.Outcome != cloud.ReadDenied {
				t.Errorf("%+v", r)
			}
		}
	}
	if n != 18 || len(s.Tenant.Subscriptions) != 2 || len(s.Tenant.Clusters) != 2 {
		t.Errorf("%d reads of it; %+v", n, s.Tenant)
	}
}

func TestPagesAreFollowedOnTheSameHostOnly(t *testing.T) {
	f := newFake(t)
	group := func(i int) string {
		return fmt.Sprintf(`{"id":"%s/resourceGroups/rg-%d","name":"rg-%d","location":"westeurope"}`, subA, i, i)
	}
	f.special[subA+"/resourcegroups"] = func(w http.ResponseWriter, r *http.Request, n int) {
		if n < 3 {
			fmt.Fprintf(w, `{"value":[%s],"nextLink":"%s%s?api-version=2021-04-01&$skiptoken=%d"}`, group(n), f.url, r.URL.Path, n+1)
			return
		}
		fmt.Fprintf(w, `{"value":[%s]}`, group(n))
	}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host was asked") }))
	defer other.Close()
	f.special[subB+"/resourcegroups"] = func(w http.ResponseWriter, r *http.Request, n int) {
		fmt.Fprintf(w, `{"value":[%s],"nextLink":"%s/x"}`, group(9), other.URL)
	}
	f.special[subB+"/providers/microsoft.containerregistry/registries"] = func(w http.ResponseWriter, r *http.Request, n int) {
		http.Redirect(w, r, other.URL, http.StatusFound)
	}
	s := f.collect(nil)
	if r := readOf(t, s, cloud.ReadResourceGroups, subA); r.Rows != 4 || r.Outcome != cloud.ReadOK || len(s.Tenant.ResourceGroups) != 5 {
		t.Errorf("%+v, %d groups", r, len(s.Tenant.ResourceGroups))
	}
	if r := readOf(t, s, cloud.ReadResourceGroups, subB); r.Rows != 1 || r.Outcome != cloud.ReadPartial || !strings.Contains(r.Reason, "another host") {
		t.Errorf("%+v", r)
	}
	if r := readOf(t, s, cloud.ReadRegistries, subB); r.Outcome != cloud.ReadFailed || !strings.Contains(r.Reason, "another host") {
		t.Errorf("%+v", r)
	}
}

func TestHalfAPageIsKeptAndToldAsPartial(t *testing.T) {
	f := newFake(t)
	f.special[subA+"/resourcegroups"] = func(w http.ResponseWriter, r *http.Request, n int) {
		body := `{"value":[{"id":"` + subA + `/resourceGroups/one","name":"one"},{"id":"` + subA + `/resourceGroups/two","na`
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+100))
		fmt.Fprint(w, body)
	}
	s := f.collect(nil)
	if r := readOf(t, s, cloud.ReadResourceGroups, subA); r.Rows != 1 || r.Outcome != cloud.ReadPartial || len(s.Tenant.ResourceGroups) != 1 {
		t.Errorf("%+v, %+v", r, s.Tenant.ResourceGroups)
	}
	if n := f.count("GET", subA+"/resourcegroups"); n != maxTries {
		t.Errorf("asked %d times, want %d", n, maxTries)
	}
}

func TestItWaitsAsLongAsItIsTold(t *testing.T) {
	f := newFake(t)
	path := subA + "/providers/microsoft.costmanagement/query"
	f.special[path] = func(w http.ResponseWriter, r *http.Request, n int) {
		if n == 0 {
			w.Header().Set("Retry-After", "3")
			w.Header().Set("x-ms-ratelimit-microsoft.costmanagement-entity-retry-after", "7")
			arm(w, 429, "TooManyRequests", "slow down")
			return
		}
		fmt.Fprint(w, f.plain(path, r))
	}
	f.special["/providers/microsoft.resourcegraph/resources"] = func(w http.ResponseWriter, r *http.Request, n int) {
		if n == 0 {
			w.Header().Set("x-ms-user-quota-remaining", "0")
			w.Header().Set("x-ms-user-quota-resets-after", "00:00:11")
			fmt.Fprint(w, `{"data":[],"$skipToken":"next"}`) // its next page comes after it, other queries need not
			return
		}
		fmt.Fprint(w, f.plain("/providers/microsoft.resourcegraph/resources", r))
	}
	clk := newLeap()
	var lanes []string
	s := f.collect(func(o *Options) {
		o.Clock = clk
		o.Progress = func(p Progress) {
			if p.Lane != "" {
				lanes = append(lanes, p.Lane)
			}
		}
	})
	if r := readOf(t, s, cloud.ReadCosts, subA); r.Outcome != cloud.ReadOK || r.Rows != 2 {
		t.Errorf("%+v", r)
	}
	if !slices.Contains(clk.slept, 7*time.Second) || !slices.Contains(clk.slept, 11*time.Second) || !slices.Contains(lanes, "microsoft.costmanagement in "+subA) || !slices.Contains(lanes, "graph") {
		t.Errorf("slept %v, told of %v", clk.slept, lanes)
	}
}

func TestPatienceEndsAndTheRestGoesOn(t *testing.T) {
	f := newFake(t)
	f.special[subA+"/providers/microsoft.costmanagement/query"] = func(w http.ResponseWriter, r *http.Request, n int) {
		w.Header().Set("Retry-After", "60")
		arm(w, 429, "TooManyRequests", "slow down")
	}
	f.special["/api/retail/prices"] = func(w http.ResponseWriter, r *http.Request, n int) { w.WriteHeader(429) }
	clk := newLeap()
	s := f.collect(func(o *Options) { o.Clock, o.Patience = clk, 5*time.Minute })
	for _, r := range []cloud.Read{readOf(t, s, cloud.ReadCosts, subA), readOf(t, s, cloud.ReadPrices, "")} {
		if r.Outcome != cloud.ReadThrottled || !strings.Contains(r.Reason, "5m0s") || r.Remedy == "" {
			t.Errorf("%+v", r)
		}
	}
	if r := readOf(t, s, cloud.ReadActivity, subA); r.Outcome != cloud.ReadOK {
		t.Errorf("%+v", r)
	}
	if w := clk.waited(); w > 30*time.Minute {
		t.Errorf("waited %s", w)
	}
}

func TestSixGroupsOrTwo(t *testing.T) {
	f := newFake(t)
	path := subA + "/providers/microsoft.costmanagement/query"
	f.special[path] = func(w http.ResponseWriter, r *http.Request, n int) {
		var q struct{ Dataset struct{ Grouping []any } }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		if len(q.Dataset.Grouping) > 2 {
			arm(w, 400, "BadRequest", "too many groups")
			return
		}
		fmt.Fprint(w, f.plain(path, r))
	}
	s := f.collect(nil)
	if r := readOf(t, s, cloud.ReadCosts, subA); r.Outcome != cloud.ReadOK || r.Rows != 2 || !strings.Contains(r.Reason, "two groups") {
		t.Errorf("%+v", r)
	}
}

func TestACollectionGoesOnWhereOneWasCutShort(t *testing.T) {
	f := newFake(t)
	var first []Record
	stop := errors.New("the disk is full")
	opts := f.options(NewBuilder())
	opts.Concurrency = 1
	opts.Sink = func(r Record) error {
		if len(first) == 30 {
			return stop
		}
		first = append(first, r)
		return nil
	}
	if err := Collect(context.Background(), opts); !errors.Is(err, stop) {
		t.Fatalf("want the error of the sink, got %v", err)
	}
	whole := newFake(t).collect(nil)
	f.mu.Lock()
	f.asked = nil
	f.mu.Unlock()
	again := f.collect(func(o *Options) {
		o.Previous = func(each func(Record) error) error {
			for _, r := range first {
				if err := each(r); err != nil {
					return err
				}
			}
			return nil
		}
	})
	if n := f.count("GET", "/subscriptions"); n != 0 {
		t.Errorf("subscriptions were asked again %d times", n)
	}
	if a, b := summary(again), summary(whole); a != b {
		t.Errorf("differ:\n%s\n%s", a, b)
	}
}

// summary writes a snapshot without the times at which it was read.
func summary(s *Snapshot) string {
	t := *s.Tenant
	t.Collected, t.Finished, t.Source = 0, 0, ""
	t.Reads = slices.Clone(t.Reads)
	for i := range t.Reads {
		t.Reads[i].At = 0
	}
	prices := slices.Clone(s.Prices)
	for i := range prices {
		prices[i].AsOf = ""
	}
	b, err := json.MarshalIndent(struct {
		Tenant  *cloud.Tenant
		Charges []cost.Charge
		Prices  []cost.Price
	}{&t, slices.Collect(s.Bill.All()), prices}, "", " ")
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestACollectionCanBeInterrupted(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancel(context.Background())
	b := NewBuilder()
	opts := f.options(b)
	opts.Progress = func(p Progress) {
		if p.Done == 6 {
			cancel()
		}
	}
	if err := Collect(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	for _, r := range b.Snapshot().Tenant.Reads {
		if r.Outcome == cloud.ReadFailed {
			t.Errorf("an interrupted read passes for one that ended: %+v", r)
		}
	}
}

func TestWhatCannotBegin(t *testing.T) {
	f := newFake(t)
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no sign-in":   {func(o *Options) { o.Credential = fixedToken{errors.New("no account")} }, "no account: run `az login`"},
		"no sink":      {func(o *Options) { o.Sink = nil }, "no sink"},
		"plain http":   {func(o *Options) { o.Endpoint = "http://management.example.org" }, "want https"},
		"a path":       {func(o *Options) { o.Endpoint = "https://management.example.org/x" }, "want https://host"},
		"days":         {func(o *Options) { o.ActivityDays = 100 }, "want 1 to 89"},
		"currency":     {func(o *Options) { o.Currency = "€" }, "three capital letters"},
		"subscription": {func(o *Options) { o.Subscriptions = []string{"../x"} }, "want its id"},
		"skip":         {func(o *Options) { o.Skip = []string{"cost"} }, `no read is called "cost"`},
	} {
		o := f.options(NewBuilder())
		c.change(&o)
		if err := Collect(context.Background(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyWhatIsAskedForIsRead(t *testing.T) {
	f := newFake(t)
	s := f.collect(func(o *Options) {
		o.Subscriptions = []string{strings.ToUpper(guidA)}
		o.Skip = []string{cloud.ReadCosts, cloud.ReadPrices}
	})
	for _, r := range s.Tenant.Reads {
		if r.Scope == subB {
			t.Errorf("%+v", r)
		}
	}
	if r := readOf(t, s, cloud.ReadCosts, subA); r.Outcome != cloud.ReadSkipped || s.Bill.Len() != 0 {
		t.Errorf("%+v", r)
	}
}

// TestIdsFromDocumentsCannotLeadElsewhere holds that an id which would become another
// address is never asked.
func TestIdsFromDocumentsCannotLeadElsewhere(t *testing.T) {
	for _, id := range []string{"//evil.example/x", "/subscriptions/../x", "/a?b", "/a#b", "/a%2fb", "/a b", "@evil.example", `/a\b`} {
		if askable(id) {
			t.Errorf("%q is askable", id)
		}
	}
	if !askable(aksA) {
		t.Errorf("%q is not askable", aksA)
	}
}

func TestTheRoleHoldsExactlyWhatIsAsked(t *testing.T) {
	var role struct {
		Actions, NotActions, DataActions []string
		IsCustom                         bool
	}
	raw, err := Role()
	if err != nil || json.Unmarshal(raw, &role) != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(role.Actions, Actions()) || len(role.DataActions) != 0 || !role.IsCustom {
		t.Errorf("role.json:\n%v\nasked:\n%v", role.Actions, Actions())
	}
	for _, a := range role.Actions {
		if !strings.HasSuffix(a, "/read") || strings.Contains(a, "*") {
			t.Errorf("%s: want one action that reads", a)
		}
	}
	for what := range reductions() {
		if _, ok := Rights()[what]; !ok {
			t.Errorf("%s: no right is named for it", what)
		}
	}
	scoped, err := Role(subA)
	if err != nil || !strings.Contains(string(scoped), `"`+subA+`"`) || strings.Contains(string(scoped), "YOUR-GROUP") {
		t.Errorf("%s, %v", scoped, err)
	}
}

func FuzzReadPage(f *testing.F) {
	f.Add([]byte(`{"value":[{"id":"a"},{"id":"b"}],"nextLink":"https://x/y"}`))
	f.Add([]byte(`{"count":1,"data":[{"id":"a"}],"$skipToken":"t"}`))
	f.Add([]byte(`{"Items":[{"a":1}],"NextPageLink":null`))
	f.Add([]byte(`{"value":[{"id":"a"},{"id":`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := readPage(raw)
		if !json.Valid(raw) && err == nil && !p.cut {
			t.Fatal("half a page passes for whole")
		}
		for _, d := range p.items {
			if !json.Valid(d) {
				t.Fatalf("an element that is no JSON: %q", d)
			}
		}
		if next, err := follow("https://management.example/a", p.next); err == nil && !strings.HasPrefix(next, "https://management.example/") {
			t.Fatalf("leads to %q", next)
		}
	})
}
