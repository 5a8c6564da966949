//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Processes being born, changing image and dying. These records have a ring of
 * their own, so no flood of activity can displace them.
 */

/* Since 6.13 the top bit of i_ctime_nsec says "was asked for"; it is not time. */
static __always_inline s64 nanos(s64 sec, s64 nsec)
{
	return sec * 1000000000LL + (nsec & 0x7fffffff);
}

static __always_inline void fill_times(struct task_info *o, struct inode *in)
{
	if (bpf_core_field_exists(struct inode___v611, i_ctime_sec)) {
		struct inode___v611 *n = (void *)in;

		o->exe_ctime = nanos(BPF_CORE_READ(n, i_ctime_sec), BPF_CORE_READ(n, i_ctime_nsec));
		o->exe_mtime = nanos(BPF_CORE_READ(n, i_mtime_sec), BPF_CORE_READ(n, i_mtime_nsec));
		return;
	}
	if (bpf_core_field_exists(struct inode___v66, __i_ctime)) {
		struct inode___v66 *n = (void *)in;

		o->exe_ctime = nanos(BPF_CORE_READ(n, __i_ctime.tv_sec), BPF_CORE_READ(n, __i_ctime.tv_nsec));
	} else {
		struct inode___v515 *n = (void *)in;

		o->exe_ctime = nanos(BPF_CORE_READ(n, i_ctime.tv_sec), BPF_CORE_READ(n, i_ctime.tv_nsec));
	}
	if (bpf_core_field_exists(struct inode___v67, __i_mtime)) {
		struct inode___v67 *n = (void *)in;

		o->exe_mtime = nanos(BPF_CORE_READ(n, __i_mtime.tv_sec), BPF_CORE_READ(n, __i_mtime.tv_nsec));
	} else {
		struct inode___v515 *n = (void *)in;

		o->exe_mtime = nanos(BPF_CORE_READ(n, i_mtime.tv_sec), BPF_CORE_READ(n, i_mtime.tv_nsec));
	}
}

/*
 * An overlay's inode is embedded in struct ovl_inode, directly followed by
 * __upperdentry (4.13 to 6.18): non-NULL when the file has been written or copied
 * up. struct ovl_inode is not in BTF where overlayfs is a module, hence the size.
 */
static __always_inline void fill_exe(struct task_info *o, struct file *exe)
{
	struct inode *in = BPF_CORE_READ(exe, f_inode);
	struct super_block *sb = BPF_CORE_READ(in, i_sb);
	u64 magic = BPF_CORE_READ(sb, s_magic);
	void *upper = NULL;

	o->exe_ino = BPF_CORE_READ(in, i_ino);
	o->exe_mode = BPF_CORE_READ(in, i_mode);
	o->exe_uid = BPF_CORE_READ(in, i_uid.val);
	o->exe_gid = BPF_CORE_READ(in, i_gid.val);
	o->exe_nlink = BPF_CORE_READ(in, i_nlink);
	o->exe_dev = BPF_CORE_READ(sb, s_dev);
	o->exe_magic = magic;
	o->exe_upper = 0;
	if (magic == OVERLAYFS_MAGIC) {
		bpf_probe_read_kernel(&upper, sizeof(upper), (void *)in + bpf_core_type_size(struct inode));
		o->exe_upper = upper ? 2 : 1;
	}
	fill_times(o, in);
}

