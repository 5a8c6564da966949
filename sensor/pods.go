package sensor

import "github.com/dockreeve/dockreeve/sensor/container"

// SetPods takes what the cluster tells of this node's pods: with full, pods that are not
// put are forgotten, else those in gone, by uid. Events of their containers carry it from
// now on; what is already known about a container changes through Handler.Replace, with
// its next event. It may be called at any time from any goroutine.
func (s *Sensor) SetPods(full bool, put []container.Pod, gone []string) {
	s.resolver.SetPods(full, put, gone)
}
