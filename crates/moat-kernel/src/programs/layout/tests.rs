//! What user space writes and reads lies where the programs expect it: every structure that the two share is
//! compared, field by field, with the BTF of the built object.

use std::ops::Range;

use libbpf_rs::btf::types::{Array, Composite, Int, MemberAttr};
use libbpf_rs::btf::{Btf, BtfType, HasSize};
use moat_event::{Direction, Protocol};
use moat_policy::activity::FileSource;

use super::*;
use crate::programs::object::OBJECT;
use crate::programs::tables::{Span, Tables};
use crate::programs::{calls, file_calls, holds, observer, profiles, reader, record_bytes, tasks};
use crate::record::{Act, Outcome};

/// A structure as the compiler laid it out.
struct Structure {
    name: &'static str,
    size: usize,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    place: Range<usize>,
    /// Bytes of one element; of the field where it is no array.
    element: usize,
}

impl Structure {
    fn of(name: &'static str) -> Structure {
        let btf = Btf::from_raw("layout", &OBJECT.0).expect("the object opens").expect("the object has BTF");
        let structure = btf.type_by_name::<Composite<'_>>(name).unwrap_or_else(|| panic!("no struct {name}"));
        let fields = structure
            .iter()
            .map(|member| {
                let MemberAttr::Normal { offset } = member.attr else { panic!("a bit field in {name}") };
                let (size, element) = sizes(btf.type_by_id::<BtfType<'_>>(member.ty).expect("a type"));
                let start = offset as usize / 8;
                let name = member.name.expect("a name").to_string_lossy().into_owned();
                Field { name, place: start..start + size, element }
            })
            .collect();
        Structure { name, size: structure.size(), fields }
    }

    /// Each field of these bytes with its value: as many numbers as it has elements.
    #[track_caller]
    fn read(&self, bytes: &[u8]) -> Vec<(&str, Vec<u64>)> {
        assert_eq!(bytes.len(), self.size, "size of struct {}", self.name);
        let values = |field: &Field| bytes[field.place.clone()].chunks(field.element).map(number).collect();
        self.fields.iter().map(|field| (field.name.as_str(), values(field))).collect()
    }

    /// The bytes with these values, one for each field.
    #[track_caller]
    fn write(&self, values: &[(&str, &[u64])]) -> Vec<u8> {
        let names: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(
            names,
            values.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            "fields of {}",
            self.name
        );
        let mut bytes = vec![0; self.size];
        for (field, (_, values)) in self.fields.iter().zip(values) {
            assert_eq!(field.place.len() / field.element, values.len(), "{}", field.name);
            for (place, value) in bytes[field.place.clone()].chunks_mut(field.element).zip(*values) {
                match place.len() {
                    4 => place.copy_from_slice(&(*value as u32).to_ne_bytes()),
                    _ => place.copy_from_slice(&value.to_ne_bytes()),
                }
            }
        }
        bytes
    }
}

fn number(bytes: &[u8]) -> u64 {
    match *bytes {
        [byte] => u64::from(byte),
        [a, b] => u64::from(u16::from_ne_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_ne_bytes([a, b, c, d])),
        _ => u64::from_ne_bytes(bytes.try_into().expect("a number")),
    }
}

/// The bytes of a type and of one element of it.
fn sizes(kind: BtfType<'_>) -> (usize, usize) {
    let kind = kind.skip_mods_and_typedefs();
    if let Ok(array) = Array::try_from(kind) {
        let (element, _) = sizes(array.contained_type());
        return (array.capacity() * element, element);
    }
    let size = Int::try_from(kind).map_or_else(|kind| panic!("{kind:?}"), |int| int.size());
    (size, size)
}

fn padded(bytes: &[u8], length: usize) -> Vec<u64> {
    let mut values: Vec<u64> = bytes.iter().map(|byte| u64::from(*byte)).collect();
    values.resize(length, 0);
    values
}

#[test]
fn settings() {
    let settings = Settings {
        v1_controller: Some(3),
        signals_from_cgroups: true,
        judged_before: false,
        without_loop: true,
    };
    assert_eq!(
        Structure::of("settings").read(&settings.bytes()),
        [
            ("cgroup_v1_controller", vec![3]),
            ("signals_from_cgroups", vec![1]),
            ("judged_before", vec![0]),
            ("page_bits", vec![u64::from(rustix::param::page_size().ilog2())]),
            ("without_loop", vec![1]),
        ]
    );
    assert_eq!(Settings::default().bytes()[..4], (-1i32).to_ne_bytes());
}

#[test]
fn containers() {
    let container = Container { generation: 1 << 40, profile: 2, init_pid: 3, root_device: 5, needs: 6 };
    assert_eq!(
        Structure::of("container").read(&container.bytes()),
        [
            ("generation", vec![1 << 40]),
            ("profile", vec![2]),
            ("init_pid", vec![3]),
            ("root_device", vec![5]),
            ("needs", vec![6]),
        ]
    );
}

#[test]
fn profiles_heads() {
    let tables = Tables {
        always: Span { offset: 2, count: 3 },
        unplaced_programs: Span { offset: 4, count: 5 },
        unplaced_files: Span { offset: 6, count: 7 },
        ..Tables::default()
    };
    let watched = profiles::Watched {
        traced: [11, 12, 13, 14, 15, 16, 17, 1 << 63],
        hooked: [21, 22, 23, 24, 25, 26, 27, 1 << 62],
        needs: 1,
        filtered: false,
    };
    let mut groups = profiles::Groups::default();
    for (kind, expected) in [
        (AutomatonKind::Path, [0, 1, 2].as_slice()),
        (AutomatonKind::Name, &[0]),
        (AutomatonKind::Arguments, &[0, 1]),
        (AutomatonKind::File, &[0]),
        (AutomatonKind::Above, &[0]),
    ] {
        for number in expected {
            assert_eq!(groups.next(kind), *number);
        }
    }
    assert_eq!(
        Structure::of("profile").read(&profiles::head(&tables, groups, &watched)),
        [
            ("needs", vec![1]),
            ("always_offset", vec![2]),
            ("always_count", vec![3]),
            ("groups", vec![0x01_02_01_03]),
            ("unplaced_programs_offset", vec![4]),
            ("unplaced_programs_count", vec![5]),
            ("unplaced_files_offset", vec![6]),
            ("unplaced_files_count", vec![7]),
            ("traced", vec![11, 12, 13, 14, 15, 16, 17, 1 << 63]),
            ("hooked", vec![21, 22, 23, 24, 25, 26, 27, 1 << 62]),
        ]
    );
}

#[test]
fn rules_and_lists() {
    let rule = Rule {
        action: 1,
        flags: 2,
        origins: 3,
        sources: 4,
        name_bit: 5,
        arguments_bit: 6,
        parent_bit: 7,
        user_bit: 8,
        protocols: 9,
        operations: 14,
        actor_bit: 15,
        except_actor_bit: 16,
        except_user_bit: 17,
        ports: Span { offset: 10, count: 11 },
        except_ports: Span { offset: 12, count: 13 },
    };
    assert_eq!(
        Structure::of("rule").read(&rule.bytes()),
        [
            ("action", vec![1]),
            ("flags", vec![2]),
            ("origins", vec![3]),
            ("sources", vec![4]),
            ("name_bit", vec![5]),
            ("arguments_bit", vec![6]),
            ("parent_bit", vec![7]),
            ("user_bit", vec![8]),
            ("protocols", vec![9]),
            ("operations", vec![14]),
            ("actor_bit", vec![15]),
            ("except_actor_bit", vec![16]),
            ("except_user_bit", vec![17]),
            ("pad", vec![0]),
            ("ports_offset", vec![10]),
            ("ports_count", vec![11]),
            ("except_ports_offset", vec![12]),
            ("except_ports_count", vec![13]),
        ]
    );
    let list = ListRef { match_offset: 1, match_count: 2, except_offset: 3, except_count: 4 };
    let lists = Structure::of("lists");
    assert_eq!(
        lists.read(&list.bytes()),
        [
            ("match_offset", vec![1]),
            ("match_count", vec![2]),
            ("except_offset", vec![3]),
            ("except_count", vec![4]),
        ]
    );
    // The kernel reads a mask as `(u64)match_count << 32 | match_offset`.
    assert_eq!(
        lists.read(&ListRef::mask(0x1234_5678_9abc_def0).bytes())[..2],
        [("match_offset", vec![0x9abc_def0]), ("match_count", vec![0x1234_5678])]
    );
}

#[test]
fn keys() {
    assert_eq!(
        Structure::of("text_key").read(&text_key(7, TextKind::ActorPath, &[b'/'; 100])),
        [
            ("profile", vec![7]),
            ("kind", vec![8]),
            ("length", vec![100]),
            ("text", padded(&[b'/'; 100], TEXT_MAX)),
        ]
    );
    // A short text has the beginning of that.
    let long = text_key(7, TextKind::Name, &[b's'; 57]);
    for (length, size) in [(0, 32), (24, 32), (25, 64), (56, 64), (57, 256)] {
        let key = text_key(7, TextKind::Name, &vec![b's'; length]);
        assert_eq!((key.len(), &key[..6]), (size, &long[..6]), "{length}");
        assert_eq!(key[8..].iter().rposition(|byte| *byte == b's').map_or(0, |last| last + 1), length);
    }
    assert_eq!(
        Structure::of("object_key").read(&object_key(7, TextKind::Runs, 1 << 40, 5, 3)),
        [
            ("profile", vec![7]),
            ("kind", vec![9]),
            ("inode", vec![1 << 40]),
            ("device", vec![5]),
            ("place", vec![3]),
        ]
    );
    assert_eq!(
        Structure::of("prefix_key").read(&prefix_key(7, TextKind::File, b"/tmp/")),
        [
            ("bits", vec![64 + 5 * 8]),
            ("profile", vec![7]),
            ("kind", vec![5]),
            ("text", padded(b"/tmp/", TEXT_MAX)),
        ]
    );
    assert_eq!(
        Structure::of("number_key").read(&number_key(7, NumberKind::Syscall, 1 << 40)),
        [("profile", vec![7]), ("kind", vec![2]), ("number", vec![1 << 40])]
    );
    let words = |octets: &[u8]| octets.chunks(4).map(number).collect::<Vec<u64>>();
    let v4 = "10.1.0.0/16".parse().unwrap();
    assert_eq!(
        Structure::of("address_key").read(&address_key(7, &v4)),
        [
            ("bits", vec![64 + 16]),
            ("profile", vec![7]),
            ("family", vec![4]),
            ("address", words(&[10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ]
    );
    let v6: ipnet::Ipv6Net = "2001:db8:1:2:3:4:5:6/128".parse().unwrap();
    let octets = v6.addr().octets();
    assert_eq!(
        Structure::of("address_key").read(&address_key(7, &ipnet::IpNet::V6(v6))),
        [("bits", vec![64 + 128]), ("profile", vec![7]), ("family", vec![6]), ("address", words(&octets))]
    );
}

#[test]
fn automata() {
    let classes: [u8; 256] = std::array::from_fn(|byte| 255 - byte as u8);
    let automaton = moat_policy::Automaton {
        start: 2,
        end_class: 1,
        min_match: 4,
        classes,
        transitions: vec![0, 0, 2, 4, 6, 0, 0, 0],
        stride: 2,
        matches: vec![vec![0], vec![0]],
    };
    let table = AutomatonTable::new(&automaton, &[vec![1; 8], vec![1; 8]]);
    assert_eq!(
        Structure::of("automaton").read(&table.header),
        [
            ("start", vec![2]),
            ("end_class", vec![1]),
            ("min_match", vec![4]),
            ("stride", vec![2]),
            ("match_base", vec![8]),
            ("size", vec![8 + 16]),
            ("classes", padded(&classes, 256)),
        ]
    );
    // AUTOMATON_KEY: profile << 32 | group << 8 | kind.
    assert_eq!(number(&automaton_key(7, AutomatonKind::Arguments, 3)), 7 << 32 | 3 << 8 | 2);
}

#[test]
fn roles() {
    let state = Structure::of("task_state");
    let bytes = tasks::Role::Session.given_to([0; 24], 7);
    assert_eq!(
        state.read(&bytes),
        [("host_root", vec![0]), ("role", vec![3]), ("runs", vec![0]), ("cgroup", vec![7])]
    );
    let bytes = state.write(&[("host_root", &[u64::MAX]), ("role", &[2]), ("runs", &[9]), ("cgroup", &[1])]);
    assert_eq!(tasks::role_in(&bytes), Some(2));
}

#[test]
fn waiting_processes() {
    let bytes = Structure::of("hold").write(&[("cgroup", &[1 << 40]), ("started", &[2 << 40])]);
    let hold = holds::Hold::read(3, &bytes).expect("a hold");
    assert_eq!((hold.pid, hold.cgroup, hold.started), (3, 1 << 40, 2 << 40));
}

#[test]
fn calls_that_change_files() {
    let structure = Structure::of("file_call");
    let none = u64::from(u8::MAX);
    let row = |name| {
        let wanted = calls::number(name).expect("known here");
        file_calls::rows().find(|(number, _)| *number == wanted).expect("a row").1
    };
    for (name, [directory, path, directory2, path2]) in
        [("renameat2", [0, 1, 2, 3]), ("symlinkat", [1, 2, none, none]), ("fchmod", [0, none, none, none])]
    {
        assert_eq!(
            structure.read(&row(name)),
            [
                ("used", vec![1]),
                ("directory", vec![directory]),
                ("path", vec![path]),
                ("directory2", vec![directory2]),
                ("path2", vec![path2]),
                ("pad", vec![0; 3]),
            ],
            "{name}"
        );
    }
}

#[test]
fn records() {
    let structure = Structure::of("record");
    assert_eq!(structure.size, record_bytes::HEAD);
    let write = |kind: u64, number: u64| {
        let octets: [u64; 4] = [[0x20, 1, 0xd, 0xb8], [0; 4], [0; 4], [0, 0, 0, 5]].map(number_of);
        let mut bytes = structure.write(&[
            ("kind", &[kind]),
            ("outcome", &[2]),
            ("cgroup", &[3 << 40]),
            ("generation", &[4 << 40]),
            ("enforced", &[5]),
            ("audited", &[6]),
            ("pid", &[7]),
            ("parent_pid", &[8]),
            ("uid", &[9]),
            ("role", &[3]),
            ("source", &[1]),
            ("path_length", &[2]),
            ("arguments_length", &[3]),
            ("parent_length", &[4]),
            ("directory_length", &[5]),
            ("arguments_total", &[100]),
            ("number", &[number]),
            ("family", &[10]),
            ("address", &octets),
            ("values", &[1, 2]),
        ]);
        bytes.extend(b"/aa\0b/ccc/dddd");
        record_bytes::decode(&bytes, |number| (number == 101).then_some("ptrace")).expect("a record")
    };
    let record = |decoded| match decoded {
        record_bytes::Decoded::Record(record) => record,
        other => panic!("{other:?}"),
    };

    let exec = record(write(1, 0));
    assert_eq!((exec.cgroup, exec.generation), (3 << 40, 4 << 40));
    assert_eq!((exec.enforced, exec.audited, exec.outcome), (Some(5), Some(6), Outcome::Killed));
    let process = exec.process;
    assert_eq!((process.pid, process.parent_pid, process.uid), (7, 8, 9));
    assert_eq!(process.origin, Some(moat_event::Origin::ExecSession));
    assert_eq!((process.executable.as_slice(), process.arguments.as_slice()), (&b"/a"[..], &b"a\0b"[..]));
    assert_eq!((process.parent_executable.as_slice(), process.cwd.as_slice()), (&b"/ccc"[..], &b"/dddd"[..]));
    assert!(process.arguments_truncated);
    // The first of `values` says that only the end of the path is known.
    assert_eq!(exec.act, Act::Exec { path: b".../a".to_vec(), source: FileSource::Added });

    // `port << 16 | protocol << 8 | direction`
    let peer = "2001:db8::5".parse().expect("an address");
    let (direction, protocol) = (Direction::Ingress, Protocol::Udp);
    assert_eq!(
        record(write(2, 443 << 16 | 17 << 8 | 1)).act,
        Act::Connect { direction, protocol, peer, port: 443 }
    );
    assert_eq!(record(write(3, 101)).act, Act::Syscall { name: "ptrace" });
    let record_bytes::Decoded::FileCall(call) = write(4, 264) else { panic!("no file call") };
    assert_eq!((call.cgroup, call.number, call.pid, call.parent_pid, call.uid), (3 << 40, 264, 7, 8, 9));
    assert_eq!((call.path.as_slice(), call.base.as_slice()), (&b"/a"[..], &b"a\0b"[..]));
    assert_eq!((call.second_path.as_slice(), call.second_base.as_slice()), (&b"/ccc"[..], &b"/dddd"[..]));
}

fn number_of(octets: [u8; 4]) -> u64 {
    number(&octets)
}

#[test]
fn counts_of_what_was_suppressed() {
    let key = Structure::of("suppressed_key").write(&[
        ("cgroup", &[1 << 40]),
        ("generation", &[2 << 40]),
        ("enforced", &[u64::from(u32::MAX)]),
        ("audited", &[4]),
        ("kind", &[9]),
        ("outcome", &[1]),
    ]);
    let record = reader::suppressed_record(&key, 77).expect("a record");
    assert_eq!((record.cgroup, record.generation, record.count), (1 << 40, 2 << 40, 77));
    assert_eq!((record.enforced, record.audited), (None, Some(4)));
    assert_eq!((record.outcome, record.act), (Outcome::Denied, Act::Repeated));
}

#[test]
fn what_is_observed() {
    assert_eq!(Structure::of("observed_key").size, record_bytes::KEY);
    let value = Structure::of("observed").write(&[("since", &[5_000_000_001]), ("more", &[1 << 40])]);
    assert_eq!(observer::counted(&value), (std::time::Duration::new(5, 1), 1 << 40));
    let own = Structure::of("observing");
    assert_eq!(own.read(&observer::observing(1 << 63)), [("seed", vec![1 << 63]), ("lost", vec![0])]);
    assert_eq!(observer::lost(&own.write(&[("seed", &[1]), ("lost", &[2 << 40])])), 2 << 40);
}
