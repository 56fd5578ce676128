//! Everything that runs in a guest: its init, the suites, and the runtime of its containers.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use moat_kernel_tests::{bench, container, node, suites};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if std::process::id() == 1 && arguments.is_empty() {
        node::boot();
        return Ok(());
    }
    match arguments.split_first() {
        Some((word, cases)) if word == "suite" => suites::run(cases),
        Some((word, [])) if word == "agent" => suites::life::agent::run(),
        Some((word, [request])) if word == "runc" => container::runtime::run(request),
        // On the host.
        Some((word, [series])) if word == "shell" => {
            let program = std::env::current_exe()?;
            // Of `target/debug/moat-guest`, where cargo keeps tests' files.
            let target = program.ancestors().nth(2).context("not in a target folder")?.join("tmp");
            bench::shell(series, &program, &bench::cache(&target))
        }
        _ => bail!("this is a guest's init: `cargo test --package moat-kernel-tests` boots it"),
    }
}
