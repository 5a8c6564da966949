// Package smtp is a mail server for tests: it speaks as much of RFC 5321 as handing over
// messages needs, without TLS, and keeps what it was given.
package smtp

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// Server keeps the messages it takes. Safe for concurrent use.
type Server struct {
	Addr string

	mu     sync.Mutex
	refuse string
	got    []Message
}

// Message is one that was taken.
type Message struct {
	From, To string // as commands name them
	Data     string // with its dots as they came
}

// Serve starts a server that ends with the test. Commands that begin with refuse are
// answered with 550; "" = none.
func Serve(t *testing.T, refuse string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: l.Addr().String(), refuse: refuse}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(conn)
		}
	}()
	return s
}

// Refuse changes which commands are refused.
func (s *Server) Refuse(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = prefix
}

// Messages are those taken so far.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.got...)
}

func (s *Server) talk(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	say := func(text string) { fmt.Fprintf(conn, "%s\r\n", text) }
	say("220 test ESMTP")
	var m Message
	var data *strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if data != nil {
			if line != ".\r\n" {
				data.WriteString(line)
				continue
			}
			m.Data, data = data.String(), nil
			s.mu.Lock()
			s.got = append(s.got, m)
			s.mu.Unlock()
			say("250 taken")
			continue
		}
		s.mu.Lock()
		refuse := s.refuse
		s.mu.Unlock()
		switch {
		case refuse != "" && strings.HasPrefix(line, refuse):
			say("550 not here")
		case strings.HasPrefix(line, "EHLO"):
			say("250-test\r\n250 8BITMIME")
		case strings.HasPrefix(line, "MAIL FROM:"):
			m = Message{From: strings.TrimSpace(line)}
			say("250 ok")
		case strings.HasPrefix(line, "RCPT TO:"):
			m.To = strings.TrimSpace(line)
			say("250 ok")
		case strings.HasPrefix(line, "DATA"):
			data = &strings.Builder{}
			say("354 go on")
		case strings.HasPrefix(line, "QUIT"):
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}
