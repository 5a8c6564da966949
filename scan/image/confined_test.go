package image

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// elsewhere answers as a registry that names another address to log in at, and notes
// where it was asked and with what.
type elsewhere struct {
	realm string
	asked []string
}

func (e *elsewhere) RoundTrip(req *http.Request) (*http.Response, error) {
	e.asked = append(e.asked, req.URL.Host)
	res := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Request: req, Body: io.NopCloser(strings.NewReader("{}"))}
	if req.URL.Host == "registry.example" {
		res.Header.Set("WWW-Authenticate", `Bearer realm="`+e.realm+`",service="x"`)
		return res, nil
	}
	res.StatusCode, res.Body = http.StatusOK, io.NopCloser(strings.NewReader(`{"token":"t"}`))
	return res, nil
}

// TestLoginStaysOutside: whoever names the image names the registry, and the registry
// names where to log in; that must not reach what only this machine can reach.
func TestLoginStaysOutside(t *testing.T) {
	for realm, ok := range map[string]bool{
		"https://auth.example/token":                  true,
		"http://127.0.0.1:2375/containers/json":       false,
		"http://localhost:2375/containers/json":       false,
		"http://[::1]/token":                          false,
		"http://[::ffff:127.0.0.1]/token":             false,
		"http://0.0.0.0:80/token":                     false,
		"https://169.254.169.254/latest/meta-data/":   false,
		"https://[::ffff:169.254.169.254]/meta-data/": false,
		"https://[fe80::1]/token":                     false,
	} {
		e := &elsewhere{realm: realm}
		c, err := NewClient(Registry{Keychain: authn.NewMultiKeychain()}, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		c.base = &retrying{c: c, inner: e}
		reg, err := name.NewRegistry("registry.example")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.session(context.Background(), reg, "app", "repository:app:pull", false)
		if ok != (err == nil) || ok != (len(e.asked) > 1) {
			t.Errorf("%s: asked %v, error %v", realm, e.asked, err)
		}
	}
}
