use std::collections::HashSet;

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Enum;

use super::*;
use crate::programs::object::OBJECT;

#[test]
fn hooks_have_the_numbers_that_the_programs_give_them() {
    let btf = Btf::from_raw("calls", &OBJECT.0).expect("the object opens").expect("the object has BTF");
    let hooks = btf.type_by_name::<Enum<'_>>("call_hook").expect("enum call_hook");
    let names: Vec<String> = hooks
        .iter()
        .map(|member| member.name.expect("a name").to_string_lossy().replace("HOOK_", "moat_call_"))
        .collect();
    assert_eq!(names, HOOKS);
    assert!(HOOKS.len() <= 64, "a bit for each in call_gates");
}

#[test]
fn every_call_and_hook_is_known_and_used_once() {
    let calls: Vec<_> = ROWS.iter().flat_map(|row| row.calls).collect();
    assert_eq!(calls.iter().collect::<HashSet<_>>().len(), calls.len());
    for call in &calls {
        assert!(moat_policy::syscalls::is_known(call), "{call}");
    }
    let hooks: HashSet<_> = ROWS.iter().flat_map(|row| row.hooks).copied().collect();
    let programs: HashSet<_> = HOOKS.into_iter().filter_map(hook).collect();
    assert_eq!(hooks, programs);
}

#[test]
fn a_call_is_held_where_all_its_hooks_are() {
    let unshare = number("unshare").expect("known");
    assert!(contains(&held_by(&["moat_call_capable", "moat_call_userns_create"]), unshare));
    assert!(!contains(&held_by(&["moat_call_capable"]), unshare));
    let ftruncate = number("ftruncate").expect("known");
    assert!(
        contains(&held_by(&["moat_call_path_truncate"]), ftruncate),
        "older kernels have no file_truncate"
    );
    assert_eq!(held_by(&[]), Calls::default());
}

/// The table in docs/enforcement.md is this one; `MOAT_BLESS=1` writes it.
#[test]
fn the_page_about_enforcement_has_the_table() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/enforcement.md");
    let text = std::fs::read_to_string(&page).expect("docs/enforcement.md");
    let (begin, end) = ("<!-- system calls: begin -->\n", "<!-- system calls: end -->");
    let (head, rest) = text.split_once(begin).expect("where the table begins");
    let (table, tail) = rest.split_once(end).expect("where the table ends");
    let list = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let line = |row: &Row| {
        format!("| {} | {} | {} |\n", list(row.calls), list(row.hooks), row.spared.unwrap_or_default())
    };
    let heading = String::from("| system calls | LSM hooks | not refused |\n| --- | --- | --- |\n");
    let expected: String = std::iter::once(heading).chain(ROWS.iter().map(line)).collect();
    if std::env::var_os("MOAT_BLESS").is_some() {
        std::fs::write(&page, format!("{head}{begin}{expected}{end}{tail}")).expect("the page is written");
        return;
    }
    assert_eq!(table, expected, "write it with MOAT_BLESS=1");
}

#[test]
fn what_a_hook_is_reached_by_otherwise_is_named_by_its_call() {
    for (call, named) in [("connect", "connect"), ("accept4", "accept"), ("sendmmsg", "sendto")] {
        let others: Vec<_> = otherwise(call).collect();
        assert_eq!(others.len(), 1);
        assert_eq!(name(others[0]), Some(named));
    }
    assert_eq!(otherwise("ptrace").count(), 0);
}
