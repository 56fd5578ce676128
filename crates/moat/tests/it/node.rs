//! The commands that run the agent's program on its own, with a shell script in its place.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::{transcript, with_agent};

/// Runs the `moat` of that folder.
fn run(folder: &TempDir, arguments: &[&str]) -> String {
    let output = Command::new(folder.path().join("moat"))
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("MOAT_CONFIG", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/empty.yaml"))
        .output()
        .unwrap();
    transcript(&output).replace(&folder.path().display().to_string(), "DIR")
}

const PROBED: &str = r#"cat <<'END'
{"kernelRelease": "6.1.0-18-amd64", "entries": [
  {"name": "exec-refuse", "summary": "refuse a program", "available": AVAILABLE, "driver": "guard", "detail": "fanotify permission events"},
  {"name": "bpf-lsm", "summary": "hold everything inline", "available": false, "driver": "", "detail": "boot with lsm=…,bpf"}]}
END"#;

#[test]
fn doctor_tells_what_can_be_held() {
    let folder = with_agent(&PROBED.replace("AVAILABLE", "true"));
    let text = run(&folder, &["doctor"]);
    let (_, capabilities) = text.split_once("\n\n").unwrap();
    assert!(text.starts_with("status: 0\n"), "{text}");
    insta::assert_snapshot!("doctor", capabilities);
    let json = run(&folder, &["doctor", "--json"]);
    assert!(json.contains(r#""enforceable": true"#), "{json}");

    let folder = with_agent(&PROBED.replace("AVAILABLE", "false"));
    assert!(run(&folder, &["doctor"]).starts_with("status: 1\n"));
}

#[test]
fn a_probe_that_fails_or_answers_nonsense_is_an_error() {
    let text = run(&with_agent("exit 3"), &["doctor"]);
    assert_eq!(text, "status: 2\n--- stderr\nerror: DIR/moat-enforcer failed (exit status: 3)\n");
    let text = run(&with_agent("echo {"), &["doctor"]);
    assert!(text.contains("an answer that is not understood"), "{text}");
    let folder = with_agent("");
    fs::remove_file(folder.path().join("moat-enforcer")).unwrap();
    let text = run(&folder, &["doctor"]);
    assert!(text.contains("error: moat-enforcer is neither beside moat nor in PATH: install it"), "{text}");
}

#[test]
fn uninstall_removes_what_moat_made_and_nothing_else() {
    let folder = with_agent(r#"echo '{"removed": ["the program moat_exec"], "left": []}'"#);
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("first-seen.json"), "{}").unwrap();
    fs::write(state.join("mine.txt"), "kept").unwrap();
    let control = folder.path().join("moat-run/control.sock");
    let arguments = ["uninstall", "--state", state.to_str().unwrap(), "--control", control.to_str().unwrap()];
    insta::assert_snapshot!("uninstall-foreign-file", run(&folder, &arguments));
    assert_eq!(fs::read_to_string(state.join("mine.txt")).unwrap(), "kept");

    fs::remove_file(state.join("mine.txt")).unwrap();
    insta::assert_snapshot!("uninstall", run(&folder, &arguments));
    assert!(!state.exists());
}

#[test]
fn uninstall_keeps_the_state_while_the_kernel_holds_something() {
    let folder = with_agent(r#"echo '{"removed": [], "left": ["the program moat_exec: busy"]}'; exit 1"#);
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("first-seen.json"), "{}").unwrap();
    let control = folder.path().join("control.sock");
    let arguments = ["uninstall", "--state", state.to_str().unwrap(), "--control", control.to_str().unwrap()];
    insta::assert_snapshot!("uninstall-left", run(&folder, &arguments));
    assert!(state.join("first-seen.json").exists());
}
