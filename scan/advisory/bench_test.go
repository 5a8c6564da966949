package advisory

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// packDB imports the pack once for a benchmark and returns the file.
func packDB(b *testing.B) string {
	dir := pack(b)
	path := filepath.Join(b.TempDir(), "advisories.db")
	if _, err := Import(context.Background(), path, packFiles(dir), Options{}); err != nil {
		b.Fatal(err)
	}
	return path
}

func packFiles(dir string) []string {
	return []string{dir + "/osv", dir + "/kev", dir + "/epss", dir + "/alpine", dir + "/azurelinux", dir + "/ubuntu"}
}

// BenchmarkImport reads the whole pack: records a second, bytes on disk.
func BenchmarkImport(b *testing.B) {
	dir := pack(b)
	path := filepath.Join(b.TempDir(), "advisories.db")
	records := 0
	for b.Loop() {
		res, err := Import(context.Background(), path, packFiles(dir), Options{Rebuild: true})
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range res.Feeds {
			if f.Name != feedEPSS {
				records += f.Records
			}
		}
	}
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(st.Size())/1e6, "MB")
}

// BenchmarkPackages opens the database and asks for 300 packages that have advisories,
// spread over it, as a scan does; with and without reading the records themselves.
func BenchmarkPackages(b *testing.B) {
	path := packDB(b)
	db, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	var keys []Key
	c := db.packages.cursor()
	for n := 0; ; n++ {
		more, err := c.step()
		if err != nil {
			b.Fatal(err)
		}
		if !more {
			break
		}
		if k := splitKey(c.key); k.Ecosystem == "Debian:12" && n%10 == 0 || k.Ecosystem == "PyPI" && n%30 == 0 {
			keys = append(keys, k)
		}
	}
	_ = db.Close()
	keys = keys[:300]
	for name, keep := range map[string]func(*Affected) bool{"all": nil, "none-kept": func(*Affected) bool { return false }} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			entries, before := 0, cpu(b)
			for b.Loop() {
				db, err := Open(path)
				if err != nil {
					b.Fatal(err)
				}
				for _, k := range keys {
					list, err := db.AffectedIf(k.Ecosystem, k.Name, keep)
					if err != nil {
						b.Fatal(err)
					}
					entries += len(list)
				}
				_ = db.Close()
			}
			b.ReportMetric((cpu(b)-before)*1e3/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(entries)/float64(b.N), "entries")
		})
	}
}

// cpu is the processor time of this process in seconds: on a busy machine it says more
// than the wall clock.
func cpu(b *testing.B) float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

// BenchmarkLookups times single questions on an open database.
func BenchmarkLookups(b *testing.B) {
	db, err := Open(packDB(b))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			if r, err := db.Find("CVE-2021-44228"); err != nil || len(r) == 0 {
				b.Fatal(r, err)
			}
		}
	})
	b.Run("epss", func(b *testing.B) {
		for b.Loop() {
			if db.EPSS("CVE-2021-44228") == nil {
				b.Fatal("none")
			}
		}
	})
	b.Run("largest", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.Affected("Debian:12", "linux"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("changed-since", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := db.ChangedSince(db.dir.Lineage + ".0"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
