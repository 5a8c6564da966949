package arm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/inventory/cloud"
)

var testNow = time.Date(2026, 11, 26, 14, 0, 0, 0, time.UTC)

func serve(t *testing.T, o Options) *Server {
	t.Helper()
	if o.World == nil {
		o.World = tenant.New(tenant.Options{Seed: 7, Now: testNow, Days: 10})
	}
	s := Serve(o)
	t.Cleanup(s.Close)
	return s
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	raw    []byte
	err    error // while reading the body
}

func (s *Server) ask(t *testing.T, method, path, body string) answer {
	t.Helper()
	url := path
	if strings.HasPrefix(path, "/") {
		url = s.URL + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token())
	return send(t, req)
}

func send(t *testing.T, req *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	a.raw, a.err = io.ReadAll(resp.Body)
	if a.err == nil {
		if err := json.Unmarshal(a.raw, &a.body); err != nil {
			t.Fatalf("%s: %v: %s", req.URL, err, a.raw)
		}
	}
	return a
}

func (a answer) code() string { return text(member(a.body["error"], "code")) }

// all follows a list to its end.
func (s *Server) all(t *testing.T, method, path, body, items, link string) (rows []any, pages int) {
	t.Helper()
	for path != "" {
		a := s.ask(t, method, path, body)
		if a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, a.status, a.raw)
		}
		list, ok := a.body[items].([]any)
		if !ok {
			t.Fatalf("%s: no %s in %s", path, items, a.raw)
		}
		rows = append(rows, list...)
		pages++
		path = text(a.body[link])
	}
	return rows, pages
}

// richest is the subscription with the most documents of a read.
func richest(t *testing.T, w *tenant.World, what string) (sub string, most int) {
	t.Helper()
	for _, s := range w.Subscriptions() {
		n := 0
		if err := w.Each(tenant.Ask{What: what, Scope: s}, func(json.RawMessage) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		if n > most {
			sub, most = s, n
		}
	}
	return sub, most
}

func TestATokenIsAskedForAndExpires(t *testing.T) {
	s := serve(t, Options{})
	const path = "/subscriptions?api-version=2022-12-01"
	turned := func(token, code string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		a := send(t, req)
		if a.status != http.StatusUnauthorized || a.code() != code || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("token %q: %d %s, %q; want 401 %s with a challenge", token, a.status, a.code(), a.header.Get("WWW-Authenticate"), code)
		}
	}
	turned("", "AuthenticationFailed")
	turned("stolen", "InvalidAuthenticationToken")
	token, err := s.Credential().GetToken(context.Background(), policy.TokenRequestOptions{})
	if err != nil || token.Token != s.Token() || s.Issued() != 1 {
		t.Fatalf("credential gave %q, %v", token.Token, err)
	}
	if a := s.ask(t, "GET", path, ""); a.status != http.StatusOK {
		t.Errorf("with a token: %d", a.status)
	}
	s.Expire()
	turned(token.Token, "ExpiredAuthenticationToken")
}

func TestErrorsAreARMs(t *testing.T) {
	s := serve(t, Options{})
	sub := s.o.World.Subscriptions()[0]
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/subscriptions", 400, "MissingApiVersionParameter"},
		{"GET", "/subscriptions?api-version=new", 400, "InvalidApiVersionParameter"},
		{"GET", "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups?api-version=2021-04-01", 404, "SubscriptionNotFound"},
		{"GET", sub + "/resourceGroups/none/providers/Microsoft.ContainerService/managedClusters/none?api-version=2024-09-01", 404, "ResourceNotFound"},
		{"GET", "/nothing?api-version=2024-09-01", 404, "InvalidResourceType"},
		{"DELETE", sub + "/resourcegroups?api-version=2021-04-01", 405, "HttpMethodNotAllowed"},
		{"POST", sub + "/resourcegroups?api-version=2021-04-01", 405, "HttpMethodNotAllowed"},
		{"GET", sub + "/resourcegroups?api-version=2021-04-01&$filter=name%20like%20'x'", 400, "BadRequest"},
		{"GET", sub + "/resourcegroups?api-version=2021-04-01&$skiptoken=-5", 400, "InvalidSkipToken"},
	} {
		a := s.ask(t, c.method, c.path, "")
		if a.status != c.status || a.code() != c.code || text(member(a.body["error"], "message")) == "" {
			t.Errorf("%s %s: %d %s; want %d %s", c.method, c.path, a.status, a.raw, c.status, c.code)
		}
	}
}

