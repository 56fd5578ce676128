//! Measures in a guest what acts cost: `cargo xtask bench-kernel` starts it.
//!
//! Prints a table in Markdown, and writes everything to the file that it is told.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use moat_kernel_tests::bench::{self, Run, SERIES};
use moat_kernel_tests::protocol::Verdict;
use moat_kernel_tests::speed::{Measured, Memory, STATES, SUITE, table};
use moat_kernel_tests::suites::Machine;
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Results {
    kernel: String,
    /// In instructions.
    measured: Vec<Measured>,
    /// In bytes, of 100 rules.
    memory: Option<Memory>,
}

/// `moat-speed FILE [SERIES [STATE...]]`
fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(file) = arguments.next().map(PathBuf::from) else {
        bail!("moat-speed FILE [SERIES [STATE...]]")
    };
    let series = arguments.next().unwrap_or_else(|| "6.12".into());
    let series =
        *SERIES.iter().find(|known| **known == series).with_context(|| format!("not one of {SERIES:?}"))?;
    let only: Vec<String> = arguments.collect();
    let names = STATES.into_iter().map(moat_kernel_tests::speed::State::name).chain([String::from("memory")]);
    let names: Vec<String> = names.filter(|name| only.is_empty() || only.contains(name)).collect();
    ensure!(!names.is_empty(), "none of {only:?} is a state");

    let programs = std::env::current_exe()?;
    let programs = programs.parent().context("this program is in no folder")?;
    let cache = bench::cache(&programs.join("../tmp"));
    let cases: Vec<String> = names.iter().map(|name| format!("{SUITE}::{name}")).collect();
    let program = programs.join("moat-guest");
    let mut run = Run::new(series, Machine::Counting, cases.clone(), &program, &cache).logged_as("speed");
    let mut results = Results { kernel: String::new(), measured: Vec::new(), memory: None };
    for case in cases {
        let (verdict, text) = run.verdict(&case)?;
        ensure!(verdict == Verdict::Ok, "{case}: {verdict:?}: {text}");
        if case.ends_with("::memory") {
            results.memory = Some(serde_json::from_str(&text)?);
        } else {
            results.measured.push(serde_json::from_str(&text)?);
        }
    }
    eprintln!();
    run.release().unwrap_or_default().clone_into(&mut results.kernel);
    keep(&file, &results)?;
    println!("{}", text(&results));
    Ok(())
}

fn text(results: &Results) -> String {
    let mut text = format!("Linux {}.\n\n{}", results.kernel, table::markdown(&results.measured));
    for one in results.measured.iter().filter(|one| one.load > 0.0) {
        let _ =
            write!(text, "\n* {}: in force after {:.1} million instructions", one.state.title(), one.load);
    }
    if let Some(memory) = results.memory {
        let kibibytes = |bytes: i64| bytes as f64 / 1024.0;
        let (maps, slabs) = (kibibytes(memory.maps), kibibytes(memory.slabs));
        let _ = write!(
            text,
            "\n* 100 rules take {maps:.1} KiB of maps; the kernel's slabs grew by {slabs:.0} KiB"
        );
    }
    text
}

fn keep(file: &Path, results: &Results) -> Result<()> {
    let json = serde_json::to_string_pretty(results)?;
    std::fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))
}
