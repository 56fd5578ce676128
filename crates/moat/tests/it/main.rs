//! The built command line, as a person or a script meets it.

mod agent;
mod help;
mod policy;
mod rendering;
mod up;

use std::path::Path;
use std::process::{Command, Output};

/// `moat` with an environment of its own: nothing of this machine's configuration or time zone shows.
fn moat(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moat"));
    command.args(arguments).env_clear().env("TZ", "UTC").env("PATH", "/usr/bin:/bin");
    command.env("MOAT_CONFIG", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/empty.yaml"));
    command
}

/// Exit status, standard output and standard error as one text for a snapshot.
fn transcript(output: &Output) -> String {
    let mut text = format!("status: {}\n", output.status.code().unwrap());
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            text += &format!("--- {name}\n{}", String::from_utf8(bytes.clone()).unwrap());
        }
    }
    text
}

/// Runs to the end and compares with the snapshot; `hidden` stands for a path of this run.
fn run(arguments: &[&str], hidden: &Path) -> String {
    let output = moat(arguments).output().unwrap();
    transcript(&output).replace(&hidden.display().to_string(), "DIR")
}
