//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Files being opened, at the exit of the call: where it succeeded the path comes
 * from the file object, so nobody can swap it after the check; where it failed
 * only the caller's own memory is left, and the record says so.
 */

#define O_ACCMODE 3
#define O_CREAT 0100
#define FMODE_CREATED 0x100000
#define AT_FDCWD -100

#if defined(__TARGET_ARCH_x86)
enum { NR_open = 2, NR_creat = 85, NR_openat = 257, NR_openat2 = 437 };
#else
enum { NR_open = 0x10000, NR_creat = 0x10001, NR_openat = 56, NR_openat2 = 437 };
#endif

struct open_how_user { u64 flags, mode, resolve; };

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_open, struct pt_regs *regs, long ret)
{
	struct task_struct *t = (void *)bpf_get_current_task_btf();
	u64 nr = NR(regs);
	const void *name;
	u32 oflags, mode, fmode = 0, class;
	s32 dirfd = AT_FDCWD;
	struct file *f = NULL;
	struct open_rec *r;
	struct scratch *s;

	if (nr == NR_openat || nr == NR_openat2) {
		dirfd = ARG0(regs);
		name = (void *)ARG1(regs);
		oflags = ARG2(regs);
		mode = ARG3(regs);
	} else {
		name = (void *)ARG0(regs);
		oflags = ARG1(regs);
		mode = ARG2(regs);
	}
	if (nr == NR_creat) {
		mode = oflags;
		oflags = O_CREAT | 01000 | 1; /* O_CREAT|O_TRUNC|O_WRONLY, as creat(2) says */
	}
	if (ret >= 0) {
		f = file_of(t, ret);
		fmode = BPF_CORE_READ(f, f_mode);
	}
	if (nr == NR_openat2) {
		/* The creation flags of openat2 are in user memory only; access mode
		 * and all that stays comes from the file. */
		struct open_how_user how = {};

		bpf_probe_read_user(&how, sizeof(how), (void *)ARG2(regs));
		oflags = how.flags;
		mode = how.mode;
		if (f)
			oflags = (oflags & ~O_ACCMODE) | BPF_CORE_READ(f, f_flags);
	}
	if (ret < 0) {
		class = OPEN_FAILED;
	} else {
		class = oflags & (O_ACCMODE | 01000) ? OPEN_WRITE : OPEN_READ;
		if ((oflags & O_ACCMODE) == 2)
			class |= OPEN_READ;
		if (fmode & FMODE_CREATED)
			class |= OPEN_CREATE;
	}
	if (!(class & cfg.opens))
		goto next;

	s = scratch_take(S_ACT, sizeof(*r));
	if (!s)
		goto next;
	r = (void *)s->buf;
	fill_hdr(&r->h, K_OPEN, t);
	r->h.ret = ret;
	r->dirfd = dirfd;
	r->nr = nr;
	r->oflags = oflags;
	r->fmode = fmode;
	r->mode = mode;
	r->path_len = 0;
	r->raw_len = 0;
	r->path_state = P_NONE;
	r->ino = 0;
	r->dev = 0;
	r->imode = 0;
	__builtin_memset(r->pad, 0, sizeof(r->pad));
	if (f) {
		struct inode *in = BPF_CORE_READ(f, f_inode);

		if (fmode & FMODE_CREATED)
			r->h.flags |= R_CREATED;
		r->ino = BPF_CORE_READ(in, i_ino);
		r->imode = BPF_CORE_READ(in, i_mode);
		r->dev = BPF_CORE_READ(in, i_sb, s_dev);
		r->path_state = put_path(s, S_ACT, BPF_CORE_READ(f, f_path.dentry),
					 BPF_CORE_READ(f, f_path.mnt), t, &r->path_len);
	} else {
		struct dentry *d;
		struct vfsmount *m;
		char first = '/';

		/* What a relative name is relative to, while it is still known. */
		r->h.flags |= R_USER;
		bpf_probe_read_user(&first, 1, name);
		if (first != '/') {
			if (dirfd == AT_FDCWD) {
				d = BPF_CORE_READ(t, fs, pwd.dentry);
				m = BPF_CORE_READ(t, fs, pwd.mnt);
			} else {
				struct file *base = file_of(t, dirfd);

				d = BPF_CORE_READ(base, f_path.dentry);
				m = BPF_CORE_READ(base, f_path.mnt);
			}
			r->path_state = put_path(s, S_ACT, d, m, t, &r->path_len);
		}
	}
	if (!f || cfg.raw) {
		r->raw_len = put_user_str(s, name);
		if (r->raw_len == CHUNK)
			r->h.flags |= R_TRUNC;
	}
	push(s, ACT);
	scratch_give(s);
next:
	if (cfg.loads && (class & OPEN_READ))
		load_opened(ret);
	return 0;
}
