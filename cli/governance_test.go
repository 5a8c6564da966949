package cli

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dockreeve/dockreeve/demo/tenant"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/test/arm"
)

// madeTenant is the world that `demo tenant --at $AT --seed SEED --clusters CLUSTERS` makes.
func madeTenant(ts *testscript.TestScript, seed, clusters string) *tenant.World {
	if ts.Getenv("AT") == "" {
		ts.Setenv("AT", time.Now().UTC().Truncate(time.Second).Format(time.RFC3339))
	}
	now, err := time.Parse(time.RFC3339, ts.Getenv("AT"))
	ts.Check(err)
	s, err := strconv.ParseInt(seed, 10, 64)
	ts.Check(err)
	n, err := strconv.Atoi(clusters)
	ts.Check(err)
	return tenant.New(tenant.Options{Seed: s, Now: now, Clusters: n})
}

// serveARM serves a made tenant as Azure Resource Manager does until the script ends:
// arm NAME SEED CLUSTERS [world|throttled|stuck] sets $NAME to its address. world has the
// faults that the made tenant tells of itself; throttled has one subscription's policy states
// wait for two hours besides; stuck makes all policy states wait for five minutes.
func serveARM(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: arm NAME SEED CLUSTERS world|throttled|stuck")
	}
	w := madeTenant(ts, args[1], args[2])
	o := arm.Options{World: w}
	switch args[3] {
	case "world":
		o.Faults = arm.WorldFaults(w)
	case "throttled":
		o.Faults = arm.WorldFaults(w)
		for _, ask := range w.Asks() {
			if sub := ask.Scope; ask.What == cloud.ReadClusterPlan && w.Outcome(ask).Outcome == cloud.ReadOK {
				sub, _, _ = strings.Cut(sub, "/resourcegroups/")
				o.Faults = append(o.Faults, arm.Fault{Path: sub + "/providers/microsoft.policyinsights/", Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Hour})
				break
			}
		}
	case "stuck":
		o.Faults = append(arm.WorldFaults(w), arm.Fault{Path: "/providers/microsoft.policyinsights/", Status: http.StatusTooManyRequests, RetryAfter: 5 * time.Minute})
	default:
		ts.Fatalf("arm: %q", args[3])
	}
	s := arm.New(o)
	web := httptest.NewServer(s)
	ts.Defer(web.Close)
	ts.Setenv(args[0], web.URL)
	ts.Setenv(tokenEnv, s.Token())
}

// writeExports writes a made tenant as `az … -o json` prints it: exports DIR SEED CLUSTERS.
func writeExports(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: exports DIR SEED CLUSTERS")
	}
	w, dir := madeTenant(ts, args[1], args[2]), ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	for i, ask := range w.Asks() {
		if ask.What == cloud.ReadOthers {
			continue
		}
		docs := []json.RawMessage{}
		ts.Check(w.Each(ask, func(d json.RawMessage) error {
			docs = append(docs, d)
			return nil
		}))
		if len(docs) == 0 {
			continue
		}
		raw, err := json.Marshal(docs)
		ts.Check(err)
		path := filepath.Join(dir, fmt.Sprintf("%s-%d.json", ask.What, i))
		ts.Check(os.WriteFile(path, raw, 0o644))
		ts.Check(os.Chtimes(path, w.Now(), w.Now()))
	}
}

// agree compares two files of JSON but for the members that it names, wherever they stand:
// agree A B [MEMBER…].
func agree(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: agree A B [MEMBER...]")
	}
	var a, b any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &a))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &b))
	where := differs(a, b, "$", args[2:])
	if where != "" && !neg {
		ts.Fatalf("%s and %s differ: %s", args[0], args[1], where)
	}
	if where == "" && neg {
		ts.Fatalf("%s and %s are the same", args[0], args[1])
	}
}

// differs says where two documents first differ; "" = nowhere.
func differs(a, b any, at string, left []string) string {
	if x, ok := a.(map[string]any); ok {
		if y, ok := b.(map[string]any); ok {
			for k := range y {
				if _, ok := x[k]; !ok && !slices.Contains(left, k) {
					return fmt.Sprintf("%s.%s is only in the second: %.200v", at, k, y[k])
				}
			}
			for k := range x {
				if slices.Contains(left, k) {
					continue
				}
				if _, ok := y[k]; !ok {
					return fmt.Sprintf("%s.%s is only in the first: %.200v", at, k, x[k])
				}
				if d := differs(x[k], y[k], at+"."+k, left); d != "" {
					return d
				}
			}
			return ""
		}
	}
	if x, ok := a.([]any); ok {
		if y, ok := b.([]any); ok {
			if len(x) != len(y) {
				return fmt.Sprintf("%s: %d and %d", at, len(x), len(y))
			}
			for i := range x {
				if d := differs(x[i], y[i], fmt.Sprintf("%s[%d]", at, i), left); d != "" {
					return d
				}
			}
			return ""
		}
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Sprintf("%s: %.200v and %.200v", at, a, b)
	}
	return ""
}

// mailbox takes mails until the script ends: mailbox NAME FILE sets $NAME to its address and
// writes what came to the file.
func mailbox(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mailbox NAME FILE")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	path := ts.MkAbs(args[1])
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			takeMail(c, path)
		}
	}()
	ts.Defer(func() { _ = l.Close(); <-done })
	ts.Setenv(args[0], l.Addr().String())
}

// takeMail speaks as much SMTP as a sender needs, and keeps what it sent.
func takeMail(c net.Conn, path string) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	conn := textproto.NewConn(c)
	var kept []string
	_ = conn.PrintfLine("220 test")
	for {
		line, err := conn.ReadLine()
		if err != nil {
			return
		}
		kept = append(kept, line)
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "DATA":
			_ = conn.PrintfLine("354 go on")
			lines, err := conn.ReadDotLines()
			if err != nil {
				return
			}
			kept = append(kept, lines...)
			if os.WriteFile(path, []byte(strings.Join(kept, "\n")+"\n"), 0o600) != nil {
				return
			}
			_ = conn.PrintfLine("250 taken")
		case "QUIT":
			_ = conn.PrintfLine("221 bye")
			return
		default:
			_ = conn.PrintfLine("250 fine")
		}
	}
}

// TestTheDocumentedConfigurationIsRead holds docs/governance.md to what is read.
func TestTheDocumentedConfigurationIsRead(t *testing.T) {
	page, err := os.ReadFile("../docs/governance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no example of a configuration in docs/governance.md")
	}
	c, err := govern.ReadConfig(strings.NewReader(example))
	if err != nil {
		t.Fatal(err)
	}
	if c.Provider != "either" || len(c.Tags) != 2 || len(c.Exemptions) != 1 {
		t.Errorf("read as %+v", c)
	}
}
