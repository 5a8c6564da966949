/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What every hook file shares: maps, configuration, counters, and how to read a
 * task, a path, a descriptor and a socket out of kernel objects.
 *
 * Written to kernel 5.15: bounded loops only, no bpf_loop, no kfuncs. A text that
 * may be long is copied into a per-CPU scratch and sent with bpf_ringbuf_output.
 */
#ifndef DOCKREEVE_BPF_H
#define DOCKREEVE_BPF_H

#include "vmlinux.h"
#include "records.bpf.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

/* ---- configuration, counters, maps ------------------------------------ */

enum { CG_V2 = 0, CG_PIDS = 1, CG_MEMORY = 2 };
const volatile u32 cgroup_mode = CG_V2;
const volatile u32 cgroup_hierarchy = 0;

enum { OPEN_READ = 1, OPEN_WRITE = 2, OPEN_CREATE = 4, OPEN_FAILED = 8 };

/* Changeable while running. */
struct config {
	u32 self;        /* the sensor's own tgid: never reported */
	u32 opens;       /* OPEN_* classes wanted */
	u32 raw;         /* copy the path as passed */
	u32 env;         /* 1: copy the environment at exec, its first 8 KiB */
	u32 loads;       /* 1: tell the files that containers load */
};
struct config cfg = {};

enum lane { LIFE = 0, ACT = 1, LOAD = 2, LANES = 3 };
struct counters {
	u64 out[LANES];
	u64 ring_full[LANES];
	u64 nested[LANES];
	u64 too_long[LANES];
	u64 compat;
	u64 uring;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} life SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} act SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 19);
} loads SEC(".maps");

/* One handler per system call number: adding an entry switches the call on. */
#define NR_MAX 512
#define NR_COMPAT NR_MAX
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, NR_MAX + 1);
	__type(key, u32);
	__type(value, u32);
} handlers SEC(".maps");

/*
 * A record is built in buf, its texts appended behind it; every append is at most
 * CHUNK and starts at or below ROOM, so the verifier needs one comparison.
 */
#define CHUNK 4096
#define ROOM 24576
struct scratch {
	u32 busy;
	u32 off;
	u64 dentry, mnt, root_dentry, root_mnt;
	u8 buf[ROOM + CHUNK];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");
enum { S_LIFE = 0, S_ACT = 1, S_ITER = 2, S_LOAD = 3 };

/* ---- scratch and delivery --------------------------------------------- */

#define bounded(x) asm volatile("" : "+r"(x))

static __always_inline struct counters *counter(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&counts, &zero);
}

static __always_inline struct scratch *scratch_peek(u32 slot)
{
	return bpf_map_lookup_elem(&scratches, &slot);
}

/* scratch_take hands out a slot unless another hook on this CPU is using it. */
static __always_inline struct scratch *scratch_take(u32 slot, u32 fixed)
{
	struct scratch *s = scratch_peek(slot);
	struct counters *c;

	if (!s)
		return NULL;
	if (s->busy) {
		c = counter();
		if (c)
			c->nested[slot == S_LIFE ? LIFE : slot == S_LOAD ? LOAD : ACT]++;
		return NULL;
	}
	s->busy = 1;
	s->off = fixed;
	return s;
}

static __always_inline void count_out(u32 lane, long err)
{
	struct counters *c = counter();

	if (!c)
		return;
	if (err)
		c->ring_full[lane]++;
	else
		c->out[lane]++;
}

/* wake says whether this record must wake the reader: only the one that crosses
 * the mark, so a flood costs one wake-up per batch; the reader's own deadline
 * bounds the wait of what stays below it. */
static __always_inline u64 wake(void *ring, u64 mark, u64 len)
{
	u64 have = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);

	return have < mark && have + len >= mark ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* push returns 0 once the record is on its ring. */
