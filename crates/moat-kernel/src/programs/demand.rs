//! Which programs rules need: each costs every process that comes by, in a container or not, so it is attached only
//! while some container's rules need it ([`super::on_demand`]).

use super::tables::need;

/// What the rules of a container ask for, and the LSM programs that judge it.
const BY_NEED: &[(u32, &[&str])] = &[
    (need::EXEC, &["moat_lsm_exec", "moat_lsm_map_code", "moat_lsm_protect_code"]),
    // What an interpreter reads may be a script.
    (NAMED, &["moat_lsm_open"]),
    (
        need::FILE,
        &[
            "moat_lsm_open",
            "moat_lsm_receive",
            "moat_lsm_map",
            "moat_lsm_truncate",
            "moat_lsm_truncate_open",
            "moat_lsm_chmod",
            "moat_lsm_chown",
            "moat_lsm_set_owner",
            "moat_lsm_mknod",
            "moat_lsm_mkdir",
            "moat_lsm_symlink",
            "moat_lsm_unlink",
            "moat_lsm_rmdir",
            "moat_lsm_set_attribute",
            "moat_lsm_remove_attribute",
            "moat_lsm_set_acl",
            "moat_lsm_remove_acl",
        ],
    ),
    // Programs are taken out of a rule by another name.
    (need::FILE | NAMED, &["moat_lsm_rename", "moat_lsm_link"]),
    (need::CAPABILITY, &["moat_lsm_capable"]),
    (need::EGRESS, &["moat_lsm_connect"]),
    (need::LISTEN, &["moat_lsm_bind", "moat_lsm_listen"]),
    (need::RAW, &["moat_lsm_socket"]),
];

/// `PROGRAM_NEEDS` in `bpf/escape.h`, `NEED_INTERPRETED` in `bpf/lsm_exec.h`.
const NAMED: u32 = need::NAME | need::NAME_AUTOMATON | need::PATH | need::PREFIX | need::PATH_AUTOMATON;

/// Programs that keep Moat itself from containers with any rules at all.
const TAMPERING: &str = "moat_tamper_";
/// But for those that are at no hook of the LSM.
const MOVES: &str = "moat_tamper_move";

/// The programs that judge what is needed.
pub(super) fn by(needs: u32) -> impl Iterator<Item = &'static str> {
    BY_NEED
        .iter()
        .filter(move |(need, _)| needs & need != 0)
        .flat_map(|(_, programs)| programs.iter().copied())
}

/// Whether a program is needed wherever there are rules.
pub(super) fn by_any_rule(program: &str) -> bool {
    program.starts_with(TAMPERING) && program != MOVES
}

/// Whether a program is attached only while rules need it.
pub(crate) fn is_on_demand(program: &str) -> bool {
    super::calls::HOOKS.contains(&program)
        || by_any_rule(program)
        || by(u32::MAX).any(|named| named == program)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::programs::features;

    #[test]
    fn every_lsm_program_waits_until_rules_need_it() {
        let all: BTreeSet<&str> = features::all().unwrap().iter().map(|feature| feature.program).collect();
        let always: Vec<_> = all.iter().filter(|program| !is_on_demand(program)).collect();
        assert!(always.is_empty(), "{always:?}");
        let unknown: Vec<_> = by(u32::MAX).filter(|program| !all.contains(program)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn rules_need_no_more_than_they_are_about() {
        let network: Vec<_> = by(need::EGRESS).collect();
        assert_eq!(network, ["moat_lsm_connect"]);
        assert!(!by(need::EXEC | need::ARGUMENTS).any(|program| program == "moat_lsm_open"));
        assert!(by(need::EXEC | need::NAME).any(|program| program == "moat_lsm_open"));
        assert_eq!(by(0).count(), 0);
    }
}
