package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
)

// Kubelet is what a node's kubelet and files say of themselves: inside the cluster its
// configuration (GET /api/v1/nodes/NODE/proxy/configz), on the node modes and owners of
// files. Times are Unix nanoseconds.
type Kubelet struct {
	Node   string            `json:"node"`
	At     int64             `json:"at"`
	Config map[string]string `json:"config,omitempty"` // authentication.anonymous.enabled → false
	Files  []NodeFile        `json:"files,omitempty"`  // at most MaxNodeFiles
	Why    map[string]string `json:"why,omitempty"`    // config, files → why it is not known
}

// NodeFile is a file on a node.
type NodeFile struct {
	Path   string `json:"path"` // as found
	Role   string `json:"role"` // one of the File… words
	Mode   uint32 `json:"mode"` // permission bits
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	Absent bool   `json:"absent,omitempty"`
}

// MaxNodeFiles bounds Kubelet.Files.
const MaxNodeFiles = 16

// The files whose modes and owners matter. azure.json, which holds the cloud's
// credentials, is a role of its own: it is no configuration of the kubelet.
const (
	FileKubeconfig    = "kubeconfig"
	FileKubeletConfig = "kubelet-config"
	FileAzureJSON     = "azure-json"
)

// keep takes over from an older value the part that the new one does not speak of.
func (k *Kubelet) keep(old *Kubelet) {
	why := map[string]string{}
	maps.Copy(why, k.Why)
	if k.Config == nil && why["config"] == "" {
		k.Config = old.Config
		if w := old.Why["config"]; w != "" {
			why["config"] = w
		}
	}
	if k.Files == nil && why["files"] == "" {
		k.Files = old.Files
		if w := old.Why["files"]; w != "" {
			why["files"] = w
		}
	}
	if k.Why = why; len(why) == 0 {
		k.Why = nil
	}
	k.At = max(k.At, old.At)
}

// WithFiles is the kubelet with what the node itself says of its files.
func (k Kubelet) WithFiles(node *Kubelet) Kubelet {
	why := maps.Clone(k.Why)
	delete(why, "files")
	if w := node.Why["files"]; w != "" {
		if why == nil {
			why = map[string]string{}
		}
		why["files"] = w
	}
	k.Files, k.Why = node.Files, why
	return k
}

// DecodeKubelet reads the JSON of what a node says of its files. What is too long or too
// many is an error: a node that is honest sends neither.
func DecodeKubelet(doc []byte) (*Kubelet, error) {
	var k Kubelet
	if err := json.Unmarshal(doc, &k); err != nil {
		return nil, fmt.Errorf("kubelet: %w", err)
	}
	if len(k.Files) > MaxNodeFiles || len(k.Config) > maxLabels || len(k.Why) > 2 || len(k.Node) > maxName {
		return nil, fmt.Errorf("kubelet: %d files, %d settings, %d reasons: more than there are", len(k.Files), len(k.Config), len(k.Why))
	}
	for _, f := range k.Files {
		if len(f.Path) > maxText || len(f.Role) > 64 {
			return nil, fmt.Errorf("kubelet: a path of %d bytes", len(f.Path))
		}
	}
	for _, m := range []map[string]string{k.Config, k.Why} {
		for key, v := range m {
			if len(key) > maxName || len(v) > maxText {
				return nil, fmt.Errorf("kubelet: a value of %d bytes", len(v))
			}
		}
	}
	return &k, nil
}

// maxConfigz bounds a configz document in bytes; a real one has about 5 KiB.
const maxConfigz = 256 << 10

// ReduceConfigz keeps of a kubelet's configz document the settings that controls judge,
// by their path in KubeletConfiguration (kubelet.config.k8s.io/v1beta1). The kubelet
// leaves out what is false or zero where its type has no third state: these are given as
// false and 0. A setting that is of another shape, or absent where absence says nothing,
// is not in the result. Values are bounded and otherwise as they came.
func ReduceConfigz(doc []byte) (map[string]string, error) {
	if len(doc) > maxConfigz {
		return nil, fmt.Errorf("configz of %d bytes: more than %d", len(doc), maxConfigz)
	}
	var all struct {
		Config map[string]json.RawMessage `json:"kubeletconfig"`
	}
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, fmt.Errorf("configz: %w", err)
	}
	if len(all.Config) == 0 {
		return nil, fmt.Errorf("configz without kubeletconfig: another service answered, or the kubelet is of a version that is not known")
	}
	out := map[string]string{}
	put := func(from map[string]json.RawMessage, key, path, absent string) {
		v, ok := from[key]
		if !ok {
			if absent != "" {
				out[path] = absent
			}
			return
		}
		var (
			s string
			b bool
			n json.Number
		)
		switch {
		case string(v) == "null":
		case json.Unmarshal(v, &s) == nil:
			out[path] = cut(s, maxName)
		case json.Unmarshal(v, &b) == nil:
			out[path] = strconv.FormatBool(b)
		case json.Unmarshal(v, &n) == nil:
			out[path] = cut(n.String(), 64)
		}
	}
	under := func(from map[string]json.RawMessage, key string) map[string]json.RawMessage {
		var m map[string]json.RawMessage
		if json.Unmarshal(from[key], &m) != nil {
			return nil
		}
		return m
	}
	auth := under(all.Config, "authentication")
	put(under(auth, "anonymous"), "enabled", "authentication.anonymous.enabled", "")
	put(under(auth, "webhook"), "enabled", "authentication.webhook.enabled", "")
	put(under(auth, "x509"), "clientCAFile", "authentication.x509.clientCAFile", "")
	put(under(all.Config, "authorization"), "mode", "authorization.mode", "")
	put(all.Config, "readOnlyPort", "readOnlyPort", "0")
	put(all.Config, "streamingConnectionIdleTimeout", "streamingConnectionIdleTimeout", "")
	put(all.Config, "makeIPTablesUtilChains", "makeIPTablesUtilChains", "")
	put(all.Config, "eventRecordQPS", "eventRecordQPS", "")
	put(all.Config, "rotateCertificates", "rotateCertificates", "false")
	put(all.Config, "serverTLSBootstrap", "serverTLSBootstrap", "false")
	put(under(all.Config, "featureGates"), "RotateKubeletServerCertificate", "featureGates.RotateKubeletServerCertificate", "")
	return out, nil
}
