package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// ErrAddress reports an address that a mail cannot be sent from or to.
var ErrAddress = errors.New("not a mail address")

// MailOptions say who a mail is from and to, and when it is of. Nothing is sent here.
type MailOptions struct {
	From    string   // alerts@example.com, or Name <alerts@example.com>
	To      []string // at most 100
	Subject string   // default: OWNER: 4 clusters, 7 recommendations…
	At      int64    // Unix nanoseconds
}

// maxSubject bounds a subject, in characters.
const maxSubject = 200

// Mail writes the summary as one message of RFC 5322: a plain and an HTML part, all
// headers encoded, lines ended with CR LF, the same bytes for the same input. Its errors
// wrap ErrAddress where an address is no address; line breaks in what others wrote (the
// owner's name) cannot begin a header.
func (s *Summary) Mail(w io.Writer, o MailOptions) error {
	from, err := address(o.From)
	if err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if len(o.To) == 0 || len(o.To) > 100 {
		return fmt.Errorf("%w: a mail goes to 1 to 100 addresses, not to %d", ErrAddress, len(o.To))
	}
	var to []string
	for _, a := range o.To {
		t, err := address(a)
		if err != nil {
			return fmt.Errorf("to: %w", err)
		}
		to = append(to, t.String())
	}
	subject := oneLine(o.Subject)
	if subject == "" {
		subject = oneLine(s.Owner + ": " + s.Headline)
	}
	if r := []rune(subject); len(r) > maxSubject {
		subject = string(r[:maxSubject-1]) + "…"
	}
	var text, html bytes.Buffer
	if err := s.Text(&text); err != nil {
		return err
	}
	if err := s.HTML(&html); err != nil {
		return err
	}
	sum := sha256.New()
	for _, part := range []string{from.String(), strings.Join(to, ","), subject, text.String(), html.String(), fmt.Sprint(o.At)} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	id := hex.EncodeToString(sum.Sum(nil)[:16])

	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	if err := parts.SetBoundary("dockreeve-" + id); err != nil {
		return err
	}
	for _, p := range []struct{ kind, text string }{{"text/plain; charset=utf-8", text.String()}, {"text/html; charset=utf-8", html.String()}} {
		h := textproto.MIMEHeader{"Content-Type": {p.kind}, "Content-Transfer-Encoding": {"quoted-printable"}}
		part, err := parts.CreatePart(h)
		if err != nil {
			return err
		}
		q := quotedprintable.NewWriter(part)
		if _, err := io.WriteString(q, p.text); err != nil {
			return err
		}
		if err := q.Close(); err != nil {
			return err
		}
	}
	if err := parts.Close(); err != nil {
		return err
	}
	domain := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	var out bytes.Buffer
	header := func(name, value string) { out.WriteString(name + ": " + value + "\r\n") }
	header("From", from.String())
	header("To", strings.Join(to, ",\r\n "))
	header("Subject", fold(mime.QEncoding.Encode("utf-8", subject)))
	header("Date", time.Unix(0, o.At).UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	header("Message-ID", "<"+id+"@"+domain+">")
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "multipart/alternative;\r\n boundary=\"dockreeve-"+id+"\"")
	out.WriteString("\r\n")
	out.Write(body.Bytes())
	_, err = w.Write(out.Bytes())
	return err
}

// fold breaks a header into lines of at most 78 characters, at its spaces.
func fold(s string) string {
	var b strings.Builder
	width := len("Subject: ")
	for i, word := range strings.Split(s, " ") {
		switch {
		case i == 0:
		case width+1+len(word) > 78:
			b.WriteString("\r\n")
			width = 0
			fallthrough
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String()
}

// address reads one plain address.
func address(s string) (*mail.Address, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return nil, fmt.Errorf("%w: %q holds a line break or a control character", ErrAddress, s)
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %v", ErrAddress, s, err)
	}
	if strings.ContainsFunc(a.Address, func(r rune) bool { return r >= 0x80 }) {
		return nil, fmt.Errorf("%w: %q has letters outside ASCII before or after the @, which not every server takes; write the domain in its xn-- form", ErrAddress, s)
	}
	if len(a.Address) > 254 || strings.ContainsFunc(a.Address+a.Name, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return nil, fmt.Errorf("%w: %q is too long, or holds a control character", ErrAddress, s)
	}
	return a, nil
}
