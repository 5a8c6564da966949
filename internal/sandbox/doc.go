// Package sandbox starts a real throw-away container on this machine: its own pid,
// mount, network, uts and ipc namespaces, its own cgroup, and a root filesystem made
// of busybox. The demo attacks run in it, and so do the tests that need real kernel
// events. It uses runc where that is installed and sets the namespaces up itself
// where it is not.
//
// (Being built in its own right, beside the sensor; the API is Create, Exec, Start,
// Close as agreed for the sensor's tests.)
package sandbox
