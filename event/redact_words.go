package event

import "strings"

// tool is what a program's one-letter options mean. The same letter is a port
// here and a password there, so only known programs' letters are read.
type tool struct {
	known  bool
	open   bool     // its words may name another program, which then counts (sudo, kubectl exec)
	first  bool     // its first word is another program (sshpass)
	pass   string   // letters whose value is a secret
	joined string   // letters whose value is a secret only when it is joined to them
	pair   string   // letters whose value is user:password
	flags  string   // letters without a value, so that bundles can be read
	eval   string   // letters whose value is a program text
	sep    byte     // between user and password, ':' when 0
	subs   []string // subcommands without which pass means nothing
	bare   []string // words after which a secret follows
	user   bool     // --user is user:password
	cookie bool     // -b and --cookie
	names  bool     // --secret names a secret
	remote bool     // its arguments are a script for elsewhere
}

// The kinds of programs, as places in tools.
const (
	toolUnknown = iota
	toolShell
	toolInterpreter
	toolSu
	toolWrapper
	toolRemote
	toolContainer
	toolAz
	toolAWS
	toolSSHPass
	toolMySQL
	toolMySQLAdmin
	toolNMCLI
	toolCurl
	toolHTTPie
	toolAB
	toolLFTP
	toolSMB
	toolSQLPlus
	toolRedis
	toolSmallP
	toolLargeP
	toolLDAP
	toolLDAPPasswd
	toolSSHKeygen
	toolOpenSSL
	toolPlain
)

// tools is what is known of each kind.
var tools = [...]tool{
	toolUnknown:     {},
	toolShell:       {known: true, open: true, eval: "c"},
	toolInterpreter: {known: true, open: true, eval: "ceEr"},
	toolSu:          {known: true, open: true, eval: "c"},
	toolWrapper:     {known: true, open: true},
	toolRemote:      {known: true, open: true, remote: true},
	toolContainer:   {known: true, open: true, pass: "p", subs: loginWords[:1], names: true},
	toolAz:          {known: true, pass: "p", subs: loginWords[:]},
	toolAWS:         {known: true, bare: awsWords[:]},
	toolSSHPass:     {known: true, first: true, pass: "p", flags: "ev"},
	toolMySQL:       {known: true, joined: "p", flags: "sNBtvfEHrnqACGLXbwc"},
	toolMySQLAdmin:  {known: true, joined: "p", flags: "svfbEw", bare: nextPassword[:]},
	toolNMCLI:       {known: true, bare: nextPassword[:]},
	toolCurl:        {known: true, pair: "uU", flags: "sSkLfvigGIjlnNpqRaBO#0123456", user: true, cookie: true},
	toolHTTPie:      {known: true, pair: "a", flags: "vhbdfjF", user: true},
	toolAB:          {known: true, pair: "AP", flags: "kiqrlSVhd"},
	toolLFTP:        {known: true, pair: "u", sep: ','},
	toolSMB:         {known: true, pair: "U", sep: '%'},
	toolSQLPlus:     {known: true, sep: '/'},
	toolRedis:       {known: true, pass: "a", flags: "cx"},
	toolSmallP:      {known: true, pass: "p"},
	toolLargeP:      {known: true, pass: "P", flags: "qrjC"},
	toolLDAP:        {known: true, pass: "w", flags: "xZvLn"},
	toolLDAPPasswd:  {known: true, pass: "wsa", flags: "xZvn"},
	toolSSHKeygen:   {known: true, pass: "NP", flags: "pqv"},
	toolOpenSSL:     {known: true, pass: "kK", flags: ""},
	toolPlain:       {known: true},
}

// lookup returns what is known of a program by its name or path, never nil.
func lookup(name string) *tool { return &tools[kindOf(name)] }

