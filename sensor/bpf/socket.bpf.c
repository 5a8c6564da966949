//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Connections being made. Both ends come from the socket object, also while the
 * handshake is under way (EINPROGRESS); the caller's sockaddr is copied too, for
 * the calls that left nothing in the socket.
 */

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_connect, struct pt_regs *regs, long ret)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	u32 fd = ARG0(regs);
	const void *addr = (void *)ARG1(regs);
	u64 addr_len = ARG2(regs);
	struct connect_rec *r;
	struct file *f;
	struct sock *sk;
	struct scratch *s;

	f = file_of(t, fd);
	if (!f)
		return 0;
	sk = sock_of(f);
	if (!sk)
		return 0;
	s = scratch_take(S_ACT, sizeof(*r));
	if (!s)
		return 0;
	r = (void *)s->buf;
	fill_hdr(&r->h, K_CONNECT, t);
	r->h.ret = ret;
	r->fd = fd;
	r->path_len = 0;
	__builtin_memset(r->pad, 0, sizeof(r->pad));
	fill_stream(&r->s, f);
	if (r->s.family == AF_UNIX && ret == 0) {
		struct unix_sock *peer = (void *)BPF_CORE_READ((struct unix_sock *)sk, peer);
		struct unix_address *a = BPF_CORE_READ(peer, addr);
		u64 n = BPF_CORE_READ(a, len);

		/* len counts the two bytes of sun_family; an unnamed socket has no path */
		if (peer && a && n > 2 && n <= 110)
			r->path_len = put_kernel(s, (void *)a + bpf_core_field_offset(struct unix_address, name) + 2, n - 2);
	}
	if (addr_len > 128)
		addr_len = 128;
	r->addr_len = put_user(s, addr, addr_len);
	push(s, ACT);
	scratch_give(s);
	return 0;
}
