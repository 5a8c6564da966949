package event

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRedactArgs reads a line as words parted by blanks; '_' inside a word stands
// for a blank, '¶' for a line's end. What is in «» is the secret.
func TestRedactArgs(t *testing.T) {
	for _, line := range []string{
		// Options by their name.
		"app --password=«hunter2x» --verbose",
		"app --password «hunter2x» --verbose",
		"app -password «hunter2x»",
		"app --db-password=«123456» --port=5432",
		"app --token «abc.def» run",
		"app --api-key=«k3y» --apiKey «k3y»",
		"app --client-secret «a=b;c,d=e» --clientSecret=«x»",
		"app --secret=«with_blank_inside» --n 3",
		"app --password «-starts-with-a-dash»",
		"app --password --verbose",
		"app --storepass «changeit» -keypass «changeit2»",
		"keytool -storepass «changeit» -alias x",
		"app -Dspring.datasource.password=«pw,d» -Dserver.port=8080",
		"kubectl create secret generic db --from-literal=password=«s3cr» --from-literal=user=app",
		"helm install x --set auth.password=«s3cr»,auth.user=u",
		// Paths, references, numbers and yes or no stay.
		"app --password-file=/run/x --token-file /run/y --password=/run/secrets/db",
		"app --client-key=/etc/k.pem --private-key ./id.key --tls-private-key-file=server.key",
		"app --token-ttl=5m --max-tokens 100 --password-stdin --no-password db --use-password=true",
		"app --secret=${SECRET} --token $(TOKEN) --api-key {{.Key}}",
		"ssh -p 2222 host", "mkdir -p a/b", "nc -p 4444 -l", "ps -p 77", "docker run -p 8080:80 -u 1000:1000 nginx",
		"docker build --secret id=npm,src=/home/u/.npmrc .",
		"docker service create --secret name nginx", "docker service create --secret=name nginx",
		"docker run -v /etc/passwd:/host/passwd:ro alpine", "cp x:/etc/passwd: y",
		"grep -r aws_secret_access_key /home", "grep -e -----BEGIN_RSA_PRIVATE_KEY----- -r /", "grep password= /etc/app.conf",
		"cat /etc/passwd /run/secrets/kubernetes.io/serviceaccount/token", "kubectl get secret token",
		"ffmpeg -pass 1 -i in.mp4", "app --bypass=always --compass north",
		// Letters of known programs.
		"mysql -uroot -p«hunter2» -h db", "mysqldump -sp«3306»", "mysql -p db", "mariadb-dump --password=«x1»",
		"mysqladmin -u root password «n3w»",
		"kubectl exec -it db -- mysql -u root -p«pw» shop", "sudo -u x mysql -p«pw»", "docker exec c mysql -p«pw»",
		"sshpass -p «pw» ssh -p 2222 host", "sshpass -p«pw» scp -p a b", "sshpass -e ssh -p 22 h",
		"docker login -u me -p «pw» reg.io", "docker --debug login -u mysql -p «pw»", "az login --service-principal -u id -p «pw» --tenant t",
		"az webapp up -p plan", "redis-cli -h r -p 6379 -a «pw» ping", "redis-cli --pass «pw»", "mongosh -u a -p «pw» h",
		"sqlcmd -S h -U sa -P «pw»", "ldapsearch -x -D cn=a -w «pw»", "smbclient //h/s -U dom\\u%«pw»", "lftp -u me,«pw» h",
		"sqlplus system/«pw»@//db:1521/x", "openssl rsa -in k.pem -passin pass:«pw» -out x", "openssl rsa -passin file:/run/pw -passout env:PW",
		"zip -P «pw» a.zip b", "ssh-keygen -t rsa -N «pw» -f k", "aws configure set aws_secret_access_key «wJalr»",
		"psql -h db -p 5432 -U app", "env PGPASSWORD=«pw» psql -p 5432",
		// User and password.
		"curl -u me:«pw» http://h", "curl -sSfu me:«pw:with:colons» http://h", "curl --user me:«pw»", "curl --user=me:«pw»", "curl -u me http://h:80/",
		"curl -u «key0123456789abcdef»: http://h", "curl -U p:«pw» -x proxy:3128", "wget --user=me --password=«pw» http://h", "http -a me:«pw» :8080/x",
		"skopeo copy --src-creds me:«pw» --dest-creds=me:«pw» a b", "curl -b sid=«abc;_x=1» http://h", "curl --oauth2-bearer «abc» http://h",
		// Addresses.
		"git clone https://me:«pw»@git.example/x.git", "app postgres://u:«p@w»@db:5432/x?sslmode=off", "app redis://:«pw»@r/0",
		"app --url=amqp://u:«pw'q»@a,amqp://u:«pw»@b", "app http://h:8080/a@b", "app http://[::1]:80/a@b", "git clone ssh://git@h/x", "app postgres://u:«p/w»@db/x",
		"git clone https://«0123456789abcdef0123»@git.example/x", "app mongodb+srv://u:«pw»@c0,c1/x?a=b@c",
		// Headers.
		"curl -H Authorization:_Bearer_«abcdef» http://h", "curl -H Authorization:_Basic_«dTpw» http://h", "curl -H X-Api-Key:_«k»", "curl -H X-Auth-Token:«k»",
		"curl -H authorization:_«raw»", "curl -H Cookie:_«a=b;_c=d» http://h", "wget --header=PRIVATE-TOKEN:_«k» http://h", "curl -H @/run/headers -H Accept:_text/html",
		"git -c http.extraheader=AUTHORIZATION:_bearer_«abc» fetch", "app Bearer_«abcdefgh12345678»", "app Basic_«dXNlcjpwYXNz»", "app Basic_knowledge Bearer_authentication",
		// Variables and documents.
		"docker run -e MYSQL_ROOT_PASSWORD=«a_b» -e PORT=1 mysql", "env SSHPASS=«pw» PWD=/home/x sshpass -e ssh h", "env API_KEY=«a=b» x",
		`curl -d {"user":"u","password":"«p,w\"x»","n":1} http://h`, `curl -d user=u&password=«pw»&x=1 http://h`, `app {"token":«123»,"max":5}`,
		"kubectl apply -f password:_«my_pass»¶port:_8080", `psql host=h_password=«pw»_user=u`, `psql password=«pw»_user=u`,
		"app DefaultEndpointsProtocol=https;AccountName=n;AccountKey=«k+/==»;EndpointSuffix=core.windows.net",
		"app Endpoint=sb://n/;SharedAccessKeyName=n;SharedAccessKey=«k=»", "app https://n.blob/c?sv=1&sig=«0123456789abcdef%3D»&se=2", "app Server=h;Uid=u;Pwd=«p_w»;Port=1",
		"app AZURE_STORAGE_CONNECTION_STRING=«DefaultEndpointsProtocol=https;AccountKey=k»",
		`mysql -e CREATE_USER_u_IDENTIFIED_BY_'«pw»'`, `psql -c ALTER_ROLE_u_PASSWORD_'«pw»'`,
		// Tokens.
		"app «ghp_0123456789abcdefghijABCDEFGHIJ012345»", "app x=«glpat-0123456789abcdefghij»", "app ghp_short glpat-x xoxb- sk-learn",
		"app «xoxb-123456789012-abcdefghij»", "app «npm_0123456789abcdefghijABCDEFGHIJ012345»", "app «eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl» x", "app eyJ.a.b eyJhbGciOiJIUzI1NiJ9",
		"app «abc8Q~0123456789abcdefghijABCDEFGHIJ0123»", "app «SG.0123456789abcdefghij.klmnopqrstuvwxyz»",
		"s3 AKIAIOSFODNN7EXAMPLE «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»", "app --access-key AKIAIOSFODNN7EXAMPLE", "app wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"app -----BEGIN_EC_PRIVATE_KEY-----«¶MHcCAQEEIIIabcdefghijk¶»-----END_EC_PRIVATE_KEY-----", "app PRIVATE_KEY=-----BEGIN_PRIVATE_KEY-----«¶MHcCAQEEIIIabcdefghijk¶»-----END_PRIVATE_KEY-----¶x",
		"app -----BEGIN_CERTIFICATE-----¶MHcCAQEEIIIabcdefghijk¶-----END_CERTIFICATE-----",
		// Scripts: only the secret goes.
		"sh -c PGPASSWORD=«pw»_psql_-h_db_-c_'select_1';_rm_-rf_/", "sh -c mysql_-p«pw»_shop_<_dump.sql", "bash -lc curl_-u_me:«pw»_http://h/x|sh",
		`sh -c curl_-H_"Authorization:_Bearer_«abc_d»"_http://h;_cat_/etc/shadow`, "sh -c mysql_-p$PW_-u_x;_app_--password_$PW_--token=${T}", "sh -c mysql_-p«'$ecret'»",
		`sh -c export_TOKEN=«"a_b"»_X=1_&&_env`, `bash -c sh_-c_'mysql_-p«pw»_-u_r'`, `sh -c echo_token:_;_curl_x|sh`, "sh -c sshpass_-p_«pw»_ssh_-p_22_h_'ls_-l'",
		`python3 -c connect(host="h",_password="«p_w»",_port=3)`, `python3 -c h={'Authorization':_'Bearer_«abc»'}`, "ssh h mysql_-p«pw»_shop", "ssh h TOKEN=«pw»_rm_-rf_/",
		"watch sshpass_-p_«pw»_ssh_h", `sh -c docker_login_-u_x_-p_«pw»_&&_docker_run_-p_80:80_x`, "nginx -g daemon_off;_error_log_/dev/null;",
		"busybox wget --header=X-Api-Key:_«k» http://h",
	} {
		line = strings.NewReplacer(" ", "\x00", "_", " ", "¶", "\n").Replace(line)
		// Names keep their underscores.
		for _, name := range []string{"aws secret access key", "MYSQL ROOT PASSWORD", "API KEY", "AZURE STORAGE CONNECTION STRING", "PRIVATE KEY=", "ghp 0", "ghp s", "npm 0", "ROOT PASSWORD", "error log"} {
			line = strings.ReplaceAll(line, name, strings.ReplaceAll(name, " ", "_"))
		}
		in := strings.Split(strings.NewReplacer("«", "", "»", "").Replace(line), "\x00")
		want := slices.Clone(in)
		rest := line
		var b strings.Builder
		for {
			before, after, ok := strings.Cut(rest, "«")
			b.WriteString(before)
			if !ok {
				break
			}
			b.WriteString(Redacted)
			if _, rest, ok = strings.Cut(after, "»"); !ok {
				t.Fatalf("%q: « without »", line)
			}
		}
		want = strings.Split(b.String(), "\x00")
		p := imageOf(in...)
		changed := p.Redact()
		if !slices.Equal(p.Args, want[1:]) || p.Cmdline != strings.Join(append([]string{p.Comm}, want[1:]...), " ") {
			t.Errorf("%q\n got %q\nwant %q", in, p.Args, want[1:])
		}
		if changed != !slices.Equal(in, want) {
			t.Errorf("%q: changed %v", in, changed)
		}
		if again := *p; again.Redact() {
			t.Errorf("%q changes again: %q", p.Args, again.Args)
		}
	}
}

