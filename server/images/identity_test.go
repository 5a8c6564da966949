package images

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/store"
)

// The lines are written down here after the kernel's documentation of mountinfo.
const mounts = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
36 35 0:40 / / rw,relatime shared:7 master:3 - overlay overlay rw,lowerdir=/s/2/fs:/s/1/fs,upperdir=/s/9/fs,workdir=/s/9/work
37 36 0:41 / /proc rw - proc proc rw
38 36 8:1 /data/my\040dir /mnt/a\134b rw - ext4 /dev/sda1 rw
broken
39 36 8:1 / /short rw
`

func TestMountsAreRead(t *testing.T) {
	for _, c := range []struct {
		at   string
		want mount
		ok   bool
	}{
		{"/", mount{"0:40", "/", "overlay", "rw,lowerdir=/s/2/fs:/s/1/fs,upperdir=/s/9/fs,workdir=/s/9/work"}, true},
		{`/mnt/a\b`, mount{"8:1", "/data/my dir", "ext4", "rw"}, true},
		{"/short", mount{}, false},
		{"/nowhere", mount{}, false},
	} {
		if m, ok := parseMounts(mounts, c.at); m != c.want || ok != c.ok {
			t.Errorf("%s: %+v %v", c.at, m, ok)
		}
	}
}

// What a container writes to is its own; what lies below is the same for all of one image.
func TestOriginIsWhatLiesBelow(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	over := func(lower, upper string) string {
		m := mount{kind: "overlay", options: "rw,lowerdir=" + lower + ",upperdir=" + upper}
		return m.origin("/")
	}
	plain := &mount{kind: "ext4"}
	switch {
	case over(a+":"+b, "/u1") != over(a+":"+b, "/u2") || over(a, "/u") == over(b, "/u") || over(a+":"+b, "/u") == over(b+":"+a, "/u"):
		t.Error("overlays are told apart by their lower directories in their order")
	case plain.origin(a) == "" || plain.origin(a) != plain.origin(a) || plain.origin(a) == plain.origin(b):
		t.Error("directories are told apart by what they are")
	case plain.origin(filepath.Join(a, "none")) != "":
		t.Error("a directory that is not there has an origin")
	}
	was := over(a, "/u")
	if err := os.Rename(a, a+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(a, 0o755); err != nil {
		t.Fatal(err)
	}
	if over(a, "/u") == was {
		t.Error("another directory in the same place is the same origin")
	}
}

func FuzzMounts(f *testing.F) {
	f.Add(mounts, "/")
	f.Add(`1 2 3 \777\0 / - - -`, `/\`)
	f.Fuzz(func(t *testing.T, text, at string) {
		if m, ok := parseMounts(text, at); ok && (m.kind == "" || m.device == "") {
			t.Errorf("%+v", m)
		}
	})
}

func TestAnEmptyPlaceIsNoRootFileSystem(t *testing.T) {
	empty, filled := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(filled, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := rootOf(store.TargetContainer{Container: "c", Rootfs: empty}); err == nil || !strings.Contains(err.Error(), "ended before") {
		t.Errorf("an empty directory: %v", err)
	}
	if dir, err := rootOf(store.TargetContainer{Container: "c", Rootfs: filled}); err != nil || dir != filled {
		t.Errorf("%s %v", dir, err)
	}
	// This process is of no container, whatever its id is said to be.
	if _, err := rootOf(store.TargetContainer{Container: "ffffffffffff", PID: int64(os.Getpid())}); err == nil {
		t.Error("a process of something else was taken for the container's")
	}
}

func TestWhyARootFileSystemHasNoVerdict(t *testing.T) {
	c := &scan.Catalog{Image: scan.Image{Kind: scan.KindRootfs}, NotAssessed: []scan.Gap{
		{What: "11 configuration checks", Reason: "a rootfs has no image configuration"}, {What: pulledWhat, Reason: "x"}}}
	if got := noVerdict(c, nil, nil); got != "no package was found in its root file system" {
		t.Error(got)
	}
	c.NotAssessed = append(c.NotAssessed, scan.Gap{What: "packages of dpkg", Reason: "damaged"})
	if got := noVerdict(c, nil, nil); got != "packages of dpkg: damaged" {
		t.Error(got)
	}
}

func TestContainersOfOtherMachinesAreNotLookedUpHere(t *testing.T) {
	h := open(t, nil)
	if got := h.identify(context.Background(), store.Nameless{Container: "c", Rootfs: t.TempDir(), PID: int64(os.Getpid())}); got != (store.Identity{}) {
		t.Errorf("%+v", got)
	}
}
