use proptest::prelude::*;

use super::*;

/// `struct record` before it is laid out, with what follows it.
#[derive(Debug, Clone)]
struct Raw {
    words: [u32; HEAD / 4],
    tail: Vec<u8>,
}

const KIND: usize = 0;
const OUTCOME: usize = 1;
const ENFORCED: usize = 6;
const AUDITED: usize = 7;
const SOURCE: usize = 12;
const LENGTHS: usize = 13;
const ARGUMENTS_TOTAL: usize = 17;
const NUMBER: usize = 18;
const FAMILY: usize = 19;
const ADDRESS: usize = 20;
const VALUES: usize = 24;

impl Raw {
    /// A record about process 41, child of 40, of user 33, in cgroup 5 under generation 6: rule 2 is enforced
    /// and none audited.
    fn new(kind: u32, texts: &[&[u8]]) -> Raw {
        let mut words = [0; HEAD / 4];
        (words[KIND], words[OUTCOME]) = (kind, 2);
        let halves = |long: u64| [long as u32, (long >> 32) as u32];
        let [low, high] = halves(0x5_0000_0005);
        (words[2], words[3]) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
        let [low, high] = halves(0x6_0000_0006);
        (words[4], words[5]) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
        (words[ENFORCED], words[AUDITED]) = (2, NONE);
        words[8..11].copy_from_slice(&[41, 40, 33]);
        for (length, text) in words[LENGTHS..].iter_mut().zip(texts) {
            *length = text.len() as u32;
        }
        words[ARGUMENTS_TOTAL] = texts.get(1).map_or(0, |text| text.len() as u32);
        Raw { words, tail: texts.concat() }
    }

    fn with(mut self, at: usize, word: u32) -> Raw {
        self.words[at] = word;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_ne_bytes()).chain(self.tail.iter().copied()).collect()
    }

    fn decode(&self) -> Result<Decoded, DecodeError> {
        decode(&self.bytes(), name)
    }
}

fn name(number: u32) -> Option<&'static str> {
    (number == 101).then_some("ptrace")
}

fn exec() -> Raw {
    let texts: [&[u8]; 4] = [b"/bin/\xff\n", b"sh\0-c\0id\0", b"/usr/sbin/nginx", b"/srv"];
    Raw::new(1, &texts).with(11, 3).with(SOURCE, 1)
}

fn connect() -> Raw {
    let number = 443 << 16 | 6 << 8;
    let octets = u32::from_ne_bytes([10, 1, 2, 3]);
    Raw::new(2, &[]).with(OUTCOME, 1).with(NUMBER, number).with(FAMILY, 2).with(ADDRESS, octets)
}

fn syscall() -> Raw {
    Raw::new(3, &[]).with(OUTCOME, 3).with(NUMBER, 101)
}

fn file_call() -> Raw {
    Raw::new(4, &[b"passwd", b"/etc", b"../gone", b"/tmp/d"]).with(ENFORCED, NONE).with(NUMBER, 264)
}

