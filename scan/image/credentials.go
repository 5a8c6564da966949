package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// credentials finds what to log in to a registry with: given ones, an Azure token,
// then Docker's and Podman's files with their helpers, then none.
func (c *Client) credentials(ctx context.Context, reg name.Registry, repo string, mirror bool) (authn.Authenticator, error) {
	host := reg.RegistryStr()
	if !mirror && (c.opt.Host == "" || c.opt.Host == host || c.opt.Host == "docker.io" && host == name.DefaultRegistry) {
		switch {
		case c.opt.Token != "":
			return authn.FromConfig(authn.AuthConfig{RegistryToken: c.opt.Token}), nil
		case c.opt.Username != "" || c.opt.Password != "":
			return authn.FromConfig(authn.AuthConfig{Username: c.opt.Username, Password: c.opt.Password}), nil
		}
	}
	if c.opt.ACRToken != "" && c.azure(host) {
		return authn.Resolve(ctx, &acrKeychain{c: c}, reg)
	}
	var target authn.Resource = reg
	if repo != "" {
		target = reg.Repo(repo)
	}
	auth, err := authn.Resolve(ctx, c.opt.Keychain, target)
	if err != nil {
		// A broken helper must not keep anyone from a public image; a refusal then
		// says it.
		c.mu.Lock()
		c.credErr = err
		c.mu.Unlock()
		return authn.Anonymous, nil
	}
	return auth, nil
}

// azure: the host is one of Azure Container Registry, in any of its clouds.
func (c *Client) azure(host string) bool {
	for _, d := range []string{".azurecr.io", ".azurecr.cn", ".azurecr.us", ".azurecr.de"} {
		if strings.HasSuffix(host, d) {
			return true
		}
	}
	return slices.Contains(c.opt.ACRHosts, host)
}

// acrKeychain turns a Microsoft Entra token into a refresh token of the registry, as
// Azure Container Registry's /oauth2/exchange does; the registry's own token service
// turns that into access tokens.
type acrKeychain struct{ c *Client }

func (k *acrKeychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), r)
}

func (k *acrKeychain) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	host, token := r.RegistryStr(), k.c.opt.ACRToken
	if issuer(token) == "Azure Container Registry" {
		return authn.FromConfig(authn.AuthConfig{IdentityToken: token}), nil
	}
	scheme := "https"
	if k.c.insecure(host) || loopback(host) {
		if reg, err := k.c.registry(host); err == nil {
			scheme = reg.Scheme()
		}
	}
	form := url.Values{"grant_type": {"access_token"}, "service": {host}, "access_token": {token}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+"://"+host+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	h := http.Client{Transport: k.c.base, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("a token is not sent on to another address")
	}}
	res, err := h.Do(req)
	if err != nil {
		return nil, fmt.Errorf("exchanging the Azure token: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("exchanging the Azure token: %w; is it for this tenant, and still valid?", answer(res))
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("exchanging the Azure token: %w", err)
	}
	var got struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(b, &got); err != nil || got.RefreshToken == "" {
		return nil, fmt.Errorf("exchanging the Azure token: %s answers without a refresh token", host)
	}
	return authn.FromConfig(authn.AuthConfig{IdentityToken: got.RefreshToken}), nil
}

// issuer reads who issued a JSON web token, only to tell what kind it is.
func issuer(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > 64<<10 {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(b, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

func connectionReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
