// Package notify owns the ways out to people: one file for each. It carries what others
// wrote and says whether it arrived; what is worth telling is decided elsewhere.
package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/url"
	"strings"
	"time"
)

// Mail sends messages by SMTP. The zero value cannot send; make it with ParseMail.
// Safe for concurrent use: each message has a connection of its own.
type Mail struct {
	host, addr string
	implicit   bool // TLS from the start
	plain      bool // no TLS at all: only to this machine
	user, pass string
	From       string      // address, with a name or without
	TLS        *tls.Config // nil = the machine's roots
}

// ParseMail reads a server's address: smtps://user:password@host:465 (TLS from the
// start) or smtp://host:587, which must offer STARTTLS unless it is this machine.
func ParseMail(server, from string) (*Mail, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "smtp" && u.Scheme != "smtps" {
		return nil, errors.New("mail server: want smtp://host:587 or smtps://user:password@host:465") // not the text itself: it may hold a password
	}
	m := &Mail{host: u.Hostname(), implicit: u.Scheme == "smtps", From: from}
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "465", false: "587"}[m.implicit]
	}
	m.addr = net.JoinHostPort(m.host, port)
	ip := net.ParseIP(m.host)
	m.plain = !m.implicit && (m.host == "localhost" || ip != nil && ip.IsLoopback())
	if u.User != nil {
		m.user = u.User.Username()
		m.pass, _ = u.User.Password()
		if m.user == "" || m.pass == "" {
			return nil, errors.New("mail server: a user needs a password, and a password a user")
		}
	}
	if _, err := mail.ParseAddress(from); err != nil {
		return nil, fmt.Errorf("mail from %q: %w", from, err)
	}
	return m, nil
}

// mailPatience bounds one message's delivery.
const mailPatience = 60 * time.Second

// Send hands one message (RFC 5322, complete with headers) to the server for one
// recipient. A nil error means that the server took it over.
func (m *Mail) Send(ctx context.Context, to string, message []byte) error {
	rcpt, err := mail.ParseAddress(to)
	if err != nil {
		return fmt.Errorf("mail to %q: %w", to, err)
	}
	from, err := mail.ParseAddress(m.From)
	if err != nil {
		return fmt.Errorf("mail from %q: %w", m.From, err)
	}
	ctx, cancel := context.WithTimeout(ctx, mailPatience)
	defer cancel()
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.TLS != nil {
		conf = m.TLS.Clone()
	}
	conf.ServerName = m.host
	var conn net.Conn
	if m.implicit {
		conn, err = (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", m.addr)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", m.addr)
	}
	if err != nil {
		return fmt.Errorf("mail server %s: %w", m.addr, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := m.talk(conn, conf, from.Address, rcpt.Address, message); err != nil {
		return fmt.Errorf("mail server %s: %w", m.addr, err)
	}
	return nil
}

func (m *Mail) talk(conn net.Conn, conf *tls.Config, from, to string, message []byte) error {
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	defer c.Close()
	secure := m.implicit
	if ok, _ := c.Extension("STARTTLS"); ok && !m.implicit {
		if err := c.StartTLS(conf); err != nil {
			return err
		}
		secure = true
	}
	if !secure && !m.plain {
		return errors.New("it offers no STARTTLS: a report would travel readable; use smtps:// or another server")
	}
	if m.user != "" {
		if err := c.Auth(smtp.PlainAuth("", m.user, m.pass, m.host)); err != nil {
			return fmt.Errorf("sign in: %w", redacted{err, m.pass})
		}
	}
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	if err := w.Close(); err != nil { // the server's answer
		return err
	}
	_ = c.Quit() // it has the message
	return nil
}

// redacted is an error without a password that a server may have repeated.
type redacted struct {
	err  error
	pass string
}

func (r redacted) Error() string { return strings.ReplaceAll(r.err.Error(), r.pass, "…") }
func (r redacted) Unwrap() error { return r.err }
