package secret

import (
	"bytes"
	"path"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
)

// place is what a path tells about its content.
type place struct {
	config bool // holds settings: unquoted values count
	doc    bool // explains: only what can be checked counts
	vendor bool // someone else's program text: only what can be checked counts
	other  bool // no text in which an assignment means anything
}

func placeOf(p string) place {
	ext, base := strings.ToLower(path.Ext(p)), strings.ToLower(path.Base(p))
	var w place
	switch ext {
	case ".env", ".properties", ".ini", ".cfg", ".conf", ".cnf", ".yaml", ".yml", ".json", ".toml", ".xml", ".config", ".tfvars", ".tfstate", ".npmrc", ".pypirc", ".netrc", ".credentials", ".secret", ".secrets":
		w.config = true
	case ".md", ".rst", ".txt", ".html", ".htm", ".adoc", ".1", ".3", ".5", ".7", ".8", ".tex", ".info":
		// A note that says what it holds is no manual.
		w.doc = !strings.Contains(base, "secret") && !strings.Contains(base, "credential") && !strings.Contains(base, "password") && !strings.Contains(base, "token")
		w.config = !w.doc
	case ".py", ".js", ".ts", ".mjs", ".cjs", ".jsx", ".tsx", ".rb", ".php", ".java", ".cs", ".go", ".kt", ".scala", ".sh", ".bash", ".ps1", ".pl", ".lua", ".groovy", ".tf", ".gradle", ".vb", ".swift", ".rs", ".sql":
	default:
		w.config = ext == "" && strings.HasPrefix(p, "etc/") || base[0] == '.' || strings.HasPrefix(base, ".env") || strings.HasPrefix(base, "env.") || base == "credentials" || base == "environment"
		w.other = !w.config
	}
	w.vendor = vendored(p)
	return w
}

// vendored reports whether a path lies where packages of others are installed.
func vendored(p string) bool {
	if strings.HasPrefix(p, "usr/share/") || strings.HasPrefix(p, "usr/lib/") || strings.HasPrefix(p, "lib/") || strings.HasPrefix(p, "usr/include/") || strings.HasPrefix(p, "usr/local/go/") {
		return true
	}
	for _, d := range [...]string{"node_modules/", "site-packages/", "dist-packages/", "/gems/", "go/pkg/mod/", "vendor/", ".cargo/registry/", ".m2/"} {
		if strings.Contains(p, d) {
			return true
		}
	}
	return false
}

// binarySuffixes are file types that hold no text, or text that is translation or index.
var binarySuffixes = func() map[string]struct{} {
	m := map[string]struct{}{}
	for _, s := range strings.Fields(`.so .a .o .la .pyc .pyo .class .jar .war .ear .whl .egg .zip .gz .tgz .bz2 .xz .zst .lz4 .7z .tar .deb .rpm .apk
		.png .jpg .jpeg .gif .bmp .ico .webp .tif .tiff .svg .svgz .pdf .ps .eps .ttf .otf .woff .woff2 .eot .pfb .afm
		.mp3 .mp4 .ogg .oga .wav .avi .mov .webm .mkv .flac .exe .dll .pdb .wasm .bin .dat .img .iso .mo .gmo .po .pot .gresource .typelib
		.node .bc .rlib .rmeta .h .hpp .hh .hxx .inc .pm .pod .css .less .scss .map .elc .el .vim .tcl .rnc .rng .xsd .xsl .dtd .lock .sum .terminfo .hwdb .ucode .fw`) {
		m[s] = struct{}{}
	}
	return m
}()

// passedOver are directories whose files are known to hold no secret of the image: what
// distributions install as documentation, translations, time zones and indexes.
var passedOver = [...]string{
	"usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/i18n/", "usr/share/zoneinfo/", "usr/share/fonts/", "usr/share/icons/", "usr/share/mime/",
	"usr/share/terminfo/", "lib/terminfo/", "usr/lib/terminfo/", "usr/share/perl/", "usr/share/perl5/", "usr/lib/x86_64-linux-gnu/perl", "usr/share/common-licenses/", "usr/share/licenses/",
	"usr/share/bash-completion/", "usr/share/zsh/", "usr/share/lintian/", "usr/share/help/", "usr/share/gtk-doc/", "usr/share/vim/", "usr/share/misc/", "usr/share/ca-certificates/", "etc/ssl/certs/",
	"var/lib/dpkg/", "var/lib/apt/lists/", "lib/apk/db/", "var/lib/rpm/", "usr/lib/sysimage/", "usr/lib/locale/", "usr/lib/gconv/", "usr/lib/udev/", "lib/udev/", "usr/include/", "usr/lib/firmware/", "lib/firmware/", "usr/lib/modules/", "lib/modules/",
	"proc/", "sys/", "dev/",
}

// Verdict says why a file is or is not read.
type Verdict uint8

