package event

import "strings"

// The ka fields, over the document of an audit event; getters_jevt.go has jevt, json and
// what evt says of one. They mean what the public
// dialect's plugins mean; docs/fields.md says where they differ on purpose.

// textAt is the text at a path of the document.
func (e *Event) textAt(k topKey, path ...string) (string, bool) {
	n := e.at(k, path...)
	if n == 0 {
		return "", false
	}
	return e.nodeText(n), true
}

// ka is textAt for the ka fields, which only a document with an auditID has.
func (e *Event) ka(k topKey, path ...string) (string, bool) {
	if e.at(topAuditID) == 0 {
		return "", false
	}
	return e.textAt(k, path...)
}

// appendItems appends the items of a list.
func (e *Event) appendItems(out []string, n int32) []string {
	if n == 0 || e.tape.nodes[n].kind != nodeArray {
		return out
	}
	end := int32(e.tape.nodes[n].next)
	for k := n + 1; k < end; k = int32(e.tape.nodes[k].next) {
		out = append(out, e.nodeText(k))
	}
	return out
}

func (e *Event) kaList(out []string, k topKey, path ...string) []string {
	if e.at(topAuditID) == 0 {
		return out
	}
	return e.appendItems(out, e.at(k, path...))
}

// render appends what a field makes of one value.
type render func(e *Event, out []string, n int32) []string

func appendText(e *Event, out []string, n int32) []string { return append(out, e.nodeText(n)) }

func appendItems(e *Event, out []string, n int32) []string { return e.appendItems(out, n) }

// appendJoined appends the strings of a list as one text, nothing for another value.
func appendJoined(e *Event, out []string, n int32) []string {
	if e.tape.nodes[n].kind != nodeArray {
		return out
	}
	first := n + 1
	end := int32(e.tape.nodes[n].next)
	if first < end && int32(e.tape.nodes[first].next) == end && e.isText(first) {
		return append(out, e.nodeText(first))
	}
	for k := first; k < end; k = int32(e.tape.nodes[k].next) {
		if !e.isText(k) {
			return out
		}
		e.nodeText(k) // what has escapes goes to the scratch before the joined text
	}
	from := len(e.scratch)
	for k := first; k < end; k = int32(e.tape.nodes[k].next) {
		if k > first {
			e.scratch = append(e.scratch, ' ')
		}
		e.scratch = append(e.scratch, e.nodeText(k)...)
	}
	return append(out, e.view(span{from, len(e.scratch)}))
}

func (e *Event) isText(n int32) bool {
	switch e.tape.nodes[n].kind {
	case nodeString, nodeEscaped, nodeDecoded:
		return true
	}
	return false
}

// appendHostPorts appends the host port of each port, or its container port: with the
// host's network that is the same.
func appendHostPorts(e *Event, out []string, n int32) []string {
	if e.tape.nodes[n].kind != nodeArray {
		return out
	}
	end := int32(e.tape.nodes[n].next)
	for k := n + 1; k < end; k = int32(e.tape.nodes[k].next) {
		p := e.member(k, "hostPort")
		if p == 0 {
			p = e.member(k, "containerPort")
		}
		if p != 0 {
			out = append(out, e.nodeText(p))
		}
	}
	return out
}

func appendRepository(e *Event, out []string, n int32) []string {
	return append(out, repository(e.nodeText(n)))
}

// repository cuts an image at its first colon, and at a digest, as the public dialect
// does: rules in the field rely on it, though a registry's port is cut with it.
func repository(image string) string {
	image, _, _ = strings.Cut(image, ":")
	image, _, _ = strings.Cut(image, "@")
	return image
}

// appendMembers appends the names of an object's members but "name": what kind of
// volume it is.
func appendMembers(e *Event, out []string, n int32) []string {
	if e.tape.nodes[n].kind != nodeObject {
		return out
	}
	end := int32(e.tape.nodes[n].next)
	for k := n + 1; k < end; k = int32(e.tape.nodes[k+1].next) {
		if key := e.nodeText(k); key != "name" {
			out = append(out, key)
		}
	}
	return out
}

// each follows a path from n and appends the values at its end: through lists on the way
// it follows every item, or only the one that a names. What lacks the path adds nothing.
func (e *Event) each(out []string, n int32, a *Arg, as render, path []string) []string {
	for len(path) > 0 {
		if e.tape.nodes[n].kind == nodeArray {
			if a == nil {
				end := int32(e.tape.nodes[n].next)
				for k := n + 1; k < end; k = int32(e.tape.nodes[k].next) {
					if e.tape.nodes[k].kind == nodeObject { // a list in a list has none of the members asked for
						out = e.each(out, k, a, as, path)
					}
				}
				return out
			}
			if n = e.item(n, a.Index); n == 0 {
				return out
			}
		}
		if path[0] != "" {
			if e.tape.nodes[n].kind != nodeObject {
				return out
			}
			if n = e.member(n, path[0]); n == 0 {
				return out
			}
		}
		path = path[1:]
	}
	return as(e, out, n)
}

