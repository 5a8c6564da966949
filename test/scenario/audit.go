package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/dockreeve/dockreeve/detect/audit"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/inventory"
)

// cluster is the cluster of a story: the objects told of so far, and who computes from
// them the facts of its audit events.
type cluster struct {
	name    string
	learn   time.Duration
	config  inventory.Config
	state   *inventory.State
	auditor *audit.Auditor
	names   []string // of namespaces, for the auditor's start
}

func newCluster() *cluster { return &cluster{name: "test"} }

// begin makes the state; settings come before it.
func (c *cluster) begin() {
	if c.state == nil {
		c.state = inventory.NewState(inventory.Options{Config: c.config, Cluster: c.name})
	}
}

// facts computes what the cluster agent would say of an event.
func (c *cluster) facts(ev *event.Event) event.AuditFacts {
	c.begin()
	if c.auditor == nil {
		c.auditor = audit.New(audit.Options{State: c.state, Cluster: c.name, LearnFor: int64(c.learn)})
		c.auditor.Seed(c.names)
	}
	return c.auditor.Facts(ev)
}

func (t *teller) clusterStep(st Step) error {
	c := t.cluster
	switch st.Verb {
	case "cluster":
		if c.state != nil {
			return errors.New("cluster: it comes before the first object and the first audit event")
		}
		c.name = st.Words[0]
		if v := st.Opt["learn"]; v != "" {
			d, err := time.ParseDuration(v)
			if err != nil {
				return fmt.Errorf("learn=%s: want a duration such as 1h", v)
			}
			c.learn = d
		}
		if err := yaml.UnmarshalStrict([]byte(st.Opt["config"]), &c.config); err != nil {
			return fmt.Errorf("config: %w", err)
		}
		return c.config.Validate()
	case "object":
		if st.Text == "" {
			return errors.New("object: want <<END and the object, YAML or JSON, on the lines after it")
		}
		for part := range strings.SplitSeq(st.Text, "\n---\n") {
			doc, err := yaml.YAMLToJSON([]byte(part))
			if err != nil {
				return fmt.Errorf("object: %w", err)
			}
			o, err := inventory.Decode(doc)
			if err != nil {
				return fmt.Errorf("object: %w", err)
			}
			c.begin()
			if o.Kind == inventory.KindNamespace {
				c.names = append(c.names, o.Name)
			}
			c.state.Put(o)
		}
		return nil
	case "gone":
		c.begin()
		c.state.Delete(inventory.Key{Kind: inventory.Kind(st.Words[0]), Namespace: st.Opt["ns"], Name: st.Words[1]}, "")
		return nil
	}
	return t.audit(st)
}

// audit tells one audit event, or one after another.
func (t *teller) audit(st Step) error {
	if st.Text != "" {
		if len(st.Words) > 0 {
			return errors.New("audit: either <<END and a whole event, or who, verb and resource")
		}
		doc, err := yaml.YAMLToJSON([]byte(st.Text))
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		return t.addAudit(doc, st.Opt["facts"])
	}
	if len(st.Words) != 3 {
		return fmt.Errorf("audit: %d words, want who, verb and resource", len(st.Words))
	}
	times, err := number(st.Opt["times"], 1)
	if err != nil || times > 100_000 {
		return fmt.Errorf("times=%s: want a number up to 100000", st.Opt["times"])
	}
	every := time.Duration(0)
	if v := st.Opt["every"]; v != "" {
		if every, err = time.ParseDuration(v); err != nil {
			return fmt.Errorf("every=%s: want a duration such as 10s", v)
		}
	}
	for i := range times {
		doc, err := t.request(st, i+1)
		if err != nil {
			return err
		}
		if err := t.addAudit(doc, st.Opt["facts"]); err != nil {
			return err
		}
		t.n++
		t.later += int64(every)
	}
	return nil
}

// addAudit completes an event with its facts: those given, else those computed.
func (t *teller) addAudit(doc []byte, facts string) error {
	ev := t.event(event.TypePluginevent, event.LaneAudit, 0)
	ev.Source, ev.Flags, ev.CPU, ev.Boot, ev.JSON = event.SourceK8sAudit, 0, -1, 0, doc
	f := event.AuditFacts{}
	if facts != "" {
		if err := yaml.UnmarshalStrict([]byte(facts), &f); err != nil {
			return fmt.Errorf("facts: %w", err)
		}
	} else {
		f = t.cluster.facts(ev)
	}
	doc, err := event.WithAuditFacts(doc, &f)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	ev.Invalidate()
	ev.JSON = doc
	t.tape.Cluster = t.cluster.name
	t.add(ev, event.Facts{})
	return nil
}

// user is a user of the API by the short form of a story.
func user(who string) (name string, groups []string) {
	switch {
	case who == "anonymous":
		return "system:anonymous", []string{"system:unauthenticated"}
	case strings.HasPrefix(who, "sa:"):
		ns, account, _ := strings.Cut(who[len("sa:"):], "/")
		return "system:serviceaccount:" + ns + ":" + account, []string{"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"}
	case strings.HasPrefix(who, "node:"):
		return "system:node:" + who[len("node:"):], []string{"system:nodes", "system:authenticated"}
	}
	return who, []string{"system:authenticated"}
}

