// Package bpf holds the sensor's eBPF programs: the C sources, one file per hook
// family, and the objects compiled from them, committed so that building Dockreeve
// needs no C compiler. It promises that nothing in them needs a kernel newer than
// 5.15, which a test checks on the objects themselves. It does not load them:
// package sensor does.
//
// The amd64 object is exercised by the kernel tests. The arm64 object compiles and
// is untested.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -go-package bpf -target amd64,arm64 -type hdr -type stream -type ids -type fork_rec -type task_rec -type task_info -type exit_rec -type cgroup_rec -type open_rec -type connect_rec -type dup_rec -type blind_rec -type load_rec -type load_key -cc clang -cflags "-O2 -g -Wall -Werror -mcpu=v3" Sensor sensor.bpf.c -- -I.