fn record(raw: &Raw) -> Record {
    match raw.decode() {
        Ok(Decoded::Record(record)) => record,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_execution() {
    let expected = Record {
        cgroup: 0x5_0000_0005,
        generation: 0x6_0000_0006,
        enforced: Some(2),
        audited: None,
        outcome: Outcome::Killed,
        process: RawProcess {
            pid: 41,
            parent_pid: 40,
            uid: 33,
            executable: b"/bin/\xff\n".to_vec(),
            arguments: b"sh\0-c\0id\0".to_vec(),
            arguments_truncated: false,
            cwd: b"/srv".to_vec(),
            parent_executable: b"/usr/sbin/nginx".to_vec(),
            origin: Some(Origin::ExecSession),
        },
        act: Act::Exec { path: b"/bin/\xff\n".to_vec(), source: FileSource::Added },
        count: 1,
    };
    assert_eq!(record(&exec()), expected);
    assert!(record(&exec().with(ARGUMENTS_TOTAL, 2 << 20)).process.arguments_truncated);
    for (role, origin) in [(2, Some(Origin::Entrypoint)), (0, None), (1, None), (4, None), (99, None)] {
        assert_eq!(record(&exec().with(11, role)).process.origin, origin, "role {role}");
    }
    for (source, expected) in [(0, FileSource::Image), (2, FileSource::Fileless)] {
        let act = record(&exec().with(SOURCE, source)).act;
        assert!(matches!(act, Act::Exec { source, .. } if source == expected), "{act:?}");
    }
    let act = record(&exec().with(VALUES, 1)).act;
    assert!(matches!(&act, Act::Exec { path, .. } if path == b".../bin/\xff\n"), "{act:?}");
    let audited = record(&exec().with(ENFORCED, NONE).with(AUDITED, 7));
    assert_eq!((audited.enforced, audited.audited), (None, Some(7)));
}

#[test]
fn a_connection() {
    let act = |direction, protocol, peer: &str, port| {
        let peer = peer.parse().expect("an address");
        Act::Connect { direction, protocol, peer, port }
    };
    let outgoing = record(&connect());
    assert_eq!(outgoing.act, act(Direction::Egress, Protocol::Tcp, "10.1.2.3", 443));
    assert_eq!((outgoing.outcome, outgoing.process.pid), (Outcome::Denied, 41));

    let address: Ipv6Addr = "2001:db8::5".parse().unwrap();
    let mut incoming = connect().with(NUMBER, 65535 << 16 | 17 << 8 | 1).with(FAMILY, 10);
    for (word, octets) in incoming.words[ADDRESS..].iter_mut().zip(address.octets().chunks(4)) {
        *word = u32::from_ne_bytes(octets.try_into().unwrap());
    }
    assert_eq!(record(&incoming).act, act(Direction::Ingress, Protocol::Udp, "2001:db8::5", 65535));

    let listening = connect().with(NUMBER, 443 << 16 | 6 << 8 | 2);
    assert_eq!(record(&listening).act, act(Direction::Listen, Protocol::Tcp, "10.1.2.3", 443));
    let mut raw = connect().with(NUMBER, 255 << 8);
    raw.words[ADDRESS] = 0;
    assert_eq!(record(&raw).act, act(Direction::Egress, Protocol::Raw, "0.0.0.0", 0));
}

#[test]
fn a_system_call() {
    let record = record(&syscall());
    assert_eq!(record.act, Act::Syscall { name: "ptrace" });
    assert_eq!(record.outcome, Outcome::KilledAfter);
    assert_eq!(syscall().with(NUMBER, 102).decode(), Err(DecodeError::Range));
}

#[test]
fn a_capability() {
    let used = syscall().with(KIND, 6).with(NUMBER, 21).with(OUTCOME, 1);
    assert_eq!(record(&used).act, Act::Capability { name: "SYS_ADMIN" });
    assert_eq!(record(&used).outcome, Outcome::Denied);
    assert_eq!(used.with(NUMBER, 41).decode(), Err(DecodeError::Range));
}

#[test]
fn tampering() {
    let moved = syscall().with(KIND, 7).with(NUMBER, 6).with(VALUES, 4711);
    let Ok(Decoded::Tampering(found)) = moved.decode() else { panic!("{:?}", moved.decode()) };
    assert_eq!(found.moved, Some(4711));
    assert_eq!(found.record.act, Act::Tampering { what: "leave the container's cgroup" });
    assert_eq!(found.record.process.pid, 41);
    assert_eq!(moved.with(NUMBER, 0).decode(), Err(DecodeError::Range));
}

#[test]
fn a_call_that_changes_files() {
    let expected = FileCall {
        cgroup: 0x5_0000_0005,
        number: 264,
        pid: 41,
        parent_pid: 40,
        uid: 33,
        path: b"passwd".to_vec(),
        base: b"/etc".to_vec(),
        second_path: b"../gone".to_vec(),
        second_base: b"/tmp/d".to_vec(),
    };
    assert_eq!(file_call().decode(), Ok(Decoded::FileCall(expected)));
}

#[test]
fn fields_out_of_range() {
    for kind in [0, 8, 0x0100_0001, u32::MAX] {
        assert_eq!(exec().with(KIND, kind).decode(), Err(DecodeError::Kind(kind)));
    }
    for (raw, what) in [
        (exec().with(OUTCOME, 4), "outcome"),
        (exec().with(OUTCOME, u32::MAX), "outcome"),
        (exec().with(SOURCE, 3), "source"),
        (connect().with(NUMBER, 443 << 16 | 1 << 8), "protocol"),
        (connect().with(NUMBER, 443 << 16 | 6 << 8 | 3), "direction"),
        (connect().with(FAMILY, 0), "family"),
        (connect().with(FAMILY, 1), "family"),
        (connect().with(FAMILY, 6), "family"),
    ] {
        assert_eq!(raw.decode(), Err(DecodeError::Range), "{what}");
    }
}

#[test]
fn observations() {
    let key = [7; KEY];
    let observed = |raw: &Raw| decode_observation(&[raw.bytes().as_slice(), &key].concat());
    for raw in [exec(), connect()] {
        let Record { cgroup, process, act, .. } = record(&raw);
        assert_eq!(observed(&raw), Ok((key, Observation { cgroup, process, act, count: 1 })));
        // The last text would reach into the key.
        let longer = raw.clone().with(LENGTHS + 3, raw.words[LENGTHS + 3] + 1);
        assert_eq!(observed(&longer), Err(DecodeError::Lengths));
    }
    for raw in [syscall(), file_call(), syscall().with(KIND, 7).with(NUMBER, 6)] {
        assert_eq!(observed(&raw), Err(DecodeError::Range), "{raw:?}");
    }
    assert_eq!(decode_observation(&key[1..]), Err(DecodeError::Short(KEY - 1)));
}

#[test]
fn every_truncation_is_an_error() {
    for raw in [exec(), connect(), syscall(), file_call()] {
        let bytes = raw.bytes();
        assert!(decode(&bytes, name).is_ok());
        for length in 0..bytes.len() {
            let expected = if length < HEAD { DecodeError::Short(length) } else { DecodeError::Lengths };
            assert_eq!(decode(&bytes[..length], name), Err(expected), "{length} bytes of {raw:?}");
        }
    }
}

#[test]
fn lengths_beyond_the_record() {
    for raw in [exec(), connect(), syscall(), file_call()] {
        for field in LENGTHS..LENGTHS + 4 {
            for more in [1, 4096, 1 << 31, u32::MAX - raw.words[field]] {
                let longer = raw.clone().with(field, raw.words[field] + more);
                assert_eq!(longer.decode(), Err(DecodeError::Lengths), "{longer:?}");
            }
        }
    }
}

/// What a record says lies in its bytes, one text behind the other.
fn texts_come_from(bytes: &[u8], decoded: &Decoded) -> bool {
    let texts = match decoded {
        Decoded::Record(record) => {
            let process = &record.process;
            [&process.executable, &process.arguments, &process.parent_executable, &process.cwd]
        }
        Decoded::Tampering(Tampering { record: Record { process, .. }, .. }) => {
            [&process.executable, &process.arguments, &process.parent_executable, &process.cwd]
        }
        Decoded::FileCall(call) => [&call.path, &call.base, &call.second_path, &call.second_base],
    };
    bytes.get(HEAD..).is_some_and(|rest| rest.starts_with(&texts.map(Vec::as_slice).concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(decoded) = decode(&bytes, name) {
            prop_assert!(texts_come_from(&bytes, &decoded));
        }
        if let Ok((key, seen)) = decode_observation(&bytes) {
            prop_assert!(bytes.ends_with(&key));
            let is_observed = matches!(seen.act, Act::Exec { .. } | Act::Connect { .. });
            prop_assert!(is_observed, "{:?}", seen.act);
        }
    }

    /// Bytes that get past the first checks: valid records with some words changed.
    #[test]
    fn changed_records_are_records_or_errors(
        raw in prop::sample::select(vec![exec(), connect(), syscall(), file_call()]),
        changes in prop::collection::vec((0..HEAD / 4, prop_oneof![0u32..130, any::<u32>()]), 1..4),
        cut in 0usize..8,
    ) {
        let mut raw = raw;
        for (at, word) in changes {
            raw.words[at] = word;
        }
        let mut bytes = raw.bytes();
        bytes.truncate(bytes.len() - cut);
        if let Ok(decoded) = decode(&bytes, name) {
            prop_assert!(texts_come_from(&bytes, &decoded));
        }
    }
}
