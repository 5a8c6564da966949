//go:build ignore

/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Every process there is, as the kernel sees it: to seed the process table at
 * start and to heal it after a loss. argv is in the task's own memory, which an
 * iterator cannot read: user space takes it from /proc and marks it.
 */

SEC("iter/task")
int tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	struct seq_file *seq = ctx->meta->seq;
	struct task_rec *r;
	struct scratch *s;
	u64 len;

	if (!t || BPF_CORE_READ(t, pid) != BPF_CORE_READ(t, tgid))
		return 0;
	s = scratch_peek(S_ITER);
	if (!s)
		return 0;
	s->off = sizeof(*r);
	r = (void *)s->buf;
	fill_hdr(&r->h, K_TASK, t);
	fill_task(s, S_ITER, &r->t, t);
	len = s->off;
	bounded(len);
	if (len > ROOM + CHUNK)
		return 0;
	r->h.len = len;
	bpf_seq_write(seq, s->buf, len);
	return 0;
}
