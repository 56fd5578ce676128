use proptest::prelude::*;

use super::*;

fn event(number: u64) -> Vec<u8> {
    format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat((number % 50) as usize)).into_bytes()
}

fn append(spool: &mut Spool, numbers: impl IntoIterator<Item = u64>) -> u64 {
    let events: Vec<_> = numbers.into_iter().map(event).collect();
    spool.append(events.iter().map(Vec::as_slice)).unwrap()
}

/// Everything from `position` on.
fn read_all(spool: &Spool, position: &mut Position, limit: usize) -> Vec<(u64, Vec<u8>)> {
    let mut read = Vec::new();
    while let Some(batch) = spool.read(position, limit).unwrap() {
        let first = batch.sequence + 1 - batch.events.len() as u64;
        read.extend((first..).zip(batch.events));
    }
    read
}

fn expected(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, Vec<u8>)> {
    numbers.into_iter().map(|number| (number, event(number))).collect()
}

#[test]
fn what_is_not_stored_is_there_again_after_a_restart_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 1 << 30).unwrap();
    append(&mut spool, 1..=100);
    append(&mut spool, 101..=150);
    let mut position = spool.start();
    assert_eq!(read_all(&spool, &mut position, 700), expected(1..=150));
    append(&mut spool, 151..=151);
    assert_eq!(read_all(&spool, &mut position, 700), expected(151..=151));
    spool.stored(60).unwrap();
    assert_eq!(spool.status().events, 91);
    // A new session of the same agent.
    assert_eq!(read_all(&spool, &mut spool.start(), 1), expected(61..=151));

    // What was stored of a segment that is still there comes again; the console knows it by its ids.
    let mut spool = Spool::open(folder.path(), 1 << 30).unwrap();
    append(&mut spool, 152..=160);
    assert_eq!(read_all(&spool, &mut spool.start(), 700), expected(1..=160));
    spool.stored(160).unwrap();
    assert_eq!(spool.status().events, 0);
    let mut spool = Spool::open(folder.path(), 1 << 30).unwrap();
    assert_eq!(append(&mut spool, [161]), 0);
    spool.stored(u64::MAX).unwrap();
    assert_eq!((spool.status().events, spool.next), (0, 162));
}

#[test]
fn what_a_crash_cut_off_is_cut_off_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    append(&mut Spool::open(folder.path(), 1 << 30).unwrap(), 1..=10);
    let path = folder.path().join(format!("{:020}.{SUFFIX}", 1));
    let whole = fs::read(&path).unwrap();
    let last = event(10).len() + HEADER;
    for damage in 0..last {
        // Cut off, or written over, anywhere in the last event.
        let mut cut = whole.clone();
        cut.truncate(whole.len() - last + damage);
        let mut changed = whole.clone();
        changed[whole.len() - last + damage] ^= 0x41;
        for bytes in [cut, changed] {
            fs::write(&path, &bytes).unwrap();
            let mut spool = Spool::open(folder.path(), 1 << 30).unwrap();
            append(&mut spool, 10..=12);
            assert_eq!(read_all(&spool, &mut spool.start(), 1000), expected(1..=12), "{damage}");
            drop(spool);
            fs::remove_file(folder.path().join(format!("{:020}.{SUFFIX}", 10))).unwrap();
        }
    }
}

#[test]
fn when_it_is_full_the_oldest_are_given_up_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let capacity = SEGMENT * 2;
    let mut spool = Spool::open(folder.path(), capacity).unwrap();
    let large = vec![b'x'; 1024 * 1024];
    let mut lost = 0;
    let mut position = spool.start();
    for _ in 0..20 {
        lost += spool.append([large.as_slice()].into_iter()).unwrap();
        assert!(spool.bytes() <= capacity);
    }
    let left = read_all(&spool, &mut position, 1);
    assert_eq!(left.len() as u64 + lost, 20);
    assert!(lost > 0 && spool.status().lost == lost);
    assert_eq!(left.last().map(|(sequence, _)| *sequence), Some(20));
}

#[test]
fn a_damaged_middle_is_skipped_and_counted_instead_of_stopping_everything() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 1 << 30).unwrap();
    append(&mut spool, 1..=10);
    let path = folder.path().join(format!("{:020}.{SUFFIX}", 1));
    let mut bytes = fs::read(&path).unwrap();
    bytes[HEADER + 3] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut position = spool.start();
    assert!(spool.read(&mut position, 1000).is_err());
    assert_eq!(spool.skip(&mut position), 10);
    assert_eq!(spool.read(&mut position, 1000).unwrap(), None);
    append(&mut spool, [11]);
    assert_eq!(read_all(&spool, &mut position, 1000), expected([11]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is appended, stored and restarted in between: nothing that is not stored is missing, and the
    /// order is kept.
    #[test]
    fn nothing_is_missing_and_nothing_is_out_of_order(
        steps in prop::collection::vec((0..4_u8, 1..40_u64), 1..30)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 30).unwrap();
        let (mut appended, mut stored) = (0, 0);
        for (step, many) in steps {
            match step {
                0 | 1 => {
                    append(&mut spool, appended + 1..=appended + many);
                    appended += many;
                }
                2 => {
                    stored = (stored + many).min(appended);
                    spool.stored(stored).unwrap();
                }
                _ => spool = Spool::open(folder.path(), 1 << 30).unwrap(),
            }
            // Numbers begin anew where nothing is left to be sent; contents tell what is what.
            let read = read_all(&spool, &mut spool.start(), 500);
            let contents: Vec<_> = read.into_iter().map(|(_, event)| event).collect();
            let all: Vec<_> = (1..=appended).map(event).collect();
            prop_assert!(all.ends_with(&contents));
            prop_assert!(contents.len() as u64 >= appended - stored);
            if step == 3 && contents.is_empty() {
                stored = 0;
                appended = 0;
            }
        }
    }
}
