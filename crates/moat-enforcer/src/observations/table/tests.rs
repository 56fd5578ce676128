use moat_event::{Direction, FileSource, Origin, Protocol};

use super::*;

fn web() -> Place {
    place("web")
}

fn place(name: &str) -> Place {
    Place::of(&Workload { name: name.to_owned(), container: String::from("nginx"), ..Workload::default() })
}

fn ran(path: &str, arguments: &[&str]) -> Attempt {
    Attempt::Exec {
        path: path.to_owned(),
        arguments: Some(arguments.iter().map(|text| (*text).to_owned()).collect()),
        user: Some(0),
        parents: Vec::new(),
        origin: Origin::Entrypoint,
        source: FileSource::Image,
    }
}

fn connected(port: u16) -> Attempt {
    let (direction, protocol) = (Direction::Egress, Protocol::Tcp);
    Attempt::Connect { direction, protocol, address: [10, 0, 0, 1].into(), port }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn reports(table: &mut Table, size: usize) -> Vec<ActivityReport> {
    let (message, lost) = table.next_message(size);
    assert_eq!(lost, 0);
    message.iter().map(|json| serde_json::from_slice(json).unwrap()).collect()
}

#[test]
fn what_is_alike_is_one_sum_until_it_is_stored() {
    let mut table = Table::default();
    for (place, attempt, count, second) in [
        (web(), ran("/bin/sh", &["sh"]), 1, 5),
        (web(), ran("/bin/sh", &["sh", "-c", "id"]), 1, 5),
        (web(), ran("/bin/sh", &["sh"]), 40, 8),
        (place("db"), ran("/bin/sh", &["sh"]), 2, 9),
    ] {
        assert_eq!(table.add(place, attempt, count, at(second)), 0);
    }
    let sent = reports(&mut table, 1 << 20);
    assert_eq!(sent.len(), 3);
    let sum = sent.iter().find(|one| one.count == 41).expect("one sum");
    assert_eq!((sum.first_seen, sum.last_seen, sum.workload_name.as_str()), (at(5), at(8), "web"));
    assert_eq!(sum.attempt, ran("/bin/sh", &["sh"]));
    assert!(reports(&mut table, 1 << 20).is_empty(), "it is on its way");

    // It was not stored: it comes again, with what happened meanwhile.
    table.add(web(), ran("/bin/sh", &["sh"]), 1, at(11));
    assert_eq!(table.settle(false), 0);
    assert_eq!(table.acts(), 45);
    let again = reports(&mut table, 1 << 20);
    let sum = again.iter().find(|one| one.count == 42).expect("one sum");
    assert_eq!((again.len(), sum.first_seen, sum.last_seen), (3, at(5), at(11)));
    assert_eq!(table.settle(true), 0);
    assert_eq!((table.acts(), table.bytes), (0, 0));
    assert!(reports(&mut table, 1 << 20).is_empty());
}

#[test]
fn a_message_has_its_size() {
    let mut table = Table::default();
    for port in 0..1000 {
        table.add(web(), connected(port), 1, at(0));
    }
    let (mut messages, mut sum) = (0, 0);
    loop {
        let message = reports(&mut table, 16 << 10);
        if message.is_empty() {
            break;
        }
        assert!(message.len() < 200);
        (messages, sum) = (messages + 1, sum + message.len());
        table.settle(true);
    }
    assert!(messages > 5);
    assert_eq!(sum, 1000);
}

#[test]
fn arguments_that_differ_each_time_are_left_out_at_some_point() {
    let mut table = Table::default();
    for number in 0..5000 {
        assert_eq!(table.add(web(), ran("/bin/sh", &["sh", &number.to_string()]), 1, at(0)), 0);
    }
    assert_eq!(table.add(web(), ran("/bin/ls", &["ls"]), 1, at(0)), 0);
    let sent = reports(&mut table, 1 << 20);
    assert_eq!(sent.len(), WITH_ARGUMENTS + 2);
    let known = |one: &&ActivityReport| matches!(&one.attempt, Attempt::Exec { arguments: None, .. });
    let without: Vec<_> = sent.iter().filter(known).map(|one| one.count).collect();
    assert_eq!(without, [5000 - WITH_ARGUMENTS as u64]);
    // What is known to differ is told with them all day, and what is new the next day.
    table.add(web(), ran("/bin/sh", &["sh", "7"]), 1, at(60));
    table.add(web(), ran("/bin/sh", &["sh", "4999"]), 1, at(3600 * 24));
    assert_eq!(
        table.sums.keys().filter(|key| matches!(&key.1, Attempt::Exec { arguments: Some(_), .. })).count(),
        2
    );
}

#[test]
fn one_place_cannot_take_the_room_of_others() {
    let mut table = Table::default();
    let lost: u64 = (0..60_000).map(|port| table.add(web(), connected(port), 1, at(0))).sum();
    assert_eq!(lost, 60_000 - DIFFERENT as u64);
    assert_eq!(table.add(web(), connected(0), 3, at(1)), 0, "what is known is counted on");
    assert_eq!(table.add(web(), ran("/bin/sh", &["sh"]), 1, at(1)), 1);
    assert_eq!(table.add(place("db"), connected(1), 1, at(1)), 0);
    assert_eq!(table.add(web(), connected(60_000), 1, at(3600 * 24)), 0, "the next day");
}

#[test]
fn the_table_is_bounded_whatever_is_done_in_it() {
    let mut table = Table::default();
    let long = "x".repeat(4000);
    let mut lost = 0;
    for number in 0..PLACES + 10 {
        for path in 0..20 {
            let attempt = ran(&format!("/bin/{path}"), &[&long]);
            lost += table.add(place(&number.to_string()), attempt, 1, at(0));
        }
    }
    assert!(table.bytes <= BYTES && table.sums.len() <= SUMS);
    assert_eq!(table.told.len(), PLACES);
    assert_eq!(table.acts() + lost, 20 * (PLACES as u64 + 10));
}
