package kubeaudit

import (
	"bytes"
	"context"
	"strings"
)

// maxWrap bounds lists within envelopes within lists.
const maxWrap = 6

// member is one member of an object that has not been read further.
type member struct {
	key string
	raw []byte
}

// fields are the members of an envelope. An envelope has a few dozen at most; more are
// not looked at.
type fields []member

const maxFields = 128

func (f fields) get(keys ...string) []byte {
	for _, key := range keys {
		for i := len(f) - 1; i >= 0; i-- {
			if f[i].key == key && len(f[i].raw) > 0 && string(f[i].raw) != "null" {
				return f[i].raw
			}
		}
	}
	return nil
}

func (f fields) has(key string) bool { return f.get(key) != nil }

// document takes one JSON value of any of the known shapes: an audit event, an EventList,
// a diagnostic envelope or a record of one, a row of Log Analytics, the answer of its
// query API, a CloudWatch message, or a list of any of these. The error is of the handler
// only.
func (b *batch) document(ctx context.Context, raw []byte, src Source, version string, depth int) error {
	raw = trimLeft(raw)
	if depth == 0 {
		b.p.bad = false
	}
	if depth > maxWrap {
		b.lose("nested")
		return nil
	}
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		b.lose("not_json")
		return nil
	}
	if raw[0] == '[' {
		return b.list(ctx, raw, src, version, depth)
	}
	if head := raw[:min(len(raw), 80)]; bytes.HasPrefix(head, []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/`)) {
		return b.event(ctx, raw, src, version)
	}
	var f fields
	err := b.p.each(raw, func(key string, v []byte) error {
		if len(f) < maxFields {
			f = append(f, member{key, v})
		}
		return nil
	})
	if err != nil {
		b.lose("not_json")
		return nil
	}
	api := b.word(f.get("apiVersion"))
	if api != "" {
		version = api
	}
	switch {
	case f.has("auditID"):
		return b.event(ctx, raw, src, version)
	case f.has("items"):
		if !strings.HasPrefix(version, "audit.k8s.io/") {
			b.lose("not_an_event")
			return nil
		}
		return b.inner(ctx, f.get("items"), src, version, depth)
	case f.has("records"):
		return b.inner(ctx, f.get("records"), b.from(src, f), version, depth)
	case f.has("AuditId"):
		return b.row(ctx, f, src)
	case f.has("log_s"):
		return b.record(ctx, f, f.get("log_s"), src)
	case f.has("category") || f.has("Category"):
		return b.record(ctx, f, nil, src)
	case f.has("tables"):
		return b.tables(ctx, f.get("tables"), src, depth)
	case f.has("logEvents"):
		return b.cloudwatch(ctx, f, src)
	case strings.HasPrefix(version, "audit.k8s.io/") && b.word(f.get("kind")) == "Event":
		b.lose("no_audit_id")
	case f.has("protoPayload"):
		b.lose("google_audit_log")
	default:
		b.lose("unknown_document")
	}
	return nil
}

// word reads a string of at most 512 bytes, "" for anything else.
func (b *batch) word(raw []byte) string {
	if len(raw) < 2 || len(raw) > 514 || raw[0] != '"' {
		return ""
	}
	s, _ := b.p.text(raw)
	return s
}

// list takes each element of a list.
func (b *batch) list(ctx context.Context, raw []byte, src Source, version string, depth int) error {
	var failed error
	err := b.p.each(raw, func(_ string, v []byte) error {
		failed = b.document(ctx, v, src, version, depth+1)
		return failed
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		b.lose("not_json")
	}
	return nil
}

// inner takes a member that should be a list; a record may be written in its place.
func (b *batch) inner(ctx context.Context, raw []byte, src Source, version string, depth int) error {
	if len(raw) > 0 && (raw[0] == '[' || raw[0] == '{') {
		return b.document(ctx, raw, src, version, depth+1)
	}
	b.lose("unknown_document")
	return nil
}

// from fills in what an envelope says of the cluster.
func (b *batch) from(src Source, f fields) Source {
	id := strings.ToLower(b.word(f.get("resourceId", "ResourceId", "_ResourceId", "ResourceID")))
	if id != "" && printable(id) {
		src.ResourceID = id
		src.Cluster = b.in.cluster(id)
	}
	return src
}

// printable reports whether a name from outside holds only what no screen minds.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte("\"'<>\\`", s[i]) >= 0 {
			return false
		}
	}
	return true
}