func kindOf(name string) int {
	name = name[strings.LastIndexByte(name, '/')+1:]
	if len(name) < 2 || len(name) > 20 {
		return toolUnknown
	}
	switch name {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "pwsh":
		return toolShell
	case "python", "python2", "python3", "perl", "ruby", "node", "php", "lua":
		return toolInterpreter
	case "su", "runuser":
		return toolSu
	case "busybox", "sudo", "doas", "env", "timeout", "nohup", "nice", "xargs", "setsid", "stdbuf", "chroot", "nsenter", "unshare", "exec", "time", "strace", "kubectl", "crictl", "ctr", "runc":
		return toolWrapper
	case "ssh", "watch", "eval":
		return toolRemote
	case "docker", "podman", "nerdctl", "buildah", "helm", "oras", "crane", "oc", "cf", "regctl", "skopeo":
		return toolContainer
	case "az":
		return toolAz
	case "aws":
		return toolAWS
	case "sshpass":
		return toolSSHPass
	case "mysql", "mysqldump", "mysqlimport", "mysqlshow", "mysqlcheck", "mysqlslap", "mysqlbinlog", "mysqlsh", "mariadb", "mariadb-dump", "mycli":
		return toolMySQL
	case "mysqladmin", "mariadb-admin":
		return toolMySQLAdmin
	case "nmcli":
		return toolNMCLI
	case "curl":
		return toolCurl
	case "http", "https", "xh":
		return toolHTTPie
	case "ab":
		return toolAB
	case "lftp":
		return toolLFTP
	case "smbclient", "rpcclient", "winexe", "smbmap", "net":
		return toolSMB
	case "sqlplus":
		return toolSQLPlus
	case "redis-cli", "valkey-cli":
		return toolRedis
	case "mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport", "cqlsh", "rabbitmqadmin", "beeline", "elasticsearch-users", "hydra", "medusa", "nxc", "crackmapexec", "netexec", "evil-winrm", "rdesktop", "useradd", "usermod", "7z", "7za", "rar", "unrar":
		return toolSmallP
	case "sqlcmd", "bcp", "isql", "osql", "zip", "unzip", "mosquitto_pub", "mosquitto_sub", "ipmitool":
		return toolLargeP
	case "ldapsearch", "ldapmodify", "ldapadd", "ldapdelete", "ldapwhoami", "ldapcompare":
		return toolLDAP
	case "ldappasswd":
		return toolLDAPPasswd
	case "ssh-keygen":
		return toolSSHKeygen
	case "openssl":
		return toolOpenSSL
	case "wget", "psql", "pg_dump", "git", "grep", "ps", "tar", "find", "nc", "ncat", "socat":
		return toolPlain
	}
	return toolUnknown
}

// The words that tools point to.
var (
	loginWords   = [...]string{"login", "sql", "mysql", "postgres", "synapse"}
	nextPassword = [...]string{"password"}
	awsWords     = [...]string{"aws_secret_access_key", "aws_session_token"}
)

// program is what a process runs, by the name it was called, its own name, or its
// file.
func program(p *Process) *tool {
	exe := strings.TrimPrefix(p.Exe, "-") // a login shell
	if t := lookup(exe); t.known {
		return t
	}
	if t := lookup(p.Comm); t.known {
		return t
	}
	return lookup(p.ExePath)
}

// pairOption reports whether a long option's value is user:password everywhere.
func pairOption(name string) bool {
	switch name {
	case "creds", "src-creds", "dest-creds", "basic-auth", "userpass", "user-pass", "userpwd", "proxy-userpwd":
		return true
	}
	return false
}

// negated reports whether a long option that ends in a telling word asks for
// something else than the secret.
func negated(name string) bool {
	return hasPrefixAny(name, "no-", "ask-", "prompt-", "show-", "use-", "disable-", "enable-", "skip-", "allow-", "require-", "generate-", "random-", "reset-", "without-")
}

// endsKey holds the bytes that a telling name may end in.
var endsKey = [256]bool{
	'd': true, 'D': true, 't': true, 'T': true, 'n': true, 'N': true, 'y': true, 'Y': true, 'e': true, 'E': true,
	'l': true, 'L': true, 's': true, 'S': true, 'g': true, 'G': true, 'r': true, 'R': true, 'h': true, 'H': true,
}

