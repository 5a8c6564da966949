package config

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

const now = int64(1_800_000_000) * 1e9

// good is an image and files without a fault but those that every image has.
func good() (*scan.Image, *Facts) {
	f := &Facts{}
	f.Observe(Entry{Path: "usr/bin/app", Mode: 0o755, Size: 100})
	f.Observe(Entry{Path: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777})
	f.Observe(Entry{Path: "etc/passwd", Mode: 0o644, Size: 100})
	f.Observe(Entry{Path: "etc/shadow", Mode: 0o640, GID: 42, Size: 100})
	f.Content("etc/shadow", 0, []byte("root:*:19000:0:99999:7:::\n"))
	f.Done()
	return &scan.Image{
		Kind: scan.KindRegistry, Tags: []string{"1.4"}, Created: now - 10*day,
		Config: scan.Config{
			User: "1000:1000", Entrypoint: []string{"/usr/bin/app"}, Healthcheck: true, Ports: []string{"8080/tcp"}, Volumes: []string{"/data"},
			Env:     []string{"PATH=/usr/bin", "NODE_ENV=production"},
			Labels:  map[string]string{"org.opencontainers.image.source": "https://git.corp/shop", "org.opencontainers.image.revision": "abc"},
			History: []string{"ADD rootfs.tar /", "RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends tini"},
		},
	}, f
}

func image(change func(*scan.Image)) func() (*scan.Image, *Facts) {
	return func() (*scan.Image, *Facts) { i, f := good(); change(i); return i, f }
}

func files(entries ...Entry) func() (*scan.Image, *Facts) {
	return func() (*scan.Image, *Facts) {
		i, f := good()
		for _, e := range entries {
			f.Observe(e)
		}
		return i, f
	}
}

func step(steps ...string) func() (*scan.Image, *Facts) {
	return image(func(i *scan.Image) { i.Config.History = append(i.Config.History, steps...) })
}

func text(p, content string) func() (*scan.Image, *Facts) {
	return func() (*scan.Image, *Facts) {
		i, f := good()
		if !f.WantContent(p, int64(len(content))) {
			panic(p + " is not wanted")
		}
		f.Content(p, 2, []byte(content))
		return i, f
	}
}

type made = func() (*scan.Image, *Facts)

