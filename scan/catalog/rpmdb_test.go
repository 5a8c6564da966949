package catalog

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rpmdb "github.com/erikvarga/go-rpmdb/pkg"

	"github.com/dockreeve/dockreeve/test/need"
	_ "modernc.org/sqlite"
)

// rpmDatabases are real databases of distributions, of all three kinds and both byte
// orders, that another reader brings as its test data; it is the oracle too.
func rpmDatabases(t testing.TB) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/erikvarga/go-rpmdb").Output()
	if err != nil {
		need.Skip(t, need.Shared, "the module with real rpm databases is not there: "+err.Error())
	}
	var out []string
	for _, name := range []string{"Packages", "Packages.db", "rpmdb.sqlite"} {
		out = append(out, glob(t, filepath.Join(strings.TrimSpace(string(dir)), "pkg/testdata/*", name))...)
	}
	if len(out) == 0 {
		need.Skip(t, need.Shared, "the module with real rpm databases has no test data")
	}
	return out
}

func TestRealRPMDatabases(t *testing.T) {
	for _, name := range rpmDatabases(t) {
		t.Run(filepath.Base(filepath.Dir(name)), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f := file{Path: "var/lib/rpm/" + filepath.Base(name), Kind: want("var/lib/rpm/"+filepath.Base(name), 1)}
			if err := parseRPM(&f, bytes.NewReader(b), int64(len(b))); err != nil {
				t.Fatal(err)
			}
			db, err := rpmdb.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			list, err := db.ListPackages()
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, p := range f.Packages {
				got = append(got, strings.Join([]string{p.Name, p.Version, p.Arch, p.Vendor, p.Module, p.Source + "-" + p.SourceVersion}, " "))
			}
			for _, p := range list {
				if p.Name == "gpg-pubkey" {
					continue
				}
				version := p.Version + "-" + p.Release
				if p.EpochNum() != 0 {
					version = fmt.Sprintf("%d:%s", p.EpochNum(), version)
				}
				want = append(want, strings.Join([]string{p.Name, version, p.Arch, p.Vendor, rpmStream(p.Modularitylabel), strings.TrimSuffix(p.SourceRpm, ".src.rpm")}, " "))
			}
			slices.Sort(got)
			slices.Sort(want)
			want1(t, "packages", strings.Join(got, "\n"), strings.Join(want, "\n"))
			if len(f.Owns) == 0 {
				t.Error("no package owns a program")
			}
		})
	}
}
