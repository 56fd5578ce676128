//! `cargo xtask bench-kernel`: what Moat adds to system calls, in instructions, counted in a guest with Debian's kernel
//! and written to `docs/performance.md`. Unlike `cargo xtask bench` it says the same on every machine.
//!
//! The program `moat-speed` of `tests/kernel` does it.

use anyhow::Result;
use clap::Args;

use crate::bench::report;
use crate::demo::terminal;
use crate::workspace;

const START: &str = "<!-- counts: written by `cargo xtask bench-kernel` -->";
const END: &str = "<!-- /counts -->";

#[derive(Debug, Args)]
pub struct Options {
    /// The series of Debian's kernel; only that of 6.12 goes to docs/performance.md.
    #[arg(long, default_value = RECORDED)]
    series: String,
    /// Measure only in these states (`detached`, `out_of_scope`, `rules_10` …), and leave docs/performance.md alone.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

const RECORDED: &str = "6.12";

/// Measures, prints and records.
pub fn run(options: &Options) -> Result<Vec<String>> {
    terminal::heading("Building");
    workspace::output("cargo", &["build", "--quiet", "-p", "moat-kernel-tests", "--bins"])?;
    terminal::heading("Counting");
    let programs = workspace::programs()?;
    let results = programs.join("bench-kernel.json");
    let (program, results) = (programs.join("moat-speed"), results.to_string_lossy().into_owned());
    let mut arguments = vec![results.as_str(), &options.series];
    arguments.extend(options.only.iter().map(String::as_str));
    let table = workspace::output(&program.to_string_lossy(), &arguments)?;
    println!("{table}\nEverything is in {results}.");
    if options.only.is_empty() && options.series == RECORDED {
        let commit = workspace::output("git", &["rev-parse", "--short", "HEAD"])?;
        let head =
            format!("`cargo xtask bench-kernel`, {}, commit {}", jiff::Zoned::now().date(), commit.trim());
        report::replace(START, END, &format!("{head}; {table}"))?;
    }
    Ok(Vec::new())
}
