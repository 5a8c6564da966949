//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the other hooks cannot see, said instead of passed over: io_uring does
 * file and network work without system calls, and 32-bit calls have other
 * numbers. Both are counted; each process that starts is reported, once per image
 * for 32-bit calls.
 */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u32);
} compat_seen SEC(".maps");

static __always_inline void blind_event(u16 kind, struct task_struct *t, long ret, u32 nr, u32 entries)
{
	struct blind_rec *r;
	struct scratch *s;

	s = scratch_take(S_ACT, sizeof(*r));
	if (!s)
		return;
	r = (void *)s->buf;
	fill_hdr(&r->h, kind, t);
	r->h.ret = ret;
	r->nr = nr;
	r->entries = entries;
	if (kind == K_COMPAT)
		r->h.flags |= R_COMPAT;
	push(s, ACT);
	scratch_give(s);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_io_uring_setup, struct pt_regs *regs, long ret)
{
	struct counters *c = counter();

	if (c)
		c->uring++;
	blind_event(K_URING, (void *)bpf_get_current_task_btf(), ret, NR(regs), ARG0(regs));
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_compat, struct pt_regs *regs, long ret)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	struct counters *c = counter();
	u64 key = BPF_CORE_READ(t, group_leader, start_boottime);
	u32 gen = BPF_CORE_READ(t, self_exec_id), *seen;

	if (c)
		c->compat++;
	key ^= (u64)BPF_CORE_READ(t, tgid) << 40;
	seen = bpf_map_lookup_elem(&compat_seen, &key);
	if (seen && *seen == gen)
		return 0;
	bpf_map_update_elem(&compat_seen, &key, &gen, BPF_ANY);
	blind_event(K_COMPAT, t, ret, NR(regs), 0);
	return 0;
}
