//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Descriptors copied onto a standard stream: how a reverse shell gives a shell
 * its socket. All other copies are ignored in the kernel.
 */

#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030

static __always_inline int dup_event(struct pt_regs *regs, long ret)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	struct dup_rec *r;
	struct scratch *s;

	s = scratch_take(S_ACT, sizeof(*r));
	if (!s)
		return 0;
	r = (void *)s->buf;
	fill_hdr(&r->h, K_DUP, t);
	r->h.ret = ret;
	r->oldfd = ARG0(regs);
	r->nr = NR(regs);
	fill_stream(&r->s, file_of(t, ret));
	push(s, ACT);
	scratch_give(s);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_dup, struct pt_regs *regs, long ret)
{
	if (ret < 0 || ret > 2)
		return 0;
	return dup_event(regs, ret);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_fcntl, struct pt_regs *regs, long ret)
{
	u64 cmd = ARG1(regs);

	if (ret < 0 || ret > 2 || (cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC))
		return 0;
	return dup_event(regs, ret);
}
