package catalog

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/test/need"
)

// tarOf packs a directory as a layer.
func tarOf(t testing.TB, root string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		link, _ := os.Readlink(p)
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return nil // a socket
		}
		h.Name, _ = filepath.Rel(root, p)
		if info.IsDir() {
			h.Name += "/"
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			f, err := os.Open(p)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(w, f)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	return b.Bytes()
}

func command(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}

func write(t testing.TB, name, body string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(body), mode); err != nil {
		t.Fatal(err)
	}
}

// bothWays reads a tree as a layer and as a root file system, which must agree.
func bothWays(t testing.TB, root string, opt Options) *scan.Catalog {
	t.Helper()
	c := read(t, imageOf(t, tarOf(t, root)), opt)
	noGaps(t, c)
	opt.Now = func() int64 { return 1 }
	r, err := ReadRoot(context.Background(), scan.Image{Name: "root", Kind: scan.KindRootfs}, root, opt)
	if err != nil {
		t.Fatal(err)
	}
	noGaps(t, r)
	for i := range r.Packages {
		if r.Packages[i].Layer != -1 {
			t.Errorf("%s of a root file system has layer %d", r.Packages[i].Name, r.Packages[i].Layer)
		}
		r.Packages[i].Layer = 0
	}
	if got, want := fmt.Sprintf("%+v", r.Packages), fmt.Sprintf("%+v", c.Packages); got != want {
		t.Errorf("the tree and its layer differ:\ntree  %s\nlayer %s", got, want)
	}
	return c
}

// TestDpkg installs packages with dpkg itself and asks dpkg-query what is there.
func TestDpkg(t *testing.T) {
	need.Command(t, need.Shared, "dpkg-deb")
	if os.Getuid() != 0 {
		need.Skip(t, need.Kernel, "dpkg installs as root only")
	}
	root, work := t.TempDir(), t.TempDir()
	for _, d := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "usr/bin", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "var/lib/dpkg/status"), "", 0o644)
	write(t, filepath.Join(root, "etc/os-release"), debianRelease, 0o644)
	deb := func(name, version, more string, files map[string]fs.FileMode) {
		dir := filepath.Join(work, name+version)
		write(t, filepath.Join(dir, "DEBIAN/control"), "Package: "+name+"\nVersion: "+version+"\nArchitecture: all\nMaintainer: Test <t@example.test>\n"+more+"Description: made by a test\n", 0o644)
		for f, mode := range files {
			write(t, filepath.Join(dir, f), "content of "+f, mode)
		}
		command(t, work, "dpkg-deb", "--root-owner-group", "-b", dir, name+version+".deb")
		command(t, work, "dpkg", "--root="+root, "--force-depends", "--force-script-chrootless", "--log=/dev/null", "-i", filepath.Join(work, name+version+".deb"))
	}
	deb("plain", "1.2.3-4", "", map[string]fs.FileMode{"usr/bin/plain": 0o755, "usr/share/doc/plain/readme": 0o644, "usr/lib/libplain.so.3": 0o644})
	deb("epoch", "2:1.0~rc1+dfsg-1+deb12u1", "Source: epoch-source (1:9)\n", map[string]fs.FileMode{"usr/sbin/e": 0o755})
	deb("gone", "5", "", map[string]fs.FileMode{"etc/gone.conf": 0o644, "usr/bin/gone": 0o755})
	deb("kept", "6", "Source: plain\n", map[string]fs.FileMode{"etc/kept.conf": 0o644})
	deb("python3-thing", "3.1-1", "", map[string]fs.FileMode{"usr/lib/python3/dist-packages/thing/__init__.py": 0o644})
	write(t, filepath.Join(work, "x/METADATA"), "", 0o644)
	command(t, work, "dpkg", "--root="+root, "--log=/dev/null", "--purge", "gone")
	// Removed with a configuration file left is not installed.
	deb("conf", "7", "", map[string]fs.FileMode{"usr/bin/conf": 0o755})

	c := bothWays(t, root, Options{})
	var got []string
	for _, p := range c.Packages {
		source, version := p.Source, p.SourceVersion
		if source == "" {
			source = p.Name
		}
		if version == "" {
			version = p.Version
		}
		got = append(got, strings.Join([]string{p.Name, p.Version, p.Arch, source, version}, " "))
	}
	out := command(t, work, "dpkg-query", "--admindir="+filepath.Join(root, "var/lib/dpkg"), "-W", "-f", "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n")
	want := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(want)
	slices.Sort(got)
	want1(t, "packages as dpkg-query lists them", strings.Join(got, "\n"), strings.Join(want, "\n"))
	want1(t, "loads of plain", find(t, c, "plain").Files, "[usr/bin/plain usr/lib/libplain.so.3]")
	want1(t, "loads of python3-thing", find(t, c, "python3-thing").Dirs, "[usr/lib/python3/dist-packages/thing]")
}

