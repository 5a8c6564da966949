package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

const childEnv = "DOCKREEVE_STORE_CHILD"

// A program killed at any moment leaves counts that the next start makes right: what
// advisories changed and images had not been told is not forgotten.
func TestKilledAtAnyMomentForgetsNothing(t *testing.T) {
	if path := os.Getenv(childEnv); path != "" {
		churn(t, path)
		return
	}
	for _, after := range []int{2, 7, 12, 25, 26, 40} {
		path := filepath.Join(t.TempDir(), "x.db")
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < after && lines.Scan(); n++ {
		}
		if err := cmd.Process.Kill(); err != nil { // amid the next step
			t.Fatal(err)
		}
		cmd.Wait()
		db, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Fold(t.Context()); err != nil {
			t.Fatal(err)
		}
		consistent(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// churn scans images and changes advisories until it is killed, with a line after each step.
func churn(t *testing.T, path string) {
	ctx := context.Background()
	db, err := Open(ctx, Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	const packages = 300
	for n := range 10 {
		var list []scan.Package
		for i := range packages {
			list = append(list, lib(fmt.Sprint("p", i), fmt.Sprint(n%2)))
		}
		if _, _, err := db.PutImage(ctx, imageOf(n+1, fmt.Sprint("r.example/", n), list)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("scan", n)
	}
	for round := range 1000 {
		all, err := db.Packages(ctx, 0, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		var matches []PackageMatch
		for i, p := range all {
			m := PackageMatch{N: p.N}
			if (i+round)%3 > 0 {
				m.Vulnerabilities = append(m.Vulnerabilities, cve(fmt.Sprint("CVE-", i%50), 0, finding.Severity(round%6), ""))
			}
			matches = append(matches, m)
		}
		if _, err := db.Rematch(ctx, matches, "round"); err != nil {
			t.Fatal(err)
		}
		fmt.Println("match", round)
		if _, err := db.Fold(ctx); err != nil {
			t.Fatal(err)
		}
		fmt.Println("fold", round)
	}
}

// consistent recounts everything from the packages and compares.
func consistent(t *testing.T, db *DB) {
	t.Helper()
	page, err := db.Images(t.Context(), ImageQuery{Limit: MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range page.Images {
		var c scan.Counts
		if err := db.update(t.Context(), func(t *tx) error {
			var err error
			c, err = t.recount(i.n)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if c != i.Counts {
			t.Errorf("%s counts %+v, holds %+v", i.Name, i.Counts, c)
		}
	}
	rows, err := db.read.QueryContext(t.Context(), `SELECT v.id, v.images, v.severity, (SELECT COUNT(DISTINCT ip.image) FROM package_vulns pv JOIN image_packages ip ON ip.package = pv.package WHERE pv.vuln = v.n),
		COALESCE((SELECT MAX(pv.severity) FROM package_vulns pv WHERE pv.vuln = v.n),0) FROM vulns v`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var images, severity, wantImages, wantSeverity int64
		if err := rows.Scan(&id, &images, &severity, &wantImages, &wantSeverity); err != nil {
			t.Fatal(err)
		}
		if images != wantImages || severity != wantSeverity {
			t.Errorf("%s: %d images severity %d, held by %d with %d", id, images, severity, wantImages, wantSeverity)
		}
	}
}
