// Package sandbox starts a real throw-away container on this machine: its own pid,
// mount, network, uts and ipc namespaces (and, with runc, its own view of the
// cgroups), a cgroup of its own named by its id at the root of every hierarchy, and a
// root filesystem of the host's static busybox on an overlay. The demo attacks run in
// it, and so do the tests that need real kernel events. It uses runc where that is
// installed and sets the namespaces up itself where it is not.
//
// Its network is a loopback interface and nothing else: no route leads out. It needs
// root. It promises to remove everything it made on Close, or at the next Sweep when
// the process that made it died, and to leave the host's network, files and other
// containers alone. It is no security boundary, least of all without runc: run only
// harmless commands in it.
package sandbox
