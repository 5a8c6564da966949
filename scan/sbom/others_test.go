package sbom

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/scan"
)

// What other tools write, in miniature: the names and shapes are theirs, the packages ours.

const trivyCDX = `{
 "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
 "metadata": {"timestamp": "2026-01-01T00:00:00Z",
  "component": {"bom-ref": "r", "type": "container", "name": "acme/shop:2",
   "purl": "pkg:oci/shop@sha256%3Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?arch=amd64&repository_url=index.docker.io%2Facme%2Fshop",
   "properties": [
    {"name": "aquasecurity:trivy:DiffID", "value": "sha256:d1"}, {"name": "aquasecurity:trivy:DiffID", "value": "sha256:d2"},
    {"name": "aquasecurity:trivy:ImageID", "value": "sha256:cfg"}, {"name": "aquasecurity:trivy:RepoTag", "value": "acme/shop:2"}]}},
 "components": [
  {"bom-ref": "o", "type": "operating-system", "name": "debian", "version": "12.5"},
  {"bom-ref": "a", "type": "library", "name": "gpgv", "version": "2.2.40-1.1", "purl": "pkg:deb/debian/gpgv@2.2.40-1.1?arch=amd64&distro=debian-12.5",
   "licenses": [{"license": {"name": "GPL-3.0-or-later"}}, {"license": {"id": "MIT"}}],
   "properties": [{"name": "aquasecurity:trivy:LayerDiffID", "value": "sha256:d2"}, {"name": "aquasecurity:trivy:LayerDigest", "value": "sha256:c2"},
    {"name": "aquasecurity:trivy:SrcName", "value": "gnupg2"}, {"name": "aquasecurity:trivy:SrcVersion", "value": "2.2.40"}, {"name": "aquasecurity:trivy:SrcRelease", "value": "1.1"}]},
  {"bom-ref": "b", "type": "library", "name": "bsdutils", "version": "1:2.38.1-5", "purl": "pkg:deb/debian/bsdutils@2.38.1-5?arch=amd64&distro=debian-12.5&epoch=1",
   "properties": [{"name": "aquasecurity:trivy:SrcName", "value": "util-linux"}, {"name": "aquasecurity:trivy:SrcVersion", "value": "2.38.1"}, {"name": "aquasecurity:trivy:SrcRelease", "value": "5"}]},
  {"bom-ref": "c", "type": "application", "name": "node_modules", "properties": [{"name": "aquasecurity:trivy:Class", "value": "lang-pkgs"}, {"name": "aquasecurity:trivy:Type", "value": "node-pkg"}]},
  {"bom-ref": "d", "type": "library", "group": "@acme", "name": "left", "version": "1.0.0", "purl": "pkg:npm/%40acme/left@1.0.0",
   "properties": [{"name": "aquasecurity:trivy:FilePath", "value": "app/node_modules/@acme/left/package.json"}]},
  {"bom-ref": "e", "type": "library", "name": "mystery", "version": "3"}
 ]}`

const syftCDX = `{
 "bomFormat": "CycloneDX", "specVersion": "1.6",
 "metadata": {"component": {"type": "container", "name": "alpine:3.20", "version": "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}},
 "components": [
  {"type": "library", "name": "libcrypto3", "version": "3.3.1-r0", "purl": "pkg:apk/alpine/libcrypto3@3.3.1-r0?arch=x86_64&distro=alpine-3.20.1&upstream=openssl",
   "licenses": [{"license": {"id": "Apache-2.0"}}],
   "properties": [{"name": "syft:location:0:layerID", "value": "sha256:l1"}, {"name": "syft:location:0:path", "value": "/lib/apk/db/installed"}, {"name": "syft:metadata:originPackage", "value": "openssl"}]},
  {"type": "library", "name": "github.com/BurntSushi/toml", "version": "v1.3.2", "purl": "pkg:golang/github.com/BurntSushi/toml@v1.3.2",
   "properties": [{"name": "syft:location:0:layerID", "value": "sha256:l2"}, {"name": "syft:location:0:path", "value": "/usr/bin/tool"}]},
  {"type": "library", "name": "busybox", "version": "1.36", "purl": "pkg:generic/busybox@1.36"},
  {"type": "operating-system", "name": "alpine", "version": "3.20.1", "properties": [{"name": "syft:distro:prettyName", "value": "Alpine Linux v3.20"}, {"name": "syft:distro:id", "value": "alpine"}, {"name": "syft:distro:versionID", "value": "3.20.1"}]},
  {"type": "file", "name": "/bin/busybox"}
 ]}`

