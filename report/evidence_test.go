package report

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	find "github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/posture"
	"pgregory.net/rapid"
)

func testKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) }

func evidenceOptions() EvidenceOptions {
	from, to := noon-30*day, noon+day/2
	o := EvidenceOptions{From: from, To: to, Name: "Contoso", Version: "1.0", Evaluation: sample(), Key: testKey(),
		Tenant:     &cloud.Tenant{ID: "contoso", Reads: []cloud.Read{{Scope: "/subscriptions/1", What: cloud.ReadPlan, Outcome: cloud.ReadDenied}}, Exemptions: []cloud.Exemption{{ID: "x", Title: "waiver"}}},
		Exemptions: []govern.Exemption{{Control: "a", By: "eve", Why: "legacy", Expires: "2026-12-31"}},
		Reviews:    []govern.Review{{ID: "r1", By: "eve", Subject: "recommendations", At: noon - day}, {ID: "r0", By: "eve", Subject: "recommendations", At: noon - 90*day}},
		Results:    []posture.Result{{Control: "a", Resource: "c", Verdict: posture.Fail, Reason: "open"}, {Control: "b", Resource: "c", Verdict: posture.Exempt, Exempted: "by eve"}},
		Alerts: &govern.AlertFacts{Since: noon - 20*day, Alerts: []govern.AlertFact{
			{ID: "1", Rule: "shell", Severity: find.High, Status: find.Open, First: noon - 2*day, Source: "dockreeve"}, {ID: "2", Rule: "shell", Severity: find.High, Status: find.Open, First: noon - 90*day}}},
		Costs: &cost.Report{Currency: "EUR", Prices: []cost.Price{{Key: "defender.vcore-month", Unit: "vCore-month", Currency: "USD", AsOf: "2026-11-01", Source: "list"}}},
	}
	for i := range 29 {
		if i == 7 { // one day was missed
			continue
		}
		o.Days = append(o.Days, govern.Day{At: from + int64(i+1)*day, Values: map[string]float64{"kpi.compliance": float64(i)}})
	}
	o.Days = append(o.Days, govern.Day{At: from - day/2})
	return o
}

func bundleOf(t *testing.T, o EvidenceOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Evidence(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type file struct {
	name string
	data []byte
}

func unpack(t testing.TB, data []byte) (out []file) {
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	in := tar.NewReader(zip)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, file{h.Name, b})
	}
}

func pack(t testing.TB, files []file) []byte {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	out := tar.NewWriter(zip)
	for _, f := range files {
		if err := out.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.data)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		out.Write(f.data)
	}
	out.Close()
	zip.Close()
	return b.Bytes()
}

func verify(data []byte) (*Verification, error) {
	return VerifyEvidence(bytes.NewReader(data), testKey().Public().(ed25519.PublicKey))
}

func TestEvidenceIsWholeAndTheSameEachTime(t *testing.T) {
	one, two := bundleOf(t, evidenceOptions()), bundleOf(t, evidenceOptions())
	if !bytes.Equal(one, two) {
		t.Error("the same evidence gives two different bundles")
	}
	v, err := verify(one)
	if err != nil {
		t.Fatal(err)
	}
	m := v.Manifest
	if m.From != "2026-10-27T12:00:00Z" || m.Start != "2026-10-27T00:00:00Z" || m.MadeBy != "1.0" || m.Counts["days"] != 28 || m.Counts["reviews"] != 1 || m.Counts["exemptions"] != 2 || m.Counts["results"] != 2 {
		t.Errorf("manifest: %+v", m)
	}
	content := map[string]string{}
	for _, f := range unpack(t, one) {
		content[f.name] = string(f.data)
	}
	for name, wants := range map[string][]string{
		"gaps.json":         {"no evaluation was kept: 1", "no gate was told of", "no running images are watched", "role-assignments"},
		"denominators.json": {`"playbook.plan-enabled"`, `"kpi.mttr-critical"`},
		"exemptions.json":   {"legacy", "waiver", "by eve"},
		"alerts.json":       {`"total": 1`, "are not kept: the sums are of what is"},
		"prices.json":       {"defender.vcore-month", "2026-11-01"},
		"reads.ndjson":      {"denied"},
		"README.txt":        {"report verify", "results.ndjson"},
		"playbook.pdf":      {"%PDF"},
	} {
		for _, want := range wants {
			if !strings.Contains(content[name], want) {
				t.Errorf("%s does not say %q:\n%.2000s", name, want, content[name])
			}
		}
	}
	for _, f := range m.Files {
		if f.What == "" || f.SHA256 == "" {
			t.Errorf("%+v says nothing of itself", f)
		}
	}
}

