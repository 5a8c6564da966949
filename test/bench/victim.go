package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"

	"github.com/dockreeve/dockreeve/internal/sandbox"
)

// victim starts the container in which everything measured happens.
func victim(ctx context.Context, c config) (*sandbox.Sandbox, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("%w: no static busybox on the PATH (Debian: apt install busybox-static)", err)
	}
	files := map[string]string{}
	for i := range dataFiles {
		files[dataFile(i)] = "x"
	}
	binaries := map[string]string{harnessPath: c.self}
	for i := range floodFiles {
		binaries[floodFile(i)] = busybox
	}
	return sandbox.Create(ctx, sandbox.Options{Image: "registry.example/bench:1", Files: files, Binaries: binaries})
}

// rate is the load of the design's goals, events a second.
const rate = 2000

// loading is a load that runs in a container.
type loading struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	said limited
}

func startLoad(ctx context.Context, box *sandbox.Sandbox) (*loading, error) {
	l := &loading{cmd: box.Command(ctx, harnessPath, "load", "-rate", strconv.Itoa(rate))}
	l.cmd.Stderr = &l.said
	var err error
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return l, l.cmd.Start()
}

// mostMade bounds the operations a second of a load: beyond it, it is the load that
// would be measured.
const mostMade = 20_000

// aim brings what is delivered to rules up to the rate: rules ask the kernel only for
// what can match them, so not all of a load arrives. delivered tells, over a while, the
// events a second, the machine's own among them. It returns the operations a second.
func (l *loading) aim(delivered func() (float64, error)) (made int, err error) {
	made = rate
	for range 2 {
		got, err := delivered()
		if err != nil {
			return made, err
		}
		if got > 0.98*rate {
			break // an operation is one event at most: what is more is the machine's own
		}
		made = min(mostMade, int(float64(made)*rate/max(1, got)))
		if _, err := fmt.Fprintln(l.in, made); err != nil {
			return made, fmt.Errorf("load: %w: %s", err, l.said.String())
		}
		time.Sleep(time.Second)
	}
	return made, nil
}

// stop ends the load and says whether it had run until then.
func (l *loading) stop() error {
	if err := errors.Join(l.in.Close(), l.cmd.Wait()); err != nil {
		return fmt.Errorf("load: %w: %s", err, l.said.String())
	}
	return nil
}

// limited keeps the first 4 KiB written to it.
type limited struct{ b []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), 4096-len(l.b))]...)
	return len(p), nil
}

func (l *limited) String() string { return string(l.b) }