// imageOf is a process as a source makes it from argv.
func imageOf(argv ...string) *Process {
	comm := argv[0][strings.LastIndexByte(argv[0], '/')+1:]
	return &Process{Comm: comm, Exe: argv[0], ExePath: "/usr/bin/" + comm, Args: argv[1:], Cmdline: strings.Join(append([]string{comm}, argv[1:]...), " ")}
}

func TestRedactProcess(t *testing.T) {
	env := []string{"HOME=/root", "DB_PASSWORD=a b\nc", "URL=http://u:pw@h/", "PWD=/srv", "TOKEN_FILE=/x", "API_TOKEN=/etc/x/token", "EMPTY_TOKEN="}
	args := []string{"--token", "abc"}
	p := &Process{Comm: "app", Exe: "app: run --password=x y", Args: args, Cmdline: "app --token abc", Env: env}
	if !p.Redact() {
		t.Fatal("nothing was redacted")
	}
	want := []string{"HOME=/root", "DB_PASSWORD=***", "URL=http://u:***@h/", "PWD=/srv", "TOKEN_FILE=/x", "API_TOKEN=/etc/x/token", "EMPTY_TOKEN="}
	if !slices.Equal(p.Env, want) || p.Exe != "app: run --password=*** y" || p.Cmdline != "app --token ***" {
		t.Errorf("got %+v", p)
	}
	if env[1] != "DB_PASSWORD=a b\nc" || args[1] != "abc" {
		t.Error("the slices given were written to")
	}
	// A trace from elsewhere may bring a command line without arguments.
	p = &Process{Comm: "mysql", Cmdline: "mysql -u root -phunter2"}
	if !p.Redact() || p.Cmdline != "mysql -u root -p***" || p.Redact() {
		t.Errorf("got %q", p.Cmdline)
	}
	// The shell's own name counts, and its file's.
	p = &Process{Comm: "renamed", ExePath: "/usr/bin/mysql", Args: []string{"-phunter2"}, Cmdline: "renamed -phunter2"}
	if !p.Redact() || p.Args[0] != "-p***" {
		t.Errorf("got %q", p.Args)
	}
}

