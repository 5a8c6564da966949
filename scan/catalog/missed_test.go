package catalog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
)

// gapOf returns the gap about a thing, with or without its layer.
func gapOf(c *scan.Catalog, what string) (scan.Gap, bool) {
	for _, g := range c.NotAssessed {
		if _, after, ok := strings.Cut(g.What, ": "); g.What == what || ok && after == what {
			return g, true
		}
	}
	return scan.Gap{}, false
}

// TestHardLinkTellsTheName: pnpm keeps files under their hashes and links them to where
// they are installed; a tar holds the bytes under whichever name comes first.
func TestHardLinkTellsTheName(t *testing.T) {
	status := "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.1-1\n\n"
	c := read(t, imageOf(t, layerOf(t,
		item{name: "app/.pnpm-store/v3/files/ab/cdef", body: pkg("lodash", "4.17.4")},
		item{name: "app/.pnpm-store/v3/files/ab/0123", body: zipOf(t, "META-INF/MANIFEST.MF", "Implementation-Version: 1.2\n")},
		item{name: "app/node_modules/lodash/package.json => app/.pnpm-store/v3/files/ab/cdef"},
		item{name: "srv/node_modules/lodash/package.json => app/.pnpm-store/v3/files/ab/cdef"},
		item{name: "srv/lib/thing.jar => app/.pnpm-store/v3/files/ab/0123"},
		item{name: "data/blob", body: status},
		item{name: "var/lib/dpkg/status => data/blob"},
		item{name: "gone/node_modules/a/package.json => app/.pnpm-store/v3/files/ab/cdef"},
		item{name: "gone/node_modules/a/package.json", body: pkg("a", "1.0.0")}, // the later entry holds
	)), Options{})
	noGaps(t, c)
	want1(t, "packages", named(c), "[a 1.0.0@0 lodash 4.17.4@0 lodash 4.17.4@0 openssl 3.0.1-1@0 thing:thing 1.2@0]")

	// A link into a layer below, which no tool writes, is at least told.
	c = read(t, imageOf(t, layerOf(t, item{name: "data/blob", body: status}), layerOf(t, item{name: "var/lib/dpkg/status => data/blob"})), Options{})
	if g, ok := gapOf(c, "var/lib/dpkg/status"); !ok || !g.Unread {
		t.Errorf("a package database linked from another layer is lost: %+v", c.NotAssessed)
	}
}

func TestDatabasesInOtherPlaces(t *testing.T) {
	status := "Package: openssl\nArchitecture: amd64\nVersion: 3.0.1-1\n\n" // no Status: written without dpkg
	c := read(t, imageOf(t, layerOf(t, item{name: "var/lib/dpkg/status", body: status})), Options{})
	want1(t, "a status file without Status", named(c), "[openssl 3.0.1-1@0]")

	c = read(t, imageOf(t, layerOf(t, item{name: "data/pkgs", body: status}, item{name: "var/lib/dpkg/status -> /data/pkgs"})), Options{})
	if g, ok := gapOf(c, "var/lib/dpkg/status"); !ok || !g.Unread {
		t.Errorf("a database under another name is lost: %v %+v", named(c), c.NotAssessed)
	}
	c = read(t, imageOf(t, layerOf(t, item{name: "var/lib/dpkg -> ../../opt/dpkg"}, item{name: "opt/dpkg/status", body: status})), Options{})
	noGaps(t, c)
	want1(t, "a linked directory", named(c), "[openssl 3.0.1-1@0]")

	c = read(t, imageOf(t, layerOf(t, item{name: "var/lib/dpkg/status", body: status}, item{name: "srv/chroot/var/lib/dpkg/status", body: status})), Options{})
	want1(t, "packages", named(c), "[openssl 3.0.1-1@0]")
	if g, ok := gapOf(c, "packages listed in srv/chroot/var/lib/dpkg/status"); !ok || g.Unread {
		t.Errorf("a root within the image is not told: %+v", c.NotAssessed)
	}
}

func TestHalfBrokenPackages(t *testing.T) {
	cut := zipOf(t, "a", strings.Repeat("b", 100))
	c := read(t, imageOf(t, layerOf(t,
		item{name: "node_modules/odd/package.json", body: `{"private":"true","name":"odd","version":"1.0.0","license":3}`},
		item{name: "node_modules/none/package.json", body: `{"name":["x"],"version":"1.0.0"}`},
		item{name: "opt/fat.jar", body: zipOf(t, "lib/inner-1.0.jar", cut[:len(cut)-9])},
		item{name: "usr/bin/small", body: "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 200) + "UPX!" + strings.Repeat("\x00", 2000), mode: 0o755},
	)), Options{})
	want1(t, "packages", named(c), "[odd 1.0.0@0]")
	for what, part := range map[string]string{"opt/fat.jar": "lib/inner-1.0.jar: a damaged archive", "usr/bin/small": "UPX"} {
		if g, ok := gapOf(c, what); !ok || !g.Unread || !strings.Contains(g.Reason, part) {
			t.Errorf("gap of %s: %+v, want %q", what, g, part)
		}
	}
}

// TestUnreadTree: what could not be read of a root file system is told as such.
func TestUnreadTree(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "var/lib/dpkg/status")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("Package: openssl\nStatus: install ok installed\n\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := ReadRoot(t.Context(), scan.Image{Kind: scan.KindRootfs, Name: "r"}, root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if g, ok := gapOf(c, "var/lib/dpkg/status"); !ok || !g.Unread {
		t.Errorf("a damaged package database: %+v", c.NotAssessed)
	}
}
