package catalog

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"compress/zlib"

	"github.com/dockreeve/dockreeve/test/need"
)

// TestLanguages reads one installed package of each kind, hand-made as the package
// managers leave them.
func TestLanguages(t *testing.T) {
	s := imageOf(t, layerOf(t,
		item{name: "usr/lib/python3.11/site-packages/Requests_Toolbelt-1.0.0.dist-info/METADATA", body: "Metadata-Version: 2.1\nName: Requests_Toolbelt\nVersion: 1.0.0\nLicense: Apache 2.0\n\nVersion: not this\n"},
		item{name: "usr/lib/python3.11/site-packages/Requests_Toolbelt-1.0.0.dist-info/RECORD", body: "../../../bin/belt,sha256=x,1\nRequests_Toolbelt-1.0.0.dist-info/METADATA,,\nrequests_toolbelt/__init__.py,sha256=x,2\nrequests_toolbelt/sub/x.py,,\nsingle.py,,\nspace/one/__init__.py,,\n__pycache__/single.cpython-311.pyc,,\n"},
		item{name: "opt/py/site-packages/old.egg-info/PKG-INFO", body: "Name: old\nVersion: 0.1\n"},
		item{name: "opt/py/site-packages/old.egg-info/top_level.txt", body: "oldmod\n"},
		item{name: "app/package.json", body: `{"name":"the-app","version":"9.9.9","private":true}`},
		item{name: "app/node_modules/@scope/pkg/package.json", body: `{"name":"@scope/pkg","version":"1.2.3","license":"MIT"}`},
		item{name: "app/node_modules/@scope/pkg/dist/esm/package.json", body: `{"type":"module"}`},
		item{name: "app/node_modules/@scope/pkg/test/fixture/package.json", body: `{"name":"fixture","version":"1.0.0"}`},
		item{name: "app/node_modules/two/package.json", body: `{"name":"two","version":"v2.0.0","licenses":[{"type":"BSD"},{"type":"MIT"}]}`},
		item{name: "usr/lib/ruby/gems/3.1.0/specifications/rack-2.2.3.gemspec", body: "# -*- encoding: utf-8 -*-\n# stub: rack 2.2.3 ruby lib\n\nGem::Specification.new do |s|\n  s.name = \"rack\".freeze\n  s.version = \"2.2.3\"\n  s.licenses = [\"MIT\".freeze, \"Ruby\".freeze]\nend\n"},
		item{name: "usr/lib/ruby/gems/3.1.0/specifications/default/json-2.6.1.gemspec", body: "Gem::Specification.new do |s|\n  s.name = 'json'\n  s.version = '2.6.1'\nend\n"},
		item{name: "srv/vendor/composer/installed.json", body: `{"packages":[{"name":"Monolog/monolog","version":"2.9.1","license":["MIT"],"install-path":"../monolog/monolog"},{"name":"psr/log","version":"v1.1.4"}],"dev":false}`},
		item{name: "srv/dotnet/App.deps.json", body: `{"targets":{"net8":{"Newtonsoft.Json/12.0.1":{"runtime":{"lib/net6.0/Newtonsoft.Json.dll":{}}}}},"libraries":{"App/1.0.0":{"type":"project"},"Newtonsoft.Json/12.0.1":{"type":"package"}}}`},
		item{name: "app/package-lock.json", body: `{"packages":{"":{"name":"the-app"},"node_modules/lodash":{"version":"4.17.20"}}}`},
		item{name: "app/go.mod", body: "module m\n\nrequire example.test/one v1.0.0\nrequire (\n\texample.test/two v2.0.0 // indirect\n)\n"},
	))
	c := read(t, s, Options{})
	noGaps(t, c)
	want1(t, "packages", named(c), "[@scope/pkg 1.2.3@0 Newtonsoft.Json 12.0.1@0 Requests_Toolbelt 1.0.0@0 json 2.6.1@0 monolog/monolog 2.9.1@0 old 0.1@0 psr/log 1.1.4@0 rack 2.2.3@0 two 2.0.0@0]")
	p := find(t, c, "Requests_Toolbelt")
	want1(t, "purl", p.PURL, "pkg:pypi/requests-toolbelt@1.0.0")
	want1(t, "dirs", p.Dirs, "[usr/lib/python3.11/site-packages/requests_toolbelt usr/lib/python3.11/site-packages/space/one]")
	want1(t, "files", p.Files, "[usr/bin/belt usr/lib/python3.11/site-packages/single.py usr/lib/python3.11/site-packages/__pycache__/single.cpython-311.pyc]")
	want1(t, "old", find(t, c, "old").Dirs, "[opt/py/site-packages/oldmod]")
	want1(t, "scope", find(t, c, "@scope/pkg").PURL, "pkg:npm/%40scope/pkg@1.2.3")
	want1(t, "licences", find(t, c, "two").Licenses, "[BSD MIT]")
	want1(t, "rack", fmt.Sprint(find(t, c, "rack").Dirs, find(t, c, "rack").Licenses), "[usr/lib/ruby/gems/3.1.0/gems/rack-2.2.3] [MIT Ruby]")
	want1(t, "json", find(t, c, "json").Dirs, "[usr/lib/ruby/gems/3.1.0/gems/json-2.6.1]")
	want1(t, "monolog", find(t, c, "monolog/monolog").Dirs, "[srv/vendor/monolog/monolog]")
	want1(t, "dll", find(t, c, "Newtonsoft.Json").Files, "[srv/dotnet/Newtonsoft.Json.dll]")

	c = read(t, s, Options{LockFiles: true})
	for _, name := range []string{"lodash", "example.test/one", "example.test/two"} {
		if !find(t, c, name).Dev {
			t.Errorf("%s, which only a lock file names, counts as installed", name)
		}
	}
}

