use std::net::{IpAddr, Ipv4Addr};

use moat_event::{Direction, FileOperation, Protocol};
use moat_kernel::{Outcome, RawProcess};
use proptest::prelude::*;

use super::*;

fn read(cgroup: u64, path: &str, pid: u32) -> Record {
    Record {
        cgroup,
        generation: 1,
        enforced: Some(0),
        audited: None,
        outcome: Outcome::Denied,
        process: RawProcess { pid, executable: b"/usr/bin/cat".to_vec(), ..RawProcess::default() },
        act: Act::File { path: path.as_bytes().to_vec(), operation: FileOperation::Read },
        count: 1,
    }
}

#[test]
fn the_first_passes_at_once_and_the_rest_as_one_summary_a_second() {
    let start = Instant::now();
    let mut aggregator = Aggregator::default();
    let first = aggregator.offer(read(1, "/etc/passwd", 100), start).expect("the first passes");
    assert_eq!((first.count, first.likeness), (1, Likeness::Identical));
    for pid in 101..=140 {
        assert_eq!(aggregator.offer(read(1, "/etc/passwd", pid), start), None);
    }
    assert_eq!(aggregator.next_window_end(), Some(start + WINDOW));
    assert!(aggregator.close_windows(start + WINDOW / 2).is_empty());
    let summaries = aggregator.close_windows(start + WINDOW);
    assert_eq!(summaries.iter().map(|group| group.count).collect::<Vec<_>>(), [40]);
    // A quiet second closes the group, and the next one of its kind passes at once again.
    assert!(aggregator.close_windows(start + WINDOW * 2).is_empty());
    assert_eq!(aggregator.next_window_end(), None);
    assert!(aggregator.offer(read(1, "/etc/passwd", 141), start + WINDOW * 3).is_some());
}

#[test]
fn a_different_path_argument_outcome_or_rule_is_another_group() {
    let now = Instant::now();
    let mut aggregator = Aggregator::default();
    let plain = read(1, "/etc/passwd", 1);
    let variants = [
        plain.clone(),
        Record { outcome: Outcome::Allowed, ..plain.clone() },
        Record { enforced: Some(1), ..plain.clone() },
        Record { audited: Some(0), ..plain.clone() },
        Record { cgroup: 2, ..plain.clone() },
        Record { generation: 2, ..plain.clone() },
        Record {
            process: RawProcess { arguments: b"cat\0-n\0".to_vec(), ..plain.process.clone() },
            ..plain.clone()
        },
        read(1, "/etc/shadow", 1),
        Record {
            act: Act::Connect {
                direction: Direction::Egress,
                protocol: Protocol::Tcp,
                peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
                port: 80,
            },
            ..plain
        },
    ];
    for record in variants {
        assert!(aggregator.offer(record.clone(), now).is_some(), "{record:?} was taken for another");
        assert!(aggregator.offer(record, now).is_none());
    }
}

#[test]
fn a_full_table_collapses_per_rule_and_leaves_other_containers_alone() {
    let now = Instant::now();
    let mut aggregator = Aggregator::default();
    let passed =
        (0..10_000).filter(|n| aggregator.offer(read(1, &format!("/tmp/{n}"), 7), now).is_some()).count();
    assert_eq!(passed, PER_CONTAINER);
    assert!(aggregator.offer(read(2, "/tmp/0", 8), now).is_some());

    let summaries = aggregator.close_windows(now + WINDOW);
    assert_eq!(summaries.len(), 1);
    assert_eq!(summaries[0].likeness, Likeness::SameRule);
    assert_eq!(summaries[0].count, 10_000 - PER_CONTAINER as u64);
}

#[test]
fn many_flooding_containers_leave_a_quiet_one_its_events() {
    let now = Instant::now();
    let mut aggregator = Aggregator::default();
    for cgroup in 0..100 {
        for n in 0..PER_CONTAINER {
            aggregator.offer(read(cgroup, &format!("/tmp/{n}"), 7), now);
        }
    }
    assert!(aggregator.open <= TOTAL + 100 * (GUARANTEED + 1), "{} groups are open", aggregator.open);
    assert!(aggregator.offer(read(1000, "/etc/passwd", 9), now).is_some());
}

proptest! {
    /// Whatever comes in, and whenever windows close, every act is reported exactly once.
    #[test]
    fn nothing_is_lost(acts in proptest::collection::vec((0u64..3, 0u32..400, 1u64..5, 0u64..700), 0..1500)) {
        let mut now = Instant::now();
        let mut aggregator = Aggregator::default();
        let (mut offered, mut reported) = (0, 0);
        for (cgroup, path, count, milliseconds) in acts {
            now += Duration::from_millis(milliseconds / 10);
            offered += count;
            let record = Record { count, ..read(cgroup, &format!("/{path}"), 1) };
            reported += aggregator.offer(record, now).map_or(0, |group| group.count);
            reported += aggregator.close_windows(now).iter().map(|group| group.count).sum::<u64>();
        }
        reported += aggregator.flush().iter().map(|group| group.count).sum::<u64>();
        prop_assert_eq!(offered, reported);
        prop_assert_eq!(aggregator.next_window_end(), None);
    }
}
