// Package sandbox starts a real throw-away container on this machine: its own pid,
// mount, network (loopback up), uts and ipc namespaces, its own cgroup, and a root
// filesystem of busybox on an overlay. The demo attacks run in it, and so do the
// tests that need real kernel events. It uses runc where that is installed and sets
// the namespaces up itself where it is not.
//
// It needs root and a static busybox. It promises to remove everything it made on
// Close, and to leave the host's network, files and other containers alone. It is
// no security boundary: run only harmless commands in it.
package sandbox
