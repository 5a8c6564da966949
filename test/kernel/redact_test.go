package kernel

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/internal/sandbox"
	"github.com/dockreeve/dockreeve/process"
	"github.com/dockreeve/dockreeve/trace"
)

// TestSecretsAreNowhere runs programs with secrets in their arguments in a real
// container, one already running when the node starts and so read from /proc, and
// looks for the values in everything the node writes: recording and findings. The
// names of the options, and what the rules match on, are still there.
func TestSecretsAreNowhere(t *testing.T) {
	needContainer(t)
	set, diags, err := node.RuleSet{}.Load()
	if err != nil || len(diags) > 0 {
		t.Fatal(err, diags)
	}
	box, err := sandbox.Create(t.Context(), sandbox.Options{Files: map[string]string{"/etc/shadow": "demo:*:1::::::\n"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()

	// Seeded: it waits for its end in a loop, and says when it is there.
	const early = "EarlyBird-11-secret"
	waits := make(chan error, 1)
	go func() {
		_, err := box.Exec(ctx, "/bin/sh", "-c", ": >/there; while [ ! -e /done ]; do sleep 0.1; done", "sh", "--password", early)
		waits <- err
	}()
	if out, err := box.Exec(ctx, "/bin/sh", "-c", "until [ -e /there ]; do sleep 0.1; done; echo ok"); err != nil || !strings.Contains(out, "ok") {
		t.Fatalf("the early process: %v %s", err, out)
	}

	live := &memory{seen: make(chan struct{}, 1)}
	var rec bytes.Buffer
	n, err := node.New(node.Options{Name: "n", Rules: set, Sender: live, Record: &rec})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Open(ctx); err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(run) }()

	const spoken, scripted, url = "Sp0ken-22-secret", "Scr1pted-33-secret", "Addr3ss-44-secret"
	// The finding's process and its parent both carry secrets.
	out, err := box.Exec(ctx, "/bin/sh", "-c",
		"X_TOKEN="+scripted+"; sh -c 'cat /etc/shadow; true' sh --password "+spoken+" --url=postgres://u:"+url+"@db/x --port=5432; touch /done; echo done")
	if err != nil || !strings.Contains(out, "done") {
		t.Fatalf("%v\n%s", err, out)
	}
	for !live.has("credential-file-read") {
		select {
		case <-live.seen:
		case <-ctx.Done():
			t.Fatal("nothing was found within a minute")
		}
	}
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}

	everything := rec.String()
	for i := range live.found {
		everything += encoded(t, &live.found[i])
	}
	for _, s := range []string{early, spoken, scripted, url} {
		if at := strings.Index(everything, s); at >= 0 {
			t.Errorf("%s was written: …%s…", s, everything[max(0, at-300):at+len(s)])
		}
	}
	for _, s := range []string{"--password ***", `"--password","***"`, "X_TOKEN=***", "postgres://u:***@db/x", "--port=5432", "cat /etc/shadow"} {
		if !strings.Contains(everything, s) {
			t.Errorf("%s is missing", s)
		}
	}
	// The seeded process itself was there, not merely absent.
	r, err := trace.NewReader(strings.NewReader(rec.String()), trace.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !seeded(r.Snapshot()) {
		t.Error("the early process is not in the snapshot")
	}
}

func seeded(s process.Snapshot) bool {
	for _, k := range s.Processes {
		if k.Process.Container != nil && strings.HasSuffix(k.Process.Cmdline, "sh --password ***") {
			return true
		}
	}
	return false
}
