//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Files of an image being loaded, in containers: mapped executable, opened for
 * reading under a name that interpreters load code by, or mapped by the kernel
 * itself as the dynamic loader of a program. Each file is told once per container
 * and REFRESH. These records have the smallest ring, and no other hook waits for
 * one or shares its memory: what does not fit is counted and told at the next load.
 */

#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define AT_BASE 7
#define REFRESH (5ULL * 60 * 1000000000)

struct load_key {
	u64 cgroup;
	u64 ino;
	u64 name;        /* hash and length of its last name: another name is told again */
	u32 dev;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct load_key);
	__type(value, u64); /* when it was told, nanoseconds since boot */
} loads_told SEC(".maps");

/* Cgroups that user space knows to be the host's own. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u32);
} loads_host SEC(".maps");

/* Endings of names by which interpreters load code: the bytes after the last dot,
 * the last of them lowest. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u64);
	__type(value, u32);
} loads_named SEC(".maps");

static __always_inline bool load_watched(struct task_struct *t, u64 *cgroup)
{
	*cgroup = cgroup_of(t);
	return cfg.loads && !bpf_map_lookup_elem(&loads_host, cgroup);
}

#define NAME_TAIL 10 /* ".deps.json" */
#define EXT(a, b, c, d) ((u64)(a) << 24 | (u64)(b) << 16 | (u64)(c) << 8 | (d))

/* load_named says whether a file's name ends as one that an interpreter loads. */
static __always_inline bool load_named(struct dentry *d)
{
	const char *name = (const char *)BPF_CORE_READ(d, d_name.name);
	u64 len = BPF_CORE_READ(d, d_name.hash_len) >> 32;
	u64 from = len > NAME_TAIL ? len - NAME_TAIL : 0;
	u64 ext = 0, before = 0;
	u8 tail[16] = {};
	bool dotted = false;
	int i;

	if (len < 3 || bpf_probe_read_kernel(tail, NAME_TAIL, name + from))
		return false;
#pragma unroll
	for (i = 0; i < NAME_TAIL; i++) {
		u8 c = tail[i];

		if (i >= len - from)
			break;
		if (c == '.') {
			before = ext;
			ext = 0;
			dotted = true;
			continue;
		}
		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		ext = ext << 8 | c;
	}
	if (!dotted)
		return false;
	if (ext == EXT('j', 's', 'o', 'n'))
		return before == EXT('d', 'e', 'p', 's');
	return bpf_map_lookup_elem(&loads_named, &ext);
}

/* load_tell reports a file unless that was done lately. */
static __always_inline void load_tell(struct task_struct *t, u64 cgroup, struct dentry *d, struct vfsmount *m, s32 fd, u32 how)
{
	struct inode *in = BPF_CORE_READ(d, d_inode);
	struct super_block *sb = BPF_CORE_READ(in, i_sb);
	struct load_key key = {};
	struct load_rec *r;
	struct scratch *s;
	void *upper = NULL;
	u64 now, *told;

	if ((BPF_CORE_READ(in, i_mode) & S_IFMT) != S_IFREG)
		return;
	key.cgroup = cgroup;
	key.ino = BPF_CORE_READ(in, i_ino);
	key.name = BPF_CORE_READ(d, d_name.hash_len);
	key.dev = BPF_CORE_READ(sb, s_dev);
	now = bpf_ktime_get_boot_ns();
	told = bpf_map_lookup_elem(&loads_told, &key);
	if (told && now - *told < REFRESH)
		return;
	s = scratch_take(S_LOAD, sizeof(*r));
	if (!s)
		return;
	r = (void *)s->buf;
	fill_hdr(&r->h, K_LOAD, t);
	r->fd = fd;
	r->how = how;
	r->ino = key.ino;
	r->dev = key.dev;
	if (BPF_CORE_READ(sb, s_magic) == OVERLAYFS_MAGIC) /* as in fill_exe */
		bpf_probe_read_kernel(&upper, sizeof(upper), (void *)in + bpf_core_type_size(struct inode));
	r->upper = upper != NULL;
	r->path_state = put_path(s, S_LOAD, d, m, t, &r->path_len);
	/* Only what is on the ring counts as told. */
	if (!push(s, LOAD))
		bpf_map_update_elem(&loads_told, &key, &now, BPF_ANY);
	scratch_give(s);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_mmap, struct pt_regs *regs, long ret)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	struct file *f;
	u64 cgroup;
	s32 fd;

	if (!(ARG2(regs) & PROT_EXEC) || (ARG3(regs) & MAP_ANONYMOUS) || (u64)ret >= (u64)-4095)
		return 0;
	if (!load_watched(t, &cgroup))
		return 0;
	fd = ARG4(regs);
	f = file_of(t, fd);
	if (f)
		load_tell(t, cgroup, BPF_CORE_READ(f, f_path.dentry), BPF_CORE_READ(f, f_path.mnt), fd, LOAD_MAPPED);
	return 0;
}

