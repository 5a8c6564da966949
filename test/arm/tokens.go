package arm

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Token is the bearer token that is accepted now.
func (s *Server) Token() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// Expire makes the token of now expire: whoever holds it is turned away until it asks the
// Credential again.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	s.token = fmt.Sprintf("token-%d", s.serial)
}

// Issued is how often the Credential was asked.
func (s *Server) Issued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issued
}

// Credential gives the token that is accepted now.
func (s *Server) Credential() azcore.TokenCredential { return credential{s} }

type credential struct{ s *Server }

func (c credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.issued++
	return azcore.AccessToken{Token: c.s.token, ExpiresOn: c.s.o.Clock().Add(time.Hour)}, nil
}

// authorized turns away who has no token, or an old one.
func (s *Server) authorized(c *call) bool {
	token, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	challenge := `Bearer authorization_uri="https://login.microsoftonline.com/` + s.o.World.TenantID() + `", error="invalid_token", error_description=`
	switch {
	case !ok || token == "":
		c.w.Header().Set("WWW-Authenticate", challenge+`"The authentication failed because of missing 'Authorization' header."`)
		c.fail(http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
	case token == s.Token():
		return true
	case strings.HasPrefix(token, "token-"):
		c.w.Header().Set("WWW-Authenticate", challenge+`"The access token has expired."`)
		c.fail(http.StatusUnauthorized, "ExpiredAuthenticationToken", "The access token has expired.")
	default:
		c.w.Header().Set("WWW-Authenticate", challenge+`"The access token is invalid."`)
		c.fail(http.StatusUnauthorized, "InvalidAuthenticationToken", "The access token is invalid.")
	}
	return false
}

func readBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err == nil && len(b) > maxBody {
		err = fmt.Errorf("body of more than %d bytes", maxBody)
	}
	return b, err
}