func TestRedactCut(t *testing.T) {
	for _, c := range []struct {
		args []string
		cut  int
		want []string
	}{
		{[]string{"--password=hunt", "er2", "--x"}, 1, []string{"--password=***", "***", "--x"}},
		{[]string{"--password", "er2", "--x"}, 1, []string{"--password", "***", "--x"}},
		{[]string{"--name=hunt", "er2", "--x"}, 1, []string{"--name=hunt", "er2", "--x"}},
		{[]string{"--password=hunt", "er2"}, -1, []string{"--password=***", "er2"}},
	} {
		p := imageOf(append([]string{"app"}, c.args...)...)
		p.RedactCut(c.cut)
		if !slices.Equal(p.Args, c.want) {
			t.Errorf("%q cut at %d: got %q", c.args, c.cut, p.Args)
		}
		if p.Redact() {
			t.Errorf("%q changes again: %q", c.want, p.Args)
		}
	}
}

func TestRedactText(t *testing.T) {
	for in, want := range map[string]string{
		"mysql -pabc; curl -u a:b http://u:p@h": "mysql -p***; curl -u a:*** http://u:***@h",
		"nothing here":                          "nothing here",
		"":                                      "",
	} {
		if got := RedactText(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// secret draws a text that no reader would take for a path, a word or an option.
func secret() *rapid.Generator[string] {
	return rapid.StringMatching(`Zq[A-Za-z0-9!#%*+.:=?^_~]{10,40}9z`)
}

// forms are ways to pass a secret, one draw each; "%" is where it stands.
var forms = [][]string{
	{"app", "--password=%"}, {"app", "--password", "%"}, {"app", "-token", "%"}, {"app", "x", "--api-key=%", "y"}, {"env", "DB_PASSWORD=%", "x"},
	{"app", "--set", "auth.clientSecret=%"}, {"mysql", "-u", "x", "-p%"}, {"kubectl", "exec", "p", "--", "mysql", "-p%"}, {"sshpass", "-p", "%", "ssh", "h"},
	{"docker", "login", "-u", "x", "-p", "%"}, {"redis-cli", "-a", "%"}, {"curl", "-u", "me:%", "http://h"}, {"curl", "-H", "X-Api-Key: %"},
	{"curl", "-H", "Authorization: Bearer %"}, {"wget", "--header=Authorization: %"}, {"openssl", "rsa", "-passin", "pass:%"},
	{"sh", "-c", "app --password='%' | cat"}, {"sh", "-c", `X_TOKEN="%" app`}, {"sh", "-c", `curl -H "X-Auth-Token: %" http://h; id`},
	{"sh", "-c", "bash -c \"mysql -p'%' db\""}, {"python3", "-c", "f(password='%', n=1)"}, {"app", `{"a":1,"secret":"%"}`},
	{"app", "AccountName=x;AccountKey=%;Suffix=y"}, {"keytool", "-storepass", "%"}, {"git", "-c", "http.extraheader=Authorization: Basic %", "fetch"},
}

// TestRedactProperties: no secret of a known form survives; what is left is
// stable, no longer than its marks make it, and the arguments keep their number.
func TestRedactProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := secret().Draw(t, "secret")
		form := rapid.SampledFrom(forms).Draw(t, "form")
		argv := make([]string, len(form))
		for i, f := range form {
			argv[i] = strings.ReplaceAll(f, "%", s)
		}
		if rapid.Bool().Draw(t, "behind") {
			argv = append(argv, rapid.SliceOfN(plainWord(), 0, 5).Draw(t, "rest")...)
		}
		p := imageOf(argv...)
		p.Env = []string{"A_SECRET=" + s}
		n := len(p.Cmdline)
		p.Redact()
		all := p.Cmdline + "\x00" + strings.Join(p.Args, "\x00") + "\x00" + strings.Join(p.Env, "\x00") + p.Exe
		if strings.Contains(all, s) || strings.Contains(all, s[2:12]) {
			t.Fatalf("%q survives in %q", s, all)
		}
		if len(p.Args) != len(argv)-1 || len(p.Cmdline) > n+len(Redacted)*strings.Count(p.Cmdline, Redacted) {
			t.Fatalf("%q became %q", argv, p.Args)
		}
		if p.Redact() {
			t.Fatalf("%q changed again", p.Args)
		}
	})
}

