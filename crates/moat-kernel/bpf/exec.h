/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Executions: who is new in which container, and what its rules say. The tracepoint comes after the new
 * program is in place and before its first instruction, so a signal sent here is taken before that. */
#pragma once

#define SIGKILL 9
#define SIGSTOP 19

struct argument_run {
	struct facts *facts;
	u64 key;
	u32 slot, state;
};

static long argument_piece(u32 i, struct argument_run *a)
{
	u32 length = read_piece(a->slot);
	if (!length)
		return 1;
	a->state = run_automaton(a->slot, a->key, a->state, 0, length);
	return !a->state || !a->facts->strings_left;
}
LOOP_BODY(argument_piece, struct argument_run)

/* Notes which argument expressions of one automaton match; 1 where the arguments could not be read. Each argument has a
 * NUL behind it; the automaton takes a NUL as the space that joins them, and the last one is left out. */
__noinline u32 match_arguments(u32 slot, u64 key)
{
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	if (!f)
		return 1;
	struct argument_run a = { .facts = f, .key = key, .slot = slot, .state = FROM_START };
	begin_reading(f);
	if (f->strings_left)
		LOOP(PIECES, argument_piece, &a);
	if (a.state && f->strings_left)
		return 1;
	end_automaton(slot, key, a.state);
	return 0;
}

static __always_inline void match_all_arguments(u32 slot, struct facts *f, u32 groups)
{
	for (u32 group = 0; group < GROUPS && group < groups; group++) {
		if (match_arguments(slot, AUTOMATON_KEY(f->profile, AUTOMATON_ARGUMENTS, group))) {
			count(COUNTER_UNREADABLE);
			f->arguments_unreadable = 1;
		}
	}
}

struct copy {
	struct facts *facts;
	const char *from;
	char *to;
	u32 slot;
	u32 end;
};

static long copy_piece(u32 i, struct copy *c)
{
	u32 length = c->end < ARGUMENTS_KEPT ? read_piece(c->slot) : 0;
	if (!length)
		return 1;
	barrier_var(length);
	bpf_probe_read_kernel(c->to + (c->end & (2 * ARGUMENTS_KEPT - 1)), length & (2 * PIECE - 1), c->from);
	c->end += length;
	return 0;
}
LOOP_BODY(copy_piece, struct copy)

struct strings {
	const char *bytes;
	u32 end;
	u32 left;
};

static long string_byte(u32 i, struct strings *s)
{
	s->end = i + 1;
	return !s->bytes[i & (2 * ARGUMENTS_KEPT - 1)] && !--s->left;
}
LOOP_BODY(string_byte, struct strings)

/* Copies the first arguments of an execution to where the record is at `from`; how many bytes, and in the record how many
 * there are at least. */
__noinline u32 append_arguments(u32 slot, u32 from)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	struct record_buffer *out = bpf_map_lookup_elem(&record_buffers, &slot);
	if (!f || !buffer || !out || from > PATH_LIMIT || !f->arguments_count)
		return 0;
	struct copy c = { .facts = f, .from = buffer->bytes, .to = out->bytes + from, .slot = slot };
	begin_reading(f);
	LOOP(ARGUMENTS_KEPT / PIECE + 1, copy_piece, &c);
	struct strings s = { .bytes = out->bytes + from, .left = f->arguments_count };
	LOOP(c.end < ARGUMENTS_KEPT ? c.end : ARGUMENTS_KEPT, string_byte, &s);
	bool all = !s.left || (f->arguments_end && s.end == f->arguments_end - f->arguments_start);
	out->head.arguments_total = all ? s.end : s.end + 1;
	return s.end;
}

/* Puts behind the head of a record what there is to tell of an execution of the file whose dentry and mount these are, and
 * into it the lengths; how many bytes that are. */
static __always_inline u32 describe_exec(u32 slot, struct record_buffer *out, struct path_buffer *buffer, u64 dentry, u64 mount)
{
	u32 one = PATH_BUFFER(slot, 1), end = 0;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct record *r = &out->head;
	describe_actor(r, task);
	u32 offset = path_walk(dentry, mount, one);
	r->values[0] = buffer->cut;
	r->path_length = append(out, &end, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, PATH_LIMIT);
	r->arguments_length = append_arguments(slot, end);
	end += r->arguments_length;
	append_surroundings(out, &end, buffer, one, task, BPF_CORE_READ(task, real_parent, mm, exe_file));
	return end;
}

