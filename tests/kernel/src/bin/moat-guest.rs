//! Everything that runs in a guest: its init, the suites, and the runtime of its containers.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Result, bail};
use moat_kernel_tests::{bench, container, node, suites};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if std::process::id() == 1 && arguments.is_empty() {
        node::boot();
        return Ok(());
    }
    match arguments.split_first() {
        Some((word, cases)) if word == "suite" => suites::run(cases),
        Some((word, [request])) if word == "runc" => container::runtime::run(request),
        // On the host.
        Some((word, [series])) if word == "shell" => {
            let cache = std::env::var_os("MOAT_CACHE").map_or_else(std::env::temp_dir, PathBuf::from);
            bench::shell(series, &std::env::current_exe()?, &cache)
        }
        _ => bail!("this is a guest's init: `cargo test --package moat-kernel-tests` boots it"),
    }
}