/*
 * load_opened looks at a descriptor just opened for reading. A global function, so
 * that the open handler goes on to it: arm64 before 6.0 has no tail calls in programs
 * that call functions.
 */
__noinline int load_opened(s32 fd)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	struct dentry *d;
	struct file *f;
	u64 cgroup;

	if (!load_watched(t, &cgroup))
		return 0;
	f = file_of(t, fd);
	if (!f || !(BPF_CORE_READ(f, f_mode) & 1)) /* FMODE_READ */
		return 0;
	d = BPF_CORE_READ(f, f_path.dentry);
	if (load_named(d))
		load_tell(t, cgroup, d, BPF_CORE_READ(f, f_path.mnt), fd, LOAD_READ);
	return 0;
}

/* Where nobody else wants this kind of open. */
SEC("tp_btf/sys_exit")
int BPF_PROG(sys_open_load, struct pt_regs *regs, long ret)
{
	if (ret >= 0)
		load_opened(ret);
	return 0;
}

/* mapped_by finds the file mapped at an address of a program that was just started.
 * Nobody else uses its address space yet, so nothing moves while it is read. */
static __always_inline struct file *mapped_by(struct mm_struct *mm, u64 addr)
{
	struct vm_area_struct *vma = NULL;
	int i, j;

	if (bpf_core_field_exists(struct mm_struct___v60, mmap)) {
		struct vm_area_struct___v60 *v = (void *)BPF_CORE_READ((struct mm_struct___v60 *)mm, mmap);

		for (i = 0; i < 48 && v; i++) {
			if (BPF_CORE_READ((struct vm_area_struct *)v, vm_start) == addr) {
				vma = (void *)v;
				break;
			}
			v = (void *)BPF_CORE_READ(v, vm_next);
		}
	} else {
		/* A maple tree, 6.1 on: a node's address carries its type in the low
		 * byte; leaves hold the areas; pivots are the last address of a slot. */
		u64 e = (u64)BPF_CORE_READ((struct mm_struct___v61 *)mm, mm_mt.ma_root);

		for (i = 0; i < 4; i++) {
			u64 type = e >> 3 & 0xf, at = e & ~0xffULL, slots = type == MAPLE_ARANGE ? 10 : 16, pivot;

			if (e < 4096 || (i == 0 && (e & 3) != 2)) /* a root that is no node */
				break;
			if (type != MAPLE_LEAF && type != MAPLE_RANGE && type != MAPLE_ARANGE)
				return NULL;
			for (j = 0; j < 15; j++) {
				pivot = 0;
				if (j >= slots - 1)
					break;
				if (bpf_probe_read_kernel(&pivot, sizeof(pivot), (void *)(at + 8 + 8 * j)))
					return NULL;
				if (pivot >= addr || (j > 0 && !pivot))
					break;
			}
			if (bpf_probe_read_kernel(&e, sizeof(e), (void *)(at + 8 * slots + 8 * j)))
				return NULL;
			if (type == MAPLE_LEAF)
				break;
		}
		vma = (void *)e;
		if (!vma || BPF_CORE_READ(vma, vm_start) != addr)
			return NULL;
	}
	return vma ? BPF_CORE_READ(vma, vm_file) : NULL;
}

/* The dynamic loader, which on musl is the C library: the kernel maps it without a
 * system call. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec_load, struct task_struct *p, int old_pid, struct linux_binprm *bprm)
{
	struct mm_struct *mm;
	struct file *f;
	struct path *at;
	u64 cgroup, pair[2], base = 0;
	int i;

	if (!load_watched(p, &cgroup))
		return 0;
	mm = BPF_CORE_READ(p, mm);
	for (i = 0; i < 24; i++) {
		if (bpf_probe_read_kernel(pair, sizeof(pair), (void *)mm + bpf_core_field_offset(struct mm_struct, saved_auxv) + i * sizeof(pair)))
			return 0;
		if (!pair[0])
			break;
		if (pair[0] == AT_BASE) {
			base = pair[1];
			break;
		}
	}
	if (!base) /* a static program */
		return 0;
	f = mapped_by(mm, base);
	if (!f)
		return 0;
	at = (void *)f + bpf_core_field_offset(struct file, f_path);
	/* Since 6.5 an overlay maps a file of the layer below, and beside it is kept by
	 * which path it was opened. The flag that says so moved between versions, so the
	 * path is taken at its word: it must lead to an overlay. */
	if (bpf_core_field_exists(struct backing_file, user_path)) {
		struct path *user = (void *)f + bpf_core_field_offset(struct backing_file, user_path);

		if (BPF_CORE_READ(f, f_inode, i_sb, s_magic) != OVERLAYFS_MAGIC &&
		    BPF_CORE_READ(user, dentry, d_inode, i_sb, s_magic) == OVERLAYFS_MAGIC)
			at = user;
	}
	load_tell(p, cgroup, BPF_CORE_READ(at, dentry), BPF_CORE_READ(at, mnt), -1, LOAD_MAPPED);
	return 0;
}