// TestApk reads a database as apk writes it.
func TestApk(t *testing.T) {
	db := "C:Q1abc=\nP:libcrypto3\nV:3.1.4-r5\nA:x86_64\nS:1\nI:2\nT:Crypto library\nU:https://example.test\nL:Apache-2.0\no:openssl\nm:A Maintainer <a@example.test>\nt:1\nc:abc\nD:so:libc.musl-x86_64.so.1\np:so:libcrypto.so.3=3\nF:lib\nR:libcrypto.so.3\na:0:0:755\nZ:Q1x=\nF:etc\nR:thing.conf\n\n" +
		"P:py3-six\nV:1.16.0-r6\nA:noarch\nL:MIT\no:py3-six\nF:usr/lib/python3.11/site-packages\nR:six.py\nF:usr/lib/python3.11/site-packages/six-1.16.0-py3.11.egg-info\nR:PKG-INFO\n\n"
	c := read(t, imageOf(t,
		layerOf(t, item{name: "etc/os-release", body: "ID=alpine\nVERSION_ID=3.18.4\n"}, item{name: "lib/apk/db/installed", body: db}, item{name: "lib/libcrypto.so.3", body: "x", mode: 0o755},
			item{name: "usr/lib/python3.11/site-packages/six.py", body: "x"},
			item{name: "usr/lib/python3.11/site-packages/six-1.16.0-py3.11.egg-info/PKG-INFO", body: "Name: six\nVersion: 1.16.0\n\n"})), Options{})
	noGaps(t, c)
	p := find(t, c, "libcrypto3")
	want1(t, "package", fmt.Sprint(p.Version, p.Arch, p.Source, p.SourceVersion, p.Licenses, p.Files), "3.1.4-r5x86_64openssl3.1.4-r5[Apache-2.0] [lib/libcrypto.so.3]")
	want1(t, "purl", p.PURL, "pkg:apk/alpine/libcrypto3@3.1.4-r5?arch=x86_64&distro=alpine-3.18.4&upstream=openssl")
	want1(t, "owner of six", find(t, c, "six").OwnedBy, "py3-six")
}

