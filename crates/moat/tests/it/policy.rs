use std::fs;
use std::io::Write;
use std::process::Stdio;

use tempfile::TempDir;

use super::{moat, run};

const GOOD: &str = "\
apiVersion: aqua.security/v1alpha1
kind: RuntimePolicy
metadata: { name: no-shells }
spec:
  labelSelector: { matchLabels: { app: nginx } }
  mode: Enforce
  rules:
  - name: shells
    severity: High
    action: Block
    process: { names: [sh, bash], origin: ExecSession }
  - name: no-passwd
    action: Alert
    file: { paths: [/etc/passwd], operations: [Read] }
  - name: egress
    action: KillProcess
    network: { direction: Egress, cidrs: [10.0.0.0/8], ports: [\"443\"] }
";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("good.yaml"), GOOD).unwrap();
    folder
}

#[test]
fn valid_files_get_a_line_each() {
    let folder = folder();
    fs::write(folder.path().join("notes.txt"), "no policy").unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(
        run(&["policy", "validate", path], folder.path()),
        "status: 0\n--- stdout\n✓ DIR/good.yaml: RuntimePolicy no-shells, 3 rules, Enforce\n"
    );
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let folder = folder();
    fs::write(folder.path().join("bad.yaml"), GOOD.replace("names: [sh", "nmes: [sh")).unwrap();
    let path = folder.path().to_str().unwrap();
    insta::assert_snapshot!("validate-mistake", run(&["policy", "validate", path], folder.path()));
    let json = run(&["policy", "validate", path, "--json"], folder.path());
    insta::assert_snapshot!("validate-mistake-json", json);
}

#[test]
fn a_name_used_twice_is_a_mistake() {
    let folder = folder();
    fs::write(folder.path().join("second.yaml"), GOOD).unwrap();
    let text = run(&["policy", "validate", folder.path().to_str().unwrap()], folder.path());
    insta::assert_snapshot!("validate-twice", text);
}

#[test]
fn standard_input_is_a_file() {
    let mut child =
        moat(&["policy", "validate", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(GOOD.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        super::transcript(&output),
        "status: 0\n--- stdout\n✓ <stdin>: RuntimePolicy no-shells, 3 rules, Enforce\n"
    );
}

#[test]
fn files_answer_without_an_agent() {
    let folder = folder();
    let path = folder.path().to_str().unwrap();
    let explain = |arguments: &[&str]| {
        run(&[&["policy", "explain", "--policies", path], arguments].concat(), folder.path())
    };
    let nginx = ["--label", "app=nginx"];
    insta::assert_snapshot!(
        "offline-refused",
        explain(&[&nginx[..], &["--exec", "/bin/sh -c id", "--origin", "exec"]].concat())
    );
    insta::assert_snapshot!("offline-allowed", explain(&[&nginx[..], &["--exec", "/bin/sh -c id"]].concat()));
    insta::assert_snapshot!(
        "offline-alert",
        explain(&[&nginx[..], &["--read", "/etc/passwd", "--by", "/bin/cat"]].concat())
    );
    insta::assert_snapshot!(
        "offline-connect",
        explain(&[&nginx[..], &["--connect", "tcp://10.0.0.1:443"]].concat())
    );
    insta::assert_snapshot!("offline-not-selected", explain(&["--label", "app=web", "--exec", "/bin/sh"]));
    let sockets = "
  - { name: ports, action: Block, network: { direction: Listen, cidrs: [10.0.0.0/8], ports: [\"1-1023\"] } }
  - { name: raw, action: Block, network: { direction: Egress, protocols: [Raw] } }
  - { name: privileges, action: KillProcess, capabilities: [SYS_MODULE] }
  - { name: applets, action: Block, process: { allowOnly: { names: [busybox, cat] } } }
";
    let head = "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: { name: sockets }\n";
    let policy = format!(
        "{head}spec:\n  labelSelector: {{ matchLabels: {{ app: tool }} }}\n  mode: Enforce\n  rules:{sockets}"
    );
    std::fs::write(folder.path().join("sockets.yaml"), policy).unwrap();
    let tool = |act: &[&str]| explain(&[&["--label", "app=tool"], act].concat());
    insta::assert_snapshot!("offline-listen", tool(&["--listen", "tcp://0.0.0.0:80"]));
    insta::assert_snapshot!("offline-raw-socket", tool(&["--raw-socket"]));
    insta::assert_snapshot!("offline-capability", tool(&["--capability", "cap_sys_module"]));
    insta::assert_snapshot!("offline-capability-unknown", tool(&["--capability", "SYS_MODUL"]));
    insta::assert_snapshot!("offline-applet", tool(&["--exec", "/bin/busybox wget x"]));
    insta::assert_snapshot!("offline-applet-allowed", tool(&["--exec", "/bin/busybox cat x"]));
    assert_eq!(
        explain(&["--exec", "sh -c id"]),
        "status: 2\n--- stderr\nerror: --exec begins with `sh`: give the program's absolute path in the container\n"
    );
}
