use std::path::Path;

use super::{moat, run};

#[test]
fn every_command_has_help_with_examples() {
    for (name, words) in [
        ("moat", &[] as &[&str]),
        ("up", &["up"]),
        ("status", &["status"]),
        ("containers", &["containers"]),
        ("events", &["events"]),
        ("policy", &["policy"]),
        ("policy-list", &["policy", "list"]),
        ("policy-show", &["policy", "show"]),
        ("policy-validate", &["policy", "validate"]),
        ("policy-explain", &["policy", "explain"]),
        ("doctor", &["doctor"]),
        ("uninstall", &["uninstall"]),
        ("config", &["config"]),
        ("completions", &["completions"]),
    ] {
        let text = run(&[words, &["--help"]].concat(), Path::new("/nowhere"));
        assert!(text.contains("Examples:\n"), "{name}: {text}");
        insta::assert_snapshot!(format!("help-{name}"), text);
    }
}

#[test]
fn completions_are_scripts() {
    for (shell, word) in [("bash", "complete -F"), ("zsh", "#compdef moat"), ("fish", "complete -c moat")] {
        let output = moat(&["completions", shell]).output().unwrap();
        assert!(output.status.success());
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains(word) && script.contains("uninstall"), "{script}");
    }
}

#[test]
fn wrong_usage_ends_with_status_2() {
    for arguments in [
        &["flying"] as &[&str],
        &["events", "--severity", "Terrible"],
        &["policy", "explain", "--pod", "web-0"],
        &["policy", "explain", "--pod", "web-0", "--connect", "example.org:443"],
        &["up", "--socket", "/run/x.sock"],
    ] {
        let output = moat(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn without_an_agent_every_question_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let control = directory.path().join("control.sock");
    let control = control.to_str().unwrap();
    for question in
        [&["status"] as &[&str], &["containers"], &["events"], &["policy", "list"], &["policy", "show", "a"]]
    {
        let text = run(&[question, &["--control", control]].concat(), directory.path());
        assert_eq!(
            text,
            "status: 2\n--- stderr\nerror: no agent answers on DIR/control.sock: start one with `moat up`, or name its socket with `--control`\n"
        );
    }
}

#[test]
fn the_configuration_says_where_it_comes_from() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("moat.yaml");
    std::fs::write(&file, "state: /srv/state\nevents: /srv/events.jsonl\ncontrol: /srv/control.sock\n")
        .unwrap();
    let output =
        moat(&["config", "show", "--control", "/flag/control.sock", "--config", file.to_str().unwrap()])
            .env("MOAT_STATE", "/environment/state")
            .output()
            .unwrap();
    insta::assert_snapshot!("config-show", super::transcript(&output));
    let missing = directory.path().join("missing.yaml");
    let text = run(&["config", "show", "--config", missing.to_str().unwrap()], directory.path());
    assert_eq!(
        text,
        "status: 2\n--- stderr\nerror: DIR/missing.yaml is not there: create it, or name another file with `--config`\n"
    );
}