// TestRPM builds packages with rpmbuild, installs them with rpm into each kind of
// database it can write, and asks rpm what is there.
func TestRPM(t *testing.T) {
	need.Command(t, need.Shared, "rpmbuild")
	need.Command(t, need.Shared, "rpm")
	work := t.TempDir()
	var rpms []string
	for i := range 12 {
		spec := fmt.Sprintf("Name: pkg%d\nVersion: 1.%d\nRelease: %d%%{?dist}\nSummary: s\nLicense: MIT AND Apache-2.0\nVendor: Somebody\nBuildArch: noarch\n", i, i, i+1)
		if i%5 == 0 {
			spec += fmt.Sprintf("Epoch: %d\n", i+1)
		}
		if i%7 == 0 {
			spec += "ModularityLabel: nodejs:18:8090020230301:a75119d5\n"
		}
		spec += "%description\nd\n%install\nmkdir -p %{buildroot}/usr/bin %{buildroot}/usr/lib64 %{buildroot}/usr/share/doc/x %{buildroot}/usr/lib/python3.9/site-packages/mod" + fmt.Sprint(i) + "-1.dist-info\n" +
			fmt.Sprintf("echo '#!/bin/sh' > %%{buildroot}/usr/bin/tool%d\nchmod 755 %%{buildroot}/usr/bin/tool%d\necho x > %%{buildroot}/usr/lib64/libr%d.so.1.0\nln -s libr%d.so.1.0 %%{buildroot}/usr/lib64/libr%d.so.1\n", i, i, i, i, i) +
			fmt.Sprintf("printf 'Name: mod%d\\nVersion: 1\\n\\n' > %%{buildroot}/usr/lib/python3.9/site-packages/mod%d-1.dist-info/METADATA\n", i, i)
		if i == 3 { // a header of more than one page
			spec += "for n in $(seq 1 2000); do echo x > %{buildroot}/usr/share/doc/x/a-file-with-a-rather-long-name-$n; done\n"
		}
		spec += "%files\n/usr\n"
		name := filepath.Join(work, fmt.Sprintf("p%d.spec", i))
		write(t, name, spec, 0o644)
		command(t, work, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+filepath.Join(work, "top"), "--define", "dist .el9", "--define", "_build_id_links none", "--define", "__os_install_post %{nil}", name)
	}
	rpms, err := filepath.Glob(filepath.Join(work, "top/RPMS/noarch/*.rpm"))
	if err != nil || len(rpms) != 12 {
		t.Fatalf("built %d packages: %v", len(rpms), err)
	}
	for _, backend := range []string{"sqlite"} { // what Debian's rpm can write
		t.Run(backend, func(t *testing.T) {
			root := t.TempDir()
			define := []string{"--root", root, "--define", "_db_backend " + backend, "--define", "_dbpath /var/lib/rpm"}
			command(t, work, "rpm", append(slices.Clone(define), "--initdb")...)
			command(t, work, "rpm", append(append(slices.Clone(define), "-i", "--nodeps", "--noscripts", "--nosignature", "--ignoreos", "--ignorearch", "--force"), rpms...)...)
			command(t, work, "rpm", append(slices.Clone(define), "-e", "pkg5", "pkg6")...)
			write(t, filepath.Join(root, "etc/os-release"), "ID=rhel\nVERSION_ID=9.3\n", 0o644)
			c := bothWays(t, root, Options{})
			var got []string
			for _, p := range c.Packages {
				if p.Type == scan.RPM {
					got = append(got, fmt.Sprint(p.Name, "|", p.Version, "|", p.Arch, "|", p.Source, "-", p.SourceVersion, ".src.rpm|", p.Vendor, "|", strings.Join(p.Licenses, ","), "|", p.Module))
				} else {
					want1(t, p.Name+" is owned by", p.OwnedBy, "pkg"+strings.TrimPrefix(p.Name, "mod"))
				}
			}
			out := command(t, work, "rpm", append(slices.Clone(define), "-qa", "--qf", `%{NAME}|%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}|%{ARCH}|%{SOURCERPM}|%{VENDOR}|%{LICENSE}|%|MODULARITYLABEL?{%{MODULARITYLABEL}}:{}|\n`)...)
			var want []string
			for line := range strings.Lines(out) {
				want = append(want, strings.Replace(strings.TrimSpace(line), ":8090020230301:a75119d5", "", 1))
			}
			slices.Sort(got)
			slices.Sort(want)
			want1(t, "packages as rpm lists them", strings.Join(got, "\n"), strings.Join(want, "\n"))
			want1(t, "number", len(got), 10)
			want1(t, "loads of pkg4", find(t, c, "pkg4").Files, "[usr/bin/tool4 usr/lib64/libr4.so.1.0]")
			want1(t, "purl", find(t, c, "pkg10").PURL, "pkg:rpm/rhel/pkg10@1.10-11.el9?arch=noarch&distro=rhel-9.3&epoch=11")

			otherDatabases(t, work, root, got)
		})
	}
}