static __always_inline long push(struct scratch *s, u32 lane)
{
	u64 len = s->off;
	struct hdr *h = (struct hdr *)s->buf;
	long err;

	bounded(len);
	if (len > ROOM + CHUNK) {
		struct counters *c = counter();

		if (c)
			c->too_long[lane]++;
		return -1;
	}
	h->len = len;
	if (lane == LIFE)
		err = bpf_ringbuf_output(&life, s->buf, len, wake(&life, 16 << 10, len));
	else if (lane == ACT)
		err = bpf_ringbuf_output(&act, s->buf, len, wake(&act, 64 << 10, len));
	else
		err = bpf_ringbuf_output(&loads, s->buf, len, wake(&loads, 64 << 10, len));
	count_out(lane, err);
	return err;
}

static __always_inline void scratch_give(struct scratch *s)
{
	s->busy = 0;
}

/* put_user and put_kernel append len bytes (at most CHUNK); they return how many
 * are there, 0 when the memory could not be read. */
static __always_inline u32 put_user(struct scratch *s, const void *from, u64 len)
{
	u64 off = s->off;

	bounded(off);
	if (off > ROOM)
		return 0;
	bounded(len);
	if (len > CHUNK)
		len = CHUNK;
	if (len == 0 || bpf_probe_read_user(&s->buf[off], len, from))
		return 0;
	s->off = off + len;
	return len;
}

static __always_inline u32 put_user_str(struct scratch *s, const void *from)
{
	u64 off = s->off;
	long n;

	bounded(off);
	if (off > ROOM)
		return 0;
	n = bpf_probe_read_user_str(&s->buf[off], CHUNK, from);
	if (n <= 0 || n > CHUNK)
		return 0;
	s->off = off + n;
	return n;
}

static __always_inline u32 put_kernel_str(struct scratch *s, const void *from)
{
	u64 off = s->off;
	long n;

	bounded(off);
	if (off > ROOM)
		return 0;
	n = bpf_probe_read_kernel_str(&s->buf[off], CHUNK, from);
	if (n <= 0 || n > CHUNK)
		return 0;
	s->off = off + n;
	return n;
}

static __always_inline u32 put_kernel(struct scratch *s, const void *from, u64 len)
{
	u64 off = s->off;

	bounded(off);
	if (off > ROOM)
		return 0;
	bounded(len);
	if (len > CHUNK)
		len = CHUNK;
	if (len == 0 || bpf_probe_read_kernel(&s->buf[off], len, from))
		return 0;
	s->off = off + len;
	return len;
}

/* ---- tasks ------------------------------------------------------------- */

