package auth

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/dockreeve/dockreeve/store"
)

// CILabel begins the name that Who tells of a pipeline.
const CILabel = "ci: "

// Pipeline is a token of a pipeline as lists show it: never its secret.
type Pipeline struct {
	ID      string   `json:"id"` // names it to whoever ends it; says nothing of the secret
	Label   string   `json:"label"`
	Scopes  []string `json:"scopes"`
	Created int64    `json:"created"` // Unix nanoseconds, as Expires
	Expires int64    `json:"expires"`
}

// idBytes of a token's hash are its id.
const idBytes = 6

// may refuses a pipeline's token what its scopes do not hold.
func (a *Auth) may(c store.Credential, path string) error {
	needs := ""
	if a.opt.ScopeOf != nil {
		needs = a.opt.ScopeOf(path)
	}
	if needs == "" || !slices.Contains(strings.Split(c.Scopes, ","), needs) {
		return &lacking{who: c.Label, has: strings.ReplaceAll(c.Scopes, ",", ", "), needs: needs}
	}
	return nil
}

// CI answers a signed-in operator: POST makes a token for a pipeline, for a year (form
// values label, whose it is, and scope, what it may do, words with a comma between); GET
// lists those there are as JSON; DELETE ends the one that the form value id names.
func (a *Auth) CI(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		a.newCI(w, r)
	case http.MethodGet:
		a.listCI(w, r)
	case http.MethodDelete:
		a.endCI(w, r)
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		http.Error(w, "POST for a new token, GET for a list, DELETE to end one", http.StatusMethodNotAllowed)
	}
}

func (a *Auth) newCI(w http.ResponseWriter, r *http.Request) {
	label := strings.ToValidUTF8(strings.TrimSpace(r.FormValue("label")), "")
	if len(label) > 100 {
		http.Error(w, "label: at most 100 bytes", http.StatusBadRequest)
		return
	}
	if label == "" {
		label = "pipeline"
	}
	scopes, err := a.scopes(r.FormValue("scope"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	secret, err := a.issue(r.Context(), kindCI, CILabel+label, scopes, CILife)
	if err != nil {
		http.Error(w, "no token can be made now: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte(secretPrefix + secret + "\n")) // the client may be gone
}

// scopes checks what was asked for, and puts it as it is kept: in the order of
// Options.Scopes, each once.
func (a *Auth) scopes(asked string) (string, error) {
	if strings.TrimSpace(asked) == "" && len(a.opt.Scopes) > 0 {
		return a.opt.Scopes[0], nil
	}
	want := map[string]bool{}
	for _, s := range strings.Split(asked, ",") {
		if s = strings.TrimSpace(s); !slices.Contains(a.opt.Scopes, s) {
			return "", fmt.Errorf("scope %.40q is not known: want some of %s", s, strings.Join(a.opt.Scopes, ", "))
		}
		want[s] = true
	}
	var out []string
	for _, s := range a.opt.Scopes {
		if want[s] {
			out = append(out, s)
		}
	}
	return strings.Join(out, ","), nil
}

func (a *Auth) listCI(w http.ResponseWriter, r *http.Request) {
	list, err := a.opt.Store.Credentials(r.Context(), kindCI)
	if err != nil {
		http.Error(w, "tokens cannot be listed now: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	out := []Pipeline{}
	for _, c := range list {
		out = append(out, Pipeline{ID: ciID(c.Hash), Label: strings.TrimPrefix(c.Label, CILabel), Scopes: strings.Split(c.Scopes, ","), Created: c.Created, Expires: c.Expires})
	}
	b, err := json.Marshal(out)
	if err != nil {
		http.Error(w, "tokens cannot be listed: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b) // the client may be gone
}

func ciID(hash []byte) string { return hex.EncodeToString(hash[:min(idBytes, len(hash))]) }

var errNoSuchToken = errors.New("no pipeline's token has this id")

func (a *Auth) endCI(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	list, err := a.opt.Store.Credentials(r.Context(), kindCI)
	if err == nil {
		i := slices.IndexFunc(list, func(c store.Credential) bool { return id != "" && ciID(c.Hash) == id })
		if i < 0 {
			http.Error(w, errNoSuchToken.Error()+": \"dockreeve tokens\" lists them", http.StatusNotFound)
			return
		}
		err = a.opt.Store.DropCredential(r.Context(), list[i].Hash)
	}
	if err != nil {
		http.Error(w, "the token cannot be ended now: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
