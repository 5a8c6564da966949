package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Media types, as the OCI image specification and Docker's distribution name them.
const (
	typeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	typeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	typeOCIConfig      = "application/vnd.oci.image.config.v1+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	typeSchema1        = "application/vnd.docker.distribution.manifest.v1+json"
	typeSchema1Signed  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// descriptor points at content by its digest.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls"`
	Annotations  map[string]string `json:"annotations"`
	Platform     *platform         `json:"platform"`
}

func (d *descriptor) check(what string) error {
	if err := validDigest(d.Digest); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if d.Size < 0 {
		return fmt.Errorf("%s: negative size %d", what, d.Size)
	}
	return nil
}

// document is a manifest or an index: which of the two it is tells its content, since
// the media type beside it is not to be trusted.
type document struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	ArtifactType  string       `json:"artifactType"`
	Config        *descriptor  `json:"config"`
	Layers        []descriptor `json:"layers"`
	Manifests     []descriptor `json:"manifests"`
	FSLayers      []struct{}   `json:"fsLayers"`
}

func (d *document) index() bool { return d.Manifests != nil }

// parseDocument reads a manifest or an index.
func parseDocument(b []byte, what string) (*document, error) {
	if len(b) > MaxDocument {
		return nil, fmt.Errorf("%s: larger than %d MiB", what, MaxDocument>>20)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%s: not a manifest: %w", what, err)
	}
	switch {
	case d.SchemaVersion == 1 || len(d.FSLayers) > 0 || d.MediaType == typeSchema1 || d.MediaType == typeSchema1Signed:
		return nil, fmt.Errorf("%s: a Docker schema 1 manifest, a format that registries gave up in 2019 and whose digests name no layer contents reliably: pull and push the image again with a current tool", what)
	case d.Manifests != nil && (d.Layers != nil || d.Config != nil):
		// Two tools would see two different images in it.
		return nil, fmt.Errorf("%s: manifest and index at once: refused, because no one can say which image it is", what)
	case d.Manifests != nil:
		for i := range d.Manifests {
			if err := d.Manifests[i].check(fmt.Sprintf("%s: manifest %d", what, i)); err != nil {
				return nil, err
			}
		}
		return &d, nil
	case d.Config == nil:
		return nil, fmt.Errorf("%s: neither a manifest (no config) nor an index (no manifests)", what)
	}
	if err := d.Config.check(what + ": config"); err != nil {
		return nil, err
	}
	if len(d.Layers) > MaxLayers {
		return nil, fmt.Errorf("%s: %d layers; at most %d are read", what, len(d.Layers), MaxLayers)
	}
	for i := range d.Layers {
		if err := d.Layers[i].check(fmt.Sprintf("%s: layer %d", what, i)); err != nil {
			return nil, err
		}
	}
	return &d, nil
}

// notImage says why a manifest describes no container image, as ErrNotImage; nil: it
// may be one.
func (d *document) notImage(what string) error {
	kind := d.Config.MediaType
	if d.ArtifactType != "" && kind != typeOCIConfig && kind != typeDockerConfig {
		kind = d.ArtifactType
	}
	switch {
	case kind == "", kind == typeOCIConfig, kind == typeDockerConfig, kind == "application/octet-stream":
	case strings.HasPrefix(kind, "application/vnd.cncf.helm"):
		return fmt.Errorf("%s: %w: a Helm chart", what, ErrNotImage)
	default:
		return fmt.Errorf("%s: %w: an artifact of type %s", what, ErrNotImage, clip(kind, 100))
	}
	// Signatures and attestations borrow the configuration type of images.
	for _, l := range d.Layers {
		if l.MediaType == "" || strings.Contains(l.MediaType, ".image.layer.") || strings.Contains(l.MediaType, ".image.rootfs.") || l.MediaType == "application/octet-stream" {
			return nil
		}
	}
	if len(d.Layers) > 0 {
		return fmt.Errorf("%s: %w: its layers are of type %s", what, ErrNotImage, clip(d.Layers[0].MediaType, 100))
	}
	return nil
}

// configFile is an image configuration.
type configFile struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	OSVersion    string `json:"os.version"`
	Variant      string `json:"variant"`
	Created      string `json:"created"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		CreatedBy  string `json:"created_by"`
		Comment    string `json:"comment"`
		EmptyLayer bool   `json:"empty_layer"`
	} `json:"history"`
	Config struct {
		User         string              `json:"User"`
		Env          []string            `json:"Env"`
		Entrypoint   words               `json:"Entrypoint"`
		Cmd          words               `json:"Cmd"`
		ExposedPorts map[string]struct{} `json:"ExposedPorts"`
		Volumes      map[string]struct{} `json:"Volumes"`
		Labels       map[string]string   `json:"Labels"`
		Healthcheck  *struct {
			Test []string `json:"Test"`
		} `json:"Healthcheck"`
	} `json:"config"`
}

// words is a list of arguments; very old images have one string in its place.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		if *w = nil; one != "" {
			*w = words{one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

func parseConfig(b []byte, what string) (*configFile, error) {
	if len(b) > MaxDocument {
		return nil, fmt.Errorf("%s: larger than %d MiB", what, MaxDocument>>20)
	}
	var c configFile
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("%s: not an image configuration: %w", what, err)
	}
	if len(c.RootFS.DiffIDs) > MaxLayers {
		return nil, fmt.Errorf("%s: names %d layers; at most %d are read", what, len(c.RootFS.DiffIDs), MaxLayers)
	}
	if len(c.History) > maxHistory {
		return nil, fmt.Errorf("%s: %d history steps; at most %d are read", what, len(c.History), maxHistory)
	}
	for i, d := range c.RootFS.DiffIDs {
		if err := validDigest(d); err != nil {
			return nil, fmt.Errorf("%s: diff id %d: %w", what, i, err)
		}
	}
	if c.RootFS.Type == "" && c.OS == "" && c.Architecture == "" && c.RootFS.DiffIDs == nil && c.History == nil {
		return nil, errors.New(what + ": not an image configuration: it has neither rootfs nor os nor history")
	}
	return &c, nil
}

// created is Unix nanoseconds; 0 for none, an unreadable one, or one that no int64 holds.
func (c *configFile) created() int64 {
	t, err := time.Parse(time.RFC3339Nano, c.Created)
	if err != nil || t.Year() < 1971 || t.Year() > 2261 {
		return 0
	}
	return t.UnixNano()
}

func (c *configFile) platform() platform {
	return platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, OSVersion: c.OSVersion}
}
