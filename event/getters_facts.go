package event

import (
	"net/netip"
	"strconv"
)

// The audit fields: AuditFacts, as they stand in the event's JSON, and some things that
// the public dialect's ka fields leave out.

// fact finds one of the facts; ok is false when the event has no facts at all, and n
// is 0 when it has them but not this one.
func (e *Event) fact(key string) (n int32, ok bool) {
	f := e.at(topFacts)
	if f == 0 || e.tape.nodes[f].kind != nodeObject {
		return 0, false
	}
	return e.member(f, key), true
}

func (e *Event) factText(key string) (string, bool) {
	n, _ := e.fact(key)
	if n == 0 {
		return "", false
	}
	return e.nodeText(n), true
}

// factBool gives false, not "no value", for a fact that is left out.
func (e *Event) factBool(key string) (v, ok bool) {
	n, ok := e.fact(key)
	return n != 0 && e.tape.nodes[n].kind == nodeTrue, ok
}

// factInt gives 0, not "no value", for a fact that is left out.
func (e *Event) factInt(key string) (int64, bool) {
	n, ok := e.fact(key)
	if n == 0 {
		return 0, ok
	}
	v, err := strconv.ParseInt(e.nodeText(n), 10, 64)
	return v, err == nil
}

func (e *Event) factList(key string, out []string) []string {
	n, _ := e.fact(key)
	return e.appendItems(out, n)
}

func auditCluster(e *Event, _ *Arg) (string, bool)       { return e.factText("cluster") }
func auditActor(e *Event, _ *Arg) (string, bool)         { return e.factText("actor") }
func auditActorName(e *Event, _ *Arg) (string, bool)     { return e.factText("actorName") }
func auditBy(e *Event, _ *Arg) (string, bool)            { return e.factText("by") }
func auditActorWorkload(e *Event, _ *Arg) (string, bool) { return e.factText("actorWorkload") }
func auditActorTenant(e *Event, _ *Arg) (string, bool)   { return e.factText("actorTenant") }
func auditActorOwner(e *Event, _ *Arg) (string, bool)    { return e.factText("actorOwner") }
func auditFrom(e *Event, _ *Arg) (string, bool)          { return e.factText("from") }
func auditFromPod(e *Event, _ *Arg) (string, bool)       { return e.factText("fromPod") }
func auditFromNode(e *Event, _ *Arg) (string, bool)      { return e.factText("fromNode") }
func auditFromWorkload(e *Event, _ *Arg) (string, bool)  { return e.factText("fromWorkload") }
func auditFromTenant(e *Event, _ *Arg) (string, bool)    { return e.factText("fromTenant") }
func auditTokenPod(e *Event, _ *Arg) (string, bool)      { return e.factText("tokenPod") }
func auditTokenNode(e *Event, _ *Arg) (string, bool)     { return e.factText("tokenNode") }
func auditTarget(e *Event, _ *Arg) (string, bool)        { return e.factText("target") }
func auditTargetTenant(e *Event, _ *Arg) (string, bool)  { return e.factText("targetTenant") }
func auditTargetOwner(e *Event, _ *Arg) (string, bool)   { return e.factText("targetOwner") }
func auditGrantsScope(e *Event, _ *Arg) (string, bool)   { return e.factText("grantsScope") }
func auditExposure(e *Event, _ *Arg) (string, bool)      { return e.factText("exposure") }

func auditFirst(e *Event, _ *Arg) (bool, bool)       { return e.factBool("first") }
func auditPlatform(e *Event, _ *Arg) (bool, bool)    { return e.factBool("platform") }
func auditElsewhere(e *Event, _ *Arg) (bool, bool)   { return e.factBool("elsewhere") }
func auditCrossTenant(e *Event, _ *Arg) (bool, bool) { return e.factBool("crossTenant") }
func auditGrantsNew(e *Event, _ *Arg) (bool, bool)   { return e.factBool("grantsNew") }

func auditGrants(e *Event, _ *Arg, out []string) []string      { return e.factList("grants", out) }
func auditGrantsTo(e *Event, _ *Arg, out []string) []string    { return e.factList("grantsTo", out) }
func auditPowers(e *Event, _ *Arg, out []string) []string      { return e.factList("powers", out) }
func auditMounts(e *Event, _ *Arg, out []string) []string      { return e.factList("mounts", out) }
func auditImages(e *Event, _ *Arg, out []string) []string      { return e.factList("images", out) }
func auditNewImages(e *Event, _ *Arg, out []string) []string   { return e.factList("newImages", out) }
func auditTools(e *Event, _ *Arg, out []string) []string       { return e.factList("tools", out) }
func auditPorts(e *Event, _ *Arg, out []string) []string       { return e.factList("ports", out) }
func auditApps(e *Event, _ *Arg, out []string) []string        { return e.factList("apps", out) }
func auditRisks(e *Event, _ *Arg, out []string) []string       { return e.factList("risks", out) }
func auditHookURLs(e *Event, _ *Arg, out []string) []string    { return e.factList("hookURLs", out) }
func auditUnusual(e *Event, _ *Arg, out []string) []string     { return e.factList("unusual", out) }
func auditWhy(e *Event, _ *Arg, out []string) []string         { return e.factList("why", out) }
func auditNotAssessed(e *Event, _ *Arg, out []string) []string { return e.factList("notAssessed", out) }

func auditLearned(e *Event, _ *Arg) (int64, bool)     { return e.factInt("learned") }
func auditSecretsRead(e *Event, _ *Arg) (int64, bool) { return e.factInt("secretsRead") }
func auditDenied(e *Event, _ *Arg) (int64, bool)      { return e.factInt("denied") }
func auditProbes(e *Event, _ *Arg) (int64, bool)      { return e.factInt("probes") }
func auditDeleted(e *Event, _ *Arg) (int64, bool)     { return e.factInt("deleted") }

func auditStage(e *Event, _ *Arg) (string, bool) { return e.textAt(topStage) }
func auditLevel(e *Event, _ *Arg) (string, bool) { return e.textAt(topLevel) }

// auditSourceIP is the first of the list where no facts say which one to believe.
func auditSourceIP(e *Event, _ *Arg) (netip.Addr, bool) {
	if s, ok := e.factText("source"); ok && len(s) <= 64 {
		a, err := netip.ParseAddr(s)
		return a.Unmap(), err == nil
	}
	list := e.at(topSourceIPs)
	if list == 0 || e.tape.nodes[list].kind != nodeArray {
		return netip.Addr{}, false
	}
	n := e.item(list, 0)
	if n == 0 || e.tape.nodes[n].to-e.tape.nodes[n].from > 64 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(e.nodeText(n))
	return a.Unmap(), err == nil
}

func auditSourceIPs(e *Event, _ *Arg, out []string) []string {
	return e.appendItems(out, e.at(topSourceIPs))
}

// auditAPIGroup tells the core group, which events leave out, by "".
func auditAPIGroup(e *Event, _ *Arg) (string, bool) {
	ref := e.at(topObjectRef)
	if ref == 0 {
		return "", false
	}
	if n := e.member(ref, "apiGroup"); n != 0 {
		return e.nodeText(n), true
	}
	return "", true
}

func auditUserExtra(e *Event, a *Arg, out []string) []string {
	if a == nil {
		return out
	}
	return e.appendItems(out, e.at(topUser, "extra", a.Key))
}
