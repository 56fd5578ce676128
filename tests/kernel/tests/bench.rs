//! The bench itself: what comes to harm in a guest is told apart, and takes nothing else with it.

use std::path::Path;

use moat_kernel_tests::bench::{self, Missing, Run};
use moat_kernel_tests::protocol::Verdict::{self, Failed, Ok as Passed, Skipped};
use moat_kernel_tests::suites::Machine;
use moat_testkit::skip;

#[test]
fn troubles_are_told_apart() {
    let cache = bench::cache(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let expected: [(&str, Verdict, &str); 9] = [
        ("trouble::fails", Failed, "as it was told"),
        ("trouble::panics", Failed, "trouble.rs"),
        ("trouble::is_skipped", Skipped, "as it was told"),
        ("trouble::ends_its_process", Failed, "its process ended: signal: 6"),
        ("trouble::works", Passed, ""),
        ("trouble::hangs", Failed, "no end after 3 s"),
        ("trouble::ends_its_guest", Failed, "the kernel panicked"),
        ("boot::containers_are_apart", Passed, ""),
        ("trouble::is_unknown", Failed, "the guest's init gave up"),
    ];
    let cases = expected.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let program = Path::new(env!("CARGO_BIN_EXE_moat-guest"));
    let mut run = Run::new("6.12", Machine::Plain, cases, program, &cache).logged_as("trouble");
    for (name, verdict, text) in expected {
        let found = match run.verdict(name) {
            Ok(found) => found,
            Err(error) if error.is::<Missing>() => return skip("lsm", error),
            Err(error) => panic!("{error:#}"),
        };
        assert!(found.0 == verdict && found.1.contains(text), "{name}: {found:?}");
    }
}