// cases are, for each check, what it reports and what it passes.
var cases = map[string]struct{ fail, pass []made }{
	"root-user": {
		[]made{image(func(i *scan.Image) { i.Config.User = "" }), image(func(i *scan.Image) { i.Config.User = "0:1000" }), image(func(i *scan.Image) { i.Config.User = "root" })},
		[]made{image(func(i *scan.Image) { i.Config.User = "app" })}},
	"user-by-name": {
		[]made{image(func(i *scan.Image) { i.Config.User = "app:app" })},
		[]made{image(func(i *scan.Image) { i.Config.User = "65532" }), image(func(i *scan.Image) { i.Config.User = "root" })}},
	"no-healthcheck": {[]made{image(func(i *scan.Image) { i.Config.Healthcheck = false })}, []made{good}},
	"port-ssh": {[]made{image(func(i *scan.Image) { i.Config.Ports = []string{"22/tcp"} }), image(func(i *scan.Image) { i.Config.Ports = []string{"3389"} })},
		[]made{image(func(i *scan.Image) { i.Config.Ports = []string{"22/udp", "220/tcp"} })}},
	"port-privileged": {[]made{image(func(i *scan.Image) { i.Config.Ports = []string{"80/tcp"} })}, []made{image(func(i *scan.Image) { i.Config.Ports = []string{"22/tcp", "x/tcp"} })}},
	"env-tls-off": {
		[]made{image(func(i *scan.Image) { i.Config.Env = []string{"NODE_TLS_REJECT_UNAUTHORIZED=0"} }), image(func(i *scan.Image) { i.Config.Env = []string{"PYTHONHTTPSVERIFY=0"} }),
			image(func(i *scan.Image) { i.Config.Env = []string{"GIT_SSL_NO_VERIFY=true"} }), image(func(i *scan.Image) { i.Config.Env = []string{"npm_config_strict_ssl=false"} })},
		[]made{image(func(i *scan.Image) {
			i.Config.Env = []string{"NODE_TLS_REJECT_UNAUTHORIZED=1", "PYTHONHTTPSVERIFY=", "GIT_SSL_NO_VERIFY=0", "GIT_SSL_NO_VERIFY"}
		})}},
	"env-preload":      {[]made{image(func(i *scan.Image) { i.Config.Env = []string{"LD_PRELOAD=/x.so"} })}, []made{image(func(i *scan.Image) { i.Config.Env = []string{"LD_PRELOAD="} })}},
	"no-source-label":  {[]made{image(func(i *scan.Image) { i.Config.Labels = nil }), image(func(i *scan.Image) { delete(i.Config.Labels, "org.opencontainers.image.revision") })}, []made{good}},
	"shell-entrypoint": {[]made{image(func(i *scan.Image) { i.Config.Entrypoint = []string{"/bin/sh", "-c", "app --serve"} }), image(func(i *scan.Image) { i.Config.Entrypoint, i.Config.Cmd = nil, []string{"/bin/sh", "-c", "app"} })}, []made{image(func(i *scan.Image) { i.Config.Entrypoint = []string{"/bin/sh", "-c", "exec app"} }), image(func(i *scan.Image) { i.Config.Cmd = []string{"/bin/sh", "-c", "app"} })}},
	"volume-sensitive": {[]made{image(func(i *scan.Image) { i.Config.Volumes = []string{"/etc/"} }), image(func(i *scan.Image) { i.Config.Volumes = []string{"/"} })}, []made{image(func(i *scan.Image) { i.Config.Volumes = []string{"/etc/app"} })}},
	"tag-latest":       {[]made{image(func(i *scan.Image) { i.Tags = []string{"latest"} })}, []made{image(func(i *scan.Image) { i.Tags = []string{"latest", "1.4"} }), image(func(i *scan.Image) { i.Tags = nil })}},
	"remote-add": {
		[]made{step("ADD https://dl.corp/a.tar.gz /opt # buildkit"), step("/bin/sh -c #(nop) ADD http://dl.corp/a /opt ")},
		[]made{step("ADD file:abc in / "), step("ADD --checksum=sha256:00 https://dl.corp/a /opt"), step("COPY https://x /")}},
	"pipe-to-shell": {
		[]made{step("RUN /bin/sh -c curl -fsSL https://get.corp/x.sh | sh # buildkit"), step("/bin/sh -c apt-get update && wget -qO- https://get.corp | sudo -E bash -"),
			step(`RUN /bin/sh -c bash -c "$(curl -fsSL https://get.corp/i.sh)"`), step("RUN |1 V=2 /bin/bash -o pipefail -c curl https://x.corp/i | tee /log | python3 -"), step("RUN bash <(curl -s https://x.corp)")},
		[]made{step("RUN /bin/sh -c curl -o x https://x.corp && sha256sum -c x.sum"), step("RUN curl https://x.corp | tar xz"), step("RUN curl https://x.corp | gpg --dearmor; sh -c true"), step("RUN cat x | sh")}},
	"secret-build-arg": {
		[]made{step("RUN |2 VERSION=1 NPM_TOKEN=abc /bin/sh -c npm ci"), step("ARG DB_PASSWORD=x"), step("|1 API_KEY=a b c /bin/sh -c make")},
		[]made{step("RUN |2 VERSION=1 TOKEN_FILE=/x /bin/sh -c export A_TOKEN=1"), step("ARG DB_PASSWORD"), step("ARG VERSION=1"), step("RUN |1 NPM_TOKEN= /bin/sh -c npm ci")}},
	"tls-check-skipped": {
		[]made{step("RUN curl -k https://x.corp -o y"), step("RUN curl -fsSkL https://x.corp -o y"), step("RUN apk add a && wget --no-check-certificate https://x.corp"), step("RUN pip install --trusted-host x.corp y")},
		[]made{step("RUN curl -fsSL https://x.corp/-k -o y"), step("RUN ssh -k x"), step("RUN curl --keepalive-time 2 x")}},
	"unsigned-packages": {[]made{step("RUN apt-get install -y --allow-unauthenticated x"), step("RUN dnf install -y --nogpgcheck x"), step("RUN apk add --allow-untrusted x.apk")}, []made{good}},
	"dist-upgrade": {
		[]made{step("RUN /bin/sh -c apt-get update && apt-get -y dist-upgrade"), step("RUN apk upgrade --no-cache"), step("RUN yum -y update")},
		[]made{step("RUN apt-get update"), step("RUN pip install --upgrade pip"), step("RUN yum update -y openssl")}},
	"no-recommends":    {[]made{step("RUN /bin/sh -c apt-get update && apt-get install -y curl")}, []made{step("RUN apt-get -y --no-install-recommends install curl"), step("RUN apk add curl")}},
	"chmod-777":        {[]made{step("RUN chmod -R 777 /app"), step("RUN make && chmod a+w /x")}, []made{step("RUN chmod 755 /app"), step("RUN echo chmod 777")}},
	"account-writable": {[]made{files(Entry{Path: "etc/passwd", Mode: 0o666}), files(Entry{Path: "etc/passwd", Mode: 0o664, GID: 100}), files(Entry{Path: "etc/shadow", Mode: 0o640, UID: 1000})}, []made{files(Entry{Path: "etc/group", Mode: 0o664}, Entry{Path: "etc/passwd", Mode: 0o666, Hidden: true})}},
	"account-open":     {[]made{text("etc/shadow", "root:*:1::::::\napp::1::::::\n")}, []made{text("etc/shadow", "app:!:1::::::\n#x::\nnot a line\n")}},
	"sudo-nopasswd":    {[]made{text("etc/sudoers.d/app", "# x\napp ALL=(ALL) NOPASSWD: ALL\n"), text("etc/sudoers", "%wheel ALL=(ALL) NOPASSWD:ALL")}, []made{text("etc/sudoers", "# %wheel NOPASSWD: ALL\nroot ALL=(ALL) ALL\n")}},
	"sudo-installed":   {[]made{files(Entry{Path: "usr/bin/sudo", Mode: fs.ModeSetuid | 0o755})}, []made{files(Entry{Path: "usr/share/sudo", Mode: 0o755}, Entry{Path: "usr/bin/sudo", Mode: 0o755, Hidden: true})}},
	"ssh-server":       {[]made{files(Entry{Path: "usr/sbin/sshd", Mode: 0o755})}, []made{files(Entry{Path: "usr/bin/ssh", Mode: 0o755})}},
	"ssh-settings":     {[]made{text("etc/ssh/sshd_config", "PermitRootLogin yes\n")}, []made{text("etc/ssh/sshd_config", "#PermitRootLogin yes\nPermitRootLogin no\n")}},
	"ssh-host-key":     {[]made{files(Entry{Path: "etc/ssh/ssh_host_rsa_key", Mode: 0o600, Size: 9})}, []made{files(Entry{Path: "etc/ssh/ssh_host_rsa_key.pub", Mode: 0o644, Size: 9})}},
	"setuid":           {[]made{files(Entry{Path: "opt/x", Mode: fs.ModeSetuid | 0o755}), files(Entry{Path: "usr/local/bin/su", Mode: fs.ModeSetuid | 0o755}), files(Entry{Path: "opt/y", Mode: fs.ModeSetgid | 0o755})}, []made{files(Entry{Path: "bin/su", Mode: fs.ModeSetuid | 0o755}, Entry{Path: "opt/x", Mode: fs.ModeSetuid | 0o755, Hidden: true}, Entry{Path: "var/mail", Mode: fs.ModeDir | fs.ModeSetgid | 0o775})}},
	"setuid-usual":     {[]made{files(Entry{Path: "usr/bin/passwd", Mode: fs.ModeSetuid | 0o755})}, []made{good}},
	"world-writable":   {[]made{files(Entry{Path: "app/x", Mode: 0o666}), files(Entry{Path: "data", Mode: fs.ModeDir | 0o777})}, []made{files(Entry{Path: "l", Mode: fs.ModeSymlink | 0o777}, Entry{Path: "x", Mode: 0o666, Hidden: true})}},
	"cache":            {[]made{files(Entry{Path: "var/lib/apt/lists/a", Mode: 0o644, Size: 1 << 20}), files(Entry{Path: "root/.cache/pip/http/a", Mode: 0o644, Size: 1 << 20, Hidden: true}), files(Entry{Path: "home/a/.npm/_cacache/x", Mode: 0o644, Size: 1 << 20})}, []made{files(Entry{Path: "var/lib/apt/lists/lock", Mode: 0o640, Size: 3}, Entry{Path: "home/x", Mode: 0o644, Size: 1 << 20})}},
	"repository":       {[]made{files(Entry{Path: "app/.git", Mode: fs.ModeDir | 0o755})}, []made{files(Entry{Path: "app/.gitignore", Mode: 0o644, Size: 1})}},
	"shell-history":    {[]made{files(Entry{Path: "root/.bash_history", Mode: 0o600, Size: 5})}, []made{files(Entry{Path: "root/.bash_history", Mode: 0o600})}},
	"core-dump":        {[]made{files(Entry{Path: "app/core.1234", Mode: 0o600, Size: 1 << 20})}, []made{files(Entry{Path: "app/core.js", Mode: 0o600, Size: 1 << 20}, Entry{Path: "app/core", Mode: fs.ModeDir | 0o755})}},
	"build-file":       {[]made{files(Entry{Path: "app/Dockerfile", Mode: 0o644, Size: 5})}, []made{files(Entry{Path: "app/node_modules/x/Dockerfile", Mode: 0o644, Size: 5})}},
	"compiler":         {[]made{files(Entry{Path: "usr/bin/gcc", Mode: fs.ModeSymlink | 0o777})}, []made{files(Entry{Path: "usr/lib/gcc", Mode: 0o755})}},
	"attack-tool":      {[]made{files(Entry{Path: "usr/bin/nmap", Mode: 0o755})}, []made{good}},
	"package-manager":  {[]made{files(Entry{Path: "usr/bin/apt-get", Mode: 0o755})}, []made{files(Entry{Path: "usr/bin/bash", Mode: 0o644})}},
	"old-image":        {[]made{image(func(i *scan.Image) { i.Created = now - 200*day })}, []made{image(func(i *scan.Image) { i.Created = now - 170*day }), image(func(i *scan.Image) { i.Created = 1 })}},
}