func TestListsComeInPagesAndWhole(t *testing.T) {
	s := serve(t, Options{PageSize: 3})
	for path, what := range lists {
		if what == cloud.ReadSizes || what == cloud.ReadOthers {
			continue
		}
		sub, want := richest(t, s.o.World, what)
		method, link := "GET", "nextLink"
		if what == cloud.ReadStates {
			method, link = "POST", "@odata.nextLink"
		}
		rows, pages := s.all(t, method, sub+path+"?api-version=2024-01-01", "", "value", link)
		if len(rows) != want || pages != max(1, (want+2)/3) {
			t.Errorf("%s: %d rows in %d pages, want %d", path, len(rows), pages, want)
		}
	}
	if n := s.Count("get /subscriptions/"); n == 0 || n != s.Total()-s.Count("post ") {
		t.Errorf("%d calls counted of %d", n, s.Total())
	}
}

func TestTheHierarchyIsServed(t *testing.T) {
	s := serve(t, Options{PageSize: 7})
	groups, _ := s.all(t, "GET", "/providers/Microsoft.Management/managementGroups?api-version=2023-04-01", "", "value", "nextLink")
	subs, _ := s.all(t, "GET", "/subscriptions?api-version=2022-12-01", "", "value", "nextLink")
	below, _ := s.all(t, "GET", "/providers/Microsoft.Management/managementGroups/"+s.o.World.TenantID()+"/descendants?api-version=2023-04-01", "", "value", "nextLink")
	if len(subs) != 40 || len(groups) < 8 || len(below) != len(subs)+len(groups)-1 {
		t.Errorf("%d groups, %d subscriptions, %d below the root", len(groups), len(subs), len(below))
	}
	entities, _ := s.all(t, "POST", "/providers/Microsoft.Management/getEntities?api-version=2023-04-01", "", "value", "nextLink")
	if len(entities) != len(subs)+len(groups) {
		t.Errorf("%d entities", len(entities))
	}
	one := s.ask(t, "GET", "/providers/Microsoft.Management/managementGroups/tarnwick-corp?api-version=2023-04-01", "")
	if !strings.HasSuffix(text(member(member(member(one.body["properties"], "details"), "parent"), "id")), "/tarnwick-landingzones") {
		t.Errorf("a group's parent: %s", one.raw)
	}
}

func TestFiltersHold(t *testing.T) {
	s := serve(t, Options{PageSize: 10_000})
	sub, all := richest(t, s.o.World, cloud.ReadActivity)
	from, to := "2026-11-20T00:00:00Z", "2026-11-26T14:00:00Z"
	rows, _ := s.all(t, "GET", sub+"/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01&$filter=eventTimestamp%20ge%20'"+from+"'%20and%20eventTimestamp%20le%20'"+to+"'", "", "value", "nextLink")
	for _, r := range rows {
		if at := text(member(r, "eventTimestamp")); at < from[:19] || at > to[:19]+"~" {
			t.Errorf("event of %s", at)
		}
	}
	if len(rows) == 0 || len(rows) >= all {
		t.Errorf("%d of %d events in the time", len(rows), all)
	}
	skus, _ := s.all(t, "GET", sub+"/providers/Microsoft.Compute/skus?api-version=2021-07-01&$filter=location%20eq%20'westeurope'", "", "value", "nextLink")
	if len(skus) != 20 {
		t.Errorf("%d sizes in one region", len(skus))
	}
}

