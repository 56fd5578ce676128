//! Everything that runs in a guest: its init, the suites, and the runtime of its containers.
#![forbid(unsafe_code)]

use anyhow::{Result, bail};
use moat_kernel_tests::{container, node, suites};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if std::process::id() == 1 && arguments.is_empty() {
        node::boot();
        return Ok(());
    }
    match arguments.split_first() {
        Some((word, cases)) if word == "suite" => suites::run(cases),
        Some((word, [request])) if word == "runc" => container::runtime::run(request),
        _ => bail!("this is a guest's init: `cargo test --package moat-kernel-tests` boots it"),
    }
}