/* Sends the record of an execution of the file whose dentry and mount these are. */
__noinline u32 report_exec(u32 slot, u64 dentry, u64 mount)
{
	u32 one = PATH_BUFFER(slot, 1);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct record_buffer *out = bpf_map_lookup_elem(&record_buffers, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &one);
	if (!f || !out || !buffer)
		return 0;
	if (!within_allowance(out->head.cgroup)) {
		suppress(&out->head);
		return 0;
	}
	u32 end = describe_exec(slot, out, buffer, dentry, mount);
	if (end <= 2 * (PATH_LIMIT + ARGUMENTS_KEPT))
		send(out, sizeof(out->head) + end);
	return 0;
}

/* Finds the rules on one name of the program, a kernel string; without one, on its applet in the second path buffer. */
__noinline u32 note_name(u32 slot, u64 text, u32 length)
{
	u32 zero = PATH_BUFFER(slot, 0), one = PATH_BUFFER(slot, 1);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &zero);
	struct path_buffer *applet = bpf_map_lookup_elem(&path_buffers, &one);
	if (!f || !buffer || !applet || length >= PATH_LIMIT)
		return 0;
	u32 profile = f->profile;
	struct profile *p = bpf_map_lookup_elem(&profiles, &profile);
	const char *from = text ? (const char *)text : applet->bytes;
	if (!p)
		return 0;
	barrier_var(length);
	bpf_probe_read_kernel(buffer->bytes, length & (PATH_LIMIT - 1), from);
	if (f->needs & NEED_NAME) {
		struct lists none = {}, *found = text_lists(slot, profile, TEXT_NAME, from, length);
		if (!found)
			found = &none;
		if (text) {
			f->name = *found;
		} else {
			/* A multi-call program passes by what it does. */
			f->applet = *found;
			f->name.except_offset = found->except_offset;
			f->name.except_count = found->except_count;
		}
	}
	if (f->needs & NEED_NAME_AUTOMATON) {
		u32 groups = p->groups >> 8 * AUTOMATON_NAME & 255;
		for (u32 group = 0; group < GROUPS && group < groups; group++) {
			u64 key = AUTOMATON_KEY(profile, AUTOMATON_NAME, group);
			end_automaton(slot, key, run_automaton(slot, key, FROM_START, 0, length));
		}
	}
	return text && is_multicall(buffer->bytes, length);
}

struct naming {
	struct facts *facts;
	const char *bytes, *name;
	u32 slot;
};

#define NOT_THIS_NAME NONE

static long naming_byte(u32 i, struct naming *n)
{
	struct applet_scan *scan = &n->facts->scan;
	u8 byte = n->bytes[i & (PATH_LIMIT - 1)];
	u32 offset = scan->offset;
	if (!byte && offset == scan->length) {
		scan->found = 1;
		return 1;
	}
	if (!byte || byte == '/')
		scan->offset = 0;
	else
		scan->offset = offset < scan->length && byte == (u8)n->name[offset & 255] ? offset + 1 : NOT_THIS_NAME;
	return 0;
}
LOOP_BODY(naming_byte, struct naming)

static long naming_piece(u32 i, struct naming *n)
{
	u32 length = read_piece(n->slot);
	if (length)
		LOOP(length, naming_byte, n);
	return !length || n->facts->scan.found;
}
LOOP_BODY(naming_piece, struct naming)

/* Whether the base name of a file is that of an argument of the current task. */
__noinline u32 named_by_argument(u32 slot, u64 dentry)
{
	u32 zero = PATH_BUFFER(slot, 0), one = PATH_BUFFER(slot, 1);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *bytes = bpf_map_lookup_elem(&path_buffers, &zero);
	struct path_buffer *name = bpf_map_lookup_elem(&path_buffers, &one);
	if (!f || !bytes || !name)
		return 0;
	struct qstr *own = &((struct dentry *)dentry)->d_name;
	struct naming n = { .facts = f, .bytes = bytes->bytes, .name = name->bytes, .slot = slot };
	__builtin_memset(&f->scan, 0, sizeof(f->scan));
	f->scan.length = BPF_CORE_READ(own, len);
	bpf_probe_read_kernel(name->bytes, 256, BPF_CORE_READ(own, name));
	begin_reading(f);
	LOOP(PIECES, naming_piece, &n);
	return f->scan.found;
}

