//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The one object: hook families share maps, so they compile together. To add a
 * signal, add a hook file here and its handler's numbers in sensor/syscalls.go.
 */
#include "dockreeve.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#include "lifecycle.bpf.c"
#include "cgroup.bpf.c"
#include "load.bpf.c"
#include "file.bpf.c"
#include "socket.bpf.c"
#include "dup.bpf.c"
#include "blind.bpf.c"
#include "iter.bpf.c"

/* The record types, so that their Go twins are generated from this one source. */
const struct hdr *type_hdr __attribute__((unused));
const struct fork_rec *type_fork __attribute__((unused));
const struct task_rec *type_task __attribute__((unused));
const struct exit_rec *type_exit __attribute__((unused));
const struct cgroup_rec *type_cgroup __attribute__((unused));
const struct open_rec *type_open __attribute__((unused));
const struct connect_rec *type_connect __attribute__((unused));
const struct dup_rec *type_dup __attribute__((unused));
const struct blind_rec *type_blind __attribute__((unused));
const struct load_rec *type_load __attribute__((unused));
const struct load_key *type_load_key __attribute__((unused));

/*
 * The one hook on system calls. A number without an entry in handlers costs one
 * failed look-up and nothing more.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	u64 nr = NR(regs);

	if ((bpf_get_current_pid_tgid() >> 32) == cfg.self)
		return 0;
	if ((s64)nr < 0) /* rt_sigreturn leaves -1: no call, and no 32-bit call */
		return 0;
#if defined(__TARGET_ARCH_x86)
	if ((t->thread_info.status & 2) || (nr & 0x40000000)) /* TS_COMPAT, x32 */
		nr = NR_COMPAT;
#else
	if (t->thread_info.flags & (1 << 22)) /* TIF_32BIT */
		nr = NR_COMPAT;
#endif
	if (nr > NR_MAX)
		return 0;
	bpf_tail_call(ctx, &handlers, nr);
	return 0;
}
