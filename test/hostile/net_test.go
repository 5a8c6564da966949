package hostile

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// raw sends bytes of an attacker's choice and returns the first line of the answer.
func raw(t *testing.T, address, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return err.Error() // refused while still sending
	}
	b := make([]byte, 512)
	n, err := c.Read(b)
	if n == 0 {
		return fmt.Sprint(err)
	}
	line, _, _ := strings.Cut(string(b[:n]), "\r\n")
	return line
}

func (h *hub) place(t *testing.T) (address, token string) {
	t.Helper()
	a, err := os.ReadFile(filepath.Join(h.state, "address"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := os.ReadFile(filepath.Join(h.state, "token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(a)), "http://"), strings.TrimSpace(string(k))
}

// The real listener, called as others than its own clients would call it.
func TestForgedCallsAreRefused(t *testing.T) {
	h := up(t, t.TempDir(), "--replay", write(t, "t.ndjson", evilTrace(t)))
	address, token := h.place(t)
	_, port, _ := strings.Cut(address, ":")
	bearer := "Authorization: Bearer " + token
	post := func(host, body string, headers ...string) string {
		return raw(t, address, "POST /dockreeve.v1.StatusService/GetStatus HTTP/1.1\r\nHost: "+host+"\r\nContent-Type: application/json\r\nContent-Length: "+
			fmt.Sprint(len(body))+"\r\n"+strings.Join(append(headers, "\r\n"), "\r\n")+body)
	}
	for _, x := range []struct{ what, got, want string }{
		{"itself", post(address, "{}", bearer), " 200 "},
		{"no token", post(address, "{}"), " 401 "},
		{"another's token", post(address, "{}", "Authorization: Bearer dockreeve_"+strings.Repeat("A", 43)), " 401 "},
		{"a token as a cookie", post(address, "{}", "Cookie: dockreeve="+token, "Origin: http://"+address), " 401 "},
		{"a forged cookie", post(address, "{}", "Cookie: dockreeve=AAAA", "Origin: http://"+address), " 401 "},
		{"a name rebound here", post("evil.example:"+port, "{}", bearer), " 421 "},
		{"an address in a name", post("127.0.0.1.nip.io:"+port, "{}", bearer), " 421 "},
		{"no host", post("", "{}", bearer), " 4"},
		{"another page", post(address, "{}", bearer, "Origin: http://evil.example"), " 403 "},
		{"a page without origin", post(address, "{}", bearer, "Origin: null"), " 403 "},
		{"another port's page", post(address, "{}", bearer, "Origin: http://127.0.0.1:1"), " 403 "},
		{"a name before the host", post(address, "{}", bearer, "Origin: http://"+address+"@evil.example"), " 403 "},
		{"two origins", post(address, "{}", bearer, "Origin: http://"+address, "Origin: http://evil.example"), " 403 "},
		{"another site", post(address, "{}", bearer, "Sec-Fetch-Site: cross-site"), " 403 "},
		{"an oversized body", post(address, `{"x":"`+strings.Repeat("a", 1<<20)+`"}`, bearer), " 429 "},
		{"deep JSON", post(address, strings.Repeat(`{"a":`, 20_000), bearer), " 400 "},
		{"endless headers", post(address, "{}", "X: "+strings.Repeat("a", 80<<10)), " 431 "},
		{"two lengths", post(address, "0\r\n\r\nGET / HTTP/1.1\r\n\r\n", "Transfer-Encoding: chunked"), " 401 "},
		{"a path out", raw(t, address, "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: "+address+"\r\n\r\n"), " "},
	} {
		if !strings.Contains(x.got, x.want) {
			t.Errorf("%s: %s, want%s", x.what, x.got, x.want)
		}
	}
}

// A thousand change streams: some are served, the rest refused, and who calls for
// something else is served all the same. Closed ones make room again.
func TestAThousandStreams(t *testing.T) {
	h := up(t, t.TempDir(), "--replay", write(t, "t.ndjson", evilTrace(t)))
	address, token := h.place(t)
	frame := binary.BigEndian.AppendUint32([]byte{0}, 2)
	frame = append(frame, "{}"...)
	ask := "POST /dockreeve.v1.ChangeService/Watch HTTP/1.1\r\nHost: " + address + "\r\nAuthorization: Bearer " + token +
		"\r\nContent-Type: application/connect+json\r\nConnect-Protocol-Version: 1\r\nContent-Length: " + fmt.Sprint(len(frame)) + "\r\n\r\n" + string(frame)
	open := func(n int) (served, refused int, all []net.Conn) {
		for range n {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
			if _, err := io.WriteString(c, ask); err != nil {
				t.Fatal(err)
			}
		}
		b := make([]byte, 8192)
		for _, c := range all {
			text := ""
			for !strings.Contains(text, "resource_exhausted") && !strings.Contains(text, `"seq"`) && !strings.Contains(text, "\r\n\r\n7\r\n") {
				if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				k, err := c.Read(b)
				if err != nil {
					t.Fatalf("%v after %q", err, text)
				}
				text += string(b[:k])
			}
			if strings.Contains(text, "resource_exhausted") {
				refused++
			} else {
				served++
			}
		}
		return served, refused, all
	}
	served, refused, all := open(1000)
	if served != 256 || refused != 744 {
		t.Errorf("%d streams served, %d refused; want 256 and 744", served, refused)
	}
	if out, errs, _ := h.call(t, "alerts", "list"); !strings.Contains(out, "alerts (") {
		t.Errorf("while the streams are open: %s%s", out, errs)
	}
	for _, c := range all {
		c.Close()
	}
	until(t, "closed streams make room", func() bool {
		served, _, all := open(1)
		all[0].Close()
		return served == 1
	})
}