// groupOf gives the API group of common resources.
var groupOf = map[string]string{
	"deployments": "apps", "replicasets": "apps", "statefulsets": "apps", "daemonsets": "apps", "jobs": "batch", "cronjobs": "batch",
	"roles": "rbac.authorization.k8s.io", "rolebindings": "rbac.authorization.k8s.io", "clusterroles": "rbac.authorization.k8s.io", "clusterrolebindings": "rbac.authorization.k8s.io",
	"ingresses": "networking.k8s.io", "networkpolicies": "networking.k8s.io", "certificatesigningrequests": "certificates.k8s.io",
	"validatingwebhookconfigurations": "admissionregistration.k8s.io", "mutatingwebhookconfigurations": "admissionregistration.k8s.io",
	"selfsubjectaccessreviews": "authorization.k8s.io", "selfsubjectrulesreviews": "authorization.k8s.io", "leases": "coordination.k8s.io", "storageclasses": "storage.k8s.io",
}

// usualAddress is where requests of a user come from unless the story says otherwise: the
// platform works from inside, everybody else from an address outside.
func usualAddress(name string) string {
	if strings.HasPrefix(name, "system:node:") || strings.HasPrefix(name, "system:kube-") || strings.HasPrefix(name, "system:serviceaccount:kube-system:") {
		return "10.255.0.1"
	}
	return "203.0.113.10"
}

// request writes the nth event of a line as the API server writes it. Unless the line says
// otherwise, the request was allowed, succeeded and came from an address of the internet.
func (t *teller) request(st Step, nth uint64) ([]byte, error) {
	opt := func(key, otherwise string) string {
		if v, ok := st.Opt[key]; ok {
			return strings.ReplaceAll(v, "%d", strconv.FormatUint(nth, 10))
		}
		return otherwise
	}
	name, groups := user(st.Words[0])
	if v := opt("groups", ""); v != "" {
		groups = append(groups, strings.Split(v, ",")...)
	}
	verb, what := st.Words[1], st.Words[2]
	code := "200"
	switch {
	case st.Opt["decision"] == "forbid":
		code = "403"
	case verb == "create":
		code = "201"
	}
	status, err := strconv.Atoi(opt("code", code))
	if err != nil {
		return nil, fmt.Errorf("code=%s: not a number", st.Opt["code"])
	}
	decision := "allow"
	if status == 403 {
		decision = "forbid"
	}
	who := map[string]any{"username": name, "groups": groups}
	if token := opt("token", ""); token != "" {
		pod, node, _ := strings.Cut(token, "@")
		extra := map[string]any{"authentication.kubernetes.io/pod-name": []string{pod}}
		if node != "" {
			extra["authentication.kubernetes.io/node-name"] = []string{node}
		}
		who["extra"] = extra
	}
	at := time.Unix(0, t.wall()).UTC().Format("2006-01-02T15:04:05.000000Z")
	doc := map[string]any{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": opt("level", "RequestResponse"), "auditID": fmt.Sprintf("story-%d-%d", st.Line, nth), "stage": opt("stage", "ResponseComplete"),
		"verb": verb, "user": who, "sourceIPs": strings.Split(opt("from", usualAddress(name)), ","), "userAgent": opt("agent", "kubectl/v1.33.1 (linux/amd64) kubernetes/0000000"),
		"annotations":              map[string]any{"authorization.k8s.io/decision": opt("decision", decision), "authorization.k8s.io/reason": ""},
		"requestReceivedTimestamp": at, "stageTimestamp": at,
	}
	if doc["stage"] != "RequestReceived" {
		s := map[string]any{"code": status, "metadata": map[string]any{}}
		if status >= 400 {
			s["status"], s["reason"] = "Failure", opt("reason", map[int]string{401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "AlreadyExists"}[status])
		}
		doc["responseStatus"] = s
	}
	if as := opt("as", ""); as != "" {
		n, g := user(as)
		doc["impersonatedUser"] = map[string]any{"username": n, "groups": g}
	}
	doc["requestURI"] = target(doc, what, opt("ns", ""), opt("name", ""))
	if q := opt("query", ""); q != "" {
		doc["requestURI"] = doc["requestURI"].(string) + "?" + q
	}
	for _, part := range [...][2]string{{"request", "requestObject"}, {"response", "responseObject"}} {
		if v := opt(part[0], ""); v != "" {
			var o any
			if err := yaml.Unmarshal([]byte(v), &o); err != nil {
				return nil, fmt.Errorf("%s: %w", part[0], err)
			}
			doc[part[1]] = o
		}
	}
	if v := opt("more", ""); v != "" {
		more := map[string]any{}
		if err := yaml.Unmarshal([]byte(v), &more); err != nil {
			return nil, fmt.Errorf("more: %w", err)
		}
		maps.Copy(doc, more)
	}
	return json.Marshal(doc)
}

// target puts what RESOURCE[.GROUP][/SUBRESOURCE] names into an event and returns the
// address of it; a word that begins with a slash is the address itself.
func target(doc map[string]any, what, namespace, name string) string {
	if strings.HasPrefix(what, "/") {
		return what
	}
	what, sub, _ := strings.Cut(what, "/")
	resource, group, given := strings.Cut(what, ".")
	if !given {
		group = groupOf[resource]
	}
	ref := map[string]any{"resource": resource, "apiVersion": "v1"}
	path := "/api/v1"
	if group != "" {
		ref["apiGroup"] = group
		path = "/apis/" + group + "/v1"
	}
	if namespace != "" {
		ref["namespace"] = namespace
		path += "/namespaces/" + namespace
	}
	if resource != "namespaces" || namespace == "" {
		path += "/" + resource
	}
	if name != "" && (resource != "namespaces" || namespace == "") {
		path += "/" + name
	}
	if sub != "" {
		path += "/" + sub
	}
	for key, v := range map[string]string{"name": name, "subresource": sub} {
		if v != "" {
			ref[key] = v
		}
	}
	doc["objectRef"] = ref
	return path
}
