/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Executions: who is new in which container, and what its rules say. The tracepoint comes after the new
 * program is in place and before its first instruction, so a signal sent here is taken before that. */
#pragma once

#define SIGKILL 9
#define SIGSTOP 19
#define ARGUMENT_CHUNK 4096
#define ARGUMENT_CHUNKS 513 /* the kernel's own limit: a quarter of the stack limit, 2 MiB by default */

struct arguments {
	struct automaton *automaton;
	void *table;
	char *bytes;
	u64 *bits;
	u64 from, end;
	u32 state;
	u32 failed;
};

static long argument_chunk(u32 i, struct arguments *a)
{
	u64 left = a->end - a->from;
	u32 length = left < ARGUMENT_CHUNK ? left : ARGUMENT_CHUNK;
	if (!length)
		return 1;
	barrier_var(length);
	if (length == ARGUMENT_CHUNK ? bpf_probe_read_user(a->bytes, ARGUMENT_CHUNK, (void *)a->from) :
				       bpf_probe_read_user(a->bytes, length & (ARGUMENT_CHUNK - 1), (void *)a->from)) {
		a->failed = 1;
		return 1;
	}
	struct run r = {
		.automaton = a->automaton, .table = a->table, .bytes = a->bytes, .bits = a->bits,
		.state = a->state, .length = length, .mask = ARGUMENT_CHUNK - 1,
	};
	bpf_loop(length, run_step, &r, 0);
	a->state = r.state;
	a->from += length;
	return !a->state;
}

/* Notes which argument expressions of one automaton match; 1 where the arguments could not be read. argv lies
 * in user memory with a NUL behind each string; the automaton takes a NUL as the space that joins them, and
 * the last one is left out. */
__noinline u32 match_arguments(u32 slot, u64 key)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	if (!f || !buffer)
		return 1;
	struct arguments a = { .bytes = buffer->bytes, .bits = f->argument_bits };
	a.automaton = bpf_map_lookup_elem(&automata, &key);
	a.table = bpf_map_lookup_elem(&automaton_tables, &key);
	if (!a.automaton || !a.table)
		return 0;
	a.from = BPF_CORE_READ(task, mm, arg_start);
	a.end = BPF_CORE_READ(task, mm, arg_end);
	if (a.end > a.from)
		a.end -= 1;
	a.state = a.automaton->start;
	bpf_loop(ARGUMENT_CHUNKS, argument_chunk, &a, 0);
	if (a.failed || (a.state && a.from != a.end))
		return 1;
	struct run r = { .automaton = a.automaton, .table = a.table, .bits = a.bits, .state = a.state };
	finish(&r);
	return 0;
}

struct group_runs {
	struct facts *facts;
	u32 slot, length;
};

static long argument_group(u32 group, struct group_runs *g)
{
	if (match_arguments(g->slot, AUTOMATON_KEY(g->facts->profile, AUTOMATON_ARGUMENTS, group))) {
		count(COUNTER_UNREADABLE);
		g->facts->arguments_unreadable = 1;
	}
	return 0;
}

static long name_group(u32 group, struct group_runs *g)
{
	run_automaton(g->slot, AUTOMATON_KEY(g->facts->profile, AUTOMATON_NAME, group), 0, g->length);
	return 0;
}

/* Sends the record of an execution after the fact, when the arguments lie in the task's own memory. */
static __noinline int report_exec(struct task_struct *task, struct linux_binprm *bprm, u32 slot)
{
	u32 one = PATH_BUFFER(slot, 1), end = 0;
	struct record_buffer *out = bpf_map_lookup_elem(&record_buffers, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &one);
	if (!out || !buffer || !task || !bprm)
		return 0;
	struct record *r = &out->head;
	if (!within_allowance(r->cgroup)) {
		suppress(r);
		return 0;
	}
	describe_actor(r, task);

	struct file *program = BPF_CORE_READ(bprm, file);
	u32 offset = file_path(program, one);
	r->path_length = append(out, &end, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, PATH_LIMIT);

	u64 from = BPF_CORE_READ(task, mm, arg_start), till = BPF_CORE_READ(task, mm, arg_end);
	u32 length = till - from < ARGUMENTS_KEPT ? till - from : ARGUMENTS_KEPT;
	r->arguments_total = till - from;
	r->arguments_length = 0;
	barrier_var(length);
	if (length && end <= PATH_LIMIT &&
	    !(length == ARGUMENTS_KEPT ? bpf_probe_read_user(out->bytes + end, ARGUMENTS_KEPT, (void *)from) :
					 bpf_probe_read_user(out->bytes + end, length & (ARGUMENTS_KEPT - 1), (void *)from))) {
		r->arguments_length = length;
		end += length;
	}
	append_surroundings(out, &end, buffer, one, task, BPF_CORE_READ(task, real_parent, mm, exe_file));
	if (end <= 2 * (PATH_LIMIT + ARGUMENTS_KEPT))
		send(out, sizeof(*r) + end);
	return 0;
}

