package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What the container of a measurement holds besides busybox; made by victim.
const (
	harnessPath = "/bench"
	dataFiles   = 64 // /app/data/00 … 63
	floodFiles  = 60 // /opt/f/busybox-00 … 59: enough that no burst of one program is folded
)

func dataFile(i int) string  { return fmt.Sprintf("/app/data/%02d", i%dataFiles) }
func floodFile(i int) string { return fmt.Sprintf("/opt/f/busybox-%02d", i%floodFiles) }

// load makes events at a steady rate, in turns of 10 ms, until its standard input
// ends; a number on a line there is the new rate. Of a hundred operations 10 connect
// a UDP socket, 12 open a file for writing, 4 fail to open one, the rest open files
// for reading; and eight times a second a program starts and ends. None of it matches
// a rule of ours.
func load(args []string) error {
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	first := fs.Int("rate", rate, "operations a second at first")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var now atomic.Int64
	now.Store(int64(*first))
	ended := make(chan error, 1)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			n, err := strconv.Atoi(in.Text())
			if err != nil || n < 0 || n > 1e6 {
				ended <- fmt.Errorf("rate %q: want a number up to a million", in.Text())
				return
			}
			now.Store(int64(n))
		}
		ended <- in.Err()
	}()
	const turn = 10 * time.Millisecond
	const startEvents = 3 // clone, execve, procexit
	tick := time.NewTicker(turn)
	defer tick.Stop()
	last, due := time.Now(), 0.0
	for i, done := 0, 0; ; i++ {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
		// A turn that came late does the work of those it missed.
		t := time.Now()
		due += t.Sub(last).Seconds() * float64(now.Load())
		last = t
		if i%12 == 0 {
			if err := exec.Command("/bin/true").Run(); err != nil {
				return err
			}
			due -= startEvents
		}
		for ; due >= 1; due-- {
			if err := operation(done); err != nil {
				return err
			}
			done++
		}
	}
}

func operation(i int) error {
	switch n := i * 37 % 100; {
	case n < 10:
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("socket: %w", err)
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 8125, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return nil
	case n < 22:
		return openClose("/tmp/out-"+strconv.Itoa(i%16), unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND)
	case n < 26:
		if err := openClose("/app/absent", unix.O_RDONLY); err != unix.ENOENT {
			return fmt.Errorf("open /app/absent: %v, want none to be there", err)
		}
		return nil
	}
	return openClose(dataFile(i), unix.O_RDONLY)
}

func openClose(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// flooded is what a flood did.
type flooded struct {
	PID     int     `json:"pid"` // in the container
	Opens   uint64  `json:"opens"`
	Execs   int     `json:"execs"`
	Seconds float64 `json:"seconds"`
}

// flood opens files as fast as its workers can and meanwhile starts marked programs,
// one after the other; it prints what it did as JSON.
func flood(args []string) error {
	fs := flag.NewFlagSet("flood", flag.ContinueOnError)
	workers := fs.Int("workers", 2, "processes that open files")
	seconds := fs.Int("seconds", 10, "how long")
	execs := fs.Int("execs", 800, "marked programs started meanwhile")
	if err := fs.Parse(args); err != nil {
		return err
	}
	begin := time.Now()
	type worker struct {
		cmd *exec.Cmd
		out []byte
		err error
	}
	ended := make(chan worker, *workers)
	for range *workers {
		go func() {
			w := worker{cmd: exec.Command(harnessPath, "opens", "-seconds", strconv.Itoa(*seconds))}
			w.cmd.Stderr = os.Stderr
			w.out, w.err = w.cmd.Output()
			ended <- w
		}()
	}
	did := flooded{PID: os.Getpid()}
	for i := range *execs {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Duration(*seconds) * time.Second / time.Duration(*execs))))
		if err := exec.Command(floodFile(i), "true", marker(i)).Run(); err != nil {
			return err
		}
		did.Execs++
	}
	for range *workers {
		w := <-ended
		if w.err != nil {
			return fmt.Errorf("worker: %w", w.err)
		}
		n, err := strconv.ParseUint(string(w.out), 10, 64)
		if err != nil {
			return fmt.Errorf("worker: %w", err)
		}
		did.Opens += n
	}
	did.Seconds = time.Since(begin).Seconds()
	return json.NewEncoder(os.Stdout).Encode(did)
}

func marker(i int) string { return fmt.Sprintf("marker-%05d", i) }

// opens opens and closes a file for some seconds and prints how often.
func opens(args []string) error {
	fs := flag.NewFlagSet("opens", flag.ContinueOnError)
	seconds := fs.Int("seconds", 10, "how long")
	if err := fs.Parse(args); err != nil {
		return err
	}
	path, err := syscall.BytePtrFromString(dataFile(0))
	if err != nil {
		return err
	}
	var n uint64
	for end := time.Now().Add(time.Duration(*seconds) * time.Second); time.Now().Before(end); {
		for range 1000 {
			if err := openFast(path); err != nil {
				return err
			}
			n++
		}
	}
	fmt.Print(n)
	return nil
}
