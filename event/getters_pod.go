package event

// The ka.req.pod fields of the three lists of containers; getters_audit.go has what they
// share. A container that lacks what a field asks for adds nothing to it.

func kaCtrCaps(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendItems, "containers", "securityContext", "capabilities", "add")
}

func kaCtrEscalation(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "containers", "securityContext", "allowPrivilegeEscalation")
}

func kaCtrArgs(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendJoined, "containers", "args")
}

func kaCtrCommand(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendJoined, "containers", "command")
}

func kaCtrEffGroup(e *Event, a *Arg, out []string) []string {
	return e.kaEffective(out, a, "containers", "runAsGroup")
}

func kaCtrEffUser(e *Event, a *Arg, out []string) []string {
	return e.kaEffective(out, a, "containers", "runAsUser")
}

func kaCtrHostPort(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendHostPorts, "containers", "ports")
}

func kaCtrImage(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "containers", "image")
}

func kaCtrRepo(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendRepository, "containers", "image")
}

func kaCtrName(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "containers", "name")
}

func kaCtrPrivileged(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "containers", "securityContext", "privileged")
}

func kaCtrProcMount(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "containers", "securityContext", "procMount")
}

func kaCtrReadOnly(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "containers", "securityContext", "readOnlyRootFilesystem")
}

func kaCtrGroup(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "containers", "securityContext", "runAsGroup")
}

func kaCtrUser(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "containers", "securityContext", "runAsUser")
}

func kaInitCaps(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendItems, "initContainers", "securityContext", "capabilities", "add")
}

func kaInitEscalation(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "initContainers", "securityContext", "allowPrivilegeEscalation")
}

func kaInitArgs(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendJoined, "initContainers", "args")
}

func kaInitCommand(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendJoined, "initContainers", "command")
}

func kaInitEffGroup(e *Event, a *Arg, out []string) []string {
	return e.kaEffective(out, a, "initContainers", "runAsGroup")
}

func kaInitEffUser(e *Event, a *Arg, out []string) []string {
	return e.kaEffective(out, a, "initContainers", "runAsUser")
}

func kaInitHostPort(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendHostPorts, "initContainers", "ports")
}

func kaInitImage(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "initContainers", "image")
}

func kaInitRepo(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendRepository, "initContainers", "image")
}

func kaInitName(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "initContainers", "name")
}

func kaInitPrivileged(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "initContainers", "securityContext", "privileged")
}

func kaInitProcMount(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "initContainers", "securityContext", "procMount")
}

func kaInitReadOnly(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "initContainers", "securityContext", "readOnlyRootFilesystem")
}

func kaInitGroup(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "initContainers", "securityContext", "runAsGroup")
}

func kaInitUser(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "initContainers", "securityContext", "runAsUser")
}

func kaEphCaps(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendItems, "ephemeralContainers", "securityContext", "capabilities", "add")
}

func kaEphEscalation(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "ephemeralContainers", "securityContext", "allowPrivilegeEscalation")
}

func kaEphArgs(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendJoined, "ephemeralContainers", "args")
}

func kaEphCommand(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendJoined, "ephemeralContainers", "command")
}

func kaEphEffGroup(e *Event, a *Arg, out []string) []string {
	return e.kaEffective(out, a, "ephemeralContainers", "runAsGroup")
}

func kaEphEffUser(e *Event, a *Arg, out []string) []string {
	return e.kaEffective(out, a, "ephemeralContainers", "runAsUser")
}

func kaEphHostPort(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendHostPorts, "ephemeralContainers", "ports")
}

func kaEphImage(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "ephemeralContainers", "image")
}

func kaEphRepo(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendRepository, "ephemeralContainers", "image")
}

func kaEphName(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "ephemeralContainers", "name")
}

func kaEphPrivileged(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "ephemeralContainers", "securityContext", "privileged")
}

func kaEphProcMount(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "ephemeralContainers", "securityContext", "procMount")
}

func kaEphReadOnly(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "ephemeralContainers", "securityContext", "readOnlyRootFilesystem")
}

func kaEphGroup(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "ephemeralContainers", "securityContext", "runAsGroup")
}

func kaEphUser(e *Event, a *Arg, out []string) []string {
	return e.kaSpec(out, a, appendText, "ephemeralContainers", "securityContext", "runAsUser")
}