const syftSPDX = `{
 "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "ubi9",
 "packages": [
  {"name": "bash", "SPDXID": "SPDXRef-Package-rpm-bash", "versionInfo": "5.1.8-6.el9", "sourceInfo": "acquired package info from RPM DB: /var/lib/rpm/rpmdb.sqlite",
   "licenseDeclared": "GPL-3.0-or-later", "externalRefs": [
    {"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:x:bash:5:*:*:*:*:*:*:*"},
    {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:rpm/redhat/bash@5.1.8-6.el9?arch=x86_64&distro=rhel-9.2&upstream=bash-5.1.8-6.el9.src.rpm"}]},
  {"name": "nodejs-libs", "SPDXID": "SPDXRef-Package-rpm-nodejs", "versionInfo": "1:18.1.0-2.module", "licenseDeclared": "LicenseRef-Odd AND (MIT OR ISC)", "externalRefs": [
    {"referenceCategory": "PACKAGE_MANAGER", "referenceType": "purl", "referenceLocator": "pkg:rpm/redhat/nodejs-libs@18.1.0-2.module?arch=x86_64&distro=rhel-9.2&epoch=1&rpmmod=nodejs%3A18%3A123%3Aabc&upstream=nodejs-18.1.0-2.module.src.rpm"}]},
  {"name": "ubi9", "SPDXID": "SPDXRef-DocumentRoot-Image", "versionInfo": "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "primaryPackagePurpose": "CONTAINER"}
 ],
 "hasExtractedLicensingInfos": [{"licenseId": "LicenseRef-Odd", "extractedText": "An odd licence"}],
 "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relatedSpdxElement": "SPDXRef-DocumentRoot-Image", "relationshipType": "DESCRIBES"}]
}`

const tagValueSPDX = `SPDXVersion: SPDX-2.2
DataLicense: CC0-1.0
SPDXID: SPDXRef-DOCUMENT
DocumentName: shop
Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-img

##### the image
PackageName: shop
SPDXID: SPDXRef-img
PackageDownloadLocation: NOASSERTION
PackageChecksum: SHA256: dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd

PackageName: requests
SPDXID: SPDXRef-p1
PackageVersion: 2.31.0
PackageLicenseDeclared: LicenseRef-1
PackageComment: <text>spans
two lines: with a colon</text>
ExternalRef: PACKAGE-MANAGER purl pkg:pypi/requests@2.31.0
PackageName: libc6
SPDXID: SPDXRef-p2
PackageVersion: 2.36-9
PrimaryPackagePurpose: LIBRARY
PackageSourceInfo: <text>built package from: glibc 2.36-9</text>
ExternalRef: PACKAGE_MANAGER purl pkg:deb/ubuntu/libc6@2.36-9?arch=amd64&distro=ubuntu-22.04
LicenseID: LicenseRef-1
ExtractedText: <text>Requests'
own words</text>
`

const cdxXML = `<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.4" version="1">
 <metadata><component type="container"><name>shop</name></component><properties><property name="dockreeve:image:platform">linux/arm64</property></properties></metadata>
 <components>
  <component type="library"><group>org.example</group><name>core</name><version>2.0</version>
   <licenses><license><id>MIT</id></license><expression>ISC</expression></licenses>
   <purl>pkg:maven/org.example/core@2.0</purl><properties><property name="syft:location:0:path">/app/core.jar</property></properties>
   <components><component type="library"><name>inner</name><version>1</version><purl>pkg:maven/org.example/inner@1</purl></component></components>
  </component>
 </components>
</bom>`