// kaRequest is each from the requested object on.
func (e *Event) kaRequest(out []string, a *Arg, as render, path ...string) []string {
	if e.at(topAuditID) == 0 {
		return out
	}
	n := e.at(topRequestObject)
	if n == 0 {
		return out
	}
	return e.each(out, n, a, as, path)
}

// kaSpec is each from a list of the requested object's spec on.
func (e *Event) kaSpec(out []string, a *Arg, as render, list string, path ...string) []string {
	if e.at(topAuditID) == 0 {
		return out
	}
	n := e.at(topRequestObject, "spec", list)
	if n == 0 {
		return out
	}
	return e.each(out, n, a, as, path)
}

// kaEffective appends for each container its own value, else the pod's, else 0.
func (e *Event) kaEffective(out []string, a *Arg, list, key string) []string {
	if e.at(topAuditID) == 0 {
		return out
	}
	n := e.at(topRequestObject, "spec", list)
	if n == 0 || e.tape.nodes[n].kind != nodeArray {
		return out
	}
	pod := "0"
	if v := e.at(topRequestObject, "spec", "securityContext", key); v != 0 {
		pod = e.nodeText(v)
	}
	end, i := int32(e.tape.nodes[n].next), 0
	for k := n + 1; k < end; k, i = int32(e.tape.nodes[k].next), i+1 {
		if a != nil && i != a.Index {
			continue
		}
		value := pod
		if c := e.member(k, "securityContext"); c != 0 {
			if v := e.member(c, key); v != 0 {
				value = e.nodeText(v)
			}
		}
		out = append(out, value)
	}
	return out
}

func kaAuditID(e *Event, _ *Arg) (string, bool)     { return e.ka(topAuditID) }
func kaStage(e *Event, _ *Arg) (string, bool)       { return e.ka(topStage) }
func kaVerb(e *Event, _ *Arg) (string, bool)        { return e.ka(topVerb) }
func kaUserAgent(e *Event, _ *Arg) (string, bool)   { return e.ka(topUserAgent) }
func kaUserName(e *Event, _ *Arg) (string, bool)    { return e.ka(topUser, "username") }
func kaRespName(e *Event, _ *Arg) (string, bool)    { return e.ka(topResponseObject, "metadata", "name") }
func kaTargetName(e *Event, _ *Arg) (string, bool)  { return e.ka(topObjectRef, "name") }
func kaServiceType(e *Event, _ *Arg) (string, bool) { return e.ka(topRequestObject, "spec", "type") }
func kaConfigMap(e *Event, _ *Arg) (string, bool)   { return e.ka(topRequestObject, "data") }
func kaBindingRole(e *Event, _ *Arg) (string, bool) { return e.ka(topRequestObject, "roleRef", "name") }
func kaHostIPC(e *Event, _ *Arg) (string, bool)     { return e.ka(topRequestObject, "spec", "hostIPC") }
func kaHostPID(e *Event, _ *Arg) (string, bool)     { return e.ka(topRequestObject, "spec", "hostPID") }
func kaFSGroup(e *Event, _ *Arg) (string, bool)     { return e.kaSecurity("fsGroup") }
func kaRunAsGroup(e *Event, _ *Arg) (string, bool)  { return e.kaSecurity("runAsGroup") }
func kaRunAsUser(e *Event, _ *Arg) (string, bool)   { return e.kaSecurity("runAsUser") }

func (e *Event) kaSecurity(key string) (string, bool) {
	return e.ka(topRequestObject, "spec", "securityContext", key)
}

func kaAuthDecision(e *Event, _ *Arg) (string, bool) {
	return e.ka(topAnnotations, "authorization.k8s.io/decision")
}

func kaAuthReason(e *Event, _ *Arg) (string, bool) {
	return e.ka(topAnnotations, "authorization.k8s.io/reason")
}

func kaOpenshiftDecision(e *Event, _ *Arg) (string, bool) {
	return e.ka(topAnnotations, "authentication.openshift.io/decision")
}

func kaOpenshiftUser(e *Event, _ *Arg) (string, bool) {
	return e.ka(topAnnotations, "authentication.openshift.io/username")
}

func kaPolicyFailure(e *Event, _ *Arg) (string, bool) {
	return e.ka(topAnnotations, "validation.policy.admission.k8s.io/validation_failure")
}