static __always_inline void fill_task(struct scratch *s, u32 slot, struct task_info *o, struct task_struct *t)
{
	const struct cred *cred = BPF_CORE_READ(t, cred);
	struct tty_struct *tty = BPF_CORE_READ(t, signal, tty);
	struct mm_struct *mm = BPF_CORE_READ(t, mm);
	struct file *exe = NULL;
	struct dentry *d;
	struct vfsmount *m;
	u32 major;
	int i;

	__builtin_memset(o, 0, sizeof(*o));
	fill_ids(&o->ids, t);
	o->kthread = (BPF_CORE_READ(t, flags) & 0x00200000) != 0; /* PF_KTHREAD */
	if (tty) {
		major = BPF_CORE_READ(tty, driver, major);
		o->tty = major << 20 | (BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index));
	}
	o->uid = BPF_CORE_READ(cred, euid.val);
	o->gid = BPF_CORE_READ(cred, egid.val);
	o->loginuid = -1;
	if (bpf_core_field_exists(t->loginuid))
		o->loginuid = BPF_CORE_READ(t, loginuid.val);
	bpf_probe_read_kernel(&o->cap_inh, 8, (void *)cred + bpf_core_field_offset(struct cred, cap_inheritable));
	bpf_probe_read_kernel(&o->cap_perm, 8, (void *)cred + bpf_core_field_offset(struct cred, cap_permitted));
	bpf_probe_read_kernel(&o->cap_eff, 8, (void *)cred + bpf_core_field_offset(struct cred, cap_effective));
	if (mm)
		exe = BPF_CORE_READ(mm, exe_file);
	if (exe) {
		fill_exe(o, exe);
		d = BPF_CORE_READ(exe, f_path.dentry);
		m = BPF_CORE_READ(exe, f_path.mnt);
		o->exe_state = put_path(s, slot, d, m, t, &o->exe_len);
	}
	d = BPF_CORE_READ(t, fs, pwd.dentry);
	m = BPF_CORE_READ(t, fs, pwd.mnt);
	o->cwd_state = put_path(s, slot, d, m, t, &o->cwd_len);
	for (i = 0; i < 3; i++)
		fill_stream(&o->stdio[i], file_of(t, i));
}

struct task_rec {
	struct hdr h;
	struct task_info t;
};

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *p, int old_pid, struct linux_binprm *bprm)
{
	struct scratch *s;
	struct task_rec *r;
	struct mm_struct *mm;
	u64 from, to, len;

	if ((bpf_get_current_pid_tgid() >> 32) == cfg.self)
		return 0;
	s = scratch_take(S_LIFE, sizeof(*r));
	if (!s)
		return 0;
	r = (void *)s->buf;
	fill_hdr(&r->h, K_EXEC, p);
	fill_task(s, S_LIFE, &r->t, p);
	r->t.file_len = put_kernel_str(s, BPF_CORE_READ(bprm, filename));

	mm = BPF_CORE_READ(p, mm);
	from = BPF_CORE_READ(mm, arg_start);
	to = BPF_CORE_READ(mm, arg_end);
	len = to - from;
	if (to > from) {
		r->t.argv_total = len;
		r->t.argv_len = put_user(s, (void *)from, len);
		if (len > CHUNK) {
			u64 tail = len - CHUNK;

			if (tail > 1024)
				tail = 1024;
			r->t.tail_len = put_user(s, (void *)(to - tail), tail);
			if (len > CHUNK + 1024)
				r->h.flags |= R_TRUNC;
		}
	}
	if (cfg.env) {
		from = BPF_CORE_READ(mm, env_start);
		to = BPF_CORE_READ(mm, env_end);
		len = to - from;
		if (to > from) {
			r->t.env_total = len;
			r->t.env_len = put_user(s, (void *)from, len);
			if (len > CHUNK)
				r->t.env_len += put_user(s, (void *)(from + CHUNK), len - CHUNK);
		}
	}
	push(s, LIFE);
	scratch_give(s);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct fork_rec *r;
	struct scratch *s;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0; /* a thread */
	s = scratch_take(S_LIFE, sizeof(*r));
	if (!s)
		return 0;
	r = (void *)s->buf;
	fill_hdr(&r->h, K_FORK, child);
	fill_ids(&r->ids, child);
	r->by_pid = BPF_CORE_READ(parent, tgid);
	r->by_start = BPF_CORE_READ(parent, group_leader, start_boottime);
	r->by_gen = BPF_CORE_READ(parent, self_exec_id);
	r->by_cgroup = cgroup_of(parent);
	push(s, LIFE);
	scratch_give(s);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *p)
{
	struct exit_rec *r;
	struct scratch *s;
	s32 code;

	/* The kernel counts the dying thread out before this point, so 0 means the
	 * whole process; two threads racing here may both see 0, and user space
	 * takes the second as a repeat. */
	if (BPF_CORE_READ(p, signal, live.counter) != 0)
		return 0;
	s = scratch_take(S_LIFE, sizeof(*r));
	if (!s)
		return 0;
	r = (void *)s->buf;
	fill_hdr(&r->h, K_EXIT, p);
	code = BPF_CORE_READ(p, signal, group_exit_code);
	if (!code)
		code = BPF_CORE_READ(p, exit_code);
	r->code = code;
	r->pad = 0;
	push(s, LIFE);
	scratch_give(s);
	return 0;
}