func ids(m []scan.Misstep) []string {
	var out []string
	for _, x := range m {
		out = append(out, x.Check)
	}
	return out
}

func TestEveryCheckFailsAndPasses(t *testing.T) {
	for _, d := range Describe() {
		c, ok := cases[d.ID]
		if !ok || len(c.fail) == 0 || len(c.pass) == 0 {
			t.Errorf("%s has no case that fails, or none that passes", d.ID)
			continue
		}
		for i, m := range c.fail {
			img, f := m()
			found, gaps := Judge(img, f, Options{Now: now})
			if !slices.Contains(ids(found), d.ID) {
				t.Errorf("%s: case %d passes; found %v, gaps %v", d.ID, i, ids(found), gaps)
			}
			for _, x := range found {
				if x.Title == "" || x.Remedy == "" || x.Detail == "" || x.Severity == finding.SeverityNone {
					t.Errorf("%s: %+v", d.ID, x)
				}
			}
		}
		for i, m := range c.pass {
			img, f := m()
			if found, _ := Judge(img, f, Options{Now: now}); slices.Contains(ids(found), d.ID) {
				t.Errorf("%s: case %d that should pass fails: %v", d.ID, i, found)
			}
		}
	}
	if len(cases) != len(Describe()) {
		t.Errorf("%d cases for %d checks", len(cases), len(Describe()))
	}
}

