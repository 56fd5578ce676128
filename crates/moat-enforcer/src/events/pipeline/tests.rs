use std::sync::mpsc::sync_channel;

use moat_event::{EventAction, EventType, FileOperation};
use moat_kernel::{Act, Outcome, RawProcess, Sink};

use super::*;
use crate::events::journal::Entry;

fn read(cgroup: u64, path: String) -> Record {
    Record {
        cgroup,
        generation: 1,
        enforced: Some(0),
        audited: None,
        outcome: Outcome::Denied,
        process: RawProcess::default(),
        act: Act::File { path: path.into_bytes(), operation: FileOperation::Read },
        count: 1,
    }
}

struct Running {
    sink: Sink,
    lines: Receiver<Arc<Entry>>,
    thread: thread::JoinHandle<()>,
}

fn start() -> Running {
    let (output, lines) = sync_channel(64 * 1024);
    let (records, queue) = sync_channel(QUEUE);
    let (responses, _) = mpsc::channel(1);
    let journal = Arc::new(Journal::new(String::from("n"), output, None));
    let pipeline = Pipeline { directory: Arc::default(), journal, responses };
    Running { sink: Sink::new(records), lines, thread: pipeline.start(queue).unwrap() }
}

#[test]
fn a_record_becomes_an_event_at_once() {
    let Running { sink, lines, thread } = start();
    let mut slowest = std::time::Duration::ZERO;
    for n in 0..200 {
        let put = Instant::now();
        sink.put(read(n, String::from("/etc/passwd")));
        let entry = lines.recv().unwrap();
        slowest = slowest.max(put.elapsed());
        assert_eq!(
            (entry.event.event_type, entry.event.action),
            (EventType::FileAccess, EventAction::Blocked)
        );
    }
    // Far below the aggregator's window, which is the only thing that anything here waits for.
    assert!(slowest < super::super::aggregate::WINDOW / 2, "the slowest took {slowest:?}");
    drop(sink);
    thread.join().unwrap();
}

#[test]
fn a_flood_loses_nothing_that_is_not_counted() {
    let Running { sink, lines, thread } = start();
    let total = 100_000;
    for n in 0..total {
        sink.put(read(1, format!("/tmp/{}", n % 1000)));
    }
    let lost = sink.lost();
    drop(sink);
    thread.join().unwrap();
    let counted: u64 = lines.try_iter().map(|entry| entry.event.count).sum();
    assert_eq!(counted + lost, total);
}

#[test]
fn what_was_counted_when_the_drivers_end_is_passed_on() {
    let Running { sink, lines, thread } = start();
    for _ in 0..5 {
        sink.put(read(1, String::from("/etc/passwd")));
    }
    drop(sink);
    thread.join().unwrap();
    let counts: Vec<_> = lines.try_iter().map(|entry| entry.event.count).collect();
    assert_eq!(counts, [1, 4]);
}
