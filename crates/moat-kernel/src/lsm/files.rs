//! Which programs judge files: most everywhere, some where this kernel has their hooks.

use std::ffi::CStr;

use crate::programs::attempt::{has_lsm_hook, try_programs};

const EVERYWHERE: &[&str] = &[
    "moat_lsm_open",
    "moat_lsm_receive",
    "moat_lsm_map",
    "moat_lsm_truncate",
    "moat_lsm_chmod",
    "moat_lsm_mknod",
    "moat_lsm_mkdir",
    "moat_lsm_symlink",
    "moat_lsm_unlink",
    "moat_lsm_rmdir",
    "moat_lsm_rename",
    "moat_lsm_link",
    "moat_lsm_set_attribute",
    "moat_lsm_remove_attribute",
];

/// Hooks that came later. Before them, the kernel called one of the others.
const LATER: &[(&CStr, &str)] = &[
    (c"file_truncate", "moat_lsm_truncate_open"),
    (c"inode_set_acl", "moat_lsm_set_acl"),
    (c"inode_remove_acl", "moat_lsm_remove_acl"),
];

/// Takes structures by value, which programs can from 6.0 on.
pub(super) const OWNER: &str = "moat_lsm_chown";
/// In its place.
const OWNER_BEFORE: &str = "moat_lsm_set_owner";

/// All that this kernel takes.
pub(crate) fn programs() -> Vec<&'static str> {
    let later = LATER.iter().filter(|(hook, _)| has_lsm_hook(hook)).map(|(_, program)| *program);
    let owner = if try_programs(&[OWNER]).is_ok() { OWNER } else { OWNER_BEFORE };
    EVERYWHERE.iter().copied().chain(later).chain([owner]).collect()
}
