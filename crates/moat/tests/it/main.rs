//! The built command line, as a person or a script meets it.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod agent;
mod bench;
mod console;
mod help;
mod node;
mod policy;
mod rendering;
mod up;

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

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
            text.push_str("--- ");
            text.push_str(name);
            text.push('\n');
            text.push_str(std::str::from_utf8(bytes).unwrap());
        }
    }
    text
}

/// Runs to the end and compares with the snapshot; `hidden` stands for a path of this run.
fn run(arguments: &[&str], hidden: &Path) -> String {
    let output = moat(arguments).output().unwrap();
    transcript(&output).replace(&hidden.display().to_string(), "DIR")
}

/// A folder with `moat` and, beside it, a shell script in the agent's place.
fn with_agent(script: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    // By another process: a file that this one has open for writing, even in a child that another test's thread
    // is about to start, cannot be executed.
    let placed = Command::new("/bin/sh")
        .arg("-c")
        .arg(r#"cp "$1" "$2/moat" && printf '#!/bin/sh\n%s\n' "$3" > "$2/moat-enforcer" && chmod 755 "$2/moat-enforcer""#)
        .arg("place")
        .args([env!("CARGO_BIN_EXE_moat").as_ref(), folder.path().as_os_str(), script.as_ref()])
        .status()
        .unwrap();
    assert!(placed.success());
    folder
}