func decode(t *testing.T, s string) *scan.Catalog {
	t.Helper()
	c, err := Decode(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func gapsOf(c *scan.Catalog) string {
	var b strings.Builder
	for _, g := range c.NotAssessed {
		b.WriteString(g.What + ": " + g.Reason + "\n")
	}
	return b.String()
}

func eq[T comparable](t *testing.T, what string, have, want T) {
	t.Helper()
	if have != want {
		t.Errorf("%s: have %v, want %v", what, have, want)
	}
}

func find(t *testing.T, c *scan.Catalog, name string) scan.Package {
	t.Helper()
	for _, p := range c.Packages {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no package %q in %v", name, c.Packages)
	return scan.Package{}
}

func TestTrivyCycloneDX(t *testing.T) {
	c := decode(t, trivyCDX)
	eq(t, "name", c.Image.Name, "acme/shop:2")
	eq(t, "digest", c.Image.Digest, digest("a"))
	eq(t, "repository", c.Image.Repository, "index.docker.io/acme/shop")
	eq(t, "config", c.Image.ConfigDigest, "sha256:cfg")
	eq(t, "layers", len(c.Image.Layers), 2)
	eq(t, "layer digest", c.Image.Layers[1].Digest, "sha256:c2")
	eq(t, "distro", c.Distro.ID+" "+c.Distro.Version, "debian 12.5")
	eq(t, "packages", len(c.Packages), 3)
	p := find(t, c, "gpgv")
	eq(t, "source", p.Source, "gnupg2")
	eq(t, "source version is that of the package", p.SourceVersion, "")
	eq(t, "layer", p.Layer, 1)
	eq(t, "licences", strings.Join(p.Licenses, ";"), "GPL-3.0-or-later;MIT")
	p = find(t, c, "bsdutils")
	eq(t, "version with its epoch", p.Version, "1:2.38.1-5")
	eq(t, "source", p.Source, "util-linux")
	eq(t, "source version", p.SourceVersion, "2.38.1-5")
	eq(t, "location", find(t, c, "@acme/left").Location, "app/node_modules/@acme/left/package.json")
	if !strings.Contains(gapsOf(c), "1 components of the SBOM: no package URL") {
		t.Errorf("the component without a package URL is not spoken of:\n%s", gapsOf(c))
	}
}

func TestSyftCycloneDX(t *testing.T) {
	c := decode(t, syftCDX)
	eq(t, "digest", c.Image.Digest, digest("b"))
	eq(t, "distro", c.Distro.ID+" "+c.Distro.Version+" "+c.Distro.Name, "alpine 3.20.1 Alpine Linux v3.20")
	p := find(t, c, "libcrypto3")
	eq(t, "origin", p.Source, "openssl")
	eq(t, "location", p.Location, "lib/apk/db/installed")
	eq(t, "layer", c.Image.Layers[p.Layer].DiffID, "sha256:l1")
	find(t, c, "github.com/BurntSushi/toml") // the case of a Go module path is kept
	if !strings.Contains(gapsOf(c), "type generic") {
		t.Errorf("the component of an unknown type is not spoken of:\n%s", gapsOf(c))
	}
}

func TestSyftSPDX(t *testing.T) {
	c := decode(t, syftSPDX)
	eq(t, "name", c.Image.Name, "ubi9")
	eq(t, "digest", c.Image.Digest, digest("c"))
	eq(t, "distro from the package URLs", c.Distro.ID+" "+c.Distro.Version, "rhel 9.2")
	eq(t, "packages", len(c.Packages), 2)
	p := find(t, c, "nodejs-libs")
	eq(t, "version", p.Version, "1:18.1.0-2.module")
	eq(t, "source", p.Source, "nodejs")
	eq(t, "module", p.Module, "nodejs:18")
	eq(t, "licences", strings.Join(p.Licenses, ";"), "An odd licence;MIT OR ISC")
	eq(t, "location", find(t, c, "bash").Location, "var/lib/rpm/rpmdb.sqlite")
}

func TestTagValue(t *testing.T) {
	c := decode(t, tagValueSPDX)
	eq(t, "name", c.Image.Name, "shop")
	eq(t, "digest", c.Image.Digest, digest("d"))
	eq(t, "packages", len(c.Packages), 2)
	eq(t, "licence", find(t, c, "requests").Licenses[0], "Requests'\nown words")
	p := find(t, c, "libc6")
	eq(t, "source", p.Source, "glibc")
	eq(t, "distro", c.Distro.ID+" "+c.Distro.Version, "ubuntu 22.04")
}

func TestXML(t *testing.T) {
	c := decode(t, cdxXML)
	eq(t, "platform", c.Image.Platform, "linux/arm64")
	eq(t, "packages", len(c.Packages), 2)
	p := find(t, c, "org.example:core")
	eq(t, "licences", strings.Join(p.Licenses, ";"), "MIT;ISC")
	eq(t, "location", p.Location, "app/core.jar")
	find(t, c, "org.example:inner")
}

func TestAttestations(t *testing.T) {
	subject := strings.Repeat("f", 64)
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","subject":[{"name":"pkg:docker/shop","digest":{"sha256":%q}}],"predicate":%s}`, subject, syftCDX)
	envelope := fmt.Sprintf(`{"payloadType":"application/vnd.in-toto+json","payload":%q,"signatures":[]}`, base64.StdEncoding.EncodeToString([]byte(statement)))
	old := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"cosign","subject":[],"predicate":{"Data":%q}}`, syftCDX)
	for name, doc := range map[string]string{"statement": statement, "envelope": envelope, "Data as text": old} {
		c := decode(t, doc)
		eq(t, name+": packages", len(c.Packages), 2)
		if name == "envelope" && !strings.Contains(gapsOf(c), "signature") {
			t.Error("an unchecked signature is not spoken of")
		}
	}
	spdx := strings.Replace(strings.Replace(statement, syftCDX, syftSPDX, 1), "x", "x", 1)
	eq(t, "the document's own digest goes before the subject's", decode(t, spdx).Image.Digest, digest("c"))
	bare := strings.Replace(statement, "sha256:"+strings.Repeat("b", 64), "", 1)
	eq(t, "digest of the subject", decode(t, bare).Image.Digest, "sha256:"+subject)
}

func TestBadDocuments(t *testing.T) {
	deep := strings.Repeat(`{"type":"library","components":[`, 100) + strings.Repeat(`]}`, 100)
	for name, c := range map[string]struct {
		doc, says string
		is        error
	}{
		"empty":           {"", "empty", ErrFormat},
		"not a list":      {`{"hello":1}`, "without bomFormat", ErrFormat},
		"text":            {"hello", "begins with", ErrFormat},
		"gzip":            {"\x1f\x8b", "compressed", ErrFormat},
		"truncated":       {trivyCDX[:500], "JSON", ErrFormat},
		"old CycloneDX":   {`{"bomFormat":"CycloneDX","specVersion":"2.0"}`, "convert", ErrFormat},
		"SPDX 2.1":        {`{"spdxVersion":"SPDX-2.1"}`, "convert", ErrFormat},
		"SPDX 3":          {`{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}`, "SPDX 3", ErrFormat},
		"Syft's own":      {`{"artifacts":[{}],"schema":{}}`, "cyclonedx-json", ErrFormat},
		"wrong kind":      {`{"bomFormat":"CycloneDX","specVersion":"1.6","components":{"a":1}}`, "want a list", ErrFormat},
		"wrong field":     {`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":7}]}`, "name", ErrFormat},
		"too deep":        {`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[` + deep + `]}`, "nested", ErrBound},
		"too many":        {`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[` + strings.Repeat("{},", MaxPackages) + `{}]}`, "components", ErrBound},
		"long list":       {`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"properties":[` + strings.Repeat("{},", maxList) + `{}]}]}`, "entries", ErrBound},
		"tag-value":       {"SPDXVersion: SPDX-2.3\nPackageName: a\nhello\n", "line 3", ErrFormat},
		"open text":       {"SPDXVersion: SPDX-2.3\nPackageComment: <text>a\n", "without </text>", ErrFormat},
		"another XML":     {"<html></html>", "html", ErrFormat},
		"broken XML":      {`<bom xmlns="http://cyclonedx.org/schema/bom/1.4"><components>`, "XML", ErrFormat},
		"nested attests":  {`{"_type":"a","predicate":{"_type":"a","predicate":{"_type":"a","predicate":{"_type":"a","predicate":{"_type":"a","predicate":{}}}}}}`, "attestations", ErrFormat},
		"broken envelope": {`{"payloadType":"x","payload":"%%"}`, "base64", ErrFormat},
	} {
		_, err := Decode(strings.NewReader(c.doc))
		if !errors.Is(err, c.is) || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: have error %v, want one of %v that says %q", name, err, c.is, c.says)
		}
	}
}