// TestDistroless reads packages kept one file each, and their files from checksums.
func TestDistroless(t *testing.T) {
	c := read(t, imageOf(t, layerOf(t, item{name: "etc/os-release", body: debianRelease},
		item{name: "var/lib/dpkg/status.d/libc6", body: "Package: libc6\nSource: glibc\nVersion: 2.36-9\nArchitecture: amd64\n"},
		item{name: "var/lib/dpkg/status.d/libc6.md5sums", body: strings.Repeat("0", 32) + "  usr/lib/x86_64-linux-gnu/libc.so.6\n"},
		item{name: "usr/lib/x86_64-linux-gnu/libc.so.6", body: "x", mode: 0o755})), Options{})
	noGaps(t, c)
	want1(t, "packages", named(c), "[libc6 2.36-9@0]")
	want1(t, "files", c.Packages[0].Files, "[usr/lib/x86_64-linux-gnu/libc.so.6]")
}

// TestGoBinaries builds programs and lets go version -m say what is in them.
func TestGoBinaries(t *testing.T) {
	dir := t.TempDir()
	root := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.test/tiny\n\ngo 1.25\n", 0o644)
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { println(1) }\n", 0o644)
	build := func(out, pkg, dir string, flags []string, env ...string) {
		cmd := exec.Command("go", append(append([]string{"build", "-o", filepath.Join(root, out)}, flags...), pkg)...)
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod"), env...)
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
	}
	build("usr/bin/tiny", ".", dir, nil)
	build("usr/bin/tiny-stripped", ".", dir, []string{"-trimpath", "-ldflags=-s -w -buildid="})
	build("usr/bin/tiny-pie", ".", dir, []string{"-buildmode=pie"})
	build("usr/bin/tiny-s390x", ".", dir, nil, "GOARCH=s390x")
	build("usr/bin/tiny.exe", ".", dir, nil, "GOOS=windows")
	// A big one, with dependencies; and one that itself holds the text that is looked for.
	build("usr/bin/node", "github.com/dockreeve/dockreeve/cmd/dockreeve-node", ".", nil)
	goTool, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(goTool)), "bin/go"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "usr/bin/go"), string(b), 0o755)

	c := bothWays(t, root, Options{})
	got := map[string][]string{}
	for _, p := range c.Packages {
		if p.Name == "stdlib" {
			p.Version = "go" + p.Version
		}
		got[p.Location] = append(got[p.Location], p.Name+" "+p.Version)
		want1(t, "loads", p.Files, []string{p.Location})
	}
	programs := glob(t, filepath.Join(root, "usr/bin/*"))
	for _, name := range programs {
		out := command(t, dir, "go", "version", "-m", name)
		var want []string
		for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
			f := strings.Fields(line)
			switch {
			case i == 0:
				want = append(want, "stdlib "+f[1])
			case f[0] == "dep", f[0] == "mod":
				version := ""
				if len(f) > 2 {
					version = f[2]
				}
				want = append(want, f[1]+" "+version)
			}
		}
		rel, _ := filepath.Rel(root, name)
		slices.Sort(want)
		slices.Sort(got[rel])
		want1(t, rel, strings.Join(got[rel], "\n"), strings.Join(want, "\n"))
	}
	want1(t, "programs", len(got), len(programs))
}

// TestRust puts a list of crates into a real program, as cargo-auditable has the
// linker do, small and too big to be held.
func TestRust(t *testing.T) {
	objcopy := need.Command(t, need.Shared, "objcopy")
	list, _ := json.Marshal(map[string]any{"packages": []map[string]any{
		{"name": "app", "version": "0.1.0", "source": "local", "root": true},
		{"name": "serde", "version": "1.0.130", "source": "crates.io"},
		{"name": "cc", "version": "1.0.0", "source": "crates.io", "kind": "build"},
	}})
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(list)
	w.Close()
	dir, root := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "dep"), z.String(), 0o644)
	write(t, filepath.Join(dir, "pad"), strings.Repeat("padding ", 1<<20), 0o644)
	write(t, filepath.Join(root, "bin/x"), "", 0o755)
	src, err := exec.LookPath("true")
	if err != nil {
		t.Skip("no true")
	}
	command(t, dir, objcopy, "--add-section", ".dep-v0=dep", src, filepath.Join(root, "bin/small"))
	command(t, dir, objcopy, "--add-section", ".dep-v0=dep", "--add-section", ".pad=pad", src, filepath.Join(root, "bin/big"))
	if info, err := os.Stat(filepath.Join(root, "bin/big")); err != nil || info.Size() <= inMemory {
		t.Fatalf("the big program is not big: %v", err)
	}
	if _, err := elf.Open(filepath.Join(root, "bin/big")); err != nil {
		t.Fatal(err)
	}
	c := bothWays(t, root, Options{})
	var got []string
	for _, p := range c.Packages {
		got = append(got, fmt.Sprint(p.Type, " ", p.Name, " ", p.Version, " ", p.Location))
	}
	want1(t, "crates", got, "[cargo app 0.1.0 bin/big cargo app 0.1.0 bin/small cargo serde 1.0.130 bin/big cargo serde 1.0.130 bin/small]")
}