// withoutAudit reports whether a category is one that diagnostic settings of AKS send and
// that holds no audit events.
func withoutAudit(category string) bool {
	switch category {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler", "cluster-autoscaler", "guard", "cloud-controller-manager",
		"csi-azuredisk-controller", "csi-azurefile-controller", "csi-snapshot-controller", "allmetrics":
		return true
	}
	return false
}

// record takes one record of a diagnostic envelope, or a row of AzureDiagnostics, whose
// log is text.
func (b *batch) record(ctx context.Context, f fields, log []byte, src Source) error {
	src = b.from(src, f)
	category := strings.ToLower(b.word(f.get("category", "Category")))
	switch {
	case category == CategoryAudit, category == CategoryAuditAdmin:
		src.Category = category
	case withoutAudit(category):
		b.skip(category)
		return nil
	default:
		b.skip("other")
		return nil
	}
	if log == nil {
		props := b.unwrap(f.get("properties", "Properties"))
		if len(props) == 0 || props[0] != '{' {
			b.lose("no_log")
			return nil
		}
		err := b.p.each(props, func(key string, v []byte) error {
			if key == "log" {
				log = v
			}
			return nil
		})
		if err != nil {
			b.lose("not_json")
			return nil
		}
	}
	if len(log) == 0 {
		b.lose("no_log")
		return nil
	}
	return b.text(ctx, b.unwrap(log), src)
}

// unwrap returns what is inside a JSON string, and anything else as it is.
func (b *batch) unwrap(raw []byte) []byte {
	if len(raw) > 1 && raw[0] == '"' {
		s, err := b.p.text(raw)
		if err != nil {
			return nil
		}
		return []byte(s)
	}
	return raw
}

// text takes the text of one log entry, which should be one audit event.
func (b *batch) text(ctx context.Context, text []byte, src Source) error {
	text = bytes.TrimSpace(text)
	v, rest, err := b.p.value(text)
	switch {
	case err == nil && len(v) > 0 && v[0] == '{' && len(trimLeft(rest)) == 0:
		return b.event(ctx, v, src, "")
	case klog(text):
		b.lose("klog_text")
	case err == errCut && len(text) > 0 && text[0] == '{':
		b.lose("cut")
	default:
		b.lose("not_json")
	}
	return nil
}

