package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Anonymisers is a list of addresses of anonymising networks, read from a file that
// somebody keeps up to date: an address or network a line, # begins a comment. It is a
// Way: while it runs, a changed file is read again. Safe for concurrent use.
type Anonymisers struct {
	file  string
	every time.Duration
	warn  func(error)
	set   atomic.Pointer[addressSet]
}

type addressSet struct {
	one     map[netip.Addr]struct{}
	nets    map[netip.Prefix]struct{}
	lengths []int // of nets, each once
	read    os.FileInfo
}

// maxAddresses bounds the lines of the file.
const maxAddresses = 1_000_000

// OpenAnonymisers reads the file; its errors name file and line. warn is told why a
// changed file could not be read: the list before it stays.
func OpenAnonymisers(file string, warn func(error)) (*Anonymisers, error) {
	a := &Anonymisers{file: file, every: time.Minute, warn: warn}
	return a, a.load()
}

// Contains reports whether an address is on the list.
func (a *Anonymisers) Contains(ip netip.Addr) bool {
	s := a.set.Load()
	if _, ok := s.one[ip]; ok {
		return true
	}
	for _, n := range s.lengths {
		if p, err := ip.Prefix(n); err == nil {
			if _, ok := s.nets[p]; ok {
				return true
			}
		}
	}
	return false
}

// Run reads the file again whenever it has changed, until ctx ends.
func (a *Anonymisers) Run(ctx context.Context) error {
	t := time.NewTicker(a.every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := a.reload(); err != nil {
				a.warn(err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *Anonymisers) reload() error {
	fi, err := os.Stat(a.file)
	if err != nil {
		return fmt.Errorf("anonymisers: %w", err)
	}
	was := a.set.Load().read
	if os.SameFile(was, fi) && was.ModTime().Equal(fi.ModTime()) && was.Size() == fi.Size() {
		return nil
	}
	return a.load()
}

func (a *Anonymisers) load() error {
	f, err := os.Open(a.file)
	if err != nil {
		return fmt.Errorf("anonymisers: %w", err)
	}
	defer f.Close()
	s, err := readAddresses(f)
	if err != nil {
		return fmt.Errorf("anonymisers: %s: %w", a.file, err)
	}
	if s.read, err = f.Stat(); err != nil {
		return fmt.Errorf("anonymisers: %w", err)
	}
	a.set.Store(s)
	return nil
}

func readAddresses(r io.Reader) (*addressSet, error) {
	s := &addressSet{one: map[netip.Addr]struct{}{}, nets: map[netip.Prefix]struct{}{}}
	in := bufio.NewScanner(r)
	seen := map[int]bool{}
	for n := 1; in.Scan(); n++ {
		if n > maxAddresses {
			return nil, fmt.Errorf("more than %d lines", maxAddresses)
		}
		line, _, _ := strings.Cut(in.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if ip, err := netip.ParseAddr(line); err == nil {
			s.one[ip.Unmap()] = struct{}{}
			continue
		}
		p, err := netip.ParsePrefix(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %.60q is no address and no network", n, line)
		}
		s.nets[p.Masked()] = struct{}{}
		if !seen[p.Bits()] {
			seen[p.Bits()] = true
			s.lengths = append(s.lengths, p.Bits())
		}
	}
	return s, in.Err()
}
