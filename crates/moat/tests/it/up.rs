//! The supervisor with a small shell script in the agent's place: what is tested is when it is started, with
//! what, and how it ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

struct Supervised {
    folder: TempDir,
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Supervised {
    fn start(script: &str) -> Supervised {
        let folder = super::with_agent(script);
        let moat = folder.path().join("moat");
        let mut command = Command::new(&moat);
        command.args([
            "up",
            "--no-console",
            "--policies",
            "/p",
            "--state",
            "/s",
            "--runtime",
            "docker",
            "--control",
            "/c",
        ]);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("FOLDER", folder.path());
        command.env("MOAT_CONFIG", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/empty.yaml"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Supervised { folder, child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("the agent says something").unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(pid(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn end(self) -> String {
        let text = super::transcript(&self.child.wait_with_output().unwrap());
        drop(self.folder);
        text
    }
}

fn pid(raw: i32) -> Pid {
    Pid::from_raw(raw).unwrap()
}

/// Prints its arguments and process id, then waits for a signal.
const PATIENT: &str = "trap 'echo ended TERM; exit 0' TERM; trap 'echo ended INT; exit 0' INT; echo $$ \"$@\"; while :; do sleep 0.05; done";

#[test]
fn the_agent_gets_the_flags_and_ends_in_order() {
    let mut up = Supervised::start(PATIENT);
    let line = up.line();
    let (_, arguments) = line.split_once(' ').unwrap();
    assert_eq!(
        arguments,
        "run --supervised --policies /p --state /s --events - --control /c --runtime docker --driver auto"
    );
    up.signal(Signal::TERM);
    assert_eq!(up.line(), "ended TERM");
    assert!(up.end().starts_with("status: 0\n"));
}

#[test]
fn an_agent_that_is_killed_is_started_again_and_told_of_the_gap() {
    let mut up = Supervised::start(PATIENT);
    let first: i32 = up.line().split(' ').next().unwrap().parse().unwrap();
    kill_process(pid(first), Signal::KILL).unwrap();
    let killed = Instant::now();
    let line = up.line();
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    let (_, gap) = line.split_once("--restarted-after-millis ").expect(&line);
    assert!(gap.parse::<u64>().unwrap() < 100, "{gap}");
    // Ctrl-C asks for more than the end: nothing is to stay in force.
    up.signal(Signal::INT);
    assert_eq!(up.line(), "ended INT");
    let text = up.end();
    assert!(text.starts_with("status: 0\n"), "{text}");
    assert!(text.contains("moat: the agent was ended by signal 9; it is started again\n"), "{text}");
}

#[test]
fn deaths_at_birth_slow_the_restarts_down_and_end_them_never() {
    let mut up = Supervised::start("echo born; exit 3");
    let started = Instant::now();
    for _ in 0..4 {
        assert_eq!(up.line(), "born");
    }
    assert!(started.elapsed() >= Duration::from_millis(300), "0 + 100 + 200 ms");
    up.signal(Signal::TERM);
    let text = up.end();
    assert!(text.contains("moat: the agent ended with status 3; it is started again\n"), "{text}");
    assert!(text.contains("again; the next try comes in 100 ms\n"), "{text}");
}

#[test]
fn an_agent_that_cannot_start_or_was_asked_to_end_is_not_started_again() {
    let text = Supervised::start("echo no such folder >&2; exit 2").end();
    assert!(text.starts_with("status: 2\n"), "{text}");
    assert!(text.ends_with("error: the agent cannot start: it has said why above\n"), "{text}");
    let text = Supervised::start("exit 0").end();
    assert!(text.starts_with("status: 0\n"), "{text}");
}

#[test]
fn an_agent_that_does_not_listen_is_killed_on_the_second_signal() {
    let mut up = Supervised::start("trap 'echo deaf' TERM; echo $$; while :; do sleep 0.05; done");
    let agent: i32 = up.line().parse().unwrap();
    up.signal(Signal::TERM);
    assert_eq!(up.line(), "deaf");
    up.signal(Signal::TERM);
    let text = up.end();
    assert!(text.starts_with("status: 1\n"), "{text}");
    assert!(test_kill_process(pid(agent)).is_err(), "no agent remains");
}