/* Finds the rules on one path. Of a file that is only mapped, those that name it exactly. What an interpreter reads below a
 * directory is a script only if that is what it was started for: it reads its data as well. */
static __always_inline u32 select_path(u32 slot, struct facts *f, u32 manner, u64 dentry, u32 offset)
{
	u32 found = select_by_path(slot, TEXT_PATH, offset);
	if (f->found.prefix.match_count || f->found.matched.match_count) {
		if (manner == MAPPED || (manner == INTERPRETED && !named_by_argument(slot, dentry)))
			f->found.prefix.match_count = f->found.matched.match_count = 0;
	}
	return found;
}

/* What the program in this file runs besides itself, if it is known by what it was called before. */
static __always_inline u32 object_runs(struct facts *f, u64 dentry)
{
	struct inode *inode = BPF_CORE_READ((struct dentry *)dentry, d_inode);
	struct object_key key = { .profile = f->profile, .kind = TEXT_RUNS };
	key.inode = BPF_CORE_READ(inode, i_ino);
	key.device = BPF_CORE_READ(inode, i_sb, s_dev);
	return mask_of(bpf_map_lookup_elem(&objects, &key));
}

/* Finds out what the rules ask for about the program in this file. The facts say where its arguments are. */
__noinline u32 gather_facts(u32 slot, u32 manner, u64 dentry)
{
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	if (!f || !dentry)
		return 0;
	u32 profile = f->profile, needs = f->needs;
	struct profile *p = bpf_map_lookup_elem(&profiles, &profile);
	if (!p)
		return 0;
	f->source = source_of(dentry, f->root_device);
	if (needs & NEED_LINEAGE)
		f->parents = ancestor_sets(slot);
	if (needs & NEED_USER)
		f->users = user_sets((struct task_struct *)bpf_get_current_task(), profile);
	if (manner != EXECUTED)
		f->arguments_unreadable = 1;
	else if (needs & NEED_ARGUMENTS)
		match_all_arguments(slot, f, p->groups >> 8 * AUTOMATON_ARGUMENTS & 255);
	if (!(needs & (NEED_NAME | NEED_NAME_AUTOMATON)))
		return 0;
	struct qstr *name = &((struct dentry *)dentry)->d_name;
	bool multicall = note_name(slot, (u64)BPF_CORE_READ(name, name), BPF_CORE_READ(name, len)) ||
			 object_runs(f, dentry) & RUNS_APPLETS;
	if (multicall && manner == EXECUTED && find_applet(slot))
		note_name(slot, 0, f->scan.length);
	/* The loader takes options of its own before the program's arguments. */
	if (multicall && manner == LAUNCHED)
		f->unjudged = 1;
	return 0;
}

/* Judges the program in this file by rules on all its names, with the facts that were gathered. The action of the enforced
 * rule. */
