package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// CanaryNamespace is where the denial canary asks for its pod. deploy/kubernetes/canary.yaml
// makes it, with a quota of no pods at all: the right to create pods there is worth nothing.
const CanaryNamespace = "dockreeve-canary"

const (
	canaryPod    = "dockreeve-canary"
	denialRemedy = "kubectl apply -f deploy/kubernetes/canary.yaml"

	maxDeniedBy = 200
	maxDenial   = 400
)

// forbiddenPod is a pod that nobody should be able to start: it has the node. But for
// that it is as well-behaved as policies may ask, so that it is refused for what it could
// do. It is only ever asked for as a dry run, in a namespace that admits none, and could be scheduled nowhere.
const forbiddenPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + canaryPod + `","namespace":"` + CanaryNamespace + `","labels":{"app.kubernetes.io/name":"` + canaryPod + `"}},
"spec":{"hostPID":true,"automountServiceAccountToken":false,"restartPolicy":"Never","nodeSelector":{"dockreeve.io/canary":"no-node"},"schedulingGates":[{"name":"dockreeve.io/canary"}],
"volumes":[{"name":"root","hostPath":{"path":"/"}}],
"containers":[{"name":"canary","image":"registry.k8s.io/pause:3.10.1","securityContext":{"privileged":true,"readOnlyRootFilesystem":true},
"resources":{"requests":{"cpu":"10m","memory":"16Mi"},"limits":{"cpu":"10m","memory":"16Mi"}},"volumeMounts":[{"name":"root","mountPath":"/host","readOnly":true}]}]}}`

// ErrNoCanary says that the right to ask is not given, or the namespace is not there.
var ErrNoCanary = errors.New("what the cluster denies is not tried: no right to create pods in a namespace " + CanaryNamespace + ", which admits none (" + denialRemedy + ")")

// Denial is the API server's answer to the denial canary. Texts are the server's, cut and
// cleaned; they come from whoever enforces there and are no more than words.
type Denial struct {
	Denied bool
	By     string // who denied it, at most 200 bytes; "" = nobody did
	Answer string // what was said of it, at most 400 bytes
}

