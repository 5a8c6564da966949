package tenant

import (
	"slices"
	"time"
)

// tell writes the stories into the world: each takes the first cluster that suits it and
// has no other story.
func (w *World) tell() {
	take := func(name string, suits func(c *cluster) bool) *cluster {
		for _, c := range w.clusters {
			if c.Story == "" && !c.Arc && c.running() && c.sub.Fault == "" && c.sub.Currency == "EUR" && c.Created.Before(w.ago(70*24*time.Hour)) && suits(c) {
				c.Story = name
				return c
			}
		}
		return nil
	}
	add := func(name string, c *cluster, at time.Time, text string) {
		if c != nil {
			w.stories = append(w.stories, Story{Name: name, Cluster: c.id(), At: at.UnixNano(), Text: text})
		}
	}
	night := w.day(3).Add(2*time.Hour + 17*time.Minute)
	if c := take("miner", func(c *cluster) bool { return c.production() && len(c.Pools) > 1 }); c != nil {
		c.Here, c.Quiet = true, false
		c.Pools = append(c.Pools, pool{Name: "gpuburst", Size: "Standard_NC24ads_A100_v4", Nodes: 6, Spot: true, Mode: "User", OS: "Linux", Since: night})
		add("miner", c, night, "a GPU spot pool was made at night by a caller who never made one, a miner runs on it, and spend jumps")
	}
	if c := take("stolen-identity", func(c *cluster) bool { return c.production() && slices.Contains(c.Uses, "omsagent") }); c != nil {
		add("stolen-identity", c, w.day(5).Add(22*time.Hour+41*time.Minute), "the identity of the monitoring add-on lists keys and creates a machine, from an address outside")
	}
	if c := take("audit-cost", func(c *cluster) bool { return c.production() && c.sub.i%2 == 0 }); c != nil {
		c.Logs = logs{Kind: "kube-audit", More: []string{"kube-apiserver", "guard"}, To: "workspace", Dedicated: true}
		add("audit-cost", c, w.day(20), "kube-audit began to grow: a controller lists everything, every few seconds")
	}
	if c := take("alert-rise", func(c *cluster) bool { return c.production() }); c != nil {
		c.Here, c.Quiet = true, false
		add("alert-rise", c, w.day(9).Add(13*time.Hour), "one rule fires four times as often since a deployment: an init script that changes file modes")
	}
	if c := take("budget-breach", func(c *cluster) bool { return c.production() }); c != nil {
		add("budget-breach", c, w.now, "its budget breaks before the month ends")
	}
	if c := take("unknown-size", func(c *cluster) bool { return len(c.Pools) > 1 && c.Pools[1].OS == "Linux" }); c != nil {
		c.Pools[1].Size = UnknownSize
		add("unknown-size", c, c.Created, "a pool of a size that no table knows")
	}
	if c := take("helm-sensor", func(c *cluster) bool { return c.production() && c.planned() }); c != nil {
		c.Profile, c.Helm, c.Gating, c.Here, c.Quiet = false, true, false, true, false
		add("helm-sensor", c, w.ago(30*24*time.Hour), "Defender's sensor runs, installed with Helm: the profile says it does not")
	}
	if c := take("lost-profile", func(c *cluster) bool { return c.production() && c.planned() }); c != nil {
		c.Profile, c.Helm, c.Gating = false, false, false
		add("lost-profile", c, w.day(1).Add(9*time.Hour), "its Defender profile was switched off yesterday")
	}
	for _, name := range []string{"rich-1", "rich-2"} {
		if c := take(name, func(c *cluster) bool { return c.Here && !c.Rich && c.production() }); c != nil {
			c.Story = ""
			c.Rich = true
		}
	}
	for _, c := range w.clusters {
		if c.Here && (c.Story == "miner" || c.Story == "alert-rise" || c.Story == "helm-sensor") {
			c.Rich = true
		}
	}
}

// storyOf is the cluster of a story; nil where the world is too small for it.
func (w *World) storyOf(name string) *cluster {
	for _, s := range w.stories {
		if s.Name == name {
			return w.byID[s.Cluster]
		}
	}
	return nil
}