// secretKey reports whether a name says that its value is a secret. Case, dots,
// dashes and underscores do not count.
func secretKey(key string) bool {
	if len(key) < 3 {
		return false
	}
	// Most names are no secret's, and their last two letters say so.
	prev := key[len(key)-2] | 0x20
	switch key[len(key)-1] | 0x20 {
	case 'd':
		if prev != 'r' && prev != 'd' && prev != 'w' && prev != 'i' {
			return false
		}
	case 't':
		if prev != 'e' && prev != 'w' {
			return false
		}
	case 'n':
		if prev != 'e' && prev != 'o' {
			return false
		}
	case 'y':
		if prev != 'e' {
			return false
		}
	case 'e':
		if prev != 's' && prev != 'r' {
			return false
		}
	case 'l':
		if prev != 'a' {
			return false
		}
	case 's':
		if prev != 's' && prev != 'd' && prev != 'l' {
			return false
		}
	case 'g':
		if prev != 'n' && prev != 'i' {
			return false
		}
	case 'r':
		if prev != 'e' && prev != 't' {
			return false
		}
	case 'h':
		if prev != 't' || key[0] != '_' {
			return false
		}
	default:
		return false
	}
	var buf [32]byte
	n := len(buf)
	for i := len(key) - 1; i >= 0 && n > 0; i-- {
		c := key[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c == '_' || c == '-' || c == '.':
			continue
		case c < '0' || c > '9' && c < 'a' || c > 'z':
			return false
		}
		n--
		buf[n] = c
	}
	k := buf[n:]
	if len(k) == 0 {
		return false
	}
	switch k[len(k)-1] {
	case 'd':
		return endsAny(k, "password", "passwd", "pwd", "secretid")
	case 't':
		return endsAny(k, "secret", "jwt")
	case 'n':
		return endsAny(k, "token", "authorization")
	case 'y':
		return endsAny(k, "apikey", "accesskey", "privatekey", "secretkey", "accountkey", "authkey", "encryptionkey", "signingkey",
			"masterkey", "sharedkey", "subscriptionkey", "storagekey", "functionskey", "hmackey", "saskey")
	case 'e':
		return endsAny(k, "passphrase", "xamzsignature", "sharedaccesssignature")
	case 'l':
		return endsAny(k, "credential")
	case 's':
		if endsAny(k, "credentials", "passwords") {
			return true
		}
		return endsAny(k, "pass") && !endsAny(k, "bypass", "compass", "trespass", "surpass", "overpass", "underpass")
	case 'g':
		return endsAny(k, "connectionstring") || string(k) == "sig"
	case 'r':
		return endsAny(k, "connstr", "bearer")
	case 'h':
		return string(k) == "auth" && key[0] == '_' // npm's
	}
	return false
}

// headerKey reports whether a name is a header whose value is one credential.
func headerKey(key string) bool {
	switch len(key) {
	case 6:
		return strings.EqualFold(key, "cookie")
	case 10:
		return strings.EqualFold(key, "set-cookie")
	case 13:
		return strings.EqualFold(key, "authorization")
	case 19:
		return strings.EqualFold(key, "proxy-authorization")
	}
	return false
}

func endsAny(k []byte, ends ...string) bool {
	for _, e := range ends {
		if len(k) >= len(e) && string(k[len(k)-len(e):]) == e {
			return true
		}
	}
	return false
}

