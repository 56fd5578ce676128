//! Checks and chores of the repository: `cargo xtask COMMAND`.
#![forbid(unsafe_code)]

mod arrows;
mod bench;
mod bench_kernel;
mod demo;
mod links;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Checks and chores of the Moat repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fail unless the crates depend on each other exactly as crates/README.md says.
    Arrows,
    /// Fail if a document links to a file that does not exist.
    Links,
    /// Attack a real nginx container with and without Moat, and show what happened.
    Demo {
        /// End after the last attack instead of staying up until Ctrl-C.
        #[arg(long, env = "DEMO_EXIT", value_parser = clap::builder::FalseyValueParser::new())]
        exit: bool,
    },
    /// Measure what Moat costs and write it to docs/performance.md; takes some ten minutes.
    Bench(bench::Options),
    /// Count the instructions that Moat adds to system calls, in a guest, and write it to docs/performance.md.
    BenchKernel(bench_kernel::Options),
}

fn main() -> Result<ExitCode> {
    let findings = match Arguments::parse().command {
        Command::Arrows => arrows::check()?,
        Command::Links => links::check()?,
        Command::Demo { exit } => demo::run(exit)?,
        Command::Bench(options) => bench::run(&options)?,
        Command::BenchKernel(options) => bench_kernel::run(&options)?,
    };
    for finding in &findings {
        eprintln!("{finding}");
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
