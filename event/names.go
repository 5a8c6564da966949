package event

// String returns the source as the rule language's `source` key says it.
func (s Source) String() string {
	if s == SourceK8sAudit {
		return "k8s_audit"
	}
	return "syscall"
}

// String returns the transport as fd.l4proto says it, "" for L4None.
func (l L4) String() string {
	switch l {
	case L4TCP:
		return "tcp"
	case L4UDP:
		return "udp"
	case L4ICMP:
		return "icmp"
	case L4Raw:
		return "raw"
	}
	return ""
}

// String returns "run" or "init".
func (p Phase) String() string {
	if p == PhaseInit {
		return "init"
	}
	return "run"
}

// String returns "client", "server" or "" for RoleUnknown.
func (r Role) String() string {
	switch r {
	case RoleClient:
		return "client"
	case RoleServer:
		return "server"
	}
	return ""
}

// String returns "yes", "no" or "" for Unknown.
func (t Tristate) String() string {
	switch t {
	case Yes:
		return "yes"
	case No:
		return "no"
	}
	return ""
}