func TestAGoodImageHasNoFaultAndNoGap(t *testing.T) {
	img, f := good()
	if found, gaps := Judge(img, f, Options{Now: now}); len(found)+len(gaps) != 0 {
		t.Errorf("%v %v", found, gaps)
	}
}

func TestWhatWasNotLookedAtIsSaid(t *testing.T) {
	count := func(n needs) (k int) {
		for _, c := range table() {
			if c.needs == n {
				k++
			}
		}
		return k
	}
	for name, c := range map[string]struct {
		image *scan.Image
		facts *Facts
		opt   Options
		gaps  int
		never needs
	}{
		"a root file system":   {&scan.Image{Kind: scan.KindRootfs}, &Facts{Looked: true}, Options{Now: now}, 3, needConfig | needHistory | needCreated},
		"files not looked at":  {&scan.Image{Kind: scan.KindOCI, Created: now, Config: scan.Config{History: []string{"x"}}}, nil, Options{Now: now}, 1, needFiles},
		"no clock, no history": {&scan.Image{Kind: scan.KindOCI, Created: now}, &Facts{Looked: true}, Options{}, 2, needHistory | needCreated},
		"a list of packages":   {&scan.Image{Kind: scan.KindSBOM}, nil, Options{Now: now}, 4, 255},
	} {
		found, gaps := Judge(c.image, c.facts, c.opt)
		if len(gaps) != c.gaps {
			t.Errorf("%s: %d gaps: %v", name, len(gaps), gaps)
		}
		total := 0
		for _, g := range gaps {
			var n int
			fmt.Sscanf(g.What, "%d", &n)
			total += n
			if g.Reason == "" {
				t.Errorf("%s: a gap without reason", name)
			}
		}
		want := 0
		for _, n := range []needs{needConfig, needHistory, needFiles, needCreated} {
			if c.never&n != 0 {
				want += count(n)
			}
		}
		if total != want {
			t.Errorf("%s: %d checks not made, %d said", name, want, total)
		}
		for _, k := range table() {
			if k.needs&c.never != 0 && slices.Contains(ids(found), k.id) {
				t.Errorf("%s: %s was judged without evidence", name, k.id)
			}
		}
	}
}