func kaViolations(e *Event, _ *Arg) (string, bool) {
	return e.ka(topAnnotations, "pod-security.kubernetes.io/audit-violations")
}

func kaClusterName(e *Event, _ *Arg) (string, bool) {
	if s, ok := e.ka(topAnnotations, "cluster_name"); ok {
		return s, true
	}
	if e.at(topAuditID) == 0 {
		return "", false
	}
	return e.factText("cluster")
}

func kaImpersonated(e *Event, _ *Arg) (string, bool) { return e.ka(topImpersonated, "username") }

func kaTargetNamespace(e *Event, _ *Arg) (string, bool) { return e.ka(topObjectRef, "namespace") }

func kaTargetResource(e *Event, _ *Arg) (string, bool) { return e.ka(topObjectRef, "resource") }

func kaTargetSubresource(e *Event, _ *Arg) (string, bool) { return e.ka(topObjectRef, "subresource") }

func kaTargetPod(e *Event, a *Arg) (string, bool) {
	if r, _ := e.ka(topObjectRef, "resource"); r != "pods" {
		return "", false
	}
	if s, _ := e.ka(topObjectRef, "subresource"); s != "" {
		return "", false
	}
	return kaRespName(e, a)
}

func kaResponseCode(e *Event, _ *Arg) (string, bool) { return e.ka(topResponseStatus, "code") }

func kaResponseReason(e *Event, _ *Arg) (string, bool) { return e.ka(topResponseStatus, "reason") }

func kaHostNetwork(e *Event, _ *Arg) (string, bool) {
	return e.ka(topRequestObject, "spec", "hostNetwork")
}

func kaURI(e *Event, _ *Arg) (string, bool) { return e.ka(topRequestURI) }

// kaURIParam gives the first value of a query parameter.
func kaURIParam(e *Event, a *Arg) (string, bool) {
	uri, ok := e.ka(topRequestURI)
	if !ok || a == nil {
		return "", false
	}
	uri, _, _ = strings.Cut(uri, "#")
	_, query, _ := strings.Cut(uri, "?")
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(pair, "=")
		if k, ok := e.unquery(key); !ok || k != a.Key || pair == "" {
			continue
		}
		if v, ok := e.unquery(value); ok {
			return v, true
		}
	}
	return "", false
}

// unquery decodes a key or value of a query; false where a percent sign is not followed
// by two hexadecimal digits.
func (e *Event) unquery(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	from := len(e.scratch)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			e.scratch = append(e.scratch, ' ')
		case '%':
			if i+2 >= len(s) || hexDigit(s[i+1]) > 15 || hexDigit(s[i+2]) > 15 {
				e.scratch = e.scratch[:from]
				return "", false
			}
			e.scratch = append(e.scratch, hexDigit(s[i+1])<<4|hexDigit(s[i+2]))
			i += 2
		default:
			e.scratch = append(e.scratch, c)
		}
	}
	return e.view(span{from, len(e.scratch)}), true
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

func kaUserGroups(e *Event, _ *Arg, out []string) []string { return e.kaList(out, topUser, "groups") }

// kaSourceIPs gives the addresses themselves; the public plugin looks for them among the
// rules of a requested role and so never finds any.
func kaSourceIPs(e *Event, a *Arg, out []string) []string {
	if a == nil {
		return e.kaList(out, topSourceIPs)
	}
	if n := e.at(topSourceIPs); n != 0 && e.at(topAuditID) != 0 && e.tape.nodes[n].kind == nodeArray {
		if n = e.item(n, a.Index); n != 0 {
			return append(out, e.nodeText(n))
		}
	}
	return out
}

func kaBindingSubjects(e *Event, _ *Arg, out []string) []string {
	return e.kaList(out, topRequestObject, "subjects")
}

// subjects appends the names of a binding's subjects of one kind.
func (e *Event) subjects(out []string, kind string, namespaced bool) []string {
	n := e.at(topRequestObject, "subjects")
	if n == 0 || e.at(topAuditID) == 0 || e.tape.nodes[n].kind != nodeArray {
		return out
	}
	end := int32(e.tape.nodes[n].next)
	for k := n + 1; k < end; k = int32(e.tape.nodes[k].next) {
		is, name, ns := e.member(k, "kind"), e.member(k, "name"), e.member(k, "namespace")
		switch {
		case is == 0 || name == 0 || e.nodeText(is) != kind || namespaced && ns == 0:
		case namespaced:
			a, b := e.nodeText(ns), e.nodeText(name)
			from := len(e.scratch)
			e.scratch = append(append(append(e.scratch, a...), ':'), b...)
			out = append(out, e.view(span{from, len(e.scratch)}))
		default:
			out = append(out, e.nodeText(name))
		}
	}
	return out
}