func TestEvidenceOfNothingSaysSo(t *testing.T) {
	o := EvidenceOptions{From: noon - 30*day, To: noon, Evaluation: &govern.Evaluation{At: noon}, Key: testKey()}
	for _, f := range unpack(t, bundleOf(t, o)) {
		if f.name == "gaps.json" {
			for _, want := range []string{"no evaluation was kept", "no tenant was read", "no alerts are kept", "no control was judged", "no bill"} {
				if !strings.Contains(string(f.data), want) {
					t.Errorf("the gaps do not say %q: %s", want, f.data)
				}
			}
		}
	}
	for _, bad := range []EvidenceOptions{{From: 1, To: 2, Key: testKey()}, {From: 2, To: 2, Evaluation: o.Evaluation, Key: testKey()}, {From: 1, To: 2, Evaluation: o.Evaluation}} {
		if err := Evidence(io.Discard, bad); !errors.Is(err, ErrEvidence) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestTampering(t *testing.T) {
	files := unpack(t, bundleOf(t, evidenceOptions()))
	change := func(f func([]file) []file) []byte {
		list := make([]file, len(files))
		for i, x := range files {
			list[i] = file{x.name, bytes.Clone(x.data)}
		}
		return pack(t, f(list))
	}
	at := func(list []file, name string) *file {
		for i := range list {
			if list[i].name == name {
				return &list[i]
			}
		}
		t.Fatal(name)
		return nil
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))
	for _, c := range []struct {
		name, want string
		change     func([]file) []file
	}{
		{"a verdict is turned", "results.ndjson was changed", func(l []file) []file {
			f := at(l, "results.ndjson")
			f.data = bytes.Replace(f.data, []byte("fail"), []byte("pass"), 1)
			return l
		}},
		{"a line is taken out", "results.ndjson has", func(l []file) []file {
			f := at(l, "results.ndjson")
			f.data = f.data[bytes.IndexByte(f.data, '\n')+1:]
			return l
		}},
		{"a file is taken out", "gaps.json is missing", func(l []file) (out []file) {
			for _, f := range l {
				if f.name != "gaps.json" {
					out = append(out, f)
				}
			}
			return out
		}},
		{"a file is added", `"more.json" was added`, func(l []file) []file { return append(l, file{"more.json", []byte("{}")}) }},
		{"a file is there twice", `"gaps.json" is there twice`, func(l []file) []file { return append(l, *at(l, "gaps.json")) }},
		{"the manifest is changed with the file", "manifest.json is not the manifest that was signed", func(l []file) []file {
			f := at(l, manifestName)
			f.data = bytes.Replace(f.data, []byte("Contoso"), []byte("Fabrikam"), 1)
			return l
		}},
		{"the signature is taken out", "nobody signed this", func(l []file) (out []file) {
			for _, f := range l {
				if f.name != signatureName {
					out = append(out, f)
				}
			}
			return out
		}},
		{"the payload of the envelope is changed", "the signature over the manifest does not hold", func(l []file) []file {
			f := at(l, signatureName)
			var e envelope
			if err := json.Unmarshal(f.data, &e); err != nil {
				t.Fatal(err)
			}
			e.Payload = "e30="
			f.data, _ = json.Marshal(e)
			return l
		}},
		{"somebody else signs it again", "not with the one given", func(l []file) []file {
			f := at(l, signatureName)
			f.data, _ = sign(at(l, manifestName).data, other)
			return l
		}},
	} {
		v, err := verify(change(c.change))
		if !errors.Is(err, ErrTampered) || !strings.Contains(err.Error(), c.want) || len(v.Problems) == 0 {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := verify(change(func(l []file) []file { return l })); err != nil {
		t.Errorf("packed again, but unchanged: %v", err)
	}
	whole := bundleOf(t, evidenceOptions())
	if _, err := verify(append(bytes.Clone(whole), 'x')); !errors.Is(err, ErrTampered) {
		t.Errorf("data after the end: %v", err)
	}
	for _, cut := range []int{0, 5, len(whole) / 2, len(whole) - 5} {
		if _, err := verify(whole[:cut]); err == nil {
			t.Errorf("cut to %d of %d bytes it is still whole", cut, len(whole))
		}
	}
	if _, err := VerifyEvidence(bytes.NewReader(whole), nil); err == nil {
		t.Error("no key verifies it")
	}
}

// Whatever byte is changed: it is refused, or what it holds is what was signed.
func TestAnyChangedByteIsNoticed(t *testing.T) {
	whole := bundleOf(t, evidenceOptions())
	want := unpack(t, whole)
	zip, err := gzip.NewReader(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		data := bytes.Clone(plain)
		data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		w.Write(data)
		w.Close()
		if _, err := verify(b.Bytes()); err != nil {
			return
		}
		got := map[string][]byte{}
		zip, _ := gzip.NewReader(bytes.NewReader(b.Bytes()))
		in := tar.NewReader(zip)
		for {
			h, err := in.Next()
			if err != nil {
				break
			}
			got[h.Name], _ = io.ReadAll(in)
		}
		for _, f := range want {
			if !bytes.Equal(got[f.name], f.data) {
				t.Fatalf("%s was changed and nobody noticed", f.name)
			}
		}
	})
}

func FuzzVerifyEvidence(f *testing.F) {
	var b bytes.Buffer
	o := EvidenceOptions{From: noon - day, To: noon, Evaluation: &govern.Evaluation{At: noon}, Key: testKey()}
	if err := Evidence(&b, o); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(pack(f, []file{{manifestName, []byte("{}")}, {signatureName, []byte(`{"signatures":[{}]}`)}}))
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := verify(data)
		if err == nil && (len(v.Problems) > 0 || v.KeyID == "") {
			t.Fatalf("verified, with problems or without a key: %+v", v)
		}
	})
}

func TestPeriod(t *testing.T) {
	at := func(h int) govern.Day { return govern.Day{At: noon + int64(h)*int64(time.Hour)} }
	for _, c := range []struct {
		days  []govern.Day
		start int64
		n     int
	}{
		{nil, 0, 0},
		{[]govern.Day{at(-5), at(5), at(30)}, at(-5).At, 2},
		{[]govern.Day{at(30), at(5)}, at(5).At, 2}, // order does not matter; the first day stands for the beginning
		{[]govern.Day{at(-500), at(40)}, 0, 1},     // too old, too late
		{[]govern.Day{at(0), at(72)}, at(0).At, 1}, // ends are exclusive
	} {
		start, days := period(c.days, noon, noon+3*day)
		if (start == nil) != (c.start == 0) || start != nil && start.At != c.start || len(days) != c.n {
			t.Errorf("%v: start %v, %d days; want %d, %d", c.days, start, len(days), c.start, c.n)
		}
	}
}
