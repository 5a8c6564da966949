package secret

import (
	"bytes"
	"encoding/base64"

	"github.com/dockreeve/dockreeve/finding"
)

var awsSecret = kind{"aws-secret-key", "AWS secret access key", finding.Critical, 82, 0}

// matchAWS finds the id of an access key and, near it, the key.
func matchAWS(f *finder, k *kind, at int) {
	b := f.content
	if at+20 > len(b) || b[at] != 'A' || !bytes.HasPrefix(b[at+1:], []byte("KIA")) && !bytes.HasPrefix(b[at+1:], []byte("SIA")) || !startsWord(b, at) {
		return
	}
	to := at + 20
	if to < len(b) && classes[b[to]]&base62 != 0 {
		return
	}
	for _, c := range b[at+4 : to] { // base 32
		if classes[c]&upper == 0 && (c < '2' || c > '7') {
			return
		}
	}
	if !random(b[at+4:to], 32) {
		return
	}
	// The key stands on the same or one of the next lines, seldom before.
	if from := secretNear(b, to, min(len(b), to+400)); from >= 0 {
		f.found(&awsSecret, from, from+40)
		return
	}
	if from := secretNear(b, max(0, at-300), at); from >= 0 {
		f.found(&awsSecret, from, from+40)
		return
	}
	r := *k
	r.title = "AWS access key id without its secret"
	f.foundAs(&r, finding.Low, b[at:to], at, to)
}

// secretNear finds 40 bytes of Base64 that look random and are not hex.
func secretNear(b []byte, from, to int) int {
	for i := from; i < to; i++ {
		if classes[b[i]]&base64s == 0 {
			continue
		}
		end := run(b, i, 128, base64s)
		if end-i == 40 && awsLike(b[i:end]) && (end == len(b) || b[end] != '=') {
			return i
		}
		i = end
	}
	return -1
}

func awsLike(v []byte) bool {
	var all class
	for _, c := range v {
		all |= classes[c]
	}
	return len(v) == 40 && run(v, 0, 40, base64s) == 40 && all&lower != 0 && all&upper != 0 && all&digit != 0 && random(v, 64) && run(v, 0, 40, hexa) < 40
}

// matchConnectionKey finds the key of an Azure connection string: AccountKey=,
// SharedAccessKey=, accesskey=, SharedAccessSignature.
func matchConnectionKey(f *finder, k *kind, at int) {
	b := f.content
	keyTo := run(b, at, 32, base62)
	key := b[runBack(b, at, 32, base62):keyTo]
	if hasSuffixFold(key, "SharedAccessSignature") {
		f.sas(keyTo, &kind{"azure-sas", "Azure shared access signature", finding.High, 80, 0})
		return
	}
	if !hasSuffixFold(key, "AccountKey") && !hasSuffixFold(key, "AccessKey") || keyTo >= len(b) || b[keyTo] != '=' {
		return
	}
	from := keyTo + 1
	to := run(b, from, 100, base64s)
	for to < len(b) && b[to] == '=' && to-from < 100 {
		to++
	}
	if !azureKey(b[from:to]) {
		return
	}
	near := b[max(0, from-300):min(len(b), to+200)]
	if bytes.Contains(near, []byte("devstoreaccount")) || bytes.Contains(near, []byte("://localhost")) || bytes.Contains(near, []byte("://127.0.0.1")) {
		return // the emulators' keys are the same everywhere
	}
	r := *k
	switch {
	case bytes.Contains(near, []byte("AccountEndpoint=")):
		r.id, r.title = "azure-cosmos-key", "Azure Cosmos DB account key"
	case bytes.Contains(near, []byte("sb://")):
		r.id, r.title = "azure-servicebus-key", "Azure Service Bus or Event Hubs key"
	case hasSuffixFold(key, "AccountKey"):
	case bytes.Contains(near, []byte("azure-devices.net")):
		r.id, r.title = "azure-iot-key", "Azure IoT Hub key"
	default:
		r.id, r.title = "azure-connection-key", "Key of an Azure connection string"
	}
	f.found(&r, from, to)
}

// azureKey reports whether v is Base64 of 32 or 64 random bytes.
func azureKey(v []byte) bool {
	var buf [72]byte
	if len(v) != 44 && len(v) != 88 {
		return false
	}
	n, err := base64.StdEncoding.Decode(buf[:], v)
	return err == nil && (n == 32 || n == 64) && random(bytes.TrimRight(v, "="), 64)
}