func TestResourceGraphAnswers(t *testing.T) {
	s := serve(t, Options{GraphRows: 40})
	graph := func(query, token string, top int) answer {
		b, _ := json.Marshal(map[string]any{"query": query, "options": map[string]any{"$skipToken": token, "$top": top, "resultFormat": "objectArray"}})
		return s.ask(t, "POST", "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01", string(b))
	}
	const clusters = "resources | where type =~ 'Microsoft.ContainerService/ManagedClusters' | project id, name, type, subscriptionId, properties"
	seen, token, pages := map[string]bool{}, "", 0
	for {
		a := graph(clusters, token, 1000)
		if a.status != http.StatusOK || a.header.Get("x-ms-user-quota-remaining") == "" {
			t.Fatalf("%d %s", a.status, a.raw)
		}
		for _, r := range a.body["data"].([]any) {
			if text(member(r, "type")) != "microsoft.containerservice/managedclusters" || member(r, "location") != nil || member(r, "properties") == nil {
				t.Fatalf("row %v", r)
			}
			seen[text(member(r, "id"))] = true
		}
		pages++
		if token = text(a.body["$skipToken"]); token == "" {
			if int(a.body["totalRecords"].(float64)) != len(seen) {
				t.Errorf("told %v rows, gave %d", a.body["totalRecords"], len(seen))
			}
			break
		}
	}
	if pages < 4 || len(seen) < 150 {
		t.Errorf("%d clusters in %d pages", len(seen), pages)
	}
	counted := graph("resources | summarize count() by type", "", 0)
	if n := len(counted.body["data"].([]any)); n < 8 {
		t.Errorf("%d types", n)
	}
	for _, bad := range []string{"", "secrets", "resources | where type =~ x", "resources | where type like 'x'", "resources | join y", "resources | project a=b", "resources | order by name desc"} {
		if a := graph(bad, "", 0); a.status != http.StatusBadRequest || a.code() != "BadRequest" {
			t.Errorf("query %q: %d %s", bad, a.status, a.raw)
		}
	}
}

func TestCostQueriesAddUp(t *testing.T) {
	s := serve(t, Options{MaxGroups: 3})
	sub, _ := richest(t, s.o.World, cloud.ReadClusters)
	const path = "/providers/Microsoft.CostManagement/query?api-version=2023-11-01"
	total := func(groups string) (sum float64, rows int) {
		t.Helper()
		next := sub + path
		for next != "" {
			a := s.ask(t, "POST", next, `{"type":"ActualCost","timeframe":"Custom","timePeriod":{"from":"2026-11-16T00:00:00Z","to":"2026-11-26T23:59:59Z"},"dataset":{"granularity":"Daily","aggregation":{"totalCost":{"name":"Cost","function":"Sum"}},"grouping":[`+groups+`]}}`)
			if a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.raw)
			}
			p := a.body["properties"]
			n := len(member(p, "columns").([]any))
			for _, r := range member(p, "rows").([]any) {
				if len(r.([]any)) != n {
					t.Fatalf("row %v under %d columns", r, n)
				}
				sum += r.([]any)[0].(float64)
				rows++
			}
			next = text(member(p, "nextLink"))
		}
		return sum, rows
	}
	whole, days := total("")
	byResource, rows := total(`{"type":"Dimension","name":"ResourceId"},{"type":"Dimension","name":"Meter"}`)
	if whole <= 0 || days != 10 || rows <= days || byResource-whole > 0.01 || whole-byResource > 0.01 {
		t.Errorf("%.2f in %d rows, by resource %.2f in %d", whole, days, byResource, rows)
	}
	group := `{"type":"Dimension","name":"Meter"}`
	for _, groups := range []string{group + "," + group + "," + group + "," + group, `{"type":"Dimension","name":"Mood"}`} {
		if a := s.ask(t, "POST", sub+path, `{"type":"ActualCost","timeframe":"MonthToDate","dataset":{"grouping":[`+groups+`]}}`); a.status != http.StatusBadRequest {
			t.Errorf("groups %s: %d", groups, a.status)
		}
	}
}

