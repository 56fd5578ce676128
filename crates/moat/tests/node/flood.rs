//! A flood of denials in one container is its own problem: counted, and nobody else's delay.

use std::time::{Duration, Instant};

use moat_event::{Event, EventType};
use moat_testkit::Image;

use crate::Node;
use crate::node::{exec, policy, text};
use crate::program::compile;

const PROCESSES: usize = 4;
const TRIES: usize = 5000;
/// How much the agent may grow while it is flooded.
const GROWTH: u64 = 16 * 1024 * 1024;

const RULES: &str =
    "  - { name: no-nope, action: Block, process: { paths: [/bin/nope], pathGlobs: [\"/tmp/nope-*\"] } }
  - { name: no-secret, action: Block, file: { paths: [/etc/secret], operations: [Read] } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_in_one_container_is_counted_and_delays_no_other() {
    let image = Image::busybox("docker.io/moat-test/flood:1")
        .unwrap()
        .file("/bin/flood", 0o755, compile("flood.c", &["-O1"]))
        .file("/bin/nope", 0o755, compile("mark.S", &["-nostdlib"]))
        .file("/etc/secret", 0o600, "secret\n");
    let Some(mut node) = Node::start(image).await else { return };
    let quiet = node.run("quiet");
    // Denials of one program are told once a second; each of these is told at once.
    let copies = "for round in $(seq 0 199); do cp /bin/nope /tmp/nope-$round; done";
    assert!(exec(&quiet, &["/bin/sh", "-c", copies]).status.success());
    node.write("noisy.yaml", &policy("noisy", "noisy", RULES));
    node.write("quiet.yaml", &policy("quiet", "quiet", RULES));
    node.rules("quiet", 2).await;
    // What is set up by a first denial is no growth by a flood.
    exec(&quiet, &["/bin/nope"]);
    node.denied_exec("quiet", "no-nope").await;
    let before = node.status().await;

    let (processes, tries) = (PROCESSES.to_string(), TRIES.to_string());
    let noisy = node.container("noisy").command([
        "/bin/sh",
        "-c",
        &format!("/bin/flood {processes} {tries} /bin/nope /etc/secret; echo done; sleep 86400"),
    ]);
    let started = Instant::now();
    let noisy = tokio::task::block_in_place(|| noisy.start()).unwrap();
    let of_noisy = |event: &Event| event.container_name.as_deref() == Some("noisy");
    node.event("the flood has begun", of_noisy).await;

    // Meanwhile, in the other container: what is allowed works, what is denied is denied and told at once.
    let mut slowest = Duration::ZERO;
    let mut rounds = 0;
    let mut most = before.resident_bytes;
    while !noisy.output().unwrap().contains("done") {
        let output = exec(&quiet, &["/bin/echo", "works"]);
        assert_eq!(text(&output), "works\n", "{output:?}");
        let nope = format!("/tmp/nope-{rounds}");
        let output = exec(&quiet, &[&nope]);
        assert!(!output.status.success(), "{output:?}");
        let denied = Instant::now();
        node.event(&format!("{nope} is denied"), |event| event.file_path.as_ref() == Some(&nope)).await;
        slowest = slowest.max(denied.elapsed());
        most = most.max(node.status().await.resident_bytes);
        rounds += 1;
    }
    println!(
        "{} denials in {:?}; {rounds} events of the other container, the slowest after {slowest:?}; \
         resident {} KiB before, at most {} KiB",
        PROCESSES * TRIES,
        started.elapsed(),
        before.resident_bytes / 1024,
        most / 1024
    );
    assert!((1..200).contains(&rounds), "{rounds} rounds during the flood");
    assert!(slowest < Duration::from_secs(1), "the slowest event of the other container took {slowest:?}");
    assert!(most < before.resident_bytes + GROWTH, "{} bytes, then {most}", before.resident_bytes);

    let report = noisy.output().unwrap();
    let all = PROCESSES * TRIES;
    assert!(report.contains(&format!("denied {all} failed 0 worked 0\n")), "{report}");
    node.end().await;
    let count = |event_type| -> u64 {
        let events = node.seen.iter().filter(|event| of_noisy(event) && event.event_type == event_type);
        events.map(|event| event.count).sum()
    };
    let lost: u64 = node.seen.iter().filter_map(|event| event.loss.as_ref()).map(|loss| loss.events).sum();
    let (executions, opens) = (count(EventType::ProcessExec), count(EventType::FileAccess));
    assert_eq!(executions + opens + lost, all as u64, "{executions} executions, {opens} opens, {lost} lost");
    let lines = node.seen.iter().filter(|event| of_noisy(event)).count();
    assert!(lines < 1000, "{lines} lines for one flood");
}
