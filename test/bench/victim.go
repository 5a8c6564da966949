package main

import (
	"context"
	"errors"
	"fmt"
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

// startLoad makes events in the container for some seconds, or until stop, which
// gives the load's error.
func startLoad(ctx context.Context, box *sandbox.Sandbox, seconds int) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := box.Command(ctx, harnessPath, "load", "-rate", strconv.Itoa(rate), "-seconds", strconv.Itoa(seconds))
	var said limited
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return func() error {
		select {
		case err := <-ended: // it should still run
			cancel()
			return fmt.Errorf("the load ended early: %v: %s", err, said.String())
		default:
		}
		cancel()
		select {
		case <-ended: // runc dies of the signal; what runs inside ends with the container
		case <-time.After(10 * time.Second):
			return errors.New("the load does not end")
		}
		return nil
	}, nil
}

// limited keeps the first 4 KiB written to it.
type limited struct{ b []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), 4096-len(l.b))]...)
	return len(p), nil
}

func (l *limited) String() string { return string(l.b) }