func TestPricesWantNoToken(t *testing.T) {
	s := serve(t, Options{PageSize: 4})
	get := func(url string) answer {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		return send(t, req)
	}
	next, n := s.URL+"/api/retail/prices?currencyCode='EUR'&$filter=serviceName%20eq%20'Virtual%20Machines'%20and%20armRegionName%20eq%20'westeurope'%20and%20(armSkuName%20eq%20'Standard_D4s_v5'%20or%20armSkuName%20eq%20'Standard_D8s_v5'%20or%20armSkuName%20eq%20'Standard_E8s_v5')", 0
	for next != "" {
		a := get(next)
		items := a.body["Items"].([]any)
		for _, i := range items {
			if text(member(i, "currencyCode")) != "EUR" || text(member(i, "armRegionName")) != "westeurope" {
				t.Errorf("item %v", i)
			}
		}
		n += len(items)
		next = text(a.body["NextPageLink"])
	}
	if n != 6 {
		t.Errorf("%d prices of three sizes, want on demand and spot of each", n)
	}
	if a := get(s.URL + "/api/retail/prices?$filter=price%20near%20'x'"); a.status != http.StatusBadRequest {
		t.Errorf("a bad filter: %d", a.status)
	}
}

func TestFaultsHappenAsWritten(t *testing.T) {
	w := tenant.New(tenant.Options{Seed: 7, Now: testNow, Days: 3})
	subs := w.Subscriptions()
	now := testNow
	s := serve(t, Options{World: w, PageSize: 2, Clock: func() time.Time { return now }, Faults: []Fault{
		{Path: subs[0] + "/", Status: http.StatusForbidden},
		{Path: subs[1] + "/resourcegroups", Status: http.StatusTooManyRequests, RetryAfter: 17 * time.Second, Times: 2},
		{Path: subs[2] + "/resourcegroups", Status: http.StatusTooManyRequests, For: 5 * time.Minute},
		{Path: subs[3] + "/resourcegroups", Cut: true},
		{Path: subs[4] + "/resourcegroups", OtherHost: true},
		{Path: subs[5] + "/providers/microsoft.security/", Status: http.StatusConflict},
		{Path: subs[7] + "/resourcegroups", Status: http.StatusServiceUnavailable, Skip: 1, Times: 1},
	}})
	get := func(i int) answer { return s.ask(t, "GET", subs[i]+"/resourcegroups?api-version=2021-04-01", "") }
	if a := get(0); a.status != 403 || a.code() != "AuthorizationFailed" {
		t.Errorf("denied: %d %s", a.status, a.raw)
	}
	for range 2 {
		if a := get(1); a.status != 429 || a.header.Get("Retry-After") != "17" || a.header.Get("x-ms-ratelimit-remaining-subscription-reads") != "0" {
			t.Errorf("throttled: %d %v", a.status, a.header)
		}
	}
	if a := get(1); a.status != 200 {
		t.Errorf("after two calls: %d", a.status)
	}
	if a := get(2); a.status != 429 || a.header.Get("Retry-After") != "300" {
		t.Errorf("for five minutes: %d %s", a.status, a.header.Get("Retry-After"))
	}
	now = now.Add(4 * time.Minute)
	if a := get(2); a.status != 429 || a.header.Get("Retry-After") != "60" {
		t.Errorf("after four of them: %d %s", a.status, a.header.Get("Retry-After"))
	}
	now = now.Add(2 * time.Minute)
	if a := get(2); a.status != 200 {
		t.Errorf("after six: %d", a.status)
	}
	if a := get(3); a.status != 200 || !errors.Is(a.err, io.ErrUnexpectedEOF) || len(a.raw) == 0 {
		t.Errorf("half a page: %d, %v, %d bytes", a.status, a.err, len(a.raw))
	}
	if a := get(4); !strings.HasPrefix(text(a.body["nextLink"]), "https://elsewhere.example/") {
		t.Errorf("next page at %v", a.body["nextLink"])
	}
	if a := s.ask(t, "GET", subs[5]+"/providers/Microsoft.Security/pricings?api-version=2024-01-01", ""); a.status != 409 || a.code() != "MissingSubscriptionRegistration" {
		t.Errorf("not registered: %d %s", a.status, a.raw)
	}
	if a, b, c := get(7), get(7), get(7); a.status != 200 || b.status != 503 || c.status != 200 {
		t.Errorf("one in between: %d %d %d", a.status, b.status, c.status)
	}
}
