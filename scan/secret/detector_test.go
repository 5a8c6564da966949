package secret

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockreeve/dockreeve/scan"
)

func TestConfigurationIsSearchedEverywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	d := New()
	gh, pass, url := checked(r, "ghp_"), draw(r, letters62, 10)+"4!x", draw(r, letters62, 12)
	c := scan.Config{
		Env:        []string{"PATH=/usr/bin:/bin", "DB_PASSWORD=" + pass, "GPG_KEY=" + draw(r, "0123456789ABCDEF", 40), "PYTHON_SHA256=" + draw(r, hex16, 64), "TOKEN_FILE=/run/secrets/token1"},
		Entrypoint: []string{"/app", "--token", gh},
		Cmd:        []string{"postgres://shop:" + url + "@db.corp/shop"},
		Labels:     map[string]string{"build": "ci", "deploy.key": gh},
		History:    []string{"RUN /bin/sh -c apt-get update", "RUN |1 NPM_TOKEN=" + checked(r, "npm_") + " /bin/sh -c npm ci # buildkit"},
	}
	got := map[string]string{}
	all := d.FindConfig(c)
	for _, s := range all {
		got[s.Where] = s.Rule
		if s.Path != "" || s.Line != 0 || s.Layer != -1 {
			t.Errorf("%v", s)
		}
	}
	want := map[string]string{"env DB_PASSWORD": "password", "entrypoint": "github-token", "cmd": "connection-string", "label deploy.key": "github-token", "history step 2": "npm-token"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("found %v\nwant  %v", got, want)
	}
	red := RedactConfig(c)
	for _, v := range []string{gh, pass, url} {
		leaks(t, all, v)
		if strings.Contains(fmt.Sprint(red), v) {
			t.Errorf("redacted configuration holds %q: %v", v, red)
		}
	}
	if red.Env[0] != c.Env[0] || c.Labels["deploy.key"] != gh || c.Env[1] != "DB_PASSWORD="+pass {
		t.Errorf("what is no secret changed, or the caller's configuration did: %v", red.Env)
	}
	if after := d.FindConfig(red); len(after) != 0 {
		t.Errorf("found in the redacted configuration: %v", after)
	}
}

// TestAnchorsAreFoundWhereverTheyStand compares the filter with the plain way: every
// anchor at every offset, in random bytes of every length.
func TestAnchorsAreFoundWhereverTheyStand(t *testing.T) {
	d := New()
	plain := map[uint32]bool{}
	for _, a := range d.filter.anchors {
		plain[a.core] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.SampledFrom([]byte("-begitokns:/p. Qx3")), 0, 60).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "planted") && len(b) >= 4 {
			a := d.filter.anchors[rapid.IntRange(0, len(d.filter.anchors)-1).Draw(t, "anchor")]
			binary.LittleEndian.PutUint32(b[rapid.IntRange(0, len(b)-4).Draw(t, "at"):], a.core)
		}
		var want, got []int
		for i := 0; i+4 <= len(b); i++ {
			if plain[binary.LittleEndian.Uint32(b[i:])|fold] {
				want = append(want, i)
			}
		}
		probe := &Detector{filter: d.filter, rules: make([]rule, len(d.rules))}
		for i := range probe.rules {
			probe.rules[i].match = func(_ *finder, _ *kind, at int) {
				if len(got) == 0 || got[len(got)-1] != at { // one anchor may belong to two rules
					got = append(got, at)
				}
			}
		}
		probe.run(&finder{content: b})
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q: anchors at %v, the filter looked at %v", b, want, got)
		}
	})
}

func TestFindingsAreBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var b strings.Builder
	for range 400 {
		b.WriteString("t: " + checked(r, "ghp_") + "\n")
	}
	got := New().Find("app/a.yaml", []byte(b.String()))
	if len(got) != MaxPerFile {
		t.Errorf("%d findings", len(got))
	}
	c := scan.Config{}
	for i := range 400 {
		c.Env = append(c.Env, fmt.Sprintf("T%d_TOKEN=%s", i, checked(r, "ghp_")))
	}
	if got := New().FindConfig(c); len(got) != MaxPerConfig {
		t.Errorf("%d findings in a configuration", len(got))
	}
}

