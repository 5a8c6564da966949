package link

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// child is a process that sends numbers through a spool until it is killed. It prints
// each number once Send has returned: from then on it must not get lost.
func child(dir string) {
	first, err := strconv.Atoi(os.Getenv("LINK_TEST_FIRST"))
	if err != nil {
		panic(err)
	}
	s, err := OpenSpool(SpoolOptions{Dir: dir, Origin: "node/c1/n1", Lazy: os.Getenv("LINK_TEST_LAZY") != ""})
	if err != nil {
		panic(err)
	}
	for i := first; ; i++ {
		if err := s.Send(context.Background(), LaneAlert, KindFinding, fmt.Append(nil, i)); err != nil {
			panic(err)
		}
		fmt.Println(i)
	}
}

// TestKilledProcessesLoseNothing kills a sending process again and again. What Send
// had taken is delivered once and in order, though the receiver's acknowledgements of
// some of it died with the process that heard them.
func TestKilledProcessesLoseNothing(t *testing.T) {
	for _, lazy := range []string{"", "1"} {
		t.Run("lazy="+lazy, func(t *testing.T) {
			dir := t.TempDir()
			told := 0
			store := map[uint64]string{} // by number, as a store that knows what it has
			var top uint64
			next := 0
			take := func(s *Spool, most int, acknowledge bool) {
				s.Reconnect()
				for left := min(most, s.Pending(LaneAlert)); left > 0; {
					list, err := s.Receive(t.Context(), 50)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range list {
						left--
						if e.Seq <= top {
							if store[e.Seq] != string(e.Bytes) {
								t.Fatalf("number %d was %s and is %s", e.Seq, store[e.Seq], e.Bytes)
							}
							continue
						}
						top = e.Seq
						store[e.Seq] = string(e.Bytes)
						if string(e.Bytes) != fmt.Sprint(next) {
							t.Fatalf("got %s, want %d", e.Bytes, next)
						}
						next++
					}
					if acknowledge {
						if err := s.Ack("node/c1/n1", list[0].Epoch, LaneAlert, list[len(list)-1].Seq); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			for round := range 6 {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "LINK_TEST_CHILD="+dir, "LINK_TEST_FIRST="+fmt.Sprint(told), "LINK_TEST_LAZY="+lazy)
				cmd.Stderr = os.Stderr
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(out)
				for n := 0; lines.Scan(); n++ {
					last, err := strconv.Atoi(lines.Text())
					if err != nil {
						t.Fatal(err)
					}
					told = last + 1
					if n == 100 {
						if err := cmd.Process.Kill(); err != nil {
							t.Fatal(err)
						}
					}
				}
				_ = cmd.Wait() // killed
				s := openSpool(t, dir, "node/c1/n1")
				take(s, 1<<30, round%2 == 0)
				// What was written may be one more than was told.
				if next != told && next != told+1 {
					t.Fatalf("round %d: %d arrived, %d were taken", round, next, told)
				}
				told = next
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			s := openSpool(t, dir, "node/c1/n1")
			defer s.Close()
			take(s, 1<<30, true)
			if next != told || s.Pending(LaneAlert) != 0 {
				t.Fatalf("%d of %d, %d left", next, told, s.Pending(LaneAlert))
			}
		})
	}
}
