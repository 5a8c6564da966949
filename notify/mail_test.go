package notify

import (
	"context"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/test/smtp"
)

func mailTo(t *testing.T, s *smtp.Server, from string) *Mail {
	t.Helper()
	m, err := ParseMail("smtp://"+s.Addr, from)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSend(t *testing.T) {
	s := smtp.Serve(t, "")
	m := mailTo(t, s, "Dockreeve <reports@example.org>")
	if err := m.Send(context.Background(), "Kim <kim@example.org>", []byte("Subject: x\r\n\r\n.dots\r\n")); err != nil {
		t.Fatal(err)
	}
	got := s.Messages()
	if len(got) != 1 || !strings.HasPrefix(got[0].From, "MAIL FROM:<reports@example.org>") || got[0].To != "RCPT TO:<kim@example.org>" || !strings.Contains(got[0].Data, "\r\n..dots") {
		t.Errorf("%q", got)
	}
}

func TestSendSaysWhatTheServerSays(t *testing.T) {
	s := smtp.Serve(t, "RCPT")
	m := mailTo(t, s, "reports@example.org")
	if err := m.Send(context.Background(), "kim@example.org", []byte("x")); err == nil || !strings.Contains(err.Error(), "not here") {
		t.Errorf("%v", err)
	}
	s.Refuse("")
	if err := m.Send(context.Background(), "kim@example.org\r\nRCPT TO:<eve@example.org>", []byte("x")); err == nil {
		t.Error("a recipient with a line break is taken")
	}
}

// A report never travels readable beyond this machine.
func TestNoPlainTextAway(t *testing.T) {
	s := smtp.Serve(t, "")
	m := mailTo(t, s, "reports@example.org")
	m.plain = false // as for every other host
	if err := m.Send(context.Background(), "kim@example.org", []byte("x")); err == nil || !strings.Contains(err.Error(), "STARTTLS") || len(s.Messages()) > 0 {
		t.Errorf("%v, %q", err, s.Messages())
	}
	for _, bad := range []string{"mail.example.org", "http://x", "smtp://user@host", "smtp://"} {
		if _, err := ParseMail(bad, "a@example.org"); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if _, err := ParseMail("smtp://:secret@host:x", "a@example.org"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
