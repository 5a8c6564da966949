package posture

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

// regFlag judges a setting of a registry that is yes or no.
func (s *subject) regFlag(t *tally, field string, v *bool, want bool) {
	if v == nil {
		t.unknown(field + ": " + s.w.missing(cloud.ReadRegistries, s.id))
		return
	}
	t.judge(*v == want, s.id, field, strconv.FormatBool(*v), FromARM)
}

func registryNetwork(s *subject, t *tally) {
	t.at = s.w.at
	t.say("only listed networks reach the registry", "any network may reach the registry")
	r := s.reg
	switch {
	case r.PublicAccess != nil && !*r.PublicAccess:
		t.saw(s.id, "publicNetworkAccess", "Disabled", FromARM)
	case r.DefaultDeny != nil && *r.DefaultDeny:
		t.saw(s.id, "networkRuleSet.defaultAction", "Deny", FromARM)
	case r.PublicAccess == nil && r.DefaultDeny == nil:
		t.unknown("publicNetworkAccess: " + s.w.missing(cloud.ReadRegistries, s.id))
	default:
		t.fail(s.id, "networkRuleSet.defaultAction", "Allow", FromARM)
	}
}

func registryPrivateLink(s *subject, t *tally) {
	t.at = s.w.at
	t.say("the registry has {of} private endpoints", "the registry has no private endpoint")
	t.judge(s.reg.PrivateLinks > 0, s.id, "privateEndpointConnections", strconv.Itoa(s.reg.PrivateLinks), FromARM)
	t.good = fmt.Sprintf("the registry has %d private endpoints", s.reg.PrivateLinks)
}

func registryCustomerKey(s *subject, t *tally) {
	t.at = s.w.at
	t.say("the registry is encrypted with a key of yours", "the registry is encrypted with a key of Microsoft's")
	s.regFlag(t, "encryption.status (customer key)", s.reg.CustomerKey, true)
}

func registryShared(s *subject, t *tally) {
	t.at = s.w.at
	t.say("every pull and push has a name", "images can be pulled or pushed without a name")
	s.regFlag(t, "adminUserEnabled", s.reg.Admin, false)
	s.regFlag(t, "anonymousPullEnabled", s.reg.Anonymous, false)
}

// registryVulnerabilities takes Defender's word: what lies in a registry and does not run
// is not in the inventory.
func registryVulnerabilities(s *subject, t *tally) {
	t.at = s.w.at
	t.say("Defender found no open vulnerability in the registry's images", "Defender found vulnerable images in the registry")
	if s.assessments(t) {
		return
	}
	why := s.w.missing(cloud.ReadAssessments, s.id)
	if r := s.w.read(cloud.ReadAssessments, s.id); r != nil && r.Outcome == cloud.ReadOK {
		why = "Defender has not assessed the registry's images"
	}
	t.unknown(why)
}

// registries is a set of places that images may come from.
type registries struct {
	hosts map[string]bool
	paths []string // host/path
}

func (r *registries) add(name string) {
	switch name = strings.ToLower(strings.TrimSuffix(name, "/")); {
	case name == "":
	case strings.Contains(name, "/"):
		r.paths = append(r.paths, name)
	default:
		if r.hosts == nil {
			r.hosts = map[string]bool{}
		}
		r.hosts[name] = true
	}
}

func (r *registries) empty() bool { return len(r.hosts)+len(r.paths) == 0 }

// holds reports whether an image comes from one of the places. A name without a host is
// one of docker.io.
func (r *registries) holds(image string) bool {
	image = strings.ToLower(clip(image, 1024))
	host, rest, ok := strings.Cut(image, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		if !ok {
			image = "library/" + image
		}
		host, image = "docker.io", "docker.io/"+image
	}
	if r.hosts[host] && (rest != "" || !ok) {
		return true
	}
	for _, p := range r.paths {
		if rest, ok := strings.CutPrefix(image, p); ok && (rest == "" || strings.ContainsRune("/:@", rune(rest[0]))) {
			return true
		}
	}
	return false
}