// klog reports whether a line is text of a Kubernetes component: a letter for the
// severity, month and day.
func klog(b []byte) bool {
	if len(b) < 6 || strings.IndexByte("IWEF", b[0]) < 0 || b[5] != ' ' {
		return false
	}
	for _, c := range b[1:5] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// rowColumns are the columns of the tables AKSAudit and AKSAuditAdmin (Azure Monitor
// Logs reference) and the members of the event they hold.
var rowColumns = [...]struct{ column, member string }{
	{"Level", "level"}, {"AuditId", "auditID"}, {"Stage", "stage"}, {"RequestUri", "requestURI"}, {"Verb", "verb"}, {"User", "user"},
	{"ImpersonatedUser", "impersonatedUser"}, {"SourceIps", "sourceIPs"}, {"UserAgent", "userAgent"}, {"ObjectRef", "objectRef"},
	{"ResponseStatus", "responseStatus"}, {"RequestObject", "requestObject"}, {"ResponseObject", "responseObject"},
	{"RequestReceivedTime", "requestReceivedTimestamp"}, {"StageReceivedTime", "stageTimestamp"}, {"Annotations", "annotations"},
}

// row makes an event of one row of AKSAudit or AKSAuditAdmin. Dynamic columns come as
// values or as their JSON text.
func (b *batch) row(ctx context.Context, f fields, src Source) error {
	src = b.from(src, f)
	switch strings.ToLower(b.word(f.get("Type", "TableName", "$table", "Category", "category"))) {
	case "aksauditadmin", "kube-audit-admin":
		src.Category = CategoryAuditAdmin
	case "aksaudit", "kube-audit":
		src.Category = CategoryAudit
	}
	root := node{kind: kObject, kids: []node{
		{kind: kString, key: "kind", text: "Event"}, {kind: kString, key: "apiVersion", text: "audit.k8s.io/v1"},
	}}
	cut := false
	for _, c := range rowColumns {
		raw := f.get(c.column)
		if raw == nil {
			continue
		}
		n := node{kind: kString, text: TooBig}
		if len(raw) <= 2*MaxEvent {
			var err error
			if n, err = b.p.tree(raw); err != nil {
				n, cut = node{kind: kString, text: Unreadable}, true
			} else if n.kind == kString && len(n.text) > 1 && (n.text[0] == '{' || n.text[0] == '[') && c.column != "UserAgent" && c.column != "RequestUri" {
				if inside, err := b.p.tree([]byte(n.text)); err == nil {
					n = inside
				} else if bodyMember(c.member) {
					n, cut = node{kind: kString, text: Unreadable}, true // text of an object would pass by redaction
				}
			}
		} else {
			cut = true
		}
		if n.kind == kString && n.text == "" {
			continue // an empty column
		}
		n.key = c.member
		root.kids = append(root.kids, n)
	}
	return b.give(ctx, &root, src, "audit.k8s.io/v1", cut)
}

// tables takes the answer of the Log Analytics query API: columns, and rows by place.
func (b *batch) tables(ctx context.Context, raw []byte, src Source, depth int) error {
	if len(raw) == 0 || raw[0] != '[' {
		b.lose("unknown_document")
		return nil
	}
	var failed error
	err := b.p.each(raw, func(_ string, table []byte) error {
		failed = b.table(ctx, table, src, depth)
		return failed
	})
	if failed == nil && err != nil {
		b.lose("not_json")
	}
	return failed
}

func (b *batch) table(ctx context.Context, raw []byte, src Source, depth int) error {
	if len(raw) == 0 || raw[0] != '{' {
		b.lose("unknown_document")
		return nil
	}
	var columns, rows []byte
	_ = b.p.each(raw, func(key string, v []byte) error {
		switch key {
		case "columns":
			columns = v
		case "rows":
			rows = v
		}
		return nil
	})
	if len(columns) == 0 || columns[0] != '[' || len(rows) == 0 || rows[0] != '[' {
		b.lose("unknown_document")
		return nil
	}
	var names []string
	_ = b.p.each(columns, func(_ string, v []byte) error {
		name := ""
		if len(v) > 0 && v[0] == '{' {
			_ = b.p.each(v, func(key string, v []byte) error {
				if key == "name" {
					name = b.word(v)
				}
				return nil
			})
		}
		if len(names) < maxFields {
			names = append(names, name)
		}
		return nil
	})
	var failed error
	err := b.p.each(rows, func(_ string, row []byte) error {
		if len(row) == 0 || row[0] != '[' {
			b.lose("unknown_document")
			return nil
		}
		doc := []byte{'{'}
		i := 0
		_ = b.p.each(row, func(_ string, v []byte) error {
			if i < len(names) && names[i] != "" {
				if len(doc) > 1 {
					doc = append(doc, ',')
				}
				doc = append(append(appendText(doc, names[i]), ':'), v...)
			}
			i++
			return nil
		})
		failed = b.document(ctx, append(doc, '}'), src, "", depth+1)
		return failed
	})
	if failed == nil && err != nil {
		b.lose("not_json")
	}
	return failed
}

// cloudwatch takes a message of a CloudWatch Logs subscription, as EKS control plane
// logs are delivered in: the group names the cluster, the stream the component.
func (b *batch) cloudwatch(ctx context.Context, f fields, src Source) error {
	events := f.get("logEvents")
	if b.word(f.get("messageType")) == "CONTROL_MESSAGE" {
		return nil // a test of the connection
	}
	if len(events) == 0 || events[0] != '[' {
		b.lose("unknown_document")
		return nil
	}
	if parts := strings.Split(b.word(f.get("logGroup")), "/"); len(parts) == 5 && parts[2] == "eks" && printable(parts[3]) {
		src.Cluster = parts[3]
	}
	audit := strings.HasPrefix(b.word(f.get("logStream")), "kube-apiserver-audit")
	var failed error
	err := b.p.each(events, func(_ string, v []byte) error {
		if !audit {
			b.skip("other")
			return nil
		}
		var message []byte
		if len(v) > 0 && v[0] == '{' {
			_ = b.p.each(v, func(key string, v []byte) error {
				if key == "message" {
					message = v
				}
				return nil
			})
		}
		if message == nil {
			b.lose("no_log")
			return nil
		}
		failed = b.text(ctx, b.unwrap(message), src)
		return failed
	})
	if failed == nil && err != nil {
		b.lose("not_json")
	}
	return failed
}