// matchAzureMarked finds keys that carry the name of their service at a fixed place.
func matchAzureMarked(f *finder, k *kind, at int) {
	b := f.content
	if at+12 > len(b) {
		return
	}
	mark := string(b[at : at+4])
	for _, s := range azureMarks {
		if mark != s.mark || at < s.at {
			continue
		}
		from, to := at-s.at, at-s.at+s.length
		if to+s.pad > len(b) || run(b, from, s.length, base64s|dash) != to || from > 0 && classes[b[from-1]]&(base64s|dash) != 0 {
			continue
		}
		end := to + s.pad
		if bytes.Count(b[to:end], []byte("=")) != s.pad || end < len(b) && classes[b[end]]&(base64s|dash|equal) != 0 || !random(b[from:at], 64) {
			continue
		}
		r := *k
		r.title = s.title
		f.found(&r, from, end)
		return
	}
}

// azureMarks are the places Microsoft documents for its identifiable keys.
var azureMarks = [...]struct {
	mark       string
	at, length int
	pad        int
	title      string
}{
	{"+ASt", 76, 86, 2, "Azure Storage account key"},
	{"ACDb", 76, 86, 2, "Azure Cosmos DB key"},
	{"+ABa", 76, 86, 2, "Azure Batch key"},
	{"APIM", 76, 86, 2, "Azure API Management key"},
	{"AzFu", 44, 54, 2, "Azure Functions key"},
	{"+ASb", 33, 43, 1, "Azure Service Bus key"},
	{"+AEh", 33, 43, 1, "Azure Event Hubs key"},
	{"AIoT", 33, 43, 1, "Azure IoT key"},
	{"AzCa", 33, 43, 1, "Azure Cache for Redis key"},
	{"+ACR", 42, 52, 0, "Azure Container Registry password"},
	{"AzSe", 42, 52, 0, "Azure AI Search key"},
}

// matchSAS finds the signature in the query of a shared access signature.
func matchSAS(f *finder, k *kind, at int) {
	b := f.content
	if at == 0 || at+13 > len(b) || classes[b[at-1]]&base62 != 0 || b[at+5] < '0' || b[at+7] != '-' || b[at+10] != '-' {
		return
	}
	f.sas(at, k)
}

func (f *finder) sas(at int, k *kind) {
	b := f.content
	stop := func(c byte) bool { return c <= ' ' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`' }
	from, to := at, at
	for from > 0 && at-from < 400 && !stop(b[from-1]) {
		from--
	}
	if to < len(b) && b[to] == ' ' { // SharedAccessSignature sr=…
		to++
	}
	for to < len(b) && to-at < 600 && !stop(b[to]) {
		to++
	}
	query := b[from:to]
	i := bytes.Index(query, []byte("sig="))
	if i < 0 || i > 0 && classes[query[i-1]]&base62 != 0 {
		return
	}
	sig := query[i+4:]
	if j := bytes.IndexAny(sig, "&;,)}"); j >= 0 {
		sig = sig[:j]
	}
	plain := unescape(sig)
	if len(plain) != 44 || !azureKey(plain) || f.place.doc || f.place.vendor {
		return
	}
	start := from + i + 4
	f.found(k, start, start+len(sig))
}

// unescape undoes %XX.
func unescape(b []byte) []byte {
	if bytes.IndexByte(b, '%') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) && classes[b[i+1]|0x20]&hexa != 0 && classes[b[i+2]|0x20]&hexa != 0 {
			out = append(out, unhex(b[i+1])<<4|unhex(b[i+2]))
			i += 2
			continue
		}
		out = append(out, b[i])
	}
	return out
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// matchEntra finds an application's secret: three bytes, a digit, Q~ and 31 to 34 more.
func matchEntra(f *finder, k *kind, at int) {
	b := f.content
	from := at - 3
	if from < 0 || b[at+1] != 'Q' || b[at+2] != '~' || run(b, from, 3, base62) != at {
		return
	}
	tail := at + 3
	for tail < len(b) && tail-at < 48 && (classes[b[tail]]&(base64u|dot) != 0 || b[tail] == '~') {
		tail++
	}
	if n := tail - at - 3; n < 31 || n > 34 || from > 0 && classes[b[from-1]]&base64u != 0 || !random(b[at+3:tail], 64) {
		return
	}
	f.found(k, from, tail)
}

// matchDevOps finds a personal access token: 84 bytes with JQQJ99 and AZDO at their places.
func matchDevOps(f *finder, k *kind, at int) {
	b := f.content
	from := at - 76
	if from < 0 || from+84 > len(b) || string(b[at:at+4]) != "AZDO" || string(b[from+52:from+58]) != "JQQJ99" || run(b, from, 85, base62) != from+84 || !startsWord(b, from) || !random(b[from:from+52], 62) {
		return
	}
	f.found(k, from, from+84)
}

func hasSuffixFold(b []byte, s string) bool {
	return len(b) >= len(s) && bytes.EqualFold(b[len(b)-len(s):], []byte(s))
}
