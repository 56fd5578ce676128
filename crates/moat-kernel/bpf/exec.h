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
__noinline u32 match_arguments(u64 key)
{
	u32 zero = 0;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct facts *f = bpf_map_lookup_elem(&all_facts, &zero);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &zero);
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

static long argument_group(u32 group, struct facts **f)
{
	if (match_arguments(AUTOMATON_KEY((*f)->profile, AUTOMATON_ARGUMENTS, group))) {
		count(COUNTER_UNREADABLE);
		(*f)->arguments_unreadable = 1;
	}
	return 0;
}

struct name_runs {
	u32 profile, length;
};

static long name_group(u32 group, struct name_runs *n)
{
	run_automaton(AUTOMATON_KEY(n->profile, AUTOMATON_NAME, group), 0, n->length);
	return 0;
}

static __noinline int report_exec(struct task_struct *task, struct linux_binprm *bprm)
{
	u32 zero = 0, one = 1, end = 0;
	struct record_buffer *out = bpf_map_lookup_elem(&record_buffers, &zero);
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
	u32 offset = path_walk((u64)&program->f_path, 1);
	r->path_length = append(out, &end, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, PATH_LIMIT);

	u64 from = BPF_CORE_READ(task, mm, arg_start), till = BPF_CORE_READ(task, mm, arg_end);
	u32 length = till - from < ARGUMENTS_KEPT ? till - from : ARGUMENTS_KEPT;
	r->arguments_total = till - from;
	r->arguments_length = 0;
	if (length && end <= PATH_LIMIT &&
	    !(length == ARGUMENTS_KEPT ? bpf_probe_read_user(out->bytes + end, ARGUMENTS_KEPT, (void *)from) :
					 bpf_probe_read_user(out->bytes + end, length & (ARGUMENTS_KEPT - 1), (void *)from))) {
		r->arguments_length = length;
		end += length;
	}

	struct file *parent = BPF_CORE_READ(task, real_parent, mm, exe_file);
	r->parent_length = 0;
	if (parent) {
		offset = path_walk((u64)&parent->f_path, 1);
		r->parent_length = append(out, &end, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, 512);
	}
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	offset = path_walk((u64)&fs->pwd, 1);
	r->directory_length = append(out, &end, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, 512);

	if (end <= 2 * (PATH_LIMIT + ARGUMENTS_KEPT))
		send(out, sizeof(*r) + end);
	return 0;
}

