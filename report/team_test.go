package report

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory/cloud"
	"pgregory.net/rapid"
)

func teamOptions() TeamOptions {
	ev := sample()
	pay := ev.Clusters[0].ID
	eur := func(f float64) cost.Money {
		return cost.Money{Amount: cost.FromFloat(f), Currency: "EUR", AsOf: "2026-11-25", Source: "bill"}
	}
	return TeamOptions{Owner: "payments", Evaluation: ev, Version: "1.0", Link: "https://dockreeve.example/governance?owner=payments",
		Costs:      &cost.Report{From: noon - 25*day, To: noon, Teams: []cost.Allocation{{Owner: "payments", Cost: eur(4100.5), IdleShare: eur(320), Protection: eur(61)}, {Owner: "shop", Cost: eur(9)}}},
		Exemptions: []govern.Exemption{{Control: "aks-private", Scope: pay, By: "eve", Why: "legacy", Expires: "2026-12-01"}, {Control: "aks-x", Scope: pay + "/agentpools/one"}, {Control: "aks-y", Scope: "/subscriptions/other", Expires: "2026-12-01"}, {Control: "aks-z", Scope: pay, Expires: "2027-12-01"}},
		Tenant:     &cloud.Tenant{Exemptions: []cloud.Exemption{{Title: "waiver", Scope: pay, Expires: noon - day}}},
		Reviews:    []govern.Review{{ID: "1", Subject: "recommendations", Scope: "payments", By: "eve", At: noon - 20*day, NextDue: noon + 10*day}},
	}
}

func TestTeam(t *testing.T) {
	s, err := Team(teamOptions())
	if err != nil {
		t.Fatal(err)
	}
	var text, page bytes.Buffer
	if err := s.Text(&text); err != nil {
		t.Fatal(err)
	}
	if err := s.HTML(&page); err != nil {
		t.Fatal(err)
	}
	golden(t, "team.txt", text.Bytes())
	golden(t, "team.html", page.Bytes())
	for _, want := range []string{"1 cluster, 1 of them not shown to be protected; 1 recommendation open, 1 overdue, 1 fixed", "4,101 EUR (bill; as of 2026-11-25)", "its budget is 5,000 EUR", "open: images; not assessed: enforcement", "2026-11-25  past: Azure Policy exemption waiver",
		"2026-12-01  exemption from aks-private", "aks-x at one", "it names no end", "2026-12-06  next review of your recommendations", "score not assessed"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text does not say %q:\n%s", want, text.String())
		}
	}
	for _, not := range []string{"aks-y", "aks-z"} {
		if strings.Contains(text.String(), not) {
			t.Errorf("the text tells %s, which is another's or far away", not)
		}
	}
	if _, err := Team(TeamOptions{Owner: "paymnets", Evaluation: sample()}); !errors.Is(err, ErrOwner) || !strings.Contains(err.Error(), "payments, unowned") {
		t.Errorf("a mistyped owner: %v", err)
	}
	if s, err := Team(TeamOptions{Owner: "payments", Evaluation: sample()}); err != nil || !strings.Contains(s.Costs[0], "Not assessed") {
		t.Errorf("without costs: %v", err)
	}
	if got := Owners(sample()); len(got) != 1 || got[0] != "payments" {
		t.Errorf("owners: %v", got)
	}
}

func TestMailIsAMail(t *testing.T) {
	s, err := Team(teamOptions())
	if err != nil {
		t.Fatal(err)
	}
	o := MailOptions{From: "Dockreeve <reeve@example.com>", To: []string{"Ärger <a@example.com>", "b@example.com"}, At: noon}
	var one, two bytes.Buffer
	if err := s.Mail(&one, o); err != nil {
		t.Fatal(err)
	}
	if err := s.Mail(&two, o); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Errorf("the same summary gives two different mails (%v)", err)
	}
	golden(t, "team.eml", one.Bytes())
	m, err := mail.ReadMessage(&one)
	if err != nil {
		t.Fatal(err)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) != 2 || to[0].Name != "Ärger" {
		t.Errorf("to: %v, %v", to, err)
	}
	if d, err := m.Header.Date(); err != nil || d.UnixNano() != noon {
		t.Errorf("date: %v, %v", d, err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s: %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []string{"DO FIRST", "<!doctype html>"} {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("part %s: %v", p.Header.Get("Content-Type"), err)
		}
	}
}

// Whatever an owner is called, and whatever is given as an address: the headers are those
// that we write, each line short and plain.
func TestNothingBecomesAHeader(t *testing.T) {
	text := rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune("\r\n:<>@,\"\\=? \t\x00")), rapid.Rune()))
	rapid.Check(t, func(t *rapid.T) {
		s := &Summary{Owner: text.Draw(t, "owner"), Headline: text.Draw(t, "headline"), Costs: []string{text.Draw(t, "cost")}}
		o := MailOptions{From: rapid.OneOf(text, rapid.Just("a@example.com")).Draw(t, "from"), To: []string{rapid.OneOf(text, rapid.Just("b@example.com")).Draw(t, "to")}, Subject: text.Draw(t, "subject"), At: noon}
		var b bytes.Buffer
		if err := s.Mail(&b, o); err != nil {
			if b.Len() > 0 || !errors.Is(err, ErrAddress) {
				t.Fatalf("%d bytes and %v", b.Len(), err)
			}
			return
		}
		head, _, ok := strings.Cut(b.String(), "\r\n\r\n")
		if !ok {
			t.Fatal("no end of the headers")
		}
		names := []string{}
		for _, l := range strings.Split(head, "\r\n") {
			if len(l) > 998 || strings.ContainsFunc(l, func(r rune) bool { return r != '\t' && r < 0x20 || r >= 0x7f }) {
				t.Fatalf("header line %q", l)
			}
			if !strings.HasPrefix(l, " ") {
				name, _, _ := strings.Cut(l, ":")
				names = append(names, name)
			}
		}
		if got := strings.Join(names, " "); got != "From To Subject Date Message-ID Auto-Submitted MIME-Version Content-Type" {
			t.Fatalf("headers are %s", got)
		}
		for _, l := range strings.Split(b.String(), "\r\n") {
			if strings.ContainsAny(l, "\n\r") || len(l) > 998 {
				t.Fatalf("line %q", l)
			}
		}
	})
}
