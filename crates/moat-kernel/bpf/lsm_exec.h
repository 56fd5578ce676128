/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Executions, before the point of no return: execve itself fails. And what comes to run without execve: files that a
 * task maps as code, and scripts that an interpreter reads. */
#pragma once

#define PROT_EXEC 4
#define VM_EXEC 4
#define FMODE_BACKING 0x2000000

/* Judges with the facts of the slot, and reports. */
static __always_inline int conclude_program(u32 slot, struct facts *f, u32 manner, u64 dentry, u64 mount)
{
	gather_facts(slot, manner, dentry);
	u32 outcome = outcome_of(judge_program(slot, manner, dentry, mount));
	if (f->unjudged && outcome == OUTCOME_ALLOWED)
		outcome = OUTCOME_DENIED;
	if ((f->enforced != NONE || f->audited != NONE) && new_record(slot, f, RECORD_EXEC, outcome))
		report_exec(slot, dentry, mount);
	return verdict(outcome);
}

/* Called for a script, and again for its interpreter with the arguments that it will get. */
static __noinline int judge_new_program(struct linux_binprm *bprm, struct container *c, u64 cgroup)
{
	if (!bprm || !c)
		return 0;
	u32 role = current_role(c->init_pid);
	if (role == ROLE_RUNTIME)
		return 0;
	u32 slot = take_slot();
	if (slot == NO_SLOT)
		return refuse_unjudged();
	struct facts *f = new_facts(slot, c, cgroup, role);
	int result = 0;
	if (f) {
		f->arguments_memory = address_through(&f->address, bprm->mm);
		f->arguments_start = bprm->p;
		f->arguments_count = bprm->argc;
		struct path *path = &bprm->file->f_path;
		u64 dentry = address_through(&f->address, path->dentry), mount = address_through(&f->address, path->mnt);
		result = conclude_program(slot, f, EXECUTED, dentry, mount);
	}
	give_slot(slot);
	return result;
}

SEC("lsm/bprm_check_security")
int BPF_PROG(moat_lsm_exec, struct linux_binprm *bprm)
{
	u64 cgroup;
	struct container *c = container_with(NEED_EXEC, &cgroup);
	return c ? judge_new_program(bprm, c, cgroup) : 0;
}

/* A file that runs in a task which has executed another one. */
static __noinline int judge_other_program(u64 dentry, u64 mount, struct container *c, u64 cgroup, u32 manner)
{
	if (!c || !dentry)
		return 0;
	u32 role = current_role(c->init_pid);
	if (role == ROLE_RUNTIME)
		return 0;
	u32 slot = take_slot();
	if (slot == NO_SLOT)
		return refuse_unjudged();
	struct facts *f = new_facts(slot, c, cgroup, role);
	int result = 0;
	if (f) {
		own_arguments(f, NONE);
		result = conclude_program(slot, f, manner, dentry, mount);
	}
	give_slot(slot);
	return result;
}

/* Rules that say which file: by its name, path or what it is. */
#define NEED_MAPPED (NEED_SOURCE | NEED_NAME | NEED_NAME_AUTOMATON | NEED_PATH)
#define NEED_INTERPRETED (NEED_NAME | NEED_NAME_AUTOMATON | NEED_PATH | NEED_PREFIX | NEED_PATH_AUTOMATON)

static __always_inline int judge_code(u64 address)
{
	u64 cgroup;
	struct container *c = container_with(NEED_EXEC, &cgroup);
	if (!c || !address)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = state_of(task);
	struct file *file = (struct file *)address, *own = BPF_CORE_READ(task, mm, exe_file);
	struct path path = BPF_CORE_READ(file, f_path);

	/* What execve itself maps has been judged. */
	if (bpf_core_field_exists(task->in_execve) && BPF_CORE_READ_BITFIELD_PROBED(task, in_execve))
		return 0;
	/* Of a mapping in an overlay, the file that the task opened. */
	if (BPF_CORE_READ(file, f_mode) & FMODE_BACKING && bpf_core_field_exists(struct backing_file, user_path)) {
		struct backing_file *backing = (void *)file - bpf_core_field_offset(struct backing_file, file);
		path = BPF_CORE_READ(backing, user_path);
	}
	if (own && BPF_CORE_READ(own, f_path.dentry) == path.dentry)
		return 0;
	/* The first file that a loader maps is the program. */
	if (state && state->runs & RUNS_LOADER) {
		state->runs = 0;
		return judge_other_program((u64)path.dentry, (u64)path.mnt, c, cgroup, LAUNCHED);
	}
	if (!(c->needs & NEED_MAPPED))
		return 0;
	return judge_other_program((u64)path.dentry, (u64)path.mnt, c, cgroup, MAPPED);
}

SEC("lsm/mmap_file")
int BPF_PROG(moat_lsm_map_code, struct file *file, unsigned long asked, unsigned long protection, unsigned long flags)
{
	/* Without a file there is none: some verifiers do not know, and take the check away. */
	return protection & PROT_EXEC ? judge_code(address_of(file)) : 0;
}

SEC("lsm/file_mprotect")
int BPF_PROG(moat_lsm_protect_code, struct vm_area_struct *area, unsigned long asked, unsigned long protection)
{
	if (!(protection & PROT_EXEC) || area->vm_flags & VM_EXEC)
		return 0;
	return judge_code(address_of(area->vm_file));
}

static __always_inline bool opened_by_kernel(struct file *file);

/* A file opened for reading. */
static __noinline int judge_script(struct file *file, struct container *c, u64 cgroup)
{
	if (!c || !file)
		return 0;
	struct task_state *state = state_of(bpf_get_current_task_btf());
	if (!state || !(state->runs & RUNS_INTERPRETER) || opened_by_kernel(file))
		return 0;
	struct path *path = &file->f_path;
	return judge_other_program(address_of(path->dentry), address_of(path->mnt), c, cgroup, INTERPRETED);
}