func TestHistoryTellsNoValue(t *testing.T) {
	img, f := step("RUN |1 NPM_TOKEN=hidden1 /bin/sh -c true", "ADD https://user:hidden2@dl.corp/a?sig=hidden3 /", "ARG PASSWORD=hidden4", "RUN curl -k -u a:hidden5 https://x.corp | sh")()
	img.Config.Env = []string{"GIT_SSL_NO_VERIFY=hidden6"}
	found, _ := Judge(img, f, Options{Now: now})
	if s := fmt.Sprint(found); strings.Contains(s, "hidden") || len(found) < 5 {
		t.Errorf("%s", s)
	}
}

func TestFactsAreBoundedAndSayWhatTheyDropped(t *testing.T) {
	img, f := good()
	for i := range 2000 {
		f.Observe(Entry{Path: fmt.Sprintf("opt/d%d/x", i), Mode: fs.ModeSetuid | 0o777, Size: 1})
		f.Observe(Entry{Path: fmt.Sprintf("home/u%d/.cache/pip/x", i), Mode: 0o644, Size: 1 << 20})
	}
	found, gaps := Judge(img, f, Options{Now: now})
	n := 0
	for _, id := range ids(found) {
		if id == "setuid" {
			n++
		}
	}
	if n != maxPerCheck || len(f.Setuid) != maxNoted || len(gaps) != 1 || !strings.Contains(gaps[0].Reason, "1500 setuid files") || !strings.Contains(gaps[0].Reason, "1500 caches") {
		t.Errorf("%d faults, %d kept, gaps %v", n, len(f.Setuid), gaps)
	}
}

func FuzzJudge(f *testing.F) {
	for _, c := range cases {
		for _, m := range c.fail {
			i, _ := m()
			f.Add(strings.Join(i.Config.History, "\n"), "etc/sudoers.d/x", i.Config.User)
		}
	}
	f.Fuzz(func(t *testing.T, history, p, user string) {
		i, facts := good()
		i.Config.History, i.Config.User, i.Config.Ports, i.Config.Env = strings.Split(history, "\n"), user, []string{user}, []string{user}
		facts.Observe(Entry{Path: p, Mode: fs.ModeSetuid | 0o777, Size: 1 << 20})
		facts.Observe(Entry{Path: p, Mode: fs.ModeDir | 0o777})
		facts.WantContent(p, 10)
		facts.Content(p, 0, []byte(history))
		found, _ := Judge(i, facts, Options{Now: now})
		for _, m := range found {
			if m.Check == "" || m.Detail == "" || len(m.Detail) > 4000 {
				t.Fatalf("%+v", m)
			}
		}
	})
}