// plainWord is an argument without a secret, invalid UTF-8 included.
func plainWord() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		w := rapid.SampledFrom([]string{"-v", "--port=8080", "/etc/passwd", "--config", "a/b.txt", "http://h:80/x", "-p", "22:22", "k=v", "x;y|z", "--password-file=/x", "tokens", "-c"}).Draw(t, "word")
		return w + string(rapid.SliceOfN(rapid.ByteRange(0x80, 0xff), 0, 3).Draw(t, "bytes"))
	})
}

// TestRedactLeavesTheRest: a line without a secret stays byte for byte.
func TestRedactLeavesTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		argv := append([]string{rapid.SampledFrom([]string{"app", "ssh", "sh", "docker", "grep", "curl"}).Draw(t, "exe")}, rapid.SliceOfN(plainWord(), 0, 12).Draw(t, "args")...)
		p := imageOf(argv...)
		before := slices.Clone(p.Args)
		line := p.Cmdline
		if p.Redact() || !slices.Equal(p.Args, before) || p.Cmdline != line {
			t.Fatalf("%q became %q", before, p.Args)
		}
	})
}

// FuzzRedact: any bytes are read without fault; what comes out is stable, keeps
// the number of arguments, and grows by the marks at most.
func FuzzRedact(f *testing.F) {
	for _, form := range forms {
		f.Add(form[0], strings.ReplaceAll(strings.Join(form[1:], "\x00"), "%", "hunter2"), "X=y")
	}
	f.Add("app", "-----BEGIN RSA PRIVATE KEY-----\nMIIabcdefghijklmnop\n-----END", "URL=a://b:c@d")
	f.Fuzz(func(t *testing.T, exe, args, env string) {
		if len(exe)+len(args)+len(env) > 8<<10 {
			return
		}
		p := &Process{Comm: "c", Exe: exe, Env: []string{env}}
		if args != "" {
			p.Args = strings.Split(args, "\x00")
		}
		p.Cmdline = strings.Join(append([]string{"c"}, p.Args...), " ")
		before := *p
		changed := p.Redact()
		if !changed && (!slices.Equal(before.Args, p.Args) || before.Exe != p.Exe || before.Env[0] != p.Env[0] || before.Cmdline != p.Cmdline) {
			t.Fatal("changed without saying so")
		}
		if len(p.Args) != len(before.Args) {
			t.Fatalf("%q became %q", before.Args, p.Args)
		}
		for i, a := range p.Args {
			if len(a) > len(before.Args[i])+len(Redacted)*strings.Count(a, Redacted) {
				t.Fatalf("%q grew to %q", before.Args[i], a)
			}
		}
		once := *p
		if p.Redact() {
			t.Fatalf("not stable: %q %q %q, then %q %q %q", once.Exe, once.Args, once.Env, p.Exe, p.Args, p.Env)
		}
		if s := RedactText(args); RedactText(s) != s {
			t.Fatalf("text not stable: %q, then %q", s, RedactText(s))
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	for _, c := range []struct {
		name string
		argv []string
	}{
		{"plain", []string{"/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;", "-p", "/srv/www", "--port=8080", "-e", "stderr", "--user=www-data"}},
		{"java", []string{"java", "-Xmx512m", "-Djava.io.tmpdir=/tmp", "-cp", "/app/lib/a.jar:/app/lib/b.jar", "-XX:+UseG1GC", "com.example.Main", "--server.port=8080", "--spring.profiles.active=prod", "run", "--url=http://registry:8761/eureka"}},
		{"script", []string{"sh", "-c", "set -e; for f in /etc/conf.d/*; do echo \"$f\"; cat $f | grep -v '^#'; done; exec /app/run --config /etc/app.yaml"}},
		{"secret", []string{"mysql", "-uroot", "-phunter2", "-h", "db", "shop"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := imageOf(c.argv...)
			b.ReportAllocs()
			for b.Loop() {
				q := *p
				q.Redact()
			}
		})
	}
}

// TestRedactAllocatesNothing holds the fast path: nearly no exec has a secret.
func TestRedactAllocatesNothing(t *testing.T) {
	p := imageOf("/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf", "-g", "daemon off;", "--port=8080", "-e", "stderr", "--url=http://h:80/x")
	p.Env = []string{"HOME=/root", "PATH=/usr/bin:/bin"}
	if n := testing.AllocsPerRun(100, func() { p.Redact() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	s := imageOf("mysql", "-phunter2", "--token", "x")
	s.Redact()
	if n := testing.AllocsPerRun(100, func() { s.Redact() }); n != 0 {
		t.Errorf("%v allocations for what is redacted already", n)
	}
}
