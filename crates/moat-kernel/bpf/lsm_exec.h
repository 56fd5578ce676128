/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Executions, before the point of no return: execve itself fails. */
#pragma once

/* Called for a script, and again for its interpreter with the arguments that it will get. */
static __noinline int judge_new_program(struct linux_binprm *bprm, struct container *c, u64 cgroup, u32 slot)
{
	if (!bprm || !c)
		return 0;
	u32 role = current_role(c->init_pid);
	if (role == ROLE_RUNTIME)
		return 0;
	struct facts *f = new_facts(slot, c, cgroup, role);
	if (!f)
		return 0;
	u64 dentry = address_of(bprm->file->f_path.dentry), mount = address_of(bprm->file->f_path.mnt);
	f->arguments_memory = address_of(bprm->mm);
	f->arguments_start = bprm->p;
	f->arguments_count = bprm->argc;
	u32 outcome = outcome_of(judge_program(slot, EXECUTED, dentry, mount));
	if (f->unjudged && outcome == OUTCOME_ALLOWED)
		outcome = OUTCOME_DENIED;
	if (f->enforced == NONE && f->audited == NONE)
		return verdict(outcome);
	if (new_record(slot, f, RECORD_EXEC, outcome))
		report_exec(slot, dentry, mount);
	return verdict(outcome);
}

SEC("lsm/bprm_check_security")
int BPF_PROG(moat_lsm_exec, struct linux_binprm *bprm)
{
	u64 cgroup;
	struct container *c = container_with(NEED_EXEC, &cgroup);
	if (!c)
		return 0;
	u32 slot = take_slot();
	if (slot == NO_SLOT)
		return refuse_unjudged();
	int result = judge_new_program(bprm, c, cgroup, slot);
	give_slot(slot);
	return result;
}