// Deny asks the API server whether it would let in a pod that has its node's powers, as a
// dry run, and says who denied that. An error says why it could not be found out, with the
// remedy where there is one; it wraps ErrNoCanary where nobody set the canary up.
func (w *Watcher) Deny(ctx context.Context) (Denial, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second) // webhooks may take 30 s each
	defer cancel()
	u := *w.conn.base
	u.Path = strings.TrimSuffix(u.Path, "/") + "/api/v1/namespaces/" + CanaryNamespace + "/pods"
	u.RawQuery = "dryRun=All"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(forbiddenPod))
	if err != nil {
		return Denial{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", canaryAgent)
	res, err := w.conn.http.Do(req)
	if err != nil {
		return Denial{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxStatusBytes))
	if err != nil {
		return Denial{}, fmt.Errorf("read the answer: %w", err)
	}
	return judgeDenial(res.StatusCode, body)
}

// judgeDenial reads an answer to the dry run. Only what is known to be the word of an
// enforcer counts as a denial, only that of the quota, whose turn comes after all of
// theirs, as nobody's; whatever else refuses is an error.
func judgeDenial(code int, body []byte) (Denial, error) {
	if code == http.StatusOK || code == http.StatusCreated {
		return Denial{Answer: "let in: namespace " + CanaryNamespace + " has no quota of no pods: " + denialRemedy}, nil
	}
	var st status
	if err := json.Unmarshal(body, &st); err != nil || st.Kind != "Status" {
		return Denial{}, fmt.Errorf("the API server answers %d, and not with a Status", code)
	}
	said := plain(st.Message, maxDenial)
	if name, rest, ok := between(st.Message, `admission webhook "`, `" `); ok {
		switch {
		case strings.HasPrefix(rest, "denied the request"):
			by := "admission webhook " + name
			if p := policyIn(rest); p != "" {
				by += ", " + p
			}
			return Denial{Denied: true, By: plain(by, maxDeniedBy), Answer: said}, nil
		case strings.HasPrefix(rest, "does not support dry run"):
			return Denial{}, fmt.Errorf("admission webhook %s does not say that it has no side effects, so nothing can be tried without doing it: give it sideEffects: None, or leave namespace %s out of it", plain(name, maxDeniedBy), CanaryNamespace)
		}
	}
	if name, _, ok := between(st.Message, `Internal error occurred: failed calling webhook "`, `"`); ok {
		return Denial{}, fmt.Errorf("admission webhook %s does not answer, and nothing gets in meanwhile: %s", plain(name, maxDeniedBy), said)
	}
	if strings.HasPrefix(st.Message, `Pod "`+canaryPod+`" is invalid: `) && strings.Contains(st.Message, "privileged: Forbidden: disallowed by cluster policy") {
		return Denial{Denied: true, By: "the API server (--allow-privileged=false)", Answer: said}, nil
	}
	why, admitted := strings.CutPrefix(st.Message, `pods "`+canaryPod+`" is forbidden: `)
	switch {
	case !admitted && strings.HasPrefix(st.Message, "pods is forbidden: User "), code == http.StatusNotFound:
		return Denial{}, ErrNoCanary
	case !admitted:
		return Denial{}, fmt.Errorf("the API server answers %d: %s", code, said)
	}
	if level, _, ok := between(why, `violates PodSecurity "`, `"`); ok {
		level, _, _ = strings.Cut(level, ":")
		return Denial{Denied: true, By: "Pod Security Admission (" + plain(level, 40) + ")", Answer: said}, nil
	}
	if name, rest, ok := between(why, `ValidatingAdmissionPolicy '`, `' `); ok && strings.Contains(rest, "denied request: ") {
		by := "ValidatingAdmissionPolicy " + name
		if binding, _, ok := between(rest, `with binding '`, `' `); ok && binding != name {
			by += " (binding " + binding + ")"
		}
		return Denial{Denied: true, By: plain(by, maxDeniedBy), Answer: said}, nil
	}
	if strings.HasPrefix(why, "unable to validate against any security context constraint") {
		return Denial{Denied: true, By: "OpenShift's security context constraints", Answer: said}, nil
	}
	for _, quota := range []string{"exceeded quota: ", "failed quota: ", "status unknown for quota: "} {
		if strings.HasPrefix(why, quota) {
			return Denial{Answer: "let in by everyone but the quota of its namespace"}, nil
		}
	}
	if strings.HasPrefix(why, "error looking up service account") {
		return Denial{}, errors.New("namespace " + CanaryNamespace + " has no default service account yet")
	}
	return Denial{}, fmt.Errorf("refused for a reason that is none of a policy's: %s", said)
}

// policyIn is the policy that a webhook names in its denial, in the forms that Gatekeeper
// ([name] reason) and Kyverno (a heading of its own, after an empty line) use.
func policyIn(said string) string {
	_, said, _ = strings.Cut(said, ": ")
	if name, _, ok := between(said, "[", "] "); ok && name != "" && !strings.ContainsAny(name, " \n") {
		return name
	}
	if _, list, ok := strings.Cut(said, "was blocked due to the following policies"); ok {
		for line := range strings.Lines(list) {
			if name, is := strings.CutSuffix(strings.TrimRight(line, " \n"), ":"); is && name != "" && !strings.ContainsAny(name, " \t") {
				return name
			}
		}
	}
	return ""
}

// between is what stands between a prefix and the first end after it, and what follows.
func between(s, prefix, end string) (in, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, prefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(s, end)
}

// plain makes one line of printable text of what somebody else wrote.
func plain(s string, n int) string {
	s = cut(s, 4*n) // before it is looked at rune by rune
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)), " ")
	return cut(s, n-len("…"))
}