static __noinline int judge_exec(struct task_struct *task, struct linux_binprm *bprm, struct container *c, u64 cgroup, u32 role)
{
	u32 zero = 0;
	if (!task || !bprm || !c)
		return 0;
	u32 profile = c->profile;
	struct profile *p = bpf_map_lookup_elem(&profiles, &profile);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &zero);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &zero);
	struct record_buffer *out = bpf_map_lookup_elem(&record_buffers, &zero);
	if (!p || !f || !buffer || !out || !(p->needs & NEED_EXEC))
		return 0;
	struct search s = { .facts = f };
	s.rules = bpf_map_lookup_elem(&rules, &profile);
	s.list = bpf_map_lookup_elem(&rule_lists, &profile);
	if (!s.rules || !s.list)
		return 0;
	u32 needs = p->needs;

	__builtin_memset(f, 0, sizeof(*f));
	f->enforced = f->audited = NONE;
	f->profile = profile;
	f->role = role;
	if (needs & NEED_ARGUMENTS)
		bpf_loop(p->groups >> 8 * AUTOMATON_ARGUMENTS & 255, argument_group, &f, 0);
	f->source = source_of(bprm->file, c->root_device);
	if (needs & (NEED_PARENT | NEED_PARENT_PATH))
		f->parents = ancestor_sets(profile, needs);
	if (needs & NEED_USER) {
		struct number_key key = { .profile = profile, .kind = NUMBER_USER, .number = BPF_CORE_READ(task, cred, uid.val) };
		struct lists *mask = bpf_map_lookup_elem(&numbers, &key);
		if (mask)
			f->users = (u64)mask->match_count << 32 | mask->match_offset;
	}

	struct dentry *dentry = BPF_CORE_READ(bprm, file, f_path.dentry);
	u32 name_length = BPF_CORE_READ(dentry, d_name.len);
	const char *name = (const char *)BPF_CORE_READ(dentry, d_name.name);
	if (needs & NEED_NAME && name_length < TEXT_MAX) {
		struct lists *found = text_lists(profile, TEXT_NAME, name, name_length);
		if (found)
			f->name = *found;
	}
	if (needs & NEED_NAME_AUTOMATON && name_length < 256) {
		bpf_probe_read_kernel(buffer->bytes, name_length & 255, name);
		struct name_runs n = { .profile = profile, .length = name_length };
		bpf_loop(p->groups >> 8 * AUTOMATON_NAME & 255, name_group, &n, 0);
	}
	if (needs & (NEED_PATH | NEED_PREFIX | NEED_PATH_AUTOMATON)) {
		struct file *program = BPF_CORE_READ(bprm, file);
		u32 offset = path_walk((u64)&program->f_path, 0);
		u32 length = PATH_LIMIT - offset;
		const char *path = buffer->bytes + (offset & (PATH_LIMIT - 1));
		if (needs & NEED_PATH && length < TEXT_MAX) {
			struct lists *found = text_lists(profile, TEXT_PATH, path, length);
			if (found)
				f->path = *found;
		}
		if (needs & NEED_PREFIX) {
			struct prefix_key *key = bpf_map_lookup_elem(&prefix_keys, &zero);
			if (key) {
				u32 used = length < TEXT_MAX ? length : TEXT_MAX - 1;
				key->profile = profile;
				key->bits = 32 + used * 8;
				bpf_probe_read_kernel(key->text, used & 255, path);
				struct lists *found = bpf_map_lookup_elem(&prefixes, key);
				if (found)
					f->prefix = *found;
			}
		}
		if (needs & NEED_PATH_AUTOMATON) {
			u64 key = AUTOMATON_KEY(profile, AUTOMATON_PATH, 0);
			u32 state = run_automaton(key, offset, length);
			struct automaton *automaton = bpf_map_lookup_elem(&automata, &key);
			void *table = bpf_map_lookup_elem(&automaton_tables, &key);
			if (automaton && table && state && state >= automaton->min_match) {
				u32 at = automaton->match_base + ((state - automaton->min_match) / automaton->stride) * 4;
				u32 words[4] = {};
				for (u32 i = 0; i < 4; i++) {
					u32 index = at + i, *word = bpf_map_lookup_elem(table, &index);
					if (word)
						words[i] = *word;
				}
				f->matched.match_offset = words[0];
				f->matched.match_count = words[1];
				f->matched.except_offset = words[2];
				f->matched.except_count = words[3];
			}
		}
	}
	consider(&s, f->path.match_offset, f->path.match_count);
	consider(&s, f->prefix.match_offset, f->prefix.match_count);
	consider(&s, f->name.match_offset, f->name.match_count);
	consider(&s, f->matched.match_offset, f->matched.match_count);
	consider(&s, p->always_offset, p->always_count);
	if (f->enforced == NONE && f->audited == NONE)
		return 0;

	u32 outcome = OUTCOME_ALLOWED;
	if (f->enforced != NONE) {
		u32 rank = f->enforced;
		struct rule *rule = bpf_map_lookup_elem(s.rules, &rank);
		if (!rule || rule->action != ACTION_ALERT) {
			bpf_send_signal(SIGKILL);
			outcome = OUTCOME_KILLED;
		}
	}
	struct record *r = &out->head;
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = RECORD_EXEC;
	r->outcome = outcome;
	r->cgroup = cgroup;
	r->generation = c->generation;
	r->enforced = f->enforced;
	r->audited = f->audited;
	r->role = role;
	r->source = f->source;
	report_exec(task, bprm);
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

	if (!c) {
		if (state && (entered || role == ROLE_HELD)) {
			hold(task, state, cgroup);
		} else if (!state && is_runtime(bprm)) {
			struct task_state fresh = { .role = ROLE_RUNTIME, .host_root = root };
			set_state(task, &fresh);
		}
		return 0;
	}
	if (state && entered)
		role = state->role = BPF_CORE_READ(task, tgid) == c->init_pid ? ROLE_ENTRYPOINT : ROLE_SESSION;
	/* Else it is the runtime's own re-execution, already in the container's cgroup. */
	if (role != ROLE_RUNTIME && c->profile)
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
