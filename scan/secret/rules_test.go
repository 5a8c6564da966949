package secret

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/scan"
)

// No value stands in this file: each is drawn when the test runs, so that nothing here
// looks like a secret to anyone.

const (
	letters62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	letters64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	standard  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	hex16     = "0123456789abcdef"
	base32    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

// draw returns n letters that are not taken for made up.
func draw(r *rand.Rand, alphabet string, n int) string {
	for {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		if len(b) < 8 || random(b, len(alphabet)) {
			// The ends are letters: a token that ends in a sign cannot be told from one before it.
			if classes[b[n-1]]&base62 != 0 && classes[b[0]]&base62 != 0 {
				return string(b)
			}
		}
	}
}

// crc62 writes the CRC-32 in base 62 by long division over strings, another way than the rule's.
func crc62(s string) string {
	n := uint64(crc32.ChecksumIEEE([]byte(s)))
	out := ""
	for range 6 {
		out = string(letters62[n%62]) + out
		n /= 62
	}
	return out
}

func checked(r *rand.Rand, prefix string) string {
	body := draw(r, letters62, 30)
	return prefix + body + crc62(body)
}

func key64(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return base64.StdEncoding.EncodeToString(b)
}

func pypi(r *rand.Rand) string {
	b := []byte{2, 1, 8}
	b = append(b, "pypi.org"...)
	b = append(b, 2, 36)
	for range 90 {
		b = append(b, byte(r.IntN(256)))
	}
	return "pypi-" + base64.RawURLEncoding.EncodeToString(b)
}

func jwt(claims string) string {
	h := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	m := hmac.New(sha256.New, []byte("k"))
	m.Write([]byte(h))
	return h + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func armored(t testing.TB, label string, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if k, ok := key.([]byte); ok {
		der, err = k, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

type sample struct {
	rule, path, text string
	secret           string // what must not come out
	line             int
	severity         finding.Severity
}

func samples(t testing.TB, r *rand.Rand) []sample {
	_, ed, _ := ed25519.GenerateKey(crand.Reader)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	rs, _ := rsa.GenerateKey(crand.Reader, 2048)
	sec1, _ := x509.MarshalECPrivateKey(ec)
	edPEM := armored(t, "PRIVATE KEY", ed)
	edBody := strings.Split(edPEM, "\n")[1]
	pkcs1 := armored(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs))
	rsBody := strings.Split(pkcs1, "\n")[3]
	h, m, l, c := finding.High, finding.Medium, finding.Low, finding.Critical
	one := func(rule, format, secret string, s finding.Severity) sample {
		return sample{rule, "app/settings.yaml", "# settings\nname: app\n" + strings.ReplaceAll(format, "%", secret) + "\nend: here\n", secret, 3, s}
	}
	at := func(path string, s sample) sample { s.path = path; return s }
	aws, awsKey := "AKIA"+draw(r, base32, 16), draw(r, standard, 40)
	for !awsLike([]byte(awsKey)) {
		awsKey = draw(r, standard, 40)
	}
	storage, bus, entra := key64(r, 64), key64(r, 32), draw(r, letters62, 3)+"8Q~"+draw(r, letters64, 34)
	marked := draw(r, standard, 76) + "+ASt" + draw(r, standard, 5) + "A=="
	acr := draw(r, standard, 42) + "+ACRB" + draw(r, letters62, 5)
	devops := draw(r, letters62, 52) + "JQQJ99" + draw(r, letters62, 18) + "AZDO" + draw(r, letters62, 4)
	sig := key64(r, 32)
	sigURL := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(sig)
	account, _ := json.Marshal(map[string]string{"type": "service_account", "private_key": edPEM})
	auth := base64.StdEncoding.EncodeToString([]byte("robot:" + draw(r, letters62, 20)))
	strong := draw(r, letters62, 8) + "7x!" + draw(r, letters62, 5)
	return []sample{
		{"private-key", "etc/tls/key.pem", "x\n" + edPEM, edBody, 2, h},
		{"private-key", "app/key", pkcs1, rsBody, 1, h},
		{"private-key", "app/ec.pem", armored(t, "EC PRIVATE KEY", sec1), "", 1, h},
		{"private-key", "app/conf.py", `K = "` + strings.ReplaceAll(edPEM, "\n", `\n`) + `"`, edBody, 1, h},
		{"private-key", "app/program", "\x00\x01\x02" + pkcs1 + "\x00", rsBody, 1, h},
		{"private-key", "root/.kube/config", "client-key-data: " + base64.StdEncoding.EncodeToString([]byte(pkcs1)), "", 1, h},
		{"gcp-service-account", "app/sa.json", `{"type": "service_account",` + "\n" + string(account)[1:], edBody, 2, c},
		at("etc/age/keys.txt", one("age-key", "%", "AGE-SECRET-KEY-1"+draw(r, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58), h)),
		{"aws-secret-key", "root/.aws/credentials", "[default]\naws_access_key_id = " + aws + "\naws_secret_access_key = " + awsKey + "\n", awsKey, 3, c},
		one("aws-secret-key", "aws_secret_access_key: %", awsKey, c),
		one("aws-access-key", "key: %", aws, l),
		one("azure-storage-key", "conn: DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=%;EndpointSuffix=core.windows.net", storage, c),
		one("azure-cosmos-key", "conn: AccountEndpoint=https://shop.documents.azure.com:443/;AccountKey=%;", storage, c),
		one("azure-servicebus-key", "conn: Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=%", bus, c),
		one("azure-connection-key", "conn: endpoint=https://shop.communication.azure.com/;accesskey=%", bus, c),
		one("azure-key", "k: %", marked, c),
		one("azure-key", "k: '%'", acr, c),
		{"azure-sas", "app/s.yaml", "u: https://shop.blob.core.windows.net/c?sv=2022-11-02&ss=b&sp=rl&sig=" + sigURL + "&se=2030-01-01\n", sigURL, 1, h},
		{"azure-sas", "app/s.yaml", "u: SharedAccessSignature sr=shop&sig=" + sigURL + "&se=1900000000&skn=Root\n", sigURL, 1, h},
		one("azure-client-secret", "AZURE_CLIENT_SECRET: %", entra, c),
		one("azure-devops-token", "pat: %", devops, h),
		one("gcp-api-key", "k: %", "AIza"+draw(r, letters64, 35), m),
		one("gcp-oauth-secret", "k: %", "GOCSPX-"+draw(r, letters64, 28), h),
		one("github-token", "t: %", checked(r, "ghp_"), h),
		one("github-token", "t: %", checked(r, "gho_"), h),
		one("github-token", "t: https://x-access-token:%@github.com/a/b", checked(r, "ghs_"), h),
		one("github-token", "t: %", checked(r, "ghu_"), h),
		one("github-token", "t: %", "github_pat_"+draw(r, letters62, 22)+"_"+draw(r, letters62, 59), h),
		one("gitlab-token", "t: %", "glpat-"+draw(r, letters64, 20), h),
		one("gitlab-token", "t: %", "gldt-"+draw(r, letters64, 20), h),
		one("slack-token", "t: %", "xoxb-"+draw(r, "0123456789", 12)+"-"+draw(r, "0123456789", 12)+"-"+draw(r, letters62, 24), h),
		one("slack-webhook", "u: https://hooks.slack.com/services/T"+draw(r, base32, 9)+"/B"+draw(r, base32, 9)+"/%", draw(r, letters62, 24), m),
		at("root/.npmrc", one("npm-token", "//registry.npmjs.org/:_authToken=%", checked(r, "npm_"), h)),
		at("root/.pypirc", one("pypi-token", "password = %", pypi(r), h)),
		one("stripe-key", "k: %", "sk_live_"+draw(r, letters62, 24), c),
		one("stripe-key", "k: %", "rk_live_"+draw(r, letters62, 24), h),
		one("sendgrid-key", "k: %", "SG."+draw(r, letters62, 22)+"."+draw(r, letters62, 43), h),
		one("twilio-key", "twilio: %", "SK"+draw(r, hex16, 32), h),
		one("vault-token", "t: %", "hvs."+draw(r, letters64, 90), h),
		one("databricks-token", "t: %", "dapi"+draw(r, hex16, 32), h),
		one("dockerhub-token", "t: %", "dckr_pat_"+draw(r, letters64, 27), h),
		one("openai-key", "k: %", "sk-"+draw(r, letters62, 20)+"T3BlbkFJ"+draw(r, letters62, 20), h),
		one("anthropic-key", "k: %", "sk-ant-api03-"+draw(r, letters64, 93), h),
		{"registry-auth", "root/.docker/config.json", "{\n\t\"auths\": {\n\t\t\"r.corp\": {\n\t\t\t\"auth\": \"" + auth + "\"\n\t\t}\n\t}\n}", auth, 4, h},
		one("connection-string", "u: postgres://shop:%@db.corp:5432/shop?sslmode=require", strong, h),
		one("connection-string", "u: mongodb+srv://shop:%@c0.ab1cd.mongodb.net/x", strong, h),
		one("connection-string", "u: redis://:%@cache.corp:6379/0", strong, h),
		one("connection-string", "u: amqp://shop:%@mq.corp:5672/v", strong, h),
		one("url-password", "index: https://robot:%@pypi.corp/simple", strong, h),
		one("connection-string", "c: Server=tcp:shop.database.windows.net,1433;Database=shop;User ID=shop;Password=%;Encrypt=True;", strong, h),
		one("password", "DB_PASSWORD: %", strong, m),
		one("password", `api_key: "%"`, draw(r, hex16, 32), m),
		{"password", "app/main.py", "import os\nAPI_TOKEN = \"" + aws[4:] + strong[:8] + "k3q9\"\n", strong[:8], 2, l},
		one("jwt", "token: %", jwt(`{"sub":"shop-batch","iat":1700000000}`), l),
		{"jwt", "var/run/secrets/kubernetes.io/serviceaccount/token", jwt(`{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:shop:x"}`), "", 1, h},
		{"password-hash", "etc/shadow", "daemon:*:1:0:9:7:::\nroot:$y$j9T$" + draw(r, letters62, 40) + ":1:0:9:7:::\n", "$y$j9T$", 2, m},
		{"putty-key", "root/k.ppk", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: x\nPublic-Lines: 1\n" + key64(r, 48) + "\nPrivate-Lines: 1\n" + bus + "\nPrivate-MAC: " + draw(r, hex16, 64) + "\n", bus, 1, h},
		{"password", "root/passwords.txt", "password: " + strong + "\n", strong, 1, m},
		one("digitalocean-token", "t: %", "dop_v1_"+draw(r, hex16, 64), h),
		one("shopify-token", "t: %", "shpat_"+draw(r, hex16, 32), h),
		{"netrc-password", "root/.netrc", "machine git.corp login robot password " + strong + "\n", strong, 1, h},
		{"pgpass-password", "root/.pgpass", "db.corp:5432:*:shop:" + strong + "\n", strong, 1, h},
	}
}

func TestEveryRuleFindsItsSecretAndTellsNoneOfIt(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	d := New()
	seen := map[string]bool{}
	for round := range 5 {
		for _, s := range samples(t, r) {
			if !d.Want(s.path, int64(len(s.text))) {
				t.Errorf("%s: the file %s is not wanted", s.rule, s.path)
			}
			var got *scan.Secret
			all := d.Find(s.path, []byte(s.text))
			for i := range all {
				if all[i].Rule == s.rule {
					got = &all[i]
				}
			}
			if got == nil {
				t.Errorf("round %d: %s in %s not found; found %v in\n%s", round, s.rule, s.path, all, s.text)
				continue
			}
			seen[s.rule] = true
			if len(all) != 1 {
				t.Errorf("%s: %d findings for one secret: %v", s.rule, len(all), all)
			}
			if got.Line != s.line || got.Severity != s.severity || got.Path != s.path || got.Layer != -1 {
				t.Errorf("%s: line %d severity %s, want %d %s", s.rule, got.Line, got.Severity, s.line, s.severity)
			}
			leaks(t, all, s.secret)
			// The same secret anywhere has the same hash; the text moved by any number of bytes is found too.
			for shift := range 7 {
				if s.path[0] == 'v' || strings.HasPrefix(s.path, "etc/shadow") || strings.HasSuffix(s.path, ".pgpass") {
					break
				}
				moved := d.Find(s.path, []byte(strings.Repeat(" ", shift)+"\n"+s.text))
				if len(moved) != 1 || moved[0].Hash != got.Hash || moved[0].Line != got.Line+1 {
					t.Errorf("%s moved by %d: %v", s.rule, shift, moved)
				}
			}
		}
	}
	for _, rule := range anchors() {
		if !seen[rule.id] {
			t.Errorf("rule %s has no sample", rule.id)
		}
	}
}

// leaks fails when a finding holds more than four bytes of the value.
func leaks(t testing.TB, found []scan.Secret, value string) {
	t.Helper()
	text := fmt.Sprintf("%+v", found)
	for i := 0; i+8 <= len(value); i++ {
		if part := value[i : i+8]; strings.Contains(text, part) && strings.Trim(part, "$yj9T") != "" && !strings.Contains("secret_access", part) {
			t.Errorf("%q of the value is told: %s", part, text)
			return
		}
	}
	for _, s := range found {
		if shown := strings.TrimSuffix(s.Redacted, "***"); len(shown) > 4 || len(s.Hash) != 16 {
			t.Errorf("redacted %q hash %q", s.Redacted, s.Hash)
		}
	}
}

// TestRealKeyMakers asks the programs that make keys.
func TestRealKeyMakers(t *testing.T) {
	d := New()
	dir := t.TempDir()
	run := func(name string, args ...string) {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", name, err, out)
		}
	}
	for _, c := range []struct {
		name string
		want finding.Severity
		made []string
	}{
		{"ed", finding.High, []string{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f"}},
		{"rsa", finding.High, []string{"ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f"}},
		{"rsapem", finding.High, []string{"ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f"}},
		{"edlocked", finding.Low, []string{"ssh-keygen", "-q", "-t", "ed25519", "-N", "long enough", "-f"}},
		{"rsapemlocked", finding.Low, []string{"ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "long enough", "-f"}},
		{"k1", finding.High, []string{"openssl", "ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out"}},
		{"dsa", finding.High, []string{"openssl", "genpkey", "-algorithm", "ed448", "-out"}},
		{"pkcs8locked", finding.Low, []string{"openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:long", "-out"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := filepath.Join(dir, c.name)
			run(c.made[0], append(c.made[1:], p)...)
			b := read(t, p)
			got := d.Find("root/.ssh/"+c.name, b)
			if len(got) != 1 || got[0].Rule != "private-key" || got[0].Severity != c.want {
				t.Fatalf("%v", got)
			}
		})
	}
}

func TestWhatIsNoSecretIsNotFound(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	d := New()
	_, ed, _ := ed25519.GenerateKey(crand.Reader)
	key := armored(t, "PRIVATE KEY", ed)
	body := draw(r, letters62, 30)
	wrong := []byte("ghp_" + body + crc62(body))
	wrong[10]++
	public, _ := x509.MarshalPKIXPublicKey(ed.Public())
	for name, c := range map[string]struct{ path, text string }{
		"a checksum that does not match": {"app/a.yaml", "t: " + string(wrong)},
		"a token inside a longer word":   {"app/a.yaml", "t: a" + checked(r, "ghp_") + "b"},
		"the documents' example id":      {"app/a.yaml", "key: AKIAIOSFODNN7" + "EXAMPLE"},
		"blotted out":                    {"app/a.yaml", "t: glpat-" + strings.Repeat("x", 20)},
		"a run of the alphabet":          {"app/a.yaml", "t: glpat-abcdefghijklmnopqrst"},
		"a pattern repeated":             {"app/a.yaml", "t: dapi" + strings.Repeat("a1b2", 8)},
		"a public key":                   {"app/a.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))},
		"a key cut short":                {"app/a.pem", key[:50]},
		"a key of zeros":                 {"app/a.pem", "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("A", 64) + "\n-----END PRIVATE KEY-----\n"},
		"the head alone":                 {"app/a.py", `if line == "-----BEGIN PRIVATE KEY-----": pass`},
		"the emulator's key":             {"app/a.yaml", "c: AccountName=devstoreaccount1;AccountKey=" + key64(r, 64)},
		"a key of the wrong length":      {"app/a.yaml", "c: AccountName=shop;AccountKey=" + key64(r, 63)},
		"a template in an address":       {"app/a.yaml", "u: postgres://shop:${PASSWORD}@db/x"},
		"a word in an address":           {"app/a.yaml", "u: postgres://user:password@db/x"},
		"an example host":                {"app/a.yaml", "u: https://joe:" + draw(r, letters62, 12) + "@www.example.com/"},
		"an address without password":    {"app/a.yaml", "u: https://user@db.corp/ and mail a:b@c"},
		"a time and an at sign":          {"app/a.yaml", "u: http://db.corp:8080/a@b"},
		"a reference":                    {"app/a.yaml", "password: ${DB_PASSWORD}\nsecret: {{ .Values.secret }}\ntoken: $(cat /run/token)"},
		"a word":                         {"app/a.yaml", "password: changeme\npassword: correct-horse-battery-staple\nsecret_name: shop-db-credentials-v2"},
		"an expression":                  {"app/a.py", "password = get_password_from_vault(name='abc123')\ntoken = tokens[12345678901234]"},
		"a comparison":                   {"app/a.js", `if (token == "aB3dE6gH9jK2mN5pQ8sT") {}`},
		"a path":                         {"app/a.yaml", "password_file: /run/secrets/db1\npassword: /run/secrets/db1/password2"},
		"a hash":                         {"app/a.yaml", "token: sha256:" + draw(r, hex16, 64)},
		"in documents":                   {"usr/src/README.md", "password: " + draw(r, letters62, 20) + "\nu: https://a:" + draw(r, letters62, 9) + "@h.corp/"},
		"in someone's package":           {"app/node_modules/x/index.js", `password = "` + draw(r, letters62, 24) + `"`},
		"a JWT without context":          {"app/a.txt", "see " + jwt(`{"sub":"x"}`)},
		"an unsigned JWT":                {"app/a.yaml", "token: " + base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".e30." + draw(r, letters64, 43)},
		"a registry without credentials": {"root/.docker/config.json", `{"auths":{"r.corp":{}},"credsStore":"x"}`},
		"a registry with an example":     {"root/.docker/config.json", `{"auths":{"r.corp":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("user:password")) + `"}}}`},
		"locked accounts":                {"etc/shadow", "root:*:19000:0:99999:7:::\nx:!:1::::::\n"},
		"a token in a program":           {"usr/bin/x", "\x00\x00" + checked(r, "ghp_")},
		"Twilio's prefix elsewhere":      {"app/a.yaml", "k: SK" + draw(r, hex16, 32)},
		"a commit id":                    {"app/a.yaml", "commit: " + draw(r, hex16, 40) + "\nintegrity: sha512-" + key64(r, 64)},
	} {
		if got := d.Find(c.path, []byte(c.text)); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}