static __always_inline u64 cgroup_of(struct task_struct *t)
{
	struct css_set *set = t->cgroups;
	struct cgroup *cg = NULL;
	u64 at = 0;

	if (cgroup_mode == CG_V2) {
		return set->dfl_cgrp->kn->id;
	} else {
		struct cgroup_subsys_state *css = NULL;

		if (cgroup_mode == CG_PIDS && bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
			at = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
		else if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
			at = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
		else
			return 0;
		bpf_probe_read_kernel(&css, sizeof(css),
				      (void *)set + bpf_core_field_offset(struct css_set, subsys) + at * sizeof(void *));
		cg = BPF_CORE_READ(css, cgroup);
	}
	return BPF_CORE_READ(cg, kn, id);
}

/* t comes from the hook itself, so the verifier lets it be read without a helper. */
static __always_inline void fill_hdr(struct hdr *h, u16 kind, struct task_struct *t)
{
	h->kind = kind;
	h->flags = 0;
	h->boot = bpf_ktime_get_boot_ns();
	h->start = t->group_leader->start_boottime;
	h->pid = t->tgid;
	h->tid = t->pid;
	h->gen = t->self_exec_id;
	h->cpu = bpf_get_smp_processor_id();
	h->cgroup = cgroup_of(t);
	h->ret = 0;
	bpf_probe_read_kernel(h->comm, sizeof(h->comm), (void *)t + bpf_core_field_offset(struct task_struct, comm));
}

/* pid_at gives a struct pid's number at a namespace level, 0 when it has none. */
static __always_inline u32 pid_at(struct pid *p, u32 level)
{
	struct upid u = {};

	if (!p || BPF_CORE_READ(p, level) < level)
		return 0;
	bpf_probe_read_kernel(&u.nr, sizeof(u.nr),
			      (void *)p + bpf_core_field_offset(struct pid, numbers) +
			      (u64)level * bpf_core_type_size(struct upid) +
			      bpf_core_field_offset(struct upid, nr));
	return u.nr;
}

static __always_inline struct pid_namespace *ns_at(struct pid *p, u32 level)
{
	struct pid_namespace *ns = NULL;

	bpf_probe_read_kernel(&ns, sizeof(ns),
			      (void *)p + bpf_core_field_offset(struct pid, numbers) +
			      (u64)level * bpf_core_type_size(struct upid) +
			      bpf_core_field_offset(struct upid, ns));
	return ns;
}

enum { PIDTYPE_PGID = 2, PIDTYPE_SID = 3 };

static __always_inline void fill_ids(struct ids *d, struct task_struct *t)
{
	struct task_struct *parent = BPF_CORE_READ(t, real_parent, group_leader);
	struct pid *self = BPF_CORE_READ(t, group_leader, thread_pid);
	struct pid *pgrp = BPF_CORE_READ(t, signal, pids[PIDTYPE_PGID]);
	struct pid *sess = BPF_CORE_READ(t, signal, pids[PIDTYPE_SID]);
	struct pid *pp = BPF_CORE_READ(parent, thread_pid);
	u32 level = BPF_CORE_READ(self, level);
	struct pid_namespace *ns = ns_at(self, level);

	d->ppid = BPF_CORE_READ(parent, tgid);
	d->parent_start = BPF_CORE_READ(parent, start_boottime);
	d->vpid = pid_at(self, level);
	d->vppid = pp && ns_at(pp, level) == ns ? pid_at(pp, level) : 0;
	d->pgid = pid_at(pgrp, 0);
	d->vpgid = pid_at(pgrp, level);
	d->sid = pid_at(sess, 0);
	d->vsid = pid_at(sess, level);
	d->pidns = BPF_CORE_READ(ns, ns.inum);
	d->mntns = BPF_CORE_READ(t, nsproxy, mnt_ns, ns.inum);
	d->root_dev = BPF_CORE_READ(t, fs, root.dentry, d_inode, i_sb, s_dev);
	d->root_ino = BPF_CORE_READ(t, fs, root.dentry, d_inode, i_ino);
}

/* ---- paths ------------------------------------------------------------- */

#define COMPONENTS 128

/*
 * walk appends the path at scratch.dentry/mnt to slot's text, leaf first, each
 * component ended by a NUL, up to the process root in scratch.root_*; user space
 * turns it round. It returns enum path_state. Where no mount leads to the root (a
 * detached mount, a file of another mount namespace) it gives the path within the
 * file system; a file without a directory (memfd) gives its name alone.
 * Verified once, as a global function.
 */
__noinline int walk(u32 slot)
{
	struct scratch *s = scratch_peek(slot);
	struct dentry *d, *rd, *top = NULL, *parent;
	struct vfsmount *m, *rm, *seen = NULL;
	struct { struct dentry *parent; u64 hash_len; const void *name; } near = {};
	const void *name;
	int outside = 0;
	u64 off;
	int i;

	if (!s)
		return P_NONE;
	d = (void *)s->dentry;
	m = (void *)s->mnt;
	rd = (void *)s->root_dentry;
	rm = (void *)s->root_mnt;
	if (!d)
		return P_NONE;
	for (i = 0; i < COMPONENTS; i++) {
		long n;

		if (!outside) {
			if (d == rd && m == rm)
				return P_ROOT;
			if (m != seen) {
				top = BPF_CORE_READ(m, mnt_root);
				seen = m;
			}
		}
		if (bpf_core_field_offset(struct dentry, d_name) == bpf_core_field_offset(struct dentry, d_parent) + sizeof(void *)) {
			/* neighbours in every kernel so far: one read for both */
			bpf_probe_read_kernel(&near, sizeof(near), (void *)d + bpf_core_field_offset(struct dentry, d_parent));
			parent = near.parent;
			name = near.name;
		} else {
			parent = BPF_CORE_READ(d, d_parent);
			name = BPF_CORE_READ(d, d_name.name);
		}
		if (!outside && d == top) {
			struct mount *mt = (void *)m - bpf_core_field_offset(struct mount, mnt);
			struct mount *up = BPF_CORE_READ(mt, mnt_parent);

			if (up != mt && up) {
				d = BPF_CORE_READ(mt, mnt_mountpoint);
				m = (void *)up + bpf_core_field_offset(struct mount, mnt);
				continue;
			}
			outside = 1;
		}
		if (outside && d == parent)
			return P_OUTSIDE;
		off = s->off;
		bounded(off);
		if (off > ROOM)
			return P_CUT;
		n = bpf_probe_read_kernel_str(&s->buf[off], 256, name);
		if (n <= 0)
			return P_CUT;
		s->off = off + (n & 0x1ff);
		if (d == parent)
			return P_OUTSIDE;
		d = parent;
	}
	return P_CUT;
}

static __always_inline u8 put_path(struct scratch *s, u32 slot, struct dentry *d, struct vfsmount *m,
				   struct task_struct *t, u16 *len)
{
	u32 from = s->off;
	u8 state;

	s->dentry = (u64)d;
	s->mnt = (u64)m;
	s->root_dentry = (u64)BPF_CORE_READ(t, fs, root.dentry);
	s->root_mnt = (u64)BPF_CORE_READ(t, fs, root.mnt);
	state = walk(slot);
	*len = s->off - from;
	return state;
}

/* ---- descriptors and sockets ------------------------------------------- */

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFREG 0100000
#define OVERLAYFS_MAGIC 0x794c7630
#define TMPFS_MAGIC 0x01021994

static __always_inline struct file *file_of(struct task_struct *t, u32 fd)
{
	struct fdtable *fdt = BPF_CORE_READ(t, files, fdt);
	struct file **fds, *f = NULL;

	if (!fdt || fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	fds = BPF_CORE_READ(fdt, fd);
	bpf_probe_read_kernel(&f, sizeof(f), fds + fd);
	return f;
}

static __always_inline struct sock *sock_of(struct file *f)
{
	struct socket *sock;

	if ((BPF_CORE_READ(f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	sock = BPF_CORE_READ(f, private_data);
	return BPF_CORE_READ(sock, sk);
}

static __always_inline void fill_sock(struct stream *o, struct sock *sk)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	o->family = family;
	o->proto = BPF_CORE_READ(sk, sk_protocol);
	o->type = BPF_CORE_READ(sk, sk_type);
	o->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (family != AF_INET && family != AF_INET6)
		return;
	o->lport = BPF_CORE_READ(sk, __sk_common.skc_num);
	o->rport = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (family == AF_INET) {
		BPF_CORE_READ_INTO((u32 *)o->laddr, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((u32 *)o->raddr, sk, __sk_common.skc_daddr);
	} else {
		bpf_probe_read_kernel(o->laddr, 16, (void *)sk + bpf_core_field_offset(struct sock, __sk_common.skc_v6_rcv_saddr));
		bpf_probe_read_kernel(o->raddr, 16, (void *)sk + bpf_core_field_offset(struct sock, __sk_common.skc_v6_daddr));
	}
}

static __always_inline void fill_stream(struct stream *o, struct file *f)
{
	struct sock *sk;

	__builtin_memset(o, 0, sizeof(*o));
	if (!f)
		return;
	o->ino = BPF_CORE_READ(f, f_inode, i_ino);
	o->mode = BPF_CORE_READ(f, f_inode, i_mode);
	if (!o->mode)
		o->mode = 1; /* an anonymous inode: open, of no classical type */
	sk = sock_of(f);
	if (sk)
		fill_sock(o, sk);
}

/* ---- system call arguments --------------------------------------------- */

#if defined(__TARGET_ARCH_x86)
#define ARG0(r) ((r)->di)
#define ARG1(r) ((r)->si)
#define ARG2(r) ((r)->dx)
#define ARG3(r) ((r)->r10)
#define ARG4(r) ((r)->r8)
#define NR(r) ((u64)(r)->orig_ax)
#else
#define ARG0(r) ((r)->orig_x0)
#define ARG1(r) ((r)->regs[1])
#define ARG2(r) ((r)->regs[2])
#define ARG3(r) ((r)->regs[3])
#define ARG4(r) ((r)->regs[4])
#define NR(r) ((u64)(r)->syscallno)
#endif

#endif
