package sbom

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// document finds out what b is and reads it. wraps counts the attestations around it.
func (d *decoder) document(b []byte, wraps int) error {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	switch {
	case wraps > 3:
		return fmt.Errorf("%w: attestations within attestations", ErrFormat)
	case len(b) == 0:
		return fmt.Errorf("%w: the document is empty", ErrFormat)
	case b[0] == '<':
		return d.cyclonedxXML(b)
	case b[0] == '#' || bytes.HasPrefix(b, []byte("SPDXVersion:")):
		return d.spdxTagValue(bytes.ToValidUTF8(b, []byte("\uFFFD"))) // as JSON and XML are read
	case b[0] == 0x1f:
		return fmt.Errorf("%w: the document is compressed; unpack it first", ErrFormat)
	case b[0] == 0xff || b[0] == 0xfe:
		return fmt.Errorf("%w: the document is UTF-16; convert it to UTF-8", ErrFormat)
	case b[0] != '{':
		return fmt.Errorf("%w: it begins with %q; want CycloneDX (JSON, XML) or SPDX (JSON, tag-value)", ErrFormat, clip(string(b[:min(len(b), 16)]), 16))
	}
	var head struct {
		Format        string          `json:"bomFormat"`
		SPDX          string          `json:"spdxVersion"`
		Context       json.RawMessage `json:"@context"`
		Statement     string          `json:"_type"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
		PayloadType   string          `json:"payloadType"`
		Payload       string          `json:"payload"`
		Artifacts     json.RawMessage `json:"artifacts"`
		Subject       list[struct {
			Name   string            `json:"name"`
			Digest map[string]string `json:"digest"`
		}] `json:"subject"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return place("JSON", err)
	}
	switch {
	case head.Format == "CycloneDX":
		return d.cyclonedxJSON(b)
	case head.SPDX != "":
		return d.spdxJSON(b, head.SPDX)
	case head.Payload != "" && head.PayloadType != "":
		inner, err := base64.StdEncoding.DecodeString(head.Payload)
		if err != nil {
			return fmt.Errorf("%w: the payload of the envelope is not base64", ErrFormat)
		}
		d.gap(scan.Gap{What: "signature of the attestation", Reason: "it is not checked when an SBOM is read", Remedy: "verify it before, for example with cosign"})
		return d.document(inner, wraps+1)
	case head.Statement != "" && len(head.Predicate) > 0:
		if len(head.Subject) > 0 {
			if v := head.Subject[0].Digest["sha256"]; len(v) == 64 {
				d.subject = "sha256:" + v
			}
		}
		return d.predicate(head.PredicateType, head.Predicate, wraps)
	case bytes.Contains(head.Context, []byte("spdx.org/rdf/3")):
		return fmt.Errorf("%w: SPDX 3 is not read; export SPDX 2.3 or CycloneDX", ErrFormat)
	case len(head.Artifacts) > 0:
		return fmt.Errorf("%w: this looks like Syft's own JSON; export it with -o cyclonedx-json", ErrFormat)
	}
	return fmt.Errorf("%w: JSON without bomFormat or spdxVersion", ErrFormat)
}

// predicate reads what an in-toto statement says: the document itself, or one under
// "Data" as older tools write it, as an object or as text.
func (d *decoder) predicate(typ string, b []byte, wraps int) error {
	var old struct{ Data json.RawMessage }
	var text string
	if json.Unmarshal(b, &old) == nil && len(old.Data) > 0 {
		b = old.Data
	}
	if json.Unmarshal(b, &text) == nil {
		b = []byte(text)
	}
	if err := d.document(b, wraps+1); err != nil {
		return fmt.Errorf("predicate of type %q: %w", clip(strings.ToValidUTF8(typ, "?"), 100), err)
	}
	return nil
}