// zipOf makes an archive from name, content, name, content…
func zipOf(t testing.TB, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		method := zip.Deflate
		if strings.HasSuffix(parts[i], ".jar") {
			method = zip.Store
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: parts[i], Method: method})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(parts[i+1]))
	}
	z.Close()
	return b.String()
}

func TestJars(t *testing.T) {
	pom := func(g, a, v string) []string {
		return []string{"META-INF/maven/" + g + "/" + a + "/pom.properties", "#Generated\nversion=" + v + "\ngroupId=" + g + "\nartifactId=" + a + "\n"}
	}
	inner := zipOf(t, pom("org.inner", "inner", "1.5")...)
	fat := zipOf(t, append(append(append([]string{"META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nBundle-License: Apac\r\n he-2.0\r\n\r\nName: x\r\n"}, pom("com.fat", "fat", "2.0")...), pom("com.shaded", "lib", "3.1")...), "BOOT-INF/lib/inner-1.5.jar", inner, "BOOT-INF/lib/broken.jar", "no archive")...)
	war := zipOf(t, "WEB-INF/lib/fat.jar", fat)
	big := zipOf(t, append([]string{"x.bin", inner + strings.Repeat("!", 5<<20)}, pom("org.big", "big", "7")...)...)
	c := read(t, imageOf(t, layerOf(t,
		item{name: "srv/app.war", body: war},
		item{name: "usr/share/java/commons-lang3-3.11.jar", body: zipOf(t, "META-INF/MANIFEST.MF", "Bundle-SymbolicName: org.apache.commons.lang3\nImplementation-Version: 3.11\n")},
		item{name: "opt/log4j-1.2.17.jar", body: zipOf(t, "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")},
		item{name: "opt/noversion.jar", body: zipOf(t, "a/B.class", "x")},
		item{name: "opt/big.jar", body: big},
		item{name: "opt/link.jar => opt/log4j-1.2.17.jar"},
	)), Options{})
	noGaps(t, c)
	var got []string
	for _, p := range c.Packages {
		got = append(got, p.Name+" "+p.Version+" "+p.Location)
	}
	want1(t, "jars", strings.Join(got, "\n"), strings.Join([]string{
		"com.fat:fat 2.0 srv/app.war!/WEB-INF/lib/fat.jar",
		"com.shaded:lib 3.1 srv/app.war!/WEB-INF/lib/fat.jar",
		"log4j:log4j 1.2.17 opt/log4j-1.2.17.jar",
		"org.apache.commons:commons-lang3 3.11 usr/share/java/commons-lang3-3.11.jar",
		"org.big:big 7 opt/big.jar",
		"org.inner:inner 1.5 srv/app.war!/WEB-INF/lib/fat.jar!/BOOT-INF/lib/inner-1.5.jar",
	}, "\n"))
	want1(t, "licence", find(t, c, "com.fat:fat").Licenses, "[Apache-2.0]")
	want1(t, "purl", find(t, c, "com.fat:fat").PURL, "pkg:maven/com.fat/fat@2.0")
	want1(t, "loads", find(t, c, "org.inner:inner").Files, "[srv/app.war]")
	want1(t, "loads by another name", find(t, c, "log4j:log4j").Files, "[opt/log4j-1.2.17.jar opt/link.jar]")
}