func kaBindingUsers(e *Event, _ *Arg, out []string) []string { return e.subjects(out, "User", false) }

func kaBindingGroups(e *Event, _ *Arg, out []string) []string { return e.subjects(out, "Group", false) }

func kaBindingAccounts(e *Event, _ *Arg, out []string) []string {
	return e.subjects(out, "ServiceAccount", false)
}

func kaBindingNSAccounts(e *Event, _ *Arg, out []string) []string {
	return e.subjects(out, "ServiceAccount", true)
}

func kaBindingHasName(e *Event, a *Arg) (string, bool) {
	n := e.at(topRequestObject, "subjects")
	if n == 0 || a == nil || e.at(topAuditID) == 0 || e.tape.nodes[n].kind != nodeArray {
		return "", false
	}
	end := int32(e.tape.nodes[n].next)
	for k := n + 1; k < end; k = int32(e.tape.nodes[k].next) {
		if name := e.member(k, "name"); name != 0 && e.nodeText(name) == a.Key {
			return "true", true
		}
	}
	return "false", true
}

// kaFirstContainer is the first container of the requested pod; 0 = none.
func (e *Event) kaFirstContainer() int32 {
	n := e.at(topRequestObject, "spec", "containers")
	if n == 0 || e.at(topAuditID) == 0 || e.tape.nodes[n].kind != nodeArray {
		return 0
	}
	return e.item(n, 0)
}

func kaFirstImage(e *Event, _ *Arg) (string, bool) {
	n := e.kaFirstContainer()
	if n == 0 {
		return "", false
	}
	if n = e.member(n, "image"); n == 0 {
		return "", false
	}
	return e.nodeText(n), true
}

func kaFirstRepo(e *Event, a *Arg) (string, bool) {
	s, ok := kaFirstImage(e, a)
	return repository(s), ok
}

func kaAnyPrivileged(e *Event, _ *Arg) (string, bool) {
	n := e.at(topRequestObject, "spec", "containers")
	if n == 0 || e.at(topAuditID) == 0 || e.tape.nodes[n].kind != nodeArray {
		return "", false
	}
	end := int32(e.tape.nodes[n].next)
	for k := n + 1; k < end; k = int32(e.tape.nodes[k].next) {
		if c := e.member(k, "securityContext"); c != 0 {
			if p := e.member(c, "privileged"); p != 0 && e.tape.nodes[p].kind == nodeTrue {
				return "true", true
			}
		}
	}
	return "false", true
}

func kaSupplementalGroups(e *Event, _ *Arg, out []string) []string {
	return e.kaList(out, topRequestObject, "spec", "securityContext", "supplementalGroups")
}

func kaFlexDrivers(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "volumes", "flexVolume", "driver")
}

func kaHostPaths(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "volumes", "hostPath", "path")
}

func kaVolumeTypes(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendMembers, "volumes", "")
}

// kaHasHostPath looks at every volume.
func kaHasHostPath(e *Event, a *Arg) (string, bool) {
	n := e.at(topRequestObject, "spec", "volumes")
	if n == 0 || a == nil || e.at(topAuditID) == 0 || e.tape.nodes[n].kind != nodeArray {
		return "", false
	}
	prefix, any := strings.CutSuffix(a.Key, "*")
	end := int32(e.tape.nodes[n].next)
	for k := n + 1; k < end; k = int32(e.tape.nodes[k].next) {
		h := e.member(k, "hostPath")
		if h == 0 {
			continue
		}
		if p := e.member(h, "path"); p != 0 {
			if s := e.nodeText(p); s == a.Key || any && strings.HasPrefix(s, prefix) {
				return "true", true
			}
		}
	}
	return "false", true
}

func kaRules(e *Event, _ *Arg, out []string) []string {
	return e.kaList(out, topRequestObject, "rules")
}

func kaRuleGroups(e *Event, a *Arg, out []string) []string {
	return e.kaRequest(out, a, appendItems, "rules", "apiGroups")
}

func kaRuleURLs(e *Event, a *Arg, out []string) []string {
	return e.kaRequest(out, a, appendItems, "rules", "nonResourceURLs")
}

func kaRuleResources(e *Event, a *Arg, out []string) []string {
	return e.kaRequest(out, a, appendItems, "rules", "resources")
}

func kaRuleVerbs(e *Event, a *Arg, out []string) []string {
	return e.kaRequest(out, a, appendItems, "rules", "verbs")
}

func kaServicePorts(e *Event, _ *Arg, out []string) []string {
	return e.kaRequest(out, nil, appendText, "spec", "ports")
}
