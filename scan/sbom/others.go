package sbom

import (
	"strings"

	"github.com/dockreeve/dockreeve/scan"
)

// property takes what one property of a component says, in our words, Trivy's or Syft's.
func (s *says) property(name, value string) {
	if len(value) > maxText {
		return
	}
	source := func(field, v string) { s.facts = append(s.facts, fact{Prefix + "package:" + field, v}) }
	switch name {
	case "aquasecurity:trivy:LayerDiffID", "syft:location:0:layerID":
		s.diffID = value
	case "aquasecurity:trivy:LayerDigest":
		s.digest = value
	case "aquasecurity:trivy:FilePath", "syft:location:0:path":
		s.location = strings.TrimPrefix(value, "/")
	case "aquasecurity:trivy:SrcName":
		s.srcName = value
	case "aquasecurity:trivy:SrcVersion":
		s.srcVersion = value
	case "aquasecurity:trivy:SrcRelease":
		s.srcRelease = value
	case "aquasecurity:trivy:SrcEpoch":
		s.srcEpoch = value
	case "aquasecurity:trivy:Modularitylabel", "syft:metadata:modularityLabel":
		source("module", module(value))
	case "syft:metadata:source", "syft:metadata:originPackage":
		s.srcName = value
	case "syft:metadata:sourceVersion":
		s.srcVersion = value
	case "syft:metadata:sourceRpm":
		s.srcName = sourceRPM(value)
	case "syft:metadata:vendor":
		source("vendor", value)
	default:
		if strings.HasPrefix(name, Prefix) {
			s.facts = append(s.facts, fact{name, value})
		}
	}
}

// rootFacts takes what the properties of the image itself say.
func (d *decoder) rootFacts(facts []cdxInFact) {
	i := &d.cat.Image
	for _, f := range facts {
		if len(f.Value) > 1<<16 {
			continue
		}
		switch f.Name {
		case "aquasecurity:trivy:ImageID":
			i.ConfigDigest = f.Value
		case "aquasecurity:trivy:DiffID":
			if len(i.Layers) < 1000 {
				i.Layers = append(i.Layers, scan.Layer{DiffID: f.Value})
			}
		case "aquasecurity:trivy:RepoTag":
			if len(i.Tags) < 1000 {
				i.Tags = append(i.Tags, f.Value)
			}
		case "aquasecurity:trivy:RepoDigest":
			if repository, digest, ok := strings.Cut(f.Value, "@"); ok {
				i.Repository, i.Digest = repository, digest
			}
		default:
			d.image(fact(f))
		}
	}
}

// imagePURL takes digest and repository from the package URL of an image.
func (d *decoder) imagePURL(s string) {
	u, err := parsePURL(s)
	if err != nil || u.Type != "oci" && u.Type != "docker" {
		return
	}
	if strings.HasPrefix(u.Version, "sha256:") {
		d.cat.Image.Digest = u.Version
	}
	if r := u.Qualifiers["repository_url"]; r != "" && len(r) <= maxText {
		d.cat.Image.Repository = r
	}
}

// operatingSystem takes the distribution from a component that stands for it. What our
// own properties have said already stays.
func (d *decoder) operatingSystem(name, version string, facts []cdxInFact) {
	v := &d.cat.Distro
	if v.ID != "" || len(name) > maxText || len(version) > maxText {
		return
	}
	v.ID, v.Version = osID(name), version
	for _, f := range facts {
		if len(f.Value) > maxText {
			continue
		}
		switch f.Name {
		case "syft:distro:id":
			v.ID = f.Value
		case "syft:distro:versionID":
			v.Version = f.Value
		case "syft:distro:prettyName":
			v.Name = f.Value
		case "syft:distro:versionCodename":
			v.Codename = f.Value
		default:
			if strings.HasPrefix(f.Name, "syft:distro:idLike:") && len(v.Like) < 10 {
				v.Like = append(v.Like, f.Value)
			}
		}
	}
}
