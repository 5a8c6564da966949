/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The layout of records, whose Go twins bpf2go generates and sensor/record.go and
 * sensor/convert.go read.
 */
#ifndef DOCKREEVE_RECORDS_H
#define DOCKREEVE_RECORDS_H

enum kind {
	K_FORK = 1,
	K_EXEC = 2,
	K_EXIT = 3,
	K_TASK = 4,          /* one task, from iter/task */
	K_CGROUP_MKDIR = 5,
	K_CGROUP_RMDIR = 6,
	K_CGROUP_ATTACH = 7,
	K_OPEN = 16,
	K_CONNECT = 17,
	K_DUP = 18,
	K_URING = 19,
	K_COMPAT = 20,
	K_LOAD = 21,
};

enum rec_flags {
	R_USER = 1,      /* text came from user memory */
	R_TRUNC = 2,     /* text longer than its slot */
	R_COMPAT = 4,    /* 32-bit system call */
	R_CREATED = 8,   /* the open created the file */
};

enum path_state {
	P_NONE = 0,      /* no path */
	P_ROOT = 1,      /* walked to the process's root */
	P_OUTSIDE = 2,   /* walked to the top of a mount tree without meeting it */
	P_CUT = 3,       /* too deep, too long or changing under us: the tail only */
};

struct hdr {
	u32 len;
	u16 kind;
	u16 flags;
	u64 boot;        /* CLOCK_BOOTTIME at the record */
	u64 start;       /* group leader's start_boottime */
	u32 pid;
	u32 tid;
	u32 gen;         /* task->self_exec_id: grows at each exec, kept over fork */
	u32 cpu;
	u64 cgroup;      /* kernfs id in the attribution hierarchy */
	s64 ret;
	char comm[16];
};

struct stream {
	u64 ino;
	u16 mode;        /* i_mode; 0 = closed */
	u16 family;      /* AF_*, for sockets */
	u16 lport;       /* host order */
	u16 rport;       /* host order */
	u16 proto;       /* IPPROTO_* */
	u16 type;        /* SOCK_* */
	u32 state;       /* TCP state */
	u8 laddr[16];
	u8 raddr[16];
};

struct ids {
	u32 ppid;        /* real parent's tgid */
	u32 vpid, vppid;
	u32 pgid, vpgid;
	u32 sid, vsid;
	u32 pidns, mntns;
	u32 root_dev;    /* the process's root directory */
	u64 root_ino;
	u64 parent_start;
};

struct task_info {
	struct ids ids;
	u32 tty;
	u32 uid, gid;    /* effective */
	u32 loginuid;
	u64 cap_inh, cap_perm, cap_eff;
	u64 exe_ino;
	s64 exe_ctime, exe_mtime;
	u32 exe_dev;     /* kernel encoding: 12 bits major, 20 bits minor */
	u32 exe_mode;
	u32 exe_uid, exe_gid;
	u32 exe_nlink;
	u32 exe_magic;   /* file system magic of the executable */
	u8 exe_upper;    /* 0 not on overlay, 1 lower, 2 upper */
	u8 exe_state;    /* enum path_state */
	u8 cwd_state;
	u8 kthread;
	u32 argv_total;  /* bytes of argv as laid out, before any cut */
	u16 exe_len, cwd_len, file_len, argv_len, tail_len, env_len;
	u32 env_total;
	struct stream stdio[3];
};

struct fork_rec {
	struct hdr h;    /* the child */
	struct ids ids;  /* the child's */
	u64 by_start;    /* the process that forked: what the child inherits from */
	u64 by_cgroup;
	u32 by_pid;
	u32 by_gen;
};

struct exit_rec {
	struct hdr h;
	s32 code;        /* as wait(2) reports it */
	u32 pad;
};

struct cgroup_rec {
	struct hdr h;
	u64 id;
	u32 hierarchy;
	u16 path_len;
	u16 pad;
};

struct open_rec {
	struct hdr h;
	s32 dirfd;
	u32 nr;
	u32 oflags;
	u32 fmode;
	u64 ino;
	u32 dev;
	u32 mode;        /* permission bits asked for */
	u32 imode;       /* the inode's */
	u16 path_len, raw_len;
	u8 path_state;
	u8 pad[7];
};

struct connect_rec {
	struct hdr h;
	s32 fd;
	u32 addr_len;    /* bytes of sockaddr that follow, user memory */
	u16 path_len;    /* unix path that follows, kernel memory */
	u16 pad[3];
	struct stream s;
};

struct dup_rec {
	struct hdr h;
	s32 oldfd;
	u32 nr;
	struct stream s;
};

enum load_how {
	LOAD_READ = 0,   /* opened for reading, under a name that interpreters load */
	LOAD_MAPPED = 1, /* mapped executable */
};

struct load_rec {
	struct hdr h;
	s32 fd;          /* -1: none */
	u32 how;
	u64 ino;
	u32 dev;
	u16 path_len;
	u8 path_state;
	u8 upper;        /* in an overlay's upper layer */
};

struct blind_rec {
	struct hdr h;
	u32 nr;
	u32 entries;
};

#endif
