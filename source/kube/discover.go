package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// endpoint is where a resource is served.
type endpoint struct {
	group, version string
	namespaced     bool
}

func (e endpoint) apiVersion() string {
	if e.group == "" {
		return e.version
	}
	return e.group + "/" + e.version
}

// path is the resource's collection, in one namespace when that is not "".
func (e endpoint) path(resource, namespace string) string {
	p := "/apis/" + e.apiVersion()
	if e.group == "" {
		p = "/api/" + e.version
	}
	if namespace != "" && e.namespaced {
		p += "/namespaces/" + namespace
	}
	return p + "/" + resource
}

// served is what discovery found: the place of each wanted resource, or why it is not
// known. What is in neither is not served.
type served struct {
	at     map[string]endpoint // by resource name
	failed map[string]error
	groups []string // all API groups of the server
	custom []string // resources of those in customGroups: runtimepolicies.defender.microsoft.com
}

// customGroups are the API groups that somebody's custom resource definitions make whose
// presence says something: Defender's (learn.microsoft.com/azure/defender-for-cloud, deploy
// with Helm, read 2026-01). That they are served needs no right to know.
var customGroups = []string{"defender.microsoft.com"}

const (
	maxCustom     = 16
	maxCustomName = 253
)

type apiGroup struct {
	Name     string `json:"name"`
	Versions []struct {
		Version string `json:"version"`
	} `json:"versions"`
	Preferred struct {
		Version string `json:"version"`
	} `json:"preferredVersion"`
}

type apiResource struct {
	Name       string   `json:"name"`
	Namespaced bool     `json:"namespaced"`
	Verbs      []string `json:"verbs"`
}

// discover asks the server which of the wanted resources it serves, and in which
// version. Only groups that are wanted are asked for, so that a broken extension API of
// somebody else's does not matter.
func discover(ctx context.Context, c *conn, list []want) (served, error) {
	found := served{at: map[string]endpoint{}, failed: map[string]error{}}
	var all struct {
		Groups []apiGroup `json:"groups"`
	}
	if err := c.fetch(ctx, "/apis", &all); err != nil {
		return found, fmt.Errorf("ask which APIs are served: %w", err)
	}
	versions := map[string][]string{"": {"v1"}}
	for _, g := range all.Groups {
		found.groups = append(found.groups, g.Name)
		vs := []string{}
		if g.Preferred.Version != "" {
			vs = append(vs, g.Preferred.Version)
		}
		for _, v := range g.Versions {
			if v.Version != g.Preferred.Version {
				vs = append(vs, v.Version)
			}
		}
		versions[g.Name] = vs
	}
	type answer struct {
		resources map[string]apiResource
		err       error
	}
	asked := map[string]answer{}
	resources := func(e endpoint) answer {
		a, ok := asked[e.apiVersion()]
		if ok {
			return a
		}
		var doc struct {
			Resources []apiResource `json:"resources"`
		}
		path := e.path("", "")
		a.err = c.fetch(ctx, path[:len(path)-1], &doc)
		var status *StatusError
		if errors.As(a.err, &status) && status.Code == http.StatusNotFound {
			a.err = nil // the version went away since the groups were told
		}
		a.resources = map[string]apiResource{}
		for _, r := range doc.Resources {
			a.resources[r.Name] = r
		}
		asked[e.apiVersion()] = a
		return a
	}
	for _, w := range list {
		found.place(w, versions, func(e endpoint) (apiResource, bool, error) {
			a := resources(e)
			r, ok := a.resources[w.resource]
			return r, ok, a.err
		})
	}
	for _, g := range customGroups {
		for _, v := range versions[g][:min(len(versions[g]), 4)] {
			a := resources(endpoint{group: g, version: v})
			if a.err != nil {
				found.custom = append(found.custom, "*."+g) // it is served, and does not say what
			}
			for name := range a.resources {
				if full := name + "." + g; !strings.Contains(name, "/") && len(full) <= maxCustomName {
					found.custom = append(found.custom, full)
				}
			}
		}
	}
	slices.Sort(found.custom)
	found.custom = slices.Compact(found.custom)
	found.custom = found.custom[:min(len(found.custom), maxCustom)]
	if err := ctx.Err(); err != nil {
		return found, err
	}
	return found, nil
}

// place finds the first group and version that serves one resource.
func (s *served) place(w want, versions map[string][]string, ask func(endpoint) (apiResource, bool, error)) {
	var failed error
	for _, g := range w.groups {
		for _, v := range versions[g] {
			e := endpoint{group: g, version: v}
			r, ok, err := ask(e)
			if err != nil {
				failed = fmt.Errorf("ask what %s serves: %w", e.apiVersion(), err)
				continue
			}
			if ok {
				e.namespaced = r.Namespaced
				s.at[w.name()] = e
				return
			}
		}
	}
	if failed != nil {
		s.failed[w.name()] = failed
	}
}
