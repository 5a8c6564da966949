package notify

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
)

// server speaks as much SMTP as one message needs, and says what it was told.
func server(t *testing.T, refuse string) (addr string, got chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got = make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var all strings.Builder
		in := bufio.NewReader(conn)
		say := func(s string) { fmt.Fprintf(conn, "%s\r\n", s) }
		say("220 test ESMTP")
		data := false
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				got <- all.String()
				return
			}
			all.WriteString(line)
			switch {
			case data && line == ".\r\n":
				data = false
				say("250 taken")
			case data:
			case refuse != "" && strings.HasPrefix(line, refuse):
				say("550 not here")
			case strings.HasPrefix(line, "EHLO"):
				say("250-test\r\n250 8BITMIME")
			case strings.HasPrefix(line, "DATA"):
				data = true
				say("354 go on")
			case strings.HasPrefix(line, "QUIT"):
				say("221 bye")
				got <- all.String()
				return
			default:
				say("250 ok")
			}
		}
	}()
	return l.Addr().String(), got
}

func TestSend(t *testing.T) {
	addr, got := server(t, "")
	m, err := ParseMail("smtp://"+addr, "Dockreeve <reports@example.org>")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(context.Background(), "Kim <kim@example.org>", []byte("Subject: x\r\n\r\n.dots\r\n")); err != nil {
		t.Fatal(err)
	}
	talk := <-got
	for _, want := range []string{"MAIL FROM:<reports@example.org>", "RCPT TO:<kim@example.org>", "Subject: x", "\r\n..dots"} {
		if !strings.Contains(talk, want) {
			t.Errorf("the server was not told %q:\n%s", want, talk)
		}
	}
}

func TestSendSaysWhatTheServerSays(t *testing.T) {
	addr, _ := server(t, "RCPT")
	m, err := ParseMail("smtp://"+addr, "reports@example.org")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(context.Background(), "kim@example.org", []byte("x")); err == nil || !strings.Contains(err.Error(), "not here") {
		t.Errorf("%v", err)
	}
	if err := m.Send(context.Background(), "kim@example.org\r\nRCPT TO:<eve@example.org>", []byte("x")); err == nil {
		t.Error("a recipient with a line break is taken")
	}
}

// A report never travels readable beyond this machine.
func TestNoPlainTextAway(t *testing.T) {
	addr, _ := server(t, "")
	m, err := ParseMail("smtp://"+addr, "reports@example.org")
	if err != nil {
		t.Fatal(err)
	}
	m.plain = false // as for every other host
	if err := m.Send(context.Background(), "kim@example.org", []byte("x")); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("%v", err)
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