// The verdicts of WantReason.
const (
	Read     Verdict = iota
	Empty            // too short to hold a secret
	TooLarge         // above MaxSize: to be counted and said
	Excluded         // its type or directory holds no secrets
)

// Want reports whether Find should be given the file at p, which is size bytes long.
func (d *Detector) Want(p string, size int64) bool { return d.WantReason(p, size) == Read }

// WantReason is Want with the reason. Only TooLarge is something not assessed; the
// caller counts those files and says so.
func (d *Detector) WantReason(p string, size int64) Verdict {
	p = strings.TrimPrefix(p, "/")
	if size < minContent {
		return Empty
	}
	for _, dir := range passedOver {
		if strings.HasPrefix(p, dir) {
			return Excluded
		}
	}
	base := p[strings.LastIndexByte(p, '/')+1:]
	if i := strings.LastIndexByte(base, '.'); i > 0 {
		ext := base[i:]
		if _, ok := binarySuffixes[ext]; ok {
			return Excluded
		}
		if strings.Contains(base, ".so.") {
			return Excluded
		}
	}
	if testData(p) {
		return Excluded
	}
	if size > MaxSize {
		return TooLarge
	}
	return Read
}

// testData reports whether a file belongs to the tests of an installed package: the
// keys and tokens there are made to be published.
func testData(p string) bool {
	if strings.Contains(p, "/testdata/") || strings.HasSuffix(p, "_test.go") {
		return true
	}
	if !vendored(p) {
		return false
	}
	base := path.Base(p)
	if strings.Contains(base, "_test.") || strings.Contains(base, "test_data") || strings.Contains(base, "testdata") || strings.Contains(base, ".test.") || strings.Contains(base, ".spec.") {
		return true
	}
	for _, d := range [...]string{"/test/", "/test_data/", "/test-data/", "/testing_data/", "/dummyserver/", "/tests/", "/testing/", "/fixtures/", "/__tests__/", "/spec/", "/examples/", "/example/", "/docs/", "/doc/"} {
		if strings.Contains(p, d) {
			return true
		}
	}
	return false
}

// utf16 turns UTF-16 text with a byte order mark into bytes, what is not ASCII into '?'.
func utf16(b []byte) ([]byte, bool) {
	if len(b) < 4 || !(b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff) {
		return nil, false
	}
	low := 0
	if b[0] == 0xfe {
		low = 1
	}
	out := make([]byte, 0, len(b)/2)
	for i := 2; i+1 < len(b); i += 2 {
		if c := b[i+low]; b[i+1-low] == 0 && c != 0 && c < 0x80 {
			out = append(out, c)
		} else {
			out = append(out, '?')
		}
	}
	return out, true
}

var (
	shadowHash = kind{"password-hash", "Password hash of an account", finding.Medium, 30, 0}
	netrc      = kind{"netrc-password", "Password in a .netrc file", finding.High, 30, 0}
	pgpass     = kind{"pgpass-password", "Password in a .pgpass file", finding.High, 30, 0}
)

// byPath looks into files whose place says what each line is.
func (f *finder) byPath() {
	base := path.Base(f.path)
	switch {
	case f.path == "etc/shadow" || f.path == "etc/shadow-":
		f.fields(2, func(v []byte) bool { return len(v) > 12 && v[0] == '$' }, &shadowHash)
	case base == ".pgpass":
		f.fields(5, func(v []byte) bool { return len(v) >= 4 && !placeholder(v) }, &pgpass)
	case base == ".netrc" || base == "_netrc":
		b := f.content
		for i := 0; i < len(b); {
			j := bytes.Index(b[i:], []byte("password"))
			if j < 0 {
				return
			}
			from := i + j + len("password")
			i = from
			for from < len(b) && (b[from] == ' ' || b[from] == '\t' || b[from] == '\n' || b[from] == '\r') {
				from++
			}
			to := from
			for to < len(b) && b[to] > ' ' {
				to++
			}
			if to-from >= 4 && from > i && !placeholder(b[from:to]) {
				f.found(&netrc, from, to)
			}
		}
	}
}

// fields judges the n-th field of every line whose fields are divided by colons; the
// fifth and last of .pgpass goes to the line's end.
func (f *finder) fields(n int, is func([]byte) bool, k *kind) {
	at := 0
	for line := range bytes.Lines(f.content) {
		start := at
		at += len(line)
		line = bytes.TrimRight(line, "\r\n")
		from, ok := 0, len(line) > 0 && line[0] != '#'
		for i := 1; ok && i < n; i++ {
			j := bytes.IndexByte(line[from:], ':')
			ok = j >= 0
			from += j + 1
		}
		if !ok {
			continue
		}
		to := len(line)
		if n < 5 {
			if j := bytes.IndexByte(line[from:], ':'); j >= 0 {
				to = from + j
			}
		}
		if is(line[from:to]) {
			f.found(k, start+from, start+to)
		}
	}
}
