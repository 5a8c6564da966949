package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dockreeve/dockreeve/agent/node"
	"github.com/dockreeve/dockreeve/test/scenario"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dockreeve":      func() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) },
		"dockreeve-node": func() { os.Exit(node.Main(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestCommands runs the scripts of testdata, which read like a manual.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("DOCKREEVE_STATE", env.WorkDir+"/state")
			env.Setenv("HOME", env.WorkDir+"/home")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"tell":    tell,
			"await":   await,
			"seed":    seed,
			"arm":     serveARM,
			"exports": writeExports,
			"agree":   agree,
			"mailbox": mailbox,
		},
	})
}

// tell writes the stories of a scenario file as one trace each: tell FILE DIR makes
// DIR/1.ndjson, DIR/2.ndjson…
func tell(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tell FILE DIR")
	}
	list, err := scenario.Parse(args[0], []byte(ts.ReadFile(args[0])))
	ts.Check(err)
	dir := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(dir, 0o755))
	for i, s := range list {
		tape, err := s.Tell()
		ts.Check(err)
		var b bytes.Buffer
		ts.Check(tape.WriteTrace(&b, "test-node"))
		ts.Check(os.WriteFile(filepath.Join(dir, string(rune('1'+i))+".ndjson"), b.Bytes(), 0o644))
	}
}

// await runs a command again and again until it succeeds and prints the text, for
// what another process is about to do: await TEXT COMMAND ARGS…
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await TEXT COMMAND ARGS...")
	}
	deadline := time.Now().Add(time.Minute)
	for {
		err := ts.Exec(args[1], args[2:]...)
		if out := ts.ReadFile("stdout"); err == nil && bytes.Contains([]byte(out), []byte(args[0])) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("await: %q did not come within a minute: %v\n%s%s", args[0], err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}
