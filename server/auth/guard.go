package auth

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"connectrpc.com/connect"

	"github.com/dockreeve/dockreeve/store"
)

type whoKey struct{}

// Who is the name the request was signed in with; "" outside Required.
func Who(ctx context.Context) string {
	s, _ := ctx.Value(whoKey{}).(string)
	return s
}

// Front guards every request, signed in or not: it answers only to its own host
// names, so that a name rebound to this address reaches nothing; it refuses
// requests that pages of other origins make; and it sets the headers that keep
// the console's pages to themselves.
func (a *Auth) Front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		if a.opt.TLS {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if !a.hosts[strings.ToLower(r.Host)] {
			http.Error(w, "this server does not go by that name; call it by its address, or start it with the name allowed", http.StatusMisdirectedRequest)
			return
		}
		if !a.ownOrigin(r) {
			http.Error(w, "requests from pages of other sites are refused", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownOrigin refuses what a page of another site makes the browser send. Requests
// without any of the headers do not come from a page.
func (a *Auth) ownOrigin(r *http.Request) bool {
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" && !(r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate") {
		return false // a followed link is a navigation, and only reads
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	u, err := url.Parse(origins[0])
	scheme := "http"
	if a.opt.TLS {
		scheme = "https"
	}
	return err == nil && u.Scheme == scheme && a.hosts[strings.ToLower(u.Host)] && u.Path == "" && u.User == nil && u.RawQuery == ""
}

// Required lets only signed-in requests through. A session must also show that
// its request comes from a page of the server: browsers send Origin or
// Sec-Fetch-Site with everything but plain reads.
func (a *Auth) Required(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := a.who(r)
		var lacks *lacking
		switch {
		case errors.Is(err, ErrDenied):
			a.deny(w)
		case errors.As(err, &lacks):
			if !streams(w, r, connect.NewError(connect.CodePermissionDenied, lacks)) {
				a.answer(w, http.StatusForbidden, "permission_denied", lacks.Error())
			}
		case err != nil:
			a.answer(w, http.StatusServiceUnavailable, "unavailable", "sign-in cannot be checked now: "+err.Error())
		default:
			w.Header().Set("Cache-Control", "no-store")
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, who)))
		}
	})
}

func (a *Auth) deny(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="dockreeve"`)
	a.answer(w, http.StatusUnauthorized, "unauthenticated", "not signed in: open the sign-in link that the server printed when it started, or give the token from its state directory")
}

// streams refuses a call that streams in the form its client reads a message from: its
// status alone would say nothing. It reports whether the call was one.
func streams(w http.ResponseWriter, r *http.Request, refusal *connect.Error) bool {
	if t := r.Header.Get("Content-Type"); !strings.HasPrefix(t, "application/connect+") && !strings.HasPrefix(t, "application/grpc") {
		return false
	}
	w.Header().Set("Cache-Control", "no-store")
	_ = connect.NewErrorWriter().Write(w, r, refusal) // the client may be gone
	return true
}

// answer refuses in the form that Connect clients read as a code and a message.
func (a *Auth) answer(w http.ResponseWriter, status int, code, message string) {
	body, err := json.Marshal(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message})
	if err != nil { // text always marshals
		body = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body) // the client may be gone
}

func (a *Auth) who(r *http.Request) (string, error) {
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, secret, ok := strings.Cut(h, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			return "", ErrDenied
		}
		secret, ok = strings.CutPrefix(strings.TrimSpace(secret), secretPrefix)
		if !ok {
			return "", ErrDenied
		}
		c, err := a.check(r.Context(), kindToken, secret)
		if errors.Is(err, ErrDenied) {
			if c, err = a.check(r.Context(), kindCI, secret); err == nil {
				err = a.may(c, r.URL.Path)
			}
		}
		return c.Label, err
	}
	cookie, err := r.Cookie(a.cookieName())
	if err != nil {
		return "", ErrDenied
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		return "", ErrDenied
	}
	c, err := a.check(r.Context(), kindSession, cookie.Value)
	return c.Label, err
}

// SignIn exchanges a code for a session and sends the browser to the console.
func (a *Auth) SignIn(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet {
		http.Error(w, "open the sign-in link in a browser", http.StatusMethodNotAllowed)
		return
	}
	from := remoteIP(r)
	if !a.limit.allow(from) {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "too many failed sign-ins; wait a minute", http.StatusTooManyRequests)
		return
	}
	code := r.URL.Query().Get("code")
	if code == "" || len(code) > 128 {
		a.limit.failed(from)
		refuse(w)
		return
	}
	c, err := a.opt.Store.TakeCredential(r.Context(), kindCode, hashOf(kindCode, code))
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			a.limit.failed(from)
			refuse(w)
			return
		}
		http.Error(w, "sign-in cannot be checked now: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	session, err := a.issue(r.Context(), kindSession, c.Label, "", SessionLife)
	if err != nil {
		http.Error(w, "sign-in cannot be kept now: "+err.Error()+"; ask for a new link once that is mended", http.StatusServiceUnavailable)
		return
	}
	http.SetCookie(w, a.cookie(session, int(SessionLife.Seconds())))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func refuse(w http.ResponseWriter) {
	http.Error(w, "This sign-in link has been used, or is older than ten minutes. Make a new one on the server's machine: dockreeve login", http.StatusForbidden)
}

// SignOut ends the session.
func (a *Auth) SignOut(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "POST to sign out", http.StatusMethodNotAllowed)
		return
	}
	if c, err := r.Cookie(a.cookieName()); err == nil && len(c.Value) <= 128 {
		if err := a.opt.Store.DropCredential(r.Context(), hashOf(kindSession, c.Value)); err != nil {
			http.Error(w, "signing out failed: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	http.SetCookie(w, a.cookie("", -1))
	w.WriteHeader(http.StatusNoContent)
}

// NewLink answers a signed-in command line with a fresh sign-in path.
func (a *Auth) NewLink(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "POST for a new link", http.StatusMethodNotAllowed)
		return
	}
	code, err := a.NewCode(r.Context())
	if err != nil {
		http.Error(w, "no link can be made now: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte(SignInPath(code) + "\n")) // the client may be gone
}

// SignInPath is the path of the link that uses code.
func SignInPath(code string) string { return "/signin?code=" + url.QueryEscape(code) }

// FromHere reports whether the request comes from this machine, not through a
// proxy on it.
func FromHere(r *http.Request) bool {
	ip := net.ParseIP(remoteIP(r))
	return ip != nil && ip.IsLoopback() && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}

func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
