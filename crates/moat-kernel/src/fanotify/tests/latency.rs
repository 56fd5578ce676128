//! What an open costs. Run it with
//! `cargo test --release -p moat-kernel fanotify::tests::latency -- --ignored --nocapture`.

use std::ffi::CStr;
use std::io::Read as _;
use std::time::{Duration, Instant};

use moat_event::FileOperation::{Read, Write};
use moat_policy::model::RuleAction::Block;
use rustix::fs::{Mode, OFlags};

use super::sandbox::{Agent, Sandbox, available, file};

const OPENS: u32 = 2000;
const ROUNDS: usize = 7;

/// The time of one open and close of `path` in the container, averaged.
fn open_time(sandbox: &Sandbox, path: &'static CStr) -> Duration {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let measure = move || {
        let start = Instant::now();
        for _ in 0..OPENS {
            drop(rustix::fs::open(path, OFlags::RDONLY, Mode::empty())?);
        }
        rustix::io::write(&writer, &start.elapsed().as_nanos().to_ne_bytes())?;
        Ok(())
    };
    sandbox.act(measure).unwrap();
    let mut nanoseconds = [0; 16];
    reader.read_exact(&mut nanoseconds).unwrap();
    Duration::from_nanos(u128::from_ne_bytes(nanoseconds) as u64) / OPENS
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
#[ignore = "measures; the machine should be idle"]
fn opens_of_files_without_rules_cost_nothing_more() {
    if !available() {
        return;
    }
    let (mut agent, sandbox) = (Agent::start(), Sandbox::start());
    let (mut bare, mut ignored, mut judged) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        agent.apply(&sandbox, Vec::new());
        bare.push(open_time(&sandbox, c"/etc/conf"));
        agent.apply(&sandbox, vec![file(Block, &["/etc/keys/**"], &[Read])]);
        ignored.push(open_time(&sandbox, c"/etc/conf"));
        // Ruled, and read: asked about each time, and allowed.
        agent.apply(&sandbox, vec![file(Block, &["/etc/conf"], &[Write])]);
        judged.push(open_time(&sandbox, c"/etc/conf"));
    }
    let (bare, ignored, judged) = (median(bare), median(ignored), median(judged));
    println!("open and close without marks {bare:?}");
    println!(
        "without rules for the file   {ignored:?} ({:.2} x)",
        ignored.as_secs_f64() / bare.as_secs_f64()
    );
    println!("judged and allowed           {judged:?} (+{:?})", judged.saturating_sub(bare));
    assert!(ignored < bare * 2, "files without rules are not left alone");
}
