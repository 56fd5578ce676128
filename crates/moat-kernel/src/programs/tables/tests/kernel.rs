//! What the programs do with the tables, step by step: `bpf/exec.h`, `bpf/lsm_file.h`, `bpf/judge.h`, `bpf/automaton.h`
//! and `bpf/network.h` in Rust, over the very keys and words that the kernel's maps get.

use std::collections::HashMap;
use std::net::IpAddr;

use moat_event::{Direction, Origin, Protocol};
use moat_policy::activity::{Connect, Exec, FileAccess, FileSource};
use moat_policy::capabilities::capability_number;
use moat_policy::{Activity, applet};

use super::super::*;
use crate::programs::layout::{address_key, number_key, prefix_key, text_hash, text_key};

const PROFILE: u32 = 0x0102_0304;
/// Ancestors that `ancestor_sets` looks at.
const ANCESTORS: usize = 1024;

type Ranks = (Option<usize>, Option<usize>);

/// The maps of one profile.
pub(super) struct Kernel<'a> {
    tables: &'a Tables,
    texts: HashMap<Vec<u8>, ListRef>,
    prefixes: PrefixTree,
    numbers: HashMap<Vec<u8>, ListRef>,
    addresses: PrefixTree,
}

/// `BPF_MAP_TYPE_LPM_TRIE`: a key begins with the number of its bits.
struct PrefixTree(HashMap<Vec<u8>, ListRef>);

