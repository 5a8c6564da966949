//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Cgroups of the attribution hierarchy appearing and going, and processes being
 * moved into them: a container's path is known before its first exec.
 */

static __always_inline int cgroup_event(u16 kind, struct cgroup *cg, const char *path, struct task_struct *t)
{
	struct cgroup_rec *r;
	struct scratch *s;
	u32 hierarchy = BPF_CORE_READ(cg, root, hierarchy_id);

	if (hierarchy != cgroup_hierarchy)
		return 0;
	s = scratch_take(S_LIFE, sizeof(*r));
	if (!s)
		return 0;
	r = (void *)s->buf;
	fill_hdr(&r->h, kind, t);
	r->id = BPF_CORE_READ(cg, kn, id);
	r->hierarchy = hierarchy;
	r->pad = 0;
	r->path_len = put_kernel_str(s, path);
	push(s, LIFE);
	scratch_give(s);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup_mkdir, struct cgroup *cg, const char *path)
{
	return cgroup_event(K_CGROUP_MKDIR, cg, path, (void *)bpf_get_current_task_btf());
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_cgroup_rmdir, struct cgroup *cg, const char *path)
{
	return cgroup_event(K_CGROUP_RMDIR, cg, path, (void *)bpf_get_current_task_btf());
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_cgroup_attach, struct cgroup *cg, const char *path, struct task_struct *t)
{
	return cgroup_event(K_CGROUP_ATTACH, cg, path, t);
}