__noinline u32 judge_program(u32 slot, u32 manner, u64 dentry, u64 mount)
{
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct search s = {};
	if (!f || !dentry || !open_search(&s, f))
		return ACTION_ALERT;
	u32 profile = f->profile, needs = f->needs;
	struct profile *p = bpf_map_lookup_elem(&profiles, &profile);
	if (!p)
		return ACTION_ALERT;
	u32 other = PATH_LIMIT, by_path = 0, by_name = f->name.match_count;
	if (needs & (NEED_PATH | NEED_PREFIX | NEED_PATH_AUTOMATON)) {
		u32 offset = path_walk(dentry, mount, PATH_BUFFER(slot, 0));
		select_path(slot, f, manner, dentry, offset);
		by_path = f->found.path.match_count;
		consider_found(&s);
	}
	consider(&s, f->name.match_offset, f->name.match_count);
	consider(&s, f->applet.match_offset, f->applet.match_count);
	s.manner = manner;
	consider(&s, p->always_offset, p->always_count);
	s.manner = EXECUTED;

	/* By its other names only what is listed to match: who made the name that it goes by chose that one. */
	if (needs & (NEED_PATH | NEED_PREFIX | NEED_PATH_AUTOMATON)) {
		path_walk(dentry, mount, PATH_BUFFER(slot, 0));
		other = other_path(slot, f, dentry);
		if (other != PATH_LIMIT && select_path(slot, f, manner, dentry, other))
			consider_found(&s);
	}
	/* Reached by another name than rules have for it: what that name excepts says nothing about what it is. */
	struct inode *file = BPF_CORE_READ((struct dentry *)dentry, d_inode);
	u64 inode = BPF_CORE_READ(file, i_ino);
	u32 device = BPF_CORE_READ(file, i_sb, s_dev);
	__builtin_memset(&f->name, 0, sizeof(f->name));
	if (!by_path && needs & NEED_PATH)
		consider_objects(slot, TEXT_PATH, inode, device);
	if (!by_name && needs & NEED_NAME)
		consider_objects(slot, TEXT_NAME, inode, device);
	return enforced_action(&s);
}

/* Where the arguments of the program are that the current task has. */
static __always_inline void own_arguments(struct facts *f, u32 count)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	f->arguments_memory = 0;
	f->arguments_start = BPF_CORE_READ(task, mm, arg_start);
	f->arguments_end = BPF_CORE_READ(task, mm, arg_end);
	f->arguments_count = count;
}

static __noinline int judge_exec(struct linux_binprm *bprm, struct container *c, u64 cgroup, u32 role)
{
	u32 slot = TRACEPOINT_SLOT;
	if (!bprm || !c || !(c->needs & NEED_EXEC))
		return 0;
	struct facts *f = new_facts(slot, c, cgroup, role);
	if (!f)
		return 0;
	struct path path = BPF_CORE_READ(bprm, file, f_path);
	own_arguments(f, BPF_CORE_READ(bprm, argc));
	gather_facts(slot, EXECUTED, (u64)path.dentry);
	u32 action = judge_program(slot, EXECUTED, (u64)path.dentry, (u64)path.mnt);
	if (f->enforced == NONE && f->audited == NONE && !f->unjudged)
		return 0;
	u32 outcome = OUTCOME_ALLOWED;
	if (action != ACTION_ALERT || f->unjudged) {
		bpf_send_signal(SIGKILL);
		outcome = OUTCOME_KILLED;
	}
	if ((f->enforced != NONE || f->audited != NONE) && new_record(slot, f, RECORD_EXEC, outcome))
		report_exec(slot, (u64)path.dentry, (u64)path.mnt);
	return outcome;
}

static __always_inline bool agent_lives(void)
{
	u32 zero = 0;
	struct agent *a = bpf_map_lookup_elem(&agent, &zero);
	return a && a->waits && (s64)(bpf_ktime_get_ns() - a->beat) < (s64)AGENT_GONE;
}

/* The pod of a container's task, as its cgroups lie. */
static __always_inline u64 pod_of(struct task_struct *task)
{
	struct cgroup *cgroup = cgroup_of(task);
	return BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id);
}

/* The agent runs this itself, once, where it lives in a pod. */
SEC("syscall")
int moat_settle(void *context)
{
	u32 zero = 0;
	u64 pod = pod_of((struct task_struct *)bpf_get_current_task());
	bpf_map_update_elem(&agent_pod, &zero, &pod, BPF_ANY);
	return 0;
}

static __always_inline bool in_agents_pod(struct task_struct *task)
{
	u32 zero = 0;
	u64 *pod = bpf_map_lookup_elem(&agent_pod, &zero);
	return pod && *pod && *pod == pod_of(task);
}

/* A start in a cgroup that the agent does not know yet: the task waits, stopped before its first
 * instruction, until the agent knows. Without an agent it would wait for ever; it goes on, and the next agent
 * is told of it. So does what starts in the agent's own pod. */