impl PrefixTree {
    fn lookup(&self, key: &[u8]) -> ListRef {
        let bits = |key: &[u8]| word(key, 0) as usize;
        let agree = |stored: &[u8]| {
            let (whole, rest) = (bits(stored) / 8, bits(stored) % 8);
            let (stored, key) = (&stored[4..], &key[4..]);
            stored[..whole] == key[..whole] && (rest == 0 || (stored[whole] ^ key[whole]) >> (8 - rest) == 0)
        };
        self.0
            .iter()
            .filter(|(stored, _)| bits(stored) <= bits(key) && agree(stored))
            .max_by_key(|(stored, _)| bits(stored))
            .map_or_else(ListRef::default, |(_, list)| *list)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// `struct facts`.
#[derive(Default)]
struct Facts {
    parents: u64,
    users: u64,
    actors: u64,
    operations: u16,
    name_bits: [u64; 4],
    argument_bits: [u64; 4],
    role: u8,
    source: u8,
    enforced: Option<u32>,
    audited: Option<u32>,
    path: ListRef,
    prefix: ListRef,
    name: ListRef,
    applet: ListRef,
    matched: ListRef,
}

impl<'a> Kernel<'a> {
    pub fn new(tables: &'a Tables) -> Kernel<'a> {
        let texts: HashMap<_, _> =
            tables.texts.iter().map(|(kind, text, list)| (text_key(PROFILE, *kind, text), *list)).collect();
        let prefixes: HashMap<_, _> = tables
            .prefixes
            .iter()
            .map(|(kind, prefix, list)| (prefix_key(PROFILE, *kind, prefix).to_vec(), *list))
            .collect();
        let numbers: HashMap<_, _> = tables
            .numbers
            .iter()
            .map(|(kind, number, list)| (number_key(PROFILE, *kind, *number).to_vec(), *list))
            .collect();
        let addresses: HashMap<_, _> = tables
            .addresses
            .iter()
            .map(|(network, list)| (address_key(PROFILE, network).to_vec(), *list))
            .collect();
        // A map keeps the last of equal keys: two rows with one key would lose a rule.
        assert_eq!(texts.len(), tables.texts.len());
        assert_eq!(prefixes.len(), tables.prefixes.len());
        assert_eq!(numbers.len(), tables.numbers.len());
        assert_eq!(addresses.len(), tables.addresses.len());
        Kernel { tables, texts, prefixes: PrefixTree(prefixes), numbers, addresses: PrefixTree(addresses) }
    }

    /// The ranks of the enforced and of the audited rule that the kernel takes.
    pub fn decide(&self, activity: &Activity<'_>) -> Ranks {
        match activity {
            Activity::Exec(exec) => self.exec(exec),
            Activity::Connect(connect) => self.connect(connect),
            Activity::Syscall(name) => self.syscall(name),
            Activity::File(access) => self.file(access),
            Activity::Capability(name) => self.capability(name),
        }
    }

    /// `judge_exec`.
    fn exec(&self, exec: &Exec<'_>) -> Ranks {
        let needs = self.tables.needs;
        if needs & need::EXEC == 0 {
            return (None, None);
        }
        let name = exec.path.rsplit(|byte| *byte == b'/').next().unwrap();
        let mut facts = Facts {
            role: match exec.origin {
                Origin::Entrypoint => 2,
                Origin::ExecSession => 3,
            },
            source: match exec.source {
                FileSource::Image => 0,
                FileSource::Added => 1,
                FileSource::Fileless => 2,
            },
            ..Facts::default()
        };
        if needs & need::ARGUMENTS != 0 {
            let argv = exec.arguments.expect("known after exec");
            let argv = argv.strip_suffix(b"\0").unwrap_or(argv);
            self.run(AutomatonKind::Arguments, argv, Some(&mut facts.argument_bits));
        }
        if needs & (need::PARENT | need::PARENT_PATH) != 0 {
            facts.parents = self.ancestors(exec.ancestors);
        }
        if needs & need::USER != 0 {
            facts.users = self.user_sets(exec.uid);
        }
        if needs & need::NAME != 0 && name.len() < TEXT_MAX {
            facts.name = self.text(TextKind::Name, name);
        }
        if needs & need::NAME_AUTOMATON != 0 && name.len() < 256 {
            self.run(AutomatonKind::Name, name, Some(&mut facts.name_bits));
        }
        if needs & (need::NAME | need::NAME_AUTOMATON) != 0
            && let Some(applet) = applet(exec.path, exec.arguments.expect("known after exec"))
        {
            if needs & need::NAME != 0 {
                facts.applet = self.text(TextKind::Name, applet);
                let ListRef { except_offset, except_count, .. } = facts.applet;
                facts.name = ListRef { except_offset, except_count, ..facts.name };
            }
            if needs & need::NAME_AUTOMATON != 0 {
                self.run(AutomatonKind::Name, applet, Some(&mut facts.name_bits));
            }
        }
        if needs & need::PATH != 0 && exec.path.len() < TEXT_MAX {
            facts.path = self.text(TextKind::Path, exec.path);
        }
        if needs & need::PREFIX != 0 {
            let used = exec.path.len().min(TEXT_MAX - 1);
            facts.prefix = self.prefixes.lookup(&prefix_key(PROFILE, TextKind::Path, &exec.path[..used]));
        }
        if needs & need::PATH_AUTOMATON != 0 {
            facts.matched = self.run(AutomatonKind::Path, exec.path, None);
        }
        for list in [facts.path, facts.prefix, facts.name, facts.applet, facts.matched] {
            self.consider(&mut facts, list.match_offset, list.match_count);
        }
        self.consider(&mut facts, self.tables.always.offset, self.tables.always.count);
        ranks(facts.enforced, facts.audited)
    }

    /// `judge_with` in `bpf/lsm_file.h`, for a file with one name.
    fn file(&self, access: &FileAccess<'_>) -> Ranks {
        let needs = self.tables.needs;
        if needs & need::FILE == 0 {
            return (None, None);
        }
        let mut facts = Facts { operations: 1 << access.operation as u16, ..Facts::default() };
        if access.path.len() < TEXT_MAX {
            facts.path = self.text(TextKind::File, access.path);
        }
        if needs & need::FILE_PREFIX != 0 {
            let used = access.path.len().min(TEXT_MAX - 1);
            facts.prefix = self.prefixes.lookup(&prefix_key(PROFILE, TextKind::File, &access.path[..used]));
        }
        if needs & need::FILE_AUTOMATON != 0 {
            facts.matched = self.run(AutomatonKind::File, access.path, None);
        }
        let executable = access.actor.executable;
        let name = executable.rsplit(|byte| *byte == b'/').next().unwrap();
        for (need, kind, text) in
            [(need::ACTOR, TextKind::ActorName, name), (need::ACTOR_PATH, TextKind::ActorPath, executable)]
        {
            if needs & need != 0 {
                facts.actors |= mask(&self.text(kind, text));
            }
        }
        if needs & need::USER != 0 {
            facts.users = self.user_sets(access.actor.uid);
        }
        for list in [facts.path, facts.prefix, facts.matched] {
            self.consider(&mut facts, list.match_offset, list.match_count);
        }
        ranks(facts.enforced, facts.audited)
    }

    fn user_sets(&self, uid: u32) -> u64 {
        self.numbers.get(number_key(PROFILE, NumberKind::User, u64::from(uid)).as_slice()).map_or(0, mask)
    }

    /// `judge_syscall` and `judge_call`.
    fn syscall(&self, name: &str) -> Ranks {
        let number = calls::number(name).expect("a system call of this architecture");
        let watched = self.tables.calls[number as usize / 64] >> (number % 64) & 1 == 1;
        if watched { self.number(NumberKind::Syscall, number) } else { (None, None) }
    }

    /// `moat_lsm_capable`.
    fn capability(&self, name: &str) -> Ranks {
        let number = capability_number(name).expect("a capability");
        let watched = self.tables.needs & need::CAPABILITY != 0;
        if watched { self.number(NumberKind::Capability, number) } else { (None, None) }
    }

    /// `judge_number`.
    fn number(&self, kind: NumberKind, number: u32) -> Ranks {
        let key = number_key(PROFILE, kind, u64::from(number));
        let Some(list) = self.numbers.get(key.as_slice()) else { return (None, None) };
        let mut facts = Facts::default();
        self.consider(&mut facts, list.match_offset, list.match_count);
        ranks(facts.enforced, facts.audited)
    }

    /// `judge_connection`, after `unmap_address`.
    fn connect(&self, connect: &Connect) -> Ranks {
        let peer = match connect.peer {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(connect.peer, IpAddr::V4),
            IpAddr::V4(_) => connect.peer,
        };
        // The programs are attached only where a rule speaks about their direction.
        let needs = self.tables.needs;
        let attached = match (connect.direction, connect.protocol) {
            (_, Protocol::Raw) => needs & need::RAW != 0,
            (Direction::Egress, _) => needs & need::EGRESS != 0,
            (Direction::Ingress, _) => self.tables.ingress,
            (Direction::Listen, _) => needs & need::LISTEN != 0,
        };
        if !attached {
            return (None, None);
        }
        let mut key = address_key(PROFILE, &IpNet::from(peer));
        key[0..4].copy_from_slice(&(64u32 + 128).to_ne_bytes());
        let list = self.addresses.lookup(&key);
        let protocol = protocol_bit(connect.direction, connect.protocol);
        let port = u32::from(connect.port);
        let (mut enforced, mut audited) = (None, None);
        for rank in self.list(list.match_offset, list.match_count) {
            let rule = &self.tables.rules[*rank as usize];
            let best = if rule.flags & flag::ENFORCED != 0 { &mut enforced } else { &mut audited };
            if best.is_some_and(|best| best <= *rank)
                || rule.protocols & protocol == 0
                || rule.ports.count > 0 && !self.port(rule.ports, port)
            {
                continue;
            }
            if rule.flags & (flag::EXCEPT_ADDRESS | flag::EXCEPT_PORT) != 0 {
                let address = rule.flags & flag::EXCEPT_ADDRESS == 0
                    || self.list(list.except_offset, list.except_count).contains(rank);
                let port = rule.flags & flag::EXCEPT_PORT == 0 || self.port(rule.except_ports, port);
                if address && port {
                    continue;
                }
            }
            *best = Some(*rank);
        }
        ranks(enforced, audited)
    }

    fn port(&self, span: Span, port: u32) -> bool {
        self.list(span.offset, span.count * 2).chunks(2).any(|pair| pair[0] <= port && port <= pair[1])
    }

    fn list(&self, offset: u32, count: u32) -> &[u32] {
        &self.tables.lists[offset as usize..(offset + count) as usize]
    }

    fn text(&self, kind: TextKind, text: &[u8]) -> ListRef {
        self.texts.get(text_key(PROFILE, kind, text).as_slice()).copied().unwrap_or_default()
    }

    /// `ancestor_sets`.
    fn ancestors(&self, ancestors: &[&[u8]]) -> u64 {
        let mut sets = 0;
        for path in ancestors.iter().take(ANCESTORS) {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap();
            if self.tables.needs & need::PARENT != 0 {
                sets |= self.ancestor(NumberKind::AncestorName, name);
            }
            if self.tables.needs & need::PARENT_PATH != 0 {
                sets |= self.ancestor(NumberKind::AncestorPath, path);
            }
        }
        sets
    }

    /// `program_sets`.
    fn ancestor(&self, kind: NumberKind, text: &[u8]) -> u64 {
        self.numbers.get(number_key(PROFILE, kind, text_hash(text)).as_slice()).map_or(0, mask)
    }

    /// Every automaton of a kind over `input`: the bits of what matched on the way, or, without `bits`, the
    /// lists of the state after the last byte.
    fn run(&self, kind: AutomatonKind, input: &[u8], mut bits: Option<&mut [u64; 4]>) -> ListRef {
        let mut last = ListRef::default();
        for (_, table) in self.tables.automata.iter().filter(|(own, _)| *own == kind) {
            let [start, end_class, min_match, stride, match_base, size] =
                std::array::from_fn(|index| word(&table.header, index * 4));
            assert_eq!(size as usize, table.words.len());
            let classes = &table.header[24..];
            let entry = |state: u32, length: u32| {
                let at = (match_base + (state - min_match) / stride * length) as usize;
                &table.words[at..at + length as usize]
            };
            let mut collect = |state: u32| {
                if let Some(bits) = bits.as_deref_mut().filter(|_| state >= min_match) {
                    for (bits, pair) in bits.iter_mut().zip(entry(state, 8).chunks(2)) {
                        *bits |= u64::from(pair[1]) << 32 | u64::from(pair[0]);
                    }
                }
            };
            let mut state = start;
            collect(state);
            for byte in input {
                state = table.words[(state + u32::from(classes[usize::from(*byte)])) as usize];
                if state == 0 {
                    break;
                }
                collect(state);
            }
            if state == 0 {
                continue;
            }
            let state = table.words[(state + end_class) as usize];
            collect(state);
            if bits.is_none() && state >= min_match {
                let words = entry(state, 4);
                last = ListRef {
                    match_offset: words[0],
                    match_count: words[1],
                    except_offset: words[2],
                    except_count: words[3],
                };
            }
        }
        last
    }

    /// `consider` with `search_step`.
    fn consider(&self, facts: &mut Facts, offset: u32, count: u32) {
        for entry in self.list(offset, count) {
            let rank = entry & !ENTRY_NEEDS_NAME;
            let outranked = |best: Option<u32>| best.is_some_and(|best| rank >= best);
            if outranked(facts.enforced) && outranked(facts.audited) {
                break;
            }
            let rule = &self.tables.rules[rank as usize];
            let enforced = rule.flags & flag::ENFORCED != 0;
            if outranked(if enforced { facts.enforced } else { facts.audited }) {
                continue;
            }
            if entry & ENTRY_NEEDS_NAME != 0 && !bit_of(&facts.name_bits, rule.name_bit)
                || rule.arguments_bit != NO_BIT && !bit_of(&facts.argument_bits, rule.arguments_bit)
                || rule.parent_bit != NO_BIT && facts.parents >> rule.parent_bit & 1 == 0
                || rule.user_bit != NO_BIT && facts.users >> rule.user_bit & 1 == 0
                || rule.origins != 0 && facts.role != 0 && rule.origins >> facts.role & 1 == 0
                || rule.sources != 0 && rule.sources >> facts.source & 1 == 0
                || rule.operations != 0 && rule.operations & facts.operations == 0
                || rule.actor_bit != NO_BIT && facts.actors >> rule.actor_bit & 1 == 0
                || rule.except_actor_bit != NO_BIT && facts.actors >> rule.except_actor_bit & 1 == 1
                || rule.except_user_bit != NO_BIT && facts.users >> rule.except_user_bit & 1 == 1
                || self.excepted(facts, rule, rank)
            {
                continue;
            }
            *(if enforced { &mut facts.enforced } else { &mut facts.audited }) = Some(rank);
        }
    }

    fn excepted(&self, facts: &Facts, rule: &Rule, rank: u32) -> bool {
        rule.flags & flag::EXCEPT != 0
            && [facts.path, facts.prefix, facts.name, facts.matched]
                .iter()
                .any(|list| self.list(list.except_offset, list.except_count).contains(&rank))
    }
}

fn bit_of(bits: &[u64; 4], bit: u16) -> bool {
    bits[usize::from(bit >> 6 & 3)] >> (bit & 63) & 1 == 1
}

fn mask(list: &ListRef) -> u64 {
    u64::from(list.match_count) << 32 | u64::from(list.match_offset)
}

fn ranks(enforced: Option<u32>, audited: Option<u32>) -> Ranks {
    (enforced.map(|rank| rank as usize), audited.map(|rank| rank as usize))
}