/* Finds the rules that speak about an execution of `program` with the arguments already matched. */
static __noinline int judge_program(struct task_struct *task, struct file *program, struct facts *f, u32 slot)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	struct search s = {};
	if (!task || !program || !f || !buffer || !open_search(&s, f))
		return 0;
	u32 profile = f->profile, needs = f->needs;
	struct profile *p = bpf_map_lookup_elem(&profiles, &profile);
	if (!p)
		return 0;

	f->source = source_of(program, f->root_device);
	if (needs & (NEED_PARENT | NEED_PARENT_PATH))
		f->parents = ancestor_sets(slot, profile, needs);
	if (needs & NEED_USER)
		f->users = user_sets(task, profile);

	struct dentry *dentry = BPF_CORE_READ(program, f_path.dentry);
	u32 name_length = BPF_CORE_READ(dentry, d_name.len);
	const char *name = (const char *)BPF_CORE_READ(dentry, d_name.name);
	if (needs & NEED_NAME && name_length < TEXT_MAX) {
		struct lists *found = text_lists(slot, profile, TEXT_NAME, name, name_length);
		if (found)
			f->name = *found;
	}
	if (needs & NEED_NAME_AUTOMATON && name_length < 256) {
		bpf_probe_read_kernel(buffer->bytes, name_length & 255, name);
		struct group_runs g = { .facts = f, .slot = slot, .length = name_length };
		bpf_loop(p->groups >> 8 * AUTOMATON_NAME & 255, name_group, &g, 0);
	}
	if (needs & (NEED_PATH | NEED_PREFIX | NEED_PATH_AUTOMATON)) {
		select_by_path(slot, TEXT_PATH, file_path(program, which));
		consider_found(&s);
	}
	consider(&s, f->name.match_offset, f->name.match_count);
	consider(&s, p->always_offset, p->always_count);
	return enforced_action(&s);
}

static __noinline int judge_exec(struct task_struct *task, struct linux_binprm *bprm, struct container *c, u64 cgroup, u32 role)
{
	u32 slot = TRACEPOINT_SLOT;
	if (!task || !bprm || !c || !(c->needs & NEED_EXEC))
		return 0;
	struct facts *f = new_facts(slot, c, cgroup, role);
	u32 profile = c->profile;
	struct profile *p = bpf_map_lookup_elem(&profiles, &profile);
	if (!f || !p)
		return 0;
	if (f->needs & NEED_ARGUMENTS) {
		struct group_runs g = { .facts = f, .slot = slot };
		bpf_loop(p->groups >> 8 * AUTOMATON_ARGUMENTS & 255, argument_group, &g, 0);
	}
	u32 action = judge_program(task, bprm->file, f, slot);
	if (f->enforced == NONE && f->audited == NONE)
		return 0;
	u32 outcome = OUTCOME_ALLOWED;
	if (action != ACTION_ALERT) {
		bpf_send_signal(SIGKILL);
		outcome = OUTCOME_KILLED;
	}
	if (new_record(slot, f, RECORD_EXEC, outcome))
		report_exec(task, bprm, slot);
	return outcome;
}

/* A start in a cgroup that the agent does not know yet: the task waits, stopped before its first
 * instruction, until the agent knows. */
static __always_inline void hold(struct task_struct *task, struct task_state *state, u64 cgroup)
{
	u32 pid = BPF_CORE_READ(task, tgid);
	struct hold held = { .cgroup = cgroup, .started = BPF_CORE_READ(task, group_leader, start_boottime) };
	state->role = ROLE_HELD;
	if (bpf_map_update_elem(&holds, &pid, &held, BPF_ANY)) {
		count(COUNTER_HOLDS_FULL);
		bpf_send_signal(SIGKILL);
		return;
	}
	bpf_send_signal(SIGSTOP);
	/* A lost notice is found again by the agent's sweep over the map. */
	bpf_ringbuf_output(&hold_ring, &pid, sizeof(pid), BPF_RB_FORCE_WAKEUP);
}

static __always_inline bool is_runtime(struct linux_binprm *bprm)
{
	struct runtime_name key = {};
	struct dentry *dentry = BPF_CORE_READ(bprm, file, f_path.dentry);
	u32 length = BPF_CORE_READ(dentry, d_name.len);
	if (length >= sizeof(key.name))
		return false;
	bpf_probe_read_kernel(key.name, length & 15, BPF_CORE_READ(dentry, d_name.name));
	return bpf_map_lookup_elem(&runtimes, &key);
}

/* An execution in a cgroup that is no known container's. Not inlined: that would add its stack to the judge's. */
static __noinline int outside(struct task_struct *task, struct linux_binprm *bprm, u64 cgroup, u32 entered)
{
	if (!task || !bprm)
		return 0;
	struct task_state *state = state_of(task);
	if (state && (entered || state->role == ROLE_HELD)) {
		hold(task, state, cgroup);
	} else if (!state && is_runtime(bprm)) {
		struct task_state fresh = { .role = ROLE_RUNTIME, .host_root = (u64)BPF_CORE_READ(task, fs, root.dentry) };
		set_state(task, &fresh);
	}
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(moat_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct container *c;
	u64 cgroup = current_container(task, &c);
	struct task_state *state = state_of(task);
	u64 root = (u64)BPF_CORE_READ(task, fs, root.dentry);
	u32 role = state ? state->role : ROLE_UNKNOWN;

	/* The runtime's child has become the container's program. */
	bool entered = role == ROLE_RUNTIME && state->host_root != root;

	if (!c)
		return outside(task, bprm, cgroup, entered);
	if (state && entered)
		role = state->role = BPF_CORE_READ(task, tgid) == c->init_pid ? ROLE_ENTRYPOINT : ROLE_SESSION;
	/* Else it is the runtime's own re-execution, already in the container's cgroup. */
	if (role != ROLE_RUNTIME && !settings.judged_before)
		judge_exec(task, bprm, c, cgroup, role == ROLE_HELD ? ROLE_UNKNOWN : role);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(moat_fork, struct task_struct *parent, struct task_struct *child)
{
	struct task_state *state = state_of(parent);
	if (!state)
		return 0;
	struct task_state copy = *state;
	set_state(child, &copy);
	return 0;
}
