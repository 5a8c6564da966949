package config

import (
	"fmt"
	"io/fs"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// table is every check. To add one: one entry here, and its case that fails and its
// case that passes in check_test.go.
func table() []check {
	return []check{
		{"root-user", "Runs as root", finding.Medium,
			"Create a user in the Dockerfile and name it with USER, by number so that Kubernetes can check runAsNonRoot.",
			needConfig, rootUser},
		{"user-by-name", "User given by name", finding.Informational,
			"Write the number instead of the name: runAsNonRoot cannot tell that a name is not root.",
			needConfig, userByName},
		{"no-healthcheck", "No health check", finding.Informational,
			"Kubernetes does not use HEALTHCHECK: set liveness and readiness probes in the pod. Add one only where Docker or Swarm runs the image.",
			needConfig, func(s *subject) []scan.Misstep {
				return when(!s.image.Config.Healthcheck, "The image defines no HEALTHCHECK; Kubernetes would not use it, and asks for probes instead.")
			}},
		{"port-ssh", "Offers a remote shell", finding.Medium,
			"Take the remote shell out of the image and enter containers with kubectl exec, which is authorised and recorded.",
			needConfig, remotePorts},
		{"port-privileged", "Listens on a privileged port", finding.Low,
			"Listen above 1023 and let the Service translate, so that the process needs neither root nor NET_BIND_SERVICE.",
			needConfig, privilegedPorts},
		{"env-tls-off", "Checking of certificates is turned off", finding.High,
			"Remove the variable; where the peer has a private authority, add its certificate to the trust store.",
			needConfig, riskyEnv},
		{"env-preload", "Loader variable set for every process", finding.Medium,
			"Set it only for the program that needs it, or install the library where the loader finds it.",
			needConfig, preloadEnv},
		{"no-source-label", "Does not say where it comes from", finding.Informational,
			"Set the labels org.opencontainers.image.source and .revision in the build, so that a finding leads to its repository and commit.",
			needConfig, sourceLabels},
		{"shell-entrypoint", "Entry point runs through a shell", finding.Low,
			`Write ENTRYPOINT ["program", "argument"]: the shell stays process 1 and does not pass on the signal to stop.`,
			needConfig, shellForm},
		{"volume-sensitive", "Declares a sensitive volume", finding.Medium,
			"Drop the volume; mount what the container needs from the pod's definition, read-only.",
			needConfig, volumes},
		{"tag-latest", "Known only by a tag that moves", finding.Low,
			"Give each build its own tag and deploy by digest.",
			needConfig, latestTag},
		{"remote-add", "Adds a remote file unchecked", finding.Medium,
			"Fetch it in a RUN step that verifies a known checksum, or use ADD --checksum.",
			needHistory, history(remoteAdd)},
		{"pipe-to-shell", "Runs a downloaded script", finding.High,
			"Download the script, verify a checksum or signature, then run it; better, install a package of a known version.",
			needHistory, history(pipeToShell)},
		{"secret-build-arg", "A build argument carries a secret", finding.High,
			"Everyone who pulls the image can read its history: revoke the secret, and pass it with RUN --mount=type=secret.",
			needHistory, history(secretArg)},
		{"tls-check-skipped", "Downloads without checking the certificate", finding.Medium,
			"Drop the option that turns the check off and install the certificate authority that is missing.",
			needHistory, history(insecureFetch)},
		{"unsigned-packages", "Installs packages without checking signatures", finding.High,
			"Import the repository's key and drop the option that skips the check.",
			needHistory, history(unsigned)},
		{"dist-upgrade", "Upgrades the whole distribution while building", finding.Low,
			"Start from a newer base image: the upgrade doubles files in a layer and no two builds are the same.",
			needHistory, history(distUpgrade)},
		{"no-recommends", "Installs recommended packages too", finding.Informational,
			"Add --no-install-recommends: fewer packages have fewer vulnerabilities.",
			needHistory, history(recommends)},
		{"chmod-777", "Gives everyone the right to write", finding.Medium,
			"Set the owner the process runs as, and no wider mode than it needs.",
			needHistory, history(chmod777)},
		{"account-writable", "Account files can be written", finding.Critical,
			"Give the file to root with mode 0644, shadow files 0640: who can write it can become root.",
			needFiles, accounts},
		{"account-open", "Account without a password", finding.High,
			"Lock the account with passwd -l.",
			needFiles, openAccounts},
		{"sudo-nopasswd", "sudo without a password", finding.High,
			"Remove the rule, and sudo with it: a container runs one program as one user.",
			needFiles, sudoers},
		{"sudo-installed", "sudo is installed", finding.Low,
			"Remove the package; use USER in the Dockerfile instead.",
			needFiles, tool("sudo", "The image holds %s.")},
		{"ssh-server", "An ssh server is installed", finding.Medium,
			"Remove it and enter containers with kubectl exec.",
			needFiles, tool("ssh server", "The image holds %s.")},
		{"ssh-settings", "ssh server lets root in", finding.High,
			"Set PermitRootLogin and PermitEmptyPasswords to no, or remove the server.",
			needFiles, sshSettings},
		{"ssh-host-key", "ssh host key in the image", finding.High,
			"Delete it in the step that installs the server: every container shares the key, and whoever pulls the image can pose as each of them.",
			needFiles, interesting("ssh host key", "Private key of an ssh server")},
		{"setuid", "Unusual setuid or setgid file", finding.Medium,
			"Remove the bit with chmod a-s or the package, and run with allowPrivilegeEscalation: false.",
			needFiles, setuid},
		{"setuid-usual", "Setuid files of the distribution", finding.Informational,
			"Run with allowPrivilegeEscalation: false, which makes them harmless, or remove the bit with chmod a-s.",
			needFiles, setuidUsual},
		{"world-writable", "Everyone may write", finding.Medium,
			"Take the right away with chmod o-w; directories that everyone needs get the sticky bit.",
			needFiles, writable},
		{"cache", "Package manager's cache left behind", finding.Low,
			"Clean the cache in the same RUN step that fills it, or keep it outside with RUN --mount=type=cache.",
			needFiles, caches},
		{"repository", "Version control directory in the image", finding.Medium,
			"List it in .dockerignore: its history holds what was deleted long ago, secrets too.",
			needFiles, interesting("repository", "Version control data")},
		{"shell-history", "Shell history in the image", finding.Medium,
			"Delete it and build from a clean file system.",
			needFiles, interesting("history", "History of what was typed")},
		{"core-dump", "Memory dump in the image", finding.Medium,
			"Delete it: it holds what the process had in memory.",
			needFiles, interesting("core dump", "Dump of a process's memory")},
		{"build-file", "Build file in the image", finding.Informational,
			"List it in .dockerignore.",
			needFiles, interesting("build file", "File of the build")},
		{"compiler", "Compiler in the image", finding.Informational,
			"Build in one stage and copy the result into another without the tools.",
			needFiles, tool("compiler", "The image holds %s.")},
		{"attack-tool", "Tools an intruder would want", finding.Low,
			"Leave them out and debug with an ephemeral container.",
			needFiles, tool("attack tool", "The image holds %s.")},
		{"package-manager", "Package manager and shell in the image", finding.Informational,
			"Consider a distroless base: without them an intruder has less to work with.",
			needFiles, managers},
		{"old-image", "Built long ago", finding.Low,
			"Build it again on a current base image, and on a schedule.",
			needCreated, oldImage},
	}
}

func when(fault bool, detail string, args ...any) []scan.Misstep {
	if !fault {
		return nil
	}
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return []scan.Misstep{{Detail: detail, Layer: -1}}
}

func rootUser(s *subject) []scan.Misstep {
	u, _, _ := strings.Cut(s.image.Config.User, ":")
	switch n, err := strconv.ParseUint(u, 10, 64); {
	case u == "":
		return when(true, "No USER is set, so the process runs as root.")
	case err == nil && n == 0, u == "root", u == "toor":
		return when(true, "USER is %s.", clip(s.image.Config.User))
	}
	return nil
}

func userByName(s *subject) []scan.Misstep {
	u, _, _ := strings.Cut(s.image.Config.User, ":")
	return when(u != "" && u != "root" && !digits(u), "USER is %s.", clip(u))
}

// remote are ports of remote shells and desktops.
var remote = map[int]string{22: "ssh", 23: "telnet", 2222: "ssh", 3389: "remote desktop", 5900: "VNC", 512: "rexec", 513: "rlogin", 514: "rsh"}

func remotePorts(s *subject) []scan.Misstep {
	var out []scan.Misstep
	for _, p := range s.image.Config.Ports {
		if name := remote[port(p)]; name != "" && !strings.HasSuffix(p, "/udp") {
			out = append(out, when(true, "EXPOSE %s, the port of %s.", clip(p), name)...)
		}
	}
	return out
}

func privilegedPorts(s *subject) []scan.Misstep {
	var out []scan.Misstep
	for _, p := range s.image.Config.Ports {
		if n := port(p); n > 0 && n < 1024 && remote[n] == "" {
			out = append(out, when(true, "EXPOSE %s.", clip(p))...)
		}
	}
	return out
}

func port(p string) int {
	p, _, _ = strings.Cut(p, "/")
	p, _, _ = strings.Cut(p, "-")
	n, err := strconv.Atoi(p)
	if err != nil {
		return 0
	}
	return n
}

// tlsOff are variables that turn checking of certificates off, and the value that does.
var tlsOff = map[string]string{
	"NODE_TLS_REJECT_UNAUTHORIZED": "0", "PYTHONHTTPSVERIFY": "0", "GIT_SSL_NO_VERIFY": "*", "NPM_CONFIG_STRICT_SSL": "false",
	"YARN_STRICT_SSL": "false", "GOINSECURE": "*", "PIP_TRUSTED_HOST": "*", "CURL_INSECURE": "*", "AWS_NO_VERIFY_SSL": "*",
	"AZURE_CLI_DISABLE_CONNECTION_VERIFICATION": "*", "GIT_STRICT_SSL": "false",
}

func riskyEnv(s *subject) []scan.Misstep {
	var out []scan.Misstep
	for _, kv := range s.image.Config.Env {
		k, v, _ := strings.Cut(kv, "=")
		bad, known := tlsOff[strings.ToUpper(k)]
		if !known || v == "" {
			continue
		}
		if bad == "*" && v != "0" && !strings.EqualFold(v, "false") || strings.EqualFold(v, bad) {
			out = append(out, when(true, "The environment sets %s.", clip(k))...)
		}
	}
	return out
}

func preloadEnv(s *subject) []scan.Misstep {
	var out []scan.Misstep
	for _, kv := range s.image.Config.Env {
		if k, v, _ := strings.Cut(kv, "="); v != "" && (k == "LD_PRELOAD" || k == "LD_AUDIT") {
			out = append(out, when(true, "The environment sets %s.", k)...)
		}
	}
	return out
}

func sourceLabels(s *subject) []scan.Misstep {
	l := s.image.Config.Labels
	source := l["org.opencontainers.image.source"] != "" || l["org.label-schema.vcs-url"] != ""
	revision := l["org.opencontainers.image.revision"] != "" || l["org.label-schema.vcs-ref"] != ""
	switch {
	case source && revision:
		return nil
	case source:
		return when(true, "The label org.opencontainers.image.revision is missing.")
	case revision:
		return when(true, "The label org.opencontainers.image.source is missing.")
	}
	return when(true, "The labels org.opencontainers.image.source and .revision are missing.")
}

func shellForm(s *subject) []scan.Misstep {
	for _, f := range []struct {
		what string
		args []string
	}{{"ENTRYPOINT", s.image.Config.Entrypoint}, {"CMD", s.image.Config.Cmd}} {
		if len(f.args) >= 3 && (f.args[0] == "/bin/sh" || f.args[0] == "/bin/bash") && f.args[1] == "-c" &&
			!strings.HasPrefix(strings.TrimSpace(f.args[2]), "exec ") {
			return when(true, "%s is %s -c …", f.what, f.args[0])
		}
		if len(f.args) > 0 {
			return nil // CMD only hands arguments to an ENTRYPOINT
		}
	}
	return nil
}

func volumes(s *subject) []scan.Misstep {
	var out []scan.Misstep
	for _, v := range s.image.Config.Volumes {
		switch strings.TrimRight(v, "/") {
		case "", "/etc", "/root", "/proc", "/sys", "/dev", "/usr", "/bin", "/lib", "/var/run/docker.sock", "/run/docker.sock":
			out = append(out, when(true, "VOLUME %s.", clip(v))...)
		}
	}
	return out
}

func latestTag(s *subject) []scan.Misstep {
	for _, t := range s.image.Tags {
		if t != "latest" && !strings.HasSuffix(t, ":latest") {
			return nil
		}
	}
	return when(len(s.image.Tags) > 0, "The only tag known of this image is latest.")
}

func oldImage(s *subject) []scan.Misstep {
	most := s.opt.MaxAge
	if most <= 0 {
		most = 180 * day
	}
	age := s.opt.Now - s.image.Created
	if s.image.Created < 1000*day { // builders that must be reproducible write 1970 or 1980
		return nil
	}
	return when(age > most, "Built %d days ago; the limit is %d.", age/day, most/day)
}

const day = int64(86400) * 1e9

func accounts(s *subject) []scan.Misstep {
	var out []scan.Misstep
	for _, n := range s.facts.Writable {
		if accountFile(n.Path) {
			out = append(out, scan.Misstep{Path: n.Path, Layer: n.Layer,
				Detail: fmt.Sprintf("Mode %04o, owner %d:%d.", n.Mode.Perm(), n.UID, n.GID)})
		}
	}
	return out
}

func lines(from []Line, detail string) []scan.Misstep {
	var out []scan.Misstep
	for _, l := range from {
		out = append(out, scan.Misstep{Path: l.Path, Layer: l.Layer, Detail: fmt.Sprintf("Line %d: "+detail, l.Line, l.Text)})
	}
	return out
}

func openAccounts(s *subject) []scan.Misstep {
	return lines(s.facts.NoPass, "%s has an empty password.")
}
func sudoers(s *subject) []scan.Misstep     { return lines(s.facts.Sudoers, "%s") }
func sshSettings(s *subject) []scan.Misstep { return lines(s.facts.SSHD, "%s") }

func interesting(kind, detail string) func(*subject) []scan.Misstep {
	return func(s *subject) []scan.Misstep {
		var out []scan.Misstep
		for _, i := range s.facts.Interest {
			if i.Kind != kind {
				continue
			}
			m := scan.Misstep{Path: i.Path, Layer: i.Layer, Detail: detail + "."}
			if i.Hidden {
				m.Detail = detail + ", deleted by a later layer; who pulls the image still has it."
			}
			out = append(out, m)
		}
		return out
	}
}

// tool reports all programs of a kind as one fault.
func tool(kind, detail string) func(*subject) []scan.Misstep {
	return func(s *subject) []scan.Misstep {
		names, first := toolNames(s.facts, kind)
		if len(names) == 0 {
			return nil
		}
		return []scan.Misstep{{Path: first.Path, Layer: first.Layer, Detail: fmt.Sprintf(detail, strings.Join(names, ", "))}}
	}
}

func toolNames(f *Facts, kind string) (names []string, first Interesting) {
	for _, t := range f.Tools {
		if t.Kind != kind {
			continue
		}
		if len(names) == 0 {
			first = t
		}
		if len(names) < 12 {
			names = append(names, clip(t.Path))
		}
	}
	return names, first
}

func managers(s *subject) []scan.Misstep {
	pm, _ := toolNames(s.facts, "package manager")
	sh, _ := toolNames(s.facts, "shell")
	all := append(pm, sh...)
	return when(len(all) > 0, "The image holds %s.", strings.Join(all, ", "))
}

func setuid(s *subject) []scan.Misstep {
	var out []scan.Misstep
	for _, n := range s.facts.Setuid {
		if _, usual := usualSetuid[canonical(n.Path)]; usual {
			continue
		}
		m := scan.Misstep{Path: n.Path, Layer: n.Layer, Detail: fmt.Sprintf("%s, owner %d:%d; not among those that distributions ship.", bits(n.Mode), n.UID, n.GID)}
		if n.UID == 0 && n.Mode&fs.ModeSetuid != 0 && (n.Mode&0o022 != 0 || givesShell(n.Path)) {
			m.Severity = finding.Critical
			m.Detail = fmt.Sprintf("%s, owner %d:%d; anyone can become root with it.", bits(n.Mode), n.UID, n.GID)
		}
		out = append(out, m)
	}
	return out
}

func setuidUsual(s *subject) []scan.Misstep {
	var names []string
	for _, n := range s.facts.Setuid {
		if _, usual := usualSetuid[canonical(n.Path)]; usual {
			names = append(names, n.Path)
		}
	}
	if len(names) > 20 {
		names = append(names[:20], "…")
	}
	return when(len(names) > 0, "As their packages ship them: %s.", strings.Join(names, ", "))
}

func bits(m fs.FileMode) string {
	switch {
	case m&fs.ModeSetuid != 0 && m&fs.ModeSetgid != 0:
		return fmt.Sprintf("setuid and setgid, mode %04o", m.Perm())
	case m&fs.ModeSetuid != 0:
		return fmt.Sprintf("setuid, mode %04o", m.Perm())
	}
	return fmt.Sprintf("setgid, mode %04o", m.Perm())
}

// writable groups what lies in one directory: a tree that everyone may write is one fault.
func writable(s *subject) []scan.Misstep {
	type tree struct {
		first Noted
		n     int
	}
	trees := map[string]*tree{}
	var order []string
	for _, n := range s.facts.Writable {
		if accountFile(n.Path) {
			continue
		}
		key := fmt.Sprintf("%d %s", n.Layer, top(n.Path))
		t := trees[key]
		if t == nil {
			t = &tree{first: n}
			trees[key] = t
			order = append(order, key)
		}
		t.n++
	}
	var out []scan.Misstep
	for _, k := range order {
		t := trees[k]
		m := scan.Misstep{Path: t.first.Path, Layer: t.first.Layer}
		kind := "File"
		if t.first.Mode.IsDir() {
			kind = "Directory without the sticky bit"
		}
		m.Detail = fmt.Sprintf("%s, mode %04o, owner %d:%d", kind, t.first.Mode.Perm(), t.first.UID, t.first.GID)
		if t.n > 1 {
			m.Detail += fmt.Sprintf(", and %d more below %s", t.n-1, top(t.first.Path))
		}
		m.Detail += "."
		if t.first.Mode&0o111 != 0 && t.first.Mode.IsRegular() && binDir(t.first.Path) {
			m.Severity = finding.High
		}
		out = append(out, m)
	}
	return out
}

// top is the first three parts of a path.
func top(p string) string {
	parts := strings.SplitN(p, "/", 4)
	return strings.Join(parts[:min(3, len(parts))], "/")
}

func caches(s *subject) []scan.Misstep {
	all := append([]Cache(nil), s.facts.Caches...)
	sort.SliceStable(all, func(i, j int) bool { return all[i].Bytes > all[j].Bytes })
	var out []scan.Misstep
	for _, c := range all {
		if c.Bytes < 64<<10 { // lock and mark files cost nothing
			continue
		}
		out = append(out, scan.Misstep{Path: c.Dir, Layer: c.Layer,
			Detail: fmt.Sprintf("The cache of %s takes %s in %d files of this layer.", c.Kind, size(c.Bytes), c.Files)})
	}
	return out
}

func size(b int64) string {
	if b < 1<<20 {
		return fmt.Sprintf("%d KiB", b>>10)
	}
	return fmt.Sprintf("%.1f MiB", math.Round(float64(b)/(1<<20)*10)/10)
}

func andMore(n int) string { return fmt.Sprintf(" And %d more of this kind.", n) }
