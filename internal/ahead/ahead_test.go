package ahead

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func TestItGivesTheSameBytesAndThenTheError(t *testing.T) {
	broken := errors.New("broken")
	want := make([]byte, 3*blocks*blockSize+77)
	src := rand.New(rand.NewPCG(1, 2))
	for i := range want {
		want[i] = byte(src.Uint32())
	}
	for name, r := range map[string]io.Reader{
		"whole":    io.MultiReader(bytes.NewReader(want), iotest.ErrReader(broken)),
		"halves":   iotest.HalfReader(io.MultiReader(bytes.NewReader(want), iotest.ErrReader(broken))),
		"with err": iotest.DataErrReader(io.MultiReader(bytes.NewReader(want), iotest.ErrReader(broken))),
	} {
		a := NewReader(r)
		got, err := io.ReadAll(a)
		if !bytes.Equal(got, want) || !errors.Is(err, broken) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(want), err)
		}
		if n, err := a.Read(make([]byte, 9)); n != 0 || !errors.Is(err, broken) {
			t.Errorf("%s: after the end: %d, %v", name, n, err)
		}
		a.Close()
	}
	if got, err := io.ReadAll(NewReader(bytes.NewReader(nil))); len(got) != 0 || err != nil {
		t.Errorf("of nothing: %d bytes, %v", len(got), err)
	}
}

// counted counts what was read of a stream without an end.
type counted struct{ n int }

func (c *counted) Read(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

func TestClosedEarlyItReadsNoFurther(t *testing.T) {
	c := &counted{}
	a := NewReader(c)
	if _, err := io.ReadFull(a, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if c.n < 10 || c.n > blocks*blockSize {
		t.Errorf("%d bytes were read, want at most %d", c.n, blocks*blockSize)
	}
}

// stuck gives nothing and no error.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestAReaderThatGivesNothingEnds(t *testing.T) {
	a := NewReader(stuck{})
	defer a.Close()
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}
