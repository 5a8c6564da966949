package cloud

import (
	"slices"
	"strings"
)

// SuppressionScope is one condition of a suppression rule; all must hold.
type SuppressionScope struct {
	Field    string   `json:"field"` // entities.kubernetesnamespace.name
	In       []string `json:"in,omitempty"`
	Contains string   `json:"contains,omitempty"`
}

// Covers says whether a suppression rule is about an alert: of its subscription, its type and
// its scope. unknown names a part of the scope that cannot be judged from what is kept of an
// alert; then nothing is covered. State and end play no part in it.
func (s *Suppression) Covers(a *DefenderAlert) (covers bool, unknown string) {
	sub := func(id string) string {
		p := strings.SplitN(strings.ToLower(id), "/", 4)
		if len(p) < 3 || p[1] != "subscriptions" {
			return ""
		}
		return p[2]
	}
	if of := sub(s.ID); of == "" || of != sub(a.ID) && of != sub(a.Resource) || s.Type != "*" && !strings.EqualFold(s.Type, a.Type) {
		return false, ""
	}
	for _, c := range s.Scope {
		v, told := a.entity(c.Field)
		switch {
		case !told || len(c.In) == 0 && c.Contains == "":
			unknown = c.Field
		case len(c.In) > 0 && !slices.ContainsFunc(c.In, func(w string) bool { return strings.EqualFold(w, v) }),
			c.Contains != "" && !strings.Contains(strings.ToLower(v), strings.ToLower(c.Contains)):
			return false, ""
		}
	}
	return unknown == "", unknown
}

// entity is what is kept of an alert under a field of a suppression's scope; told is false
// where the field is of no kind that is kept, or the alert does not tell it.
func (a *DefenderAlert) entity(field string) (v string, told bool) {
	switch strings.ReplaceAll(strings.ToLower(field), "-", "") {
	case "entities.kubernetesnamespace.name", "entities.k8snamespace.name":
		v = a.Namespace
	case "entities.kubernetespod.name", "entities.k8spod.name":
		v = a.Pod
	case "entities.container.name":
		v = a.Container
	case "entities.containerimage.imageid", "entities.containerimage.name":
		v = a.Image
	case "entities.process.commandline":
		v = a.Process
	}
	return v, v != ""
}