static __always_inline void hold(struct task_struct *task, struct task_state *state, u64 cgroup)
{
	u32 pid = BPF_CORE_READ(task, tgid);
	state->cgroup = cgroup;
	struct hold held = { .cgroup = cgroup, .started = BPF_CORE_READ(task, group_leader, start_boottime) };
	bool agents_own = in_agents_pod(task);
	if (agents_own || !agent_lives()) {
		if (state->role != ROLE_HELD && !agents_own)
			count(COUNTER_UNHELD);
		state->role = ROLE_HELD;
		return;
	}
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

/* Loaders and interpreters by the beginnings of their names. */
static __always_inline u32 runs(const char *name, u32 length)
{
	if (BEGINS(name, length, "ld-") || BEGINS(name, length, "ld.so") || BEGINS(name, length, "ld64.so") ||
	    BEGINS(name, length, "libc.so")) /* musl's is its loader */
		return RUNS_LOADER;
	if (length == 2 && BEGINS(name, length, "sh"))
		return RUNS_INTERPRETER;
	if (BEGINS(name, length, "bash") || BEGINS(name, length, "dash") || BEGINS(name, length, "ash") ||
	    BEGINS(name, length, "hush") || BEGINS(name, length, "ksh") || BEGINS(name, length, "mksh") ||
	    BEGINS(name, length, "zsh") || BEGINS(name, length, "python") || BEGINS(name, length, "perl") ||
	    BEGINS(name, length, "ruby") || BEGINS(name, length, "node") || BEGINS(name, length, "php") ||
	    BEGINS(name, length, "lua"))
		return RUNS_INTERPRETER;
	return 0;
}

/* What a program runs besides itself; a multi-call program by its applet. */
__noinline u32 program_runs(u32 slot, u64 dentry)
{
	u32 one = PATH_BUFFER(slot, 1);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &one);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	if (!f || !buffer || !dentry)
		return 0;
	struct qstr *name = &((struct dentry *)dentry)->d_name;
	u32 length = BPF_CORE_READ(name, len);
	bpf_probe_read_kernel(buffer->bytes, 16, BPF_CORE_READ(name, name));
	u32 known = object_runs(f, dentry) | runs(buffer->bytes, length);
	if (!(known & RUNS_APPLETS) && !is_multicall(buffer->bytes, length))
		return known;
	return find_applet(slot) ? runs(buffer->bytes, f->scan.length) & RUNS_INTERPRETER : 0;
}

/* Notes of a task in a container what its new program runs. */
static __noinline int note_runs(struct task_struct *task, struct linux_binprm *bprm, u32 profile)
{
	u32 slot = TRACEPOINT_SLOT;
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	if (!f || !task || !bprm)
		return 0;
	f->profile = profile;
	own_arguments(f, BPF_CORE_READ(bprm, argc));
	u32 runs = program_runs(slot, (u64)BPF_CORE_READ(bprm, file, f_path.dentry));
	struct task_state *state = state_of(task);
	if (state) {
		state->runs = runs;
	} else if (runs) {
		struct task_state fresh = { .role = ROLE_UNKNOWN, .runs = runs };
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

	if (settings.judged_before && c)
		note_runs(task, bprm, c->profile);
	else if (settings.judged_before && state)
		note_runs(task, bprm, 0);
	if (!c)
		return outside(task, bprm, cgroup, entered);
	if (state && entered) {
		role = state->role = BPF_CORE_READ(task, tgid) == c->init_pid ? ROLE_ENTRYPOINT : ROLE_SESSION;
		state->cgroup = cgroup;
	}
	if (c->needs & NEED_LINEAGE)
		forget_own(task);
	/* Else it is the runtime's own re-execution, already in the container's cgroup. */
	if (role != ROLE_RUNTIME && !settings.judged_before)
		judge_exec(bprm, c, cgroup, role == ROLE_HELD ? ROLE_UNKNOWN : role);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(moat_fork, struct task_struct *parent, struct task_struct *child)
{
	struct task_state *state = state_of(parent);
	struct container *c = NULL;
	u64 cgroup = 0;
	if (state) {
		struct task_state copy = *state;
		set_state(child, &copy);
		if (copy.role == ROLE_RUNTIME)
			return 0;
	}
	if (may_be_contained(parent))
		cgroup = current_container(parent, &c);
	if (c && c->needs & NEED_LINEAGE)
		keep_lineage(parent, child, cgroup);
	return 0;
}