func TestUTF16IsReadAndBinariesOnlyForKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 3))
	text := "<add password=\"" + draw(r, letters62, 10) + "x7!\" />\nt: " + checked(r, "ghp_")
	le, be := []byte{0xff, 0xfe}, []byte{0xfe, 0xff}
	for _, c := range []byte(text) {
		le, be = append(le, c, 0), append(be, 0, c)
	}
	want := fmt.Sprint(New().Find("app/web.config", []byte(text)))
	for _, b := range [][]byte{le, be} {
		if got := New().Find("app/web.config", b); fmt.Sprint(got) != want || len(got) != 2 {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func TestFindMayRunAtOnceAndAllocatesNothingForNothing(t *testing.T) {
	d := New()
	r := rand.New(rand.NewPCG(5, 5))
	a, b := []byte("t: "+checked(r, "ghp_")), []byte("t: "+checked(r, "npm_"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			text, rule := a, "github-token"
			if i%2 == 0 {
				text, rule = b, "npm-token"
			}
			for range 2000 {
				if got := d.Find("app/a.yaml", text); len(got) != 1 || got[0].Rule != rule {
					t.Errorf("%v", got)
					return
				}
			}
		})
	}
	wg.Wait()
	clean := bytes.Repeat([]byte("func main() { fmt.Println(\"token\", \"password\", https://go.dev/x) }\n"), 1000)
	if n := testing.AllocsPerRun(50, func() { d.Find("app/main.go", clean) }); n != 0 {
		t.Errorf("%v allocations where nothing is found", n)
	}
}

func TestWhatIsWanted(t *testing.T) {
	d := New()
	for path, want := range map[string]Verdict{
		"app/.env": Read, "etc/ssl/private/x.key": Read, "/root/.ssh/id_rsa": Read, "usr/bin/app": Read, "home/a/.docker/config.json": Read, "app/node_modules/a/index.js": Read, "var/run/secrets/token": Read,
		"usr/share/doc/x/readme": Excluded, "usr/lib/libc.so.6": Excluded, "a/b.pyc": Excluded, "a/logo.png": Excluded, "usr/lib/python3/dist-packages/x/tests/key.pem": Excluded, "app/node_modules/a/test/key.pem": Excluded,
		"usr/local/go/src/crypto/tls/testdata/k.pem": Excluded, "etc/ssl/certs/a.pem": Excluded,
		"app/test/key.pem": Read, // one's own tests are one's own keys
	} {
		if got := d.WantReason(path, 1000); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if d.WantReason("app/dump.sql", MaxSize+1) != TooLarge || d.WantReason("app/a", 3) != Empty || d.WantReason("app/a.png", MaxSize+1) != Excluded || d.Want("app/x", MaxSize) != true {
		t.Error("sizes")
	}
}

// No finding, whatever the bytes, tells more than four characters of its value.
func FuzzFind(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range samples(f, r) {
		f.Add(s.path, []byte(s.text))
	}
	for _, w := range []string{`"auths":{"x":{"auth":"`, "-----BEGIN PRIVATE KEY-----\\", "sv=2022-01-01&sig=", "x://a:b@", "password=\"", "aQ~", "eyJhbGciOiJI.eyJ.", "PuTTY-User-Key-File-3", "\xff\xfea\x00"} {
		f.Add("etc/x.yaml", []byte(w))
	}
	d := New()
	f.Fuzz(func(t *testing.T, path string, b []byte) {
		d.Want(path, int64(len(b)))
		found := d.Find(path, b)
		if len(found) > MaxPerFile {
			t.Fatal("too many")
		}
		for i, s := range found {
			if s.Line < 1 || i > 0 && s.Line < found[i-1].Line || len(s.Redacted) > 7 || len(s.Hash) != 16 || s.Rule == "" || s.Severity == 0 {
				t.Fatalf("%+v", s)
			}
		}
		again := d.Find(path, bytes.Clone(b))
		if fmt.Sprint(again) != fmt.Sprint(found) {
			t.Fatal("the same bytes give other findings")
		}
		d.FindConfig(scan.Config{Env: []string{string(b)}, History: []string{string(b)}})
		Redact(string(b))
	})
}