func hasPrefixAny(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// spare reports whether the value of a telling name is no secret after all: a
// file's path, a yes or no, a reference that something else resolves, the id of a
// key, or what only looks like a password's name.
func spare(key, v string) bool {
	if v == "" || v == "-" || masked(v) || isPath(v) || template(v) || len(v) == 20 && awsID(v) {
		return true
	}
	if len(v) <= 5 {
		for _, w := range [...]string{"true", "false", "yes", "no", "null", "none", "nil"} {
			if strings.EqualFold(v, w) {
				return true
			}
		}
	}
	switch {
	case key == "":
	case strings.HasSuffix(key, "pass") && len(v) <= 2 && digits(v):
		return true // a pass of an encoder
	case (key == "PWD" || key == "OLDPWD") && v[0] == '/':
		return true
	case (key == "sig" || strings.HasSuffix(key, "&sig")) && len(v) < 16:
		return true
	}
	return false
}

// template reports whether a value is filled in by something else.
func template(v string) bool {
	n := len(v) - 1
	return n > 2 && (strings.HasPrefix(v, "${") && strings.IndexByte(v, '}') == n ||
		strings.HasPrefix(v, "$(") && strings.IndexByte(v, ')') == n ||
		strings.HasPrefix(v, "{{") && strings.HasSuffix(v, "}}"))
}

// reference reports whether a shell puts the value in at another place.
func reference(v string) bool {
	v = strings.Trim(v, `"`)
	if len(v) < 2 || v[0] != '$' {
		return len(v) > 0 && v[0] == '`'
	}
	if v[1] == '{' || v[1] == '(' {
		return true
	}
	for i := 1; i < len(v); i++ {
		if !alnum(v[i]) && v[i] != '_' {
			return false
		}
	}
	return true
}

// isPath reports whether a value is the path of a file. An absolute path has to
// begin with a directory that systems have, because a secret in base64 may begin
// with a slash.
func isPath(v string) bool {
	if v[0] == '@' { // curl's way to name a file
		return len(v) > 1 && isPath(v[1:])
	}
	if v = strings.TrimPrefix(v, "file://"); len(v) > 512 {
		return false
	}
	ext := false
	for i := 0; i < len(v); i++ {
		if c := v[i]; !alnum(c) && strings.IndexByte("._/-+@:", c) < 0 && (c != '~' || i > 0) {
			return false
		}
	}
	if dot := strings.LastIndexByte(v, '.'); dot > 0 {
		switch v[dot:] {
		case ".pem", ".key", ".crt", ".json", ".txt", ".yaml", ".yml", ".conf", ".env", ".jks", ".p12", ".pfx", ".token":
			ext = true
		}
	}
	return ext || hasPrefixAny(v, "./", "../", "~/") || rooted(v)
}

// rooted reports whether a text begins with a directory that systems have.
func rooted(v string) bool {
	if len(v) < 5 || v[0] != '/' {
		return false
	}
	return hasPrefixAny(v, "/etc/", "/run/", "/var/", "/tmp/", "/home/", "/root/", "/opt/", "/usr/", "/mnt/", "/proc/", "/dev/", "/sys/", "/srv/",
		"/data/", "/app/", "/config/", "/vault/", "/secret/", "/secrets/", "/certs/", "/keys/", "/private/", "/workspace/", "/media/", "/boot/", "/lib/", "/bin/", "/host/")
}

// optionLike reports whether a word is an option rather than a value that begins
// with a dash.
func optionLike(s string) bool {
	if len(s) < 2 || s[0] != '-' {
		return false
	}
	if s[1] == '-' {
		return len(s) > 3 && lowerLetter(s[2])
	}
	return len(s) == 2
}

func lowerLetter(c byte) bool { return c >= 'a' && c <= 'z' }

func isLetters(s string) bool {
	for i := 0; i < len(s); i++ {
		if !lowerLetter(s[i] | 0x20) {
			return false
		}
	}
	return s != ""
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// capitals reports whether a name is written as variables of the environment are.
func capitals(s string) bool {
	for i := 0; i < len(s); i++ {
		if lowerLetter(s[i]) {
			return false
		}
	}
	return s != ""
}

// tokenLike reports whether a text is too mixed to be a word or a name.
func tokenLike(s string) bool {
	digit, letter := false, false
	for i := 0; i < len(s); i++ {
		digit = digit || s[i] >= '0' && s[i] <= '9'
		letter = letter || lowerLetter(s[i]|0x20)
	}
	return digit && letter
}
