package config

import (
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// history makes a check of one that judges a single step. The Layer of a fault is
// -1: steps and layers do not match one to one.
func history(judge func(step string) string) func(*subject) []scan.Misstep {
	return func(s *subject) []scan.Misstep {
		var out []scan.Misstep
		for i, step := range s.image.Config.History {
			if len(step) > maxStep {
				step = step[:maxStep]
			}
			if detail := judge(step); detail != "" {
				m := scan.Misstep{Detail: fmt.Sprintf("History step %d: %s", i+1, detail), Layer: -1}
				out = append(out, m)
			}
		}
		return out
	}
}

const maxStep = 64 << 10

func remoteAdd(step string) string {
	rest, ok := cutWord(step, "ADD ")
	if !ok || strings.Contains(rest, "--checksum=") {
		return ""
	}
	for _, f := range strings.Fields(rest) {
		f = strings.Trim(f, `"[],`)
		if strings.HasPrefix(f, "http://") || strings.HasPrefix(f, "https://") || strings.HasPrefix(f, "git@") {
			return "ADD of " + host(f) + "."
		}
	}
	return ""
}

// cutWord returns what follows an instruction that a step begins with, behind the
// shell and the no-operation mark that classic builders write.
func cutWord(step, word string) (string, bool) {
	if i := strings.Index(step, "#(nop)"); i >= 0 {
		step = step[i+len("#(nop)"):]
	}
	return strings.CutPrefix(strings.TrimSpace(step), word)
}

// host is scheme and host of an address: the rest may hold a password or a token.
func host(u string) string {
	i := strings.Index(u, "://")
	if i < 0 {
		return "a repository"
	}
	h := u[i+3:]
	if j := strings.IndexAny(h, "/?#"); j >= 0 {
		h = h[:j]
	}
	if j := strings.LastIndexByte(h, '@'); j >= 0 {
		h = h[j+1:]
	}
	return clip(u[:i+3] + h)
}

// commands splits a step at what separates shell commands; a pipe stays inside one.
func commands(step string) []string {
	return strings.FieldsFunc(strings.ReplaceAll(strings.ReplaceAll(step, "&&", "\n"), "||", "\n"), func(r rune) bool { return r == ';' || r == '\n' })
}

func pipeToShell(step string) string {
	for _, c := range commands(step) {
		parts := strings.Split(c, "|")
		for i := range parts[:len(parts)-1] {
			if !fetches(parts[i]) {
				continue
			}
			for _, later := range parts[i+1:] {
				if sh := firstProgram(later); interpreter(sh) {
					return fmt.Sprintf("%s into %s.", firstProgram(parts[i]), clip(sh))
				}
			}
		}
		for _, mark := range []string{"sh -c \"$(", "bash -c \"$(", "sh <(", "bash <(", "eval \"$(", "source <("} {
			if at := strings.Index(c, mark); at >= 0 && fetches(c[at+len(mark):]) {
				return fmt.Sprintf("%s run by %s.", firstProgram(c[at+len(mark):]), strings.Fields(mark)[0])
			}
		}
	}
	return ""
}

func fetches(c string) bool {
	p := firstProgram(c)
	return p == "curl" || p == "wget" || p == "fetch"
}

// firstProgram is the program a command starts: behind the shell of a RUN step, its
// arguments, variables and sudo.
func firstProgram(c string) string {
	for _, f := range strings.Fields(c) {
		f = strings.Trim(f, `"'()`)
		base := f[strings.LastIndexByte(f, '/')+1:]
		switch {
		case f == "", f == "RUN", base == "sudo", base == "env", base == "exec", base == "command", base == "time", f[0] == '-', f[0] == '|', strings.Contains(f, "="):
			continue
		case f == "set", f == "then", f == "do", f == "if", f == "{", f == "!":
			continue
		case digits(f) || f == "pipefail": // the count of build arguments; an option of the shell
			continue
		case strings.HasPrefix(f, "/") && interpreter(base) && strings.Contains(c, f+" -") && strings.Contains(c, " -c "):
			continue
		}
		return base
	}
	return ""
}

func interpreter(p string) bool {
	switch p {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "python", "python2", "python3", "perl", "ruby", "node", "php":
		return true
	}
	return false
}

// secretNames are words that make the name of a build argument telling.
var secretNames = []string{"PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY", "CREDENTIAL", "_PAT", "CONNECTION_STRING", "CONNECTIONSTRING"}

func telling(name string) bool {
	name = strings.ToUpper(name)
	for _, w := range secretNames {
		if strings.Contains(name, w) {
			return !strings.HasSuffix(name, "_FILE") && !strings.HasSuffix(name, "_PATH") && !strings.HasSuffix(name, "_URL") && !strings.HasSuffix(name, "_NAME")
		}
	}
	return false
}

// secretArg names build arguments with telling names that have a value. Builders write
// them as |2 NAME=value NAME=value before the command.
func secretArg(step string) string {
	rest := step
	if r, ok := cutWord(step, "ARG "); ok {
		if k, v, has := strings.Cut(strings.TrimSpace(r), "="); has && v != "" && telling(k) {
			return "ARG " + clip(k) + " has a value."
		}
		return ""
	}
	if r, ok := strings.CutPrefix(strings.TrimSpace(rest), "RUN "); ok {
		rest = r
	}
	rest = strings.TrimSpace(rest)
	if rest == "" || rest[0] != '|' {
		return ""
	}
	fields := strings.Fields(rest[1:])
	if len(fields) == 0 || !digits(fields[0]) {
		return ""
	}
	var names []string
	for _, f := range fields[1:] {
		k, v, has := strings.Cut(f, "=")
		if !has {
			if len(names) > 0 || strings.HasPrefix(f, "/") {
				break
			}
			continue // the rest of a value with blanks
		}
		if v != "" && telling(k) {
			names = append(names, clip(k))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "build argument " + strings.Join(names, ", ") + "."
}

func insecureFetch(step string) string {
	for _, c := range commands(step) {
		for _, part := range strings.Split(c, "|") {
			p := firstProgram(part)
			for _, f := range strings.Fields(part) {
				switch {
				case p == "curl" && (f == "--insecure" || f == "-k" || len(f) > 2 && f[0] == '-' && f[1] != '-' && len(f) <= 6 && strings.Contains(f, "k")),
					p == "wget" && f == "--no-check-certificate",
					p == "git" && (f == "http.sslVerify=false" || strings.EqualFold(f, "http.sslverify")) && strings.Contains(part, "false"),
					(p == "pip" || p == "pip3") && strings.HasPrefix(f, "--trusted-host"),
					p == "npm" && f == "strict-ssl" && strings.Contains(part, "false"):
					return p + " " + clip(word(f)) + "."
				}
			}
		}
	}
	return ""
}

func unsigned(step string) string {
	for _, f := range strings.Fields(step) {
		f = strings.Trim(f, `"';`)
		switch f {
		case "--allow-unauthenticated", "--allow-untrusted", "--nogpgcheck", "--no-gpg-checks", "--force-yes", "--nosignature":
			return f + "."
		}
	}
	if strings.Contains(step, "gpgcheck=0") {
		return "gpgcheck=0."
	}
	return ""
}

func distUpgrade(step string) string {
	for _, c := range commands(step) {
		f := strings.Fields(c)
		p := firstProgram(c)
		for _, w := range f {
			switch {
			case (p == "apt-get" || p == "apt" || p == "aptitude") && (w == "upgrade" || w == "dist-upgrade" || w == "full-upgrade"),
				p == "apk" && w == "upgrade",
				(p == "yum" || p == "dnf" || p == "microdnf" || p == "tdnf") && (w == "upgrade" || w == "update" && last(f) == "update" || w == "update" && last(f) == "-y"):
				return p + " " + w + "."
			}
		}
	}
	return ""
}

func last(f []string) string { return strings.Trim(f[len(f)-1], `"')`) }

func recommends(step string) string {
	for _, c := range commands(step) {
		p := firstProgram(c)
		if p != "apt-get" && p != "apt" {
			continue
		}
		if strings.Contains(c, " install ") && !strings.Contains(step, "no-install-recommends") && !strings.Contains(step, "Install-Recommends") {
			return p + " install without --no-install-recommends."
		}
	}
	return ""
}

func chmod777(step string) string {
	for _, c := range commands(step) {
		if firstProgram(c) != "chmod" {
			continue
		}
		for _, f := range strings.Fields(c) {
			switch f {
			case "777", "0777", "a+rwx", "ugo+rwx", "o+w", "a+w", "666", "0666":
				return "chmod " + f + "."
			}
		}
	}
	return ""
}