// otherDatabases puts the headers that rpm wrote into the databases that this rpm does
// not write: a Berkeley DB hash, by the library itself through Perl, and rpm's own
// format, laid out here.
func otherDatabases(t *testing.T, work, root string, want []string) {
	b, err := os.ReadFile(filepath.Join(root, "var/lib/rpm/rpmdb.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	blobs := filepath.Join(work, "blobs")
	var all [][]byte
	if err := eachRPM(rpmSQLite, bytes.NewReader(b), int64(len(b)), func(blob []byte) error {
		all = append(all, bytes.Clone(blob))
		write(t, filepath.Join(blobs, fmt.Sprintf("%06d", len(all))), string(blob), 0o600)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, root string) {
		write(t, filepath.Join(root, "etc/os-release"), "ID=centos\nVERSION_ID=7\n", 0o644)
		c := bothWays(t, root, Options{})
		want1(t, "number of packages", len(c.Packages), len(want))
		for _, p := range c.Packages {
			if !slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(w, p.Name+"|"+p.Version+"|") }) {
				t.Errorf("%s %s was never put in", p.Name, p.Version)
			}
		}
	}
	t.Run("ndb", func(t *testing.T) {
		root := t.TempDir()
		write(t, filepath.Join(root, "var/lib/rpm/Packages.db"), string(packNDB(all)), 0o644)
		check(t, root)
	})
	t.Run("bdb", func(t *testing.T) {
		perl := need.Command(t, need.Shared, "perl")
		if err := exec.Command(perl, "-MDB_File", "-e", "1").Run(); err != nil {
			need.Skip(t, need.Shared, "perl has no DB_File")
		}
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, "var/lib/rpm"), 0o755); err != nil {
			t.Fatal(err)
		}
		command(t, work, perl, append([]string{"-MDB_File", "-MFcntl", "-e", `
			my ($out, @in) = @ARGV;
			tie(my %h, 'DB_File', $out, O_RDWR|O_CREAT, 0644, $DB_HASH) or die "$!";
			$h{pack('L', 0)} = pack('L', scalar @in);
			my $i = 0;
			for my $f (@in) { local $/; open(my $fh, '<:raw', $f) or die; $h{pack('L', ++$i)} = <$fh>; }
			untie %h;`, filepath.Join(root, "var/lib/rpm/Packages")}, glob(t, blobs+"/*")...)...)
		check(t, root)
	})
}

// packNDB lays blobs out as rpm's own package database does: one page of slots, then
// the blobs in blocks of 16 bytes.
func packNDB(blobs [][]byte) []byte {
	le := binary.LittleEndian
	out := make([]byte, 4096)
	copy(out, "RpmP")
	le.PutUint32(out[8:], 7)
	le.PutUint32(out[12:], 1)
	le.PutUint32(out[16:], uint32(len(blobs)+1))
	for off := 32; off < 4096; off += 16 {
		copy(out[off:], "Slot")
	}
	for i, b := range blobs {
		slot := out[32+16*i:]
		size := (16 + len(b) + 12 + 15) / 16 * 16
		le.PutUint32(slot[4:], uint32(i+1))
		le.PutUint32(slot[8:], uint32(len(out)/16))
		le.PutUint32(slot[12:], uint32(size/16))
		head := make([]byte, size)
		copy(head, "BlbS")
		le.PutUint32(head[4:], uint32(i+1))
		le.PutUint32(head[8:], 7)
		le.PutUint32(head[12:], uint32(len(b)))
		copy(head[16:], b)
		copy(head[size-4:], "BlbE")
		out = append(out, head...)
	}
	return out
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	out, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
