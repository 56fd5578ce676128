//! A rule set as the kernel reads it: pure, so that it can be tested without one.
//!
//! Every selector leads to a list of ranks; the kernel looks up what an act selects, walks those lists in
//! rank order and takes the first rule that agrees. Lists with equal content are stored once.

mod above;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use moat_event::{Direction, Protocol};
use moat_policy::automaton::{Automaton, AutomatonError, Options};
use moat_policy::capabilities::capability_number;
use moat_policy::glob::{Glob, Shape};
use moat_policy::model::{
    DriftMatcher, ExecutableList, FileMatcher, NetworkMatcher, OriginMatcher, ProcessMatcher, RuleAction,
};
use moat_policy::pattern::Pattern;
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet, Users};

use self::above::Above;
use super::calls::{self, Calls};
use super::file_calls;
use super::layout::{AutomatonKind, AutomatonTable, GROUPS, NumberKind, TEXT_MAX, TextKind, text_hash};
use crate::ApplyError;

/// Bits of `enum need` in `bpf/maps.h`.
pub(super) mod need {
    pub const NAME: u32 = 1 << 0;
    pub const PATH: u32 = 1 << 1;
    pub const PREFIX: u32 = 1 << 2;
    pub const PARENT: u32 = 1 << 3;
    pub const PARENT_PATH: u32 = 1 << 4;
    pub const USER: u32 = 1 << 5;
    pub const SOURCE: u32 = 1 << 6;
    pub const PATH_AUTOMATON: u32 = 1 << 7;
    pub const NAME_AUTOMATON: u32 = 1 << 8;
    pub const ARGUMENTS: u32 = 1 << 9;
    pub const EXEC: u32 = 1 << 10;
    pub const FILE_CALLS: u32 = 1 << 11;
    pub const FILE: u32 = 1 << 12;
    pub const FILE_PREFIX: u32 = 1 << 13;
    pub const FILE_AUTOMATON: u32 = 1 << 14;
    pub const ACTOR: u32 = 1 << 15;
    pub const ACTOR_PATH: u32 = 1 << 16;
    pub const ABOVE_AUTOMATON: u32 = 1 << 17;
    pub const CALL: u32 = 1 << 24;
    pub const CAPABILITY: u32 = 1 << 25;
    pub const EGRESS: u32 = 1 << 26;
    pub const LISTEN: u32 = 1 << 27;
    pub const RAW: u32 = 1 << 28;
}

const NO_BIT: u16 = 0xffff;
const ENTRY_NEEDS_NAME: u32 = 0x8000_0000;
/// Expressions that one automaton can tell apart, and sets of ancestors or users that one container can.
const MAX_EXPRESSIONS: usize = 256;
const MAX_SETS: usize = 64;

mod flag {
    pub const ENFORCED: u8 = 1;
    pub const EXCEPT: u8 = 2;
    pub const EXCEPT_ADDRESS: u8 = 4;
    pub const EXCEPT_PORT: u8 = 8;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ListRef {
    pub match_offset: u32,
    pub match_count: u32,
    pub except_offset: u32,
    pub except_count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub offset: u32,
    pub count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub action: u8,
    pub flags: u8,
    pub origins: u8,
    pub sources: u8,
    pub name_bit: u16,
    pub arguments_bit: u16,
    pub parent_bit: u16,
    pub user_bit: u16,
    pub protocols: u16,
    pub operations: u16,
    pub actor_bit: u16,
    pub except_actor_bit: u16,
    pub except_user_bit: u16,
    pub ports: Span,
    pub except_ports: Span,
}

/// Everything of one container's rules that the programs read.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    pub needs: u32,
    pub always: Span,
    /// Rules that a path too long to be known may match.
    pub unplaced_programs: Span,
    pub unplaced_files: Span,
    /// System calls that rules name.
    pub calls: Calls,
    /// Those that change files in a way that rules name.
    pub file_calls: Calls,
    pub rules: Vec<Rule>,
    pub lists: Vec<u32>,
    pub texts: Vec<(TextKind, Vec<u8>, ListRef)>,
    /// Of programs ([`TextKind::Path`]) and of files ([`TextKind::File`]).
    pub prefixes: Vec<(TextKind, Vec<u8>, ListRef)>,
    pub numbers: Vec<(NumberKind, u64, ListRef)>,
    pub addresses: Vec<(IpNet, ListRef)>,
    pub automata: Vec<(AutomatonKind, AutomatonTable)>,
    pub ingress: bool,
}

/// Ranks that a selector leads to, for matching and for exceptions.
#[derive(Debug, Clone, Default)]
struct Ranks {
    matches: BTreeSet<u32>,
    excepts: BTreeSet<u32>,
}

/// Which side of a rule a list of executables stands on.
#[derive(Clone, Copy)]
enum Side {
    Match,
    Except,
}

impl Ranks {
    fn add(&mut self, side: Side, rank: u32) {
        match side {
            Side::Match => self.matches.insert(rank),
            Side::Except => self.excepts.insert(rank),
        };
    }

    fn extend(&mut self, other: &Ranks) {
        self.matches.extend(&other.matches);
        self.excepts.extend(&other.excepts);
    }
}

#[derive(Default)]
struct Builder {
    needs: u32,
    named_calls: Calls,
    file_calls: Calls,
    rules: Vec<Rule>,
    always: BTreeSet<u32>,
    names: BTreeMap<Vec<u8>, Ranks>,
    programs: Paths,
    files: Paths,
    /// Directories that the paths of rules lie below.
    above: BTreeMap<Vec<u8>, Ranks>,
    above_globs: Above,
    name_expressions: Vec<String>,
    argument_expressions: Vec<String>,
    parent_sets: Vec<Vec<String>>,
    actor_sets: Vec<Vec<String>>,
    user_sets: Vec<Vec<String>>,
    numbers: BTreeMap<(NumberKind, u64), BTreeSet<u32>>,
    networks: BTreeMap<IpNet, Ranks>,
    /// Local addresses that rules about listening name.
    listened: BTreeMap<IpNet, BTreeSet<u32>>,
    lists: Lists,
    ingress: bool,
}

/// Paths by the way the kernel looks them up.
#[derive(Default)]
struct Paths {
    exact: BTreeMap<Vec<u8>, Ranks>,
    prefixes: BTreeMap<Vec<u8>, Ranks>,
    patterns: BTreeMap<String, Ranks>,
}

impl Paths {
    /// Ranks that are looked for by anything but whole paths.
    fn by_globs(&self) -> Vec<u32> {
        let globs = self.prefixes.values().chain(self.patterns.values());
        globs.flat_map(|ranks| ranks.matches.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// A path in which every character is itself.
    fn exact(&mut self, path: &[u8], rank: u32, side: Side) -> Result<(), String> {
        fits(path)?;
        self.exact.entry(path.to_vec()).or_default().add(side, rank);
        Ok(())
    }

    fn glob(&mut self, glob: &str, rank: u32, side: Side) -> Result<(), String> {
        match Glob::new(glob).map_err(|error| error.to_string())?.shape() {
            Shape::Exact(path) => self.exact(path, rank, side)?,
            Shape::Below(directory) => {
                let mut prefix = directory.clone();
                prefix.push(b'/');
                fits(&prefix)?;
                if !directory.is_empty() {
                    self.exact.entry(directory.clone()).or_default().add(side, rank);
                }
                self.prefixes.entry(prefix).or_default().add(side, rank);
            }
            Shape::Pattern(pattern) => {
                self.patterns.entry(pattern.text().to_owned()).or_default().add(side, rank);
            }
        }
        Ok(())
    }
}

impl Paths {
    /// Adds to exact paths the exceptions that reach them as globs: a file that is found by its inode is judged by the path
    /// that a rule names, which then is not looked up.
    fn except_exact(&mut self) {
        // They are patterns of globs, which were compiled when these were read.
        let patterns: Vec<_> = self
            .patterns
            .iter()
            .filter(|(_, ranks)| !ranks.excepts.is_empty())
            .filter_map(|(pattern, ranks)| Some((Pattern::new(pattern).ok()?, ranks)))
            .collect();
        let prefixes: Vec<_> = self.prefixes.iter().filter(|(_, ranks)| !ranks.excepts.is_empty()).collect();
        for (path, exact) in self.exact.iter_mut().filter(|(_, exact)| !exact.matches.is_empty()) {
            let below =
                prefixes.iter().filter(|(prefix, _)| path.starts_with(prefix)).map(|(_, ranks)| *ranks);
            let matched =
                patterns.iter().filter(|(pattern, _)| pattern.is_match(path)).map(|(_, ranks)| *ranks);
            for ranks in below.chain(matched) {
                exact.excepts.extend(ranks.excepts.intersection(&exact.matches));
            }
        }
    }
}

/// The array of all lists, each content once.
#[derive(Default)]
struct Lists {
    words: Vec<u32>,
    known: HashMap<Vec<u32>, u32>,
}

impl Lists {
    fn add(&mut self, words: Vec<u32>) -> Span {
        let count = words.len() as u32;
        if count == 0 {
            return Span::default();
        }
        let offset = *self.known.entry(words).or_insert_with_key(|words| {
            let offset = self.words.len() as u32;
            self.words.extend(words);
            offset
        });
        Span { offset, count }
    }

    fn ranks(&mut self, ranks: &Ranks) -> ListRef {
        let matches = self.add(ranks.matches.iter().copied().collect());
        let excepts = self.add(ranks.excepts.iter().copied().collect());
        ListRef {
            match_offset: matches.offset,
            match_count: matches.count,
            except_offset: excepts.offset,
            except_count: excepts.count,
        }
    }
}

impl Tables {
    /// Compiles `rules` for a container whose users are `users`.
    ///
    /// # Errors
    /// [`ApplyError::DoesNotFit`] names the rule that exceeds what the kernel tables hold.
    pub fn compile(rules: &RuleSet, users: &Users) -> Result<Tables, ApplyError> {
        let mut builder = Builder::default();
        for (rank, rule) in rules.rules.iter().enumerate() {
            builder.rule(rank as u32, rule).map_err(|what| does_not_fit(rule, what))?;
        }
        builder.programs.except_exact();
        builder.files.except_exact();
        builder.finish(rules, users)
    }
}

fn does_not_fit(rule: &EffectiveRule, what: String) -> ApplyError {
    ApplyError::DoesNotFit { policy: rule.policy.to_string(), rule: rule.rule.to_string(), what }
}

impl Builder {
    fn rule(&mut self, rank: u32, rule: &EffectiveRule) -> Result<(), String> {
        let mut row = Rule {
            action: match rule.action {
                RuleAction::Alert => 0,
                RuleAction::Block => 1,
                RuleAction::KillProcess => 2,
                RuleAction::KillPod => 3,
                RuleAction::Quarantine => 4,
            },
            flags: if rule.enforced { flag::ENFORCED } else { 0 },
            origins: 0,
            sources: 0,
            name_bit: NO_BIT,
            arguments_bit: NO_BIT,
            parent_bit: NO_BIT,
            user_bit: NO_BIT,
            protocols: 0,
            operations: 0,
            actor_bit: NO_BIT,
            except_actor_bit: NO_BIT,
            except_user_bit: NO_BIT,
            ports: Span::default(),
            except_ports: Span::default(),
        };
        match &rule.matcher {
            Matcher::Process(matcher) => self.process(rank, &mut row, matcher)?,
            Matcher::Drift(matcher) => self.drift(rank, &mut row, matcher)?,
            Matcher::Network(matcher) => self.network(rank, &mut row, matcher)?,
            Matcher::Syscalls(names) => self.syscalls(rank, names)?,
            Matcher::File(matcher) => self.file(rank, &mut row, matcher)?,
            Matcher::Capabilities(names) => self.capabilities(rank, names)?,
        }
        self.rules.push(row);
        Ok(())
    }

    fn process(&mut self, rank: u32, row: &mut Rule, matcher: &ProcessMatcher) -> Result<(), String> {
        self.needs |= need::EXEC;
        let mut selected = false;
        if let Some(allowed) = &matcher.allow_only {
            self.executables(rank, allowed, Side::Except)?;
            row.flags |= flag::EXCEPT;
        } else {
            if let Some(expression) = &matcher.name_regex {
                row.name_bit = bit(&mut self.name_expressions, expression, MAX_EXPRESSIONS, "nameRegex")?;
                self.always.insert(rank | ENTRY_NEEDS_NAME);
                selected = true;
            }
            let listed = ExecutableList {
                names: matcher.names.clone(),
                paths: matcher.paths.clone(),
                path_globs: matcher.path_globs.clone(),
            };
            selected |= self.executables(rank, &listed, Side::Match)?;
        }
        if let Some(except) = &matcher.except {
            self.executables(rank, except, Side::Except)?;
            row.flags |= flag::EXCEPT;
        }
        if !selected {
            self.always.insert(rank);
        }
        if let Some(expression) = &matcher.args_regex {
            row.arguments_bit =
                bit(&mut self.argument_expressions, expression, MAX_EXPRESSIONS, "argsRegex")?;
        }
        if !matcher.parents.is_empty() {
            for parent in &matcher.parents {
                fits(parent.as_bytes())?;
            }
            row.parent_bit = bit(&mut self.parent_sets, &matcher.parents, MAX_SETS, "parents")?;
        }
        row.user_bit = self.user_set(&matcher.users)?;
        row.origins = match matcher.origin {
            OriginMatcher::Any => 0,
            OriginMatcher::Entrypoint => 1 << 2,
            OriginMatcher::ExecSession => 1 << 3,
        };
        Ok(())
    }

    fn drift(&mut self, rank: u32, row: &mut Rule, matcher: &DriftMatcher) -> Result<(), String> {
        self.needs |= need::EXEC | need::SOURCE;
        row.sources = u8::from(matcher.execute) << 1 | u8::from(matcher.fileless) << 2;
        if row.sources == 0 {
            return Ok(());
        }
        if let Some(except) = &matcher.except {
            self.executables(rank, except, Side::Except)?;
            row.flags |= flag::EXCEPT;
        }
        self.always.insert(rank);
        Ok(())
    }

    /// Files the rule under each executable of the list; whether there was any.
    fn executables(&mut self, rank: u32, list: &ExecutableList, side: Side) -> Result<bool, String> {
        for name in &list.names {
            fits(name.as_bytes())?;
            self.names.entry(name.clone().into_bytes()).or_default().add(side, rank);
        }
        // Exact whatever they look like: `/usr/bin/[` is a program.
        for path in &list.paths {
            self.programs.exact(path.as_bytes(), rank, side)?;
            if let Side::Match = side {
                self.directories_above(path.as_bytes(), rank);
            }
        }
        for glob in &list.path_globs {
            self.programs.glob(glob, rank, side)?;
            if let Side::Match = side {
                self.directories_above(literal_head(glob), rank);
                self.above_globs.add(glob, rank)?;
            }
        }
        Ok(!list.names.is_empty() || !list.paths.is_empty() || !list.path_globs.is_empty())
    }

    fn network(&mut self, rank: u32, row: &mut Rule, matcher: &NetworkMatcher) -> Result<(), String> {
        let protocols: &[Protocol] =
            if matcher.protocols.is_empty() { &[Protocol::Tcp, Protocol::Udp] } else { &matcher.protocols };
        for protocol in protocols {
            row.protocols |= protocol_bit(matcher.direction, *protocol);
            self.needs |= match (matcher.direction, protocol) {
                (_, Protocol::Raw) => need::RAW,
                (Direction::Egress, _) => need::EGRESS,
                (Direction::Listen, _) => need::LISTEN,
                (Direction::Ingress, _) => 0,
            };
        }
        self.ingress |= matcher.direction == Direction::Ingress;
        row.ports = self.ports(&matcher.ports)?;
        self.cidrs(rank, &matcher.cidrs, Side::Match)?;
        if matcher.direction == Direction::Listen {
            for network in networks(&matcher.cidrs)? {
                self.listened.entry(network).or_default().insert(rank);
            }
        }
        if let Some(except) = &matcher.except {
            if !except.cidrs.is_empty() {
                row.flags |= flag::EXCEPT_ADDRESS;
                self.cidrs(rank, &except.cidrs, Side::Except)?;
            }
            if !except.ports.is_empty() {
                row.flags |= flag::EXCEPT_PORT;
                row.except_ports = self.ports(&except.ports)?;
            }
        }
        Ok(())
    }

    fn ports(&mut self, ports: &[String]) -> Result<Span, String> {
        let mut words = Vec::with_capacity(ports.len() * 2);
        for port in ports {
            let (from, to) = port.split_once('-').unwrap_or((port, port));
            let number =
                |text: &str| text.trim().parse::<u16>().map_err(|_| format!("{port:?} is not a port"));
            words.extend([u32::from(number(from)?), u32::from(number(to)?)]);
        }
        let span = self.lists.add(words);
        Ok(Span { offset: span.offset, count: span.count / 2 })
    }

    /// Files the rule under each network; under every address where there is none.
    fn cidrs(&mut self, rank: u32, cidrs: &[String], side: Side) -> Result<(), String> {
        for network in networks(cidrs)? {
            self.networks.entry(network).or_default().add(side, rank);
        }
        Ok(())
    }

    /// Who listens on all addresses listens on each that a rule names; on all of IPv6, on IPv4's too (ip(7),
    /// `IPV6_V6ONLY`).
    fn unspecified_addresses(&mut self) {
        for (network, ranks) in &self.listened {
            let every = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
            for address in every.into_iter().filter(|every| every.is_ipv6() || network.addr().is_ipv4()) {
                self.networks.entry(IpNet::from(address)).or_default().matches.extend(ranks);
            }
        }
    }

    fn syscalls(&mut self, rank: u32, names: &[String]) -> Result<(), String> {
        for name in names {
            let number =
                calls::number(name).ok_or_else(|| format!("system call {name:?} is unknown here"))?;
            calls::add(&mut self.named_calls, number);
            for number in std::iter::once(number).chain(calls::otherwise(name)) {
                self.numbers.entry((NumberKind::Syscall, u64::from(number))).or_default().insert(rank);
            }
        }
        Ok(())
    }

    fn capabilities(&mut self, rank: u32, names: &[String]) -> Result<(), String> {
        self.needs |= need::CAPABILITY;
        for name in names {
            let number = capability_number(name).ok_or_else(|| format!("capability {name:?} is unknown"))?;
            self.numbers.entry((NumberKind::Capability, u64::from(number))).or_default().insert(rank);
        }
        Ok(())
    }

    fn file(&mut self, rank: u32, row: &mut Rule, matcher: &FileMatcher) -> Result<(), String> {
        self.needs |= need::FILE;
        for operation in &matcher.operations {
            row.operations |= 1 << *operation as u16;
            for number in file_calls::that_perform(*operation) {
                self.needs |= need::FILE_CALLS;
                calls::add(&mut self.file_calls, number);
            }
        }
        for glob in &matcher.paths {
            self.files.glob(glob, rank, Side::Match)?;
            self.directories_above(literal_head(glob), rank);
            self.above_globs.add(glob, rank)?;
        }
        row.actor_bit = self.actors(&matcher.processes)?;
        // Where new names of programs are judged: as an execution it agrees with none, for it is no operation.
        let (paths, names) = matcher.processes.iter().cloned().partition(|program| program.contains('/'));
        let acting = ExecutableList { names, paths, ..ExecutableList::default() };
        self.executables(rank, &acting, Side::Match)?;
        row.user_bit = self.user_set(&matcher.users)?;
        if let Some(except) = &matcher.except {
            for glob in &except.paths {
                self.files.glob(glob, rank, Side::Except)?;
                row.flags |= flag::EXCEPT;
            }
            row.except_actor_bit = self.actors(&except.processes)?;
            row.except_user_bit = self.user_set(&except.users)?;
        }
        Ok(())
    }

    fn actors(&mut self, programs: &Vec<String>) -> Result<u16, String> {
        if programs.is_empty() {
            return Ok(NO_BIT);
        }
        for program in programs {
            fits(program.as_bytes())?;
        }
        bit(&mut self.actor_sets, programs, MAX_SETS, "processes")
    }

    fn user_set(&mut self, users: &Vec<String>) -> Result<u16, String> {
        if users.is_empty() { Ok(NO_BIT) } else { bit(&mut self.user_sets, users, MAX_SETS, "users") }
    }

    /// Who renames one of these directories gives what lies below another path.
    fn directories_above(&mut self, path: &[u8], rank: u32) {
        for end in (1..path.len()).filter(|index| path.get(*index) == Some(&b'/')) {
            if let Some(directory) = path.get(..end).filter(|directory| directory.len() < TEXT_MAX) {
                self.above.entry(directory.to_vec()).or_default().add(Side::Match, rank);
            }
        }
    }

    fn finish(mut self, rules: &RuleSet, users: &Users) -> Result<Tables, ApplyError> {
        let mut tables = Tables {
            calls: self.named_calls,
            file_calls: self.file_calls,
            rules: std::mem::take(&mut self.rules),
            ingress: self.ingress,
            ..Tables::default()
        };
        // In rank order whatever the marker bit says, for the kernel stops at the first rank it need not beat.
        let mut always: Vec<u32> = self.always.iter().copied().collect();
        always.sort_unstable_by_key(|entry| entry & !ENTRY_NEEDS_NAME);
        tables.always = self.lists.add(always);
        tables.unplaced_programs = self.lists.add(self.programs.by_globs());
        tables.unplaced_files = self.lists.add(self.files.by_globs());

        for (kind, need, ranks) in [
            (TextKind::Path, need::PATH, &self.programs.exact),
            (TextKind::Name, need::NAME, &self.names),
            (TextKind::File, need::FILE, &self.files.exact),
            (TextKind::Above, 0, &self.above),
        ] {
            for (text, ranks) in ranks {
                self.needs |= need;
                tables.texts.push((kind, text.clone(), self.lists.ranks(ranks)));
            }
        }
        for (kind, need, prefixes) in [
            (TextKind::Path, need::PREFIX, &self.programs.prefixes),
            (TextKind::File, need::FILE_PREFIX, &self.files.prefixes),
        ] {
            for (prefix, ranks) in with_enclosing(prefixes) {
                self.needs |= need;
                tables.prefixes.push((kind, prefix, self.lists.ranks(&ranks)));
            }
        }
        for ((kind, number), ranks) in &self.numbers {
            let span = self.lists.add(ranks.iter().copied().collect());
            let list = ListRef { match_offset: span.offset, match_count: span.count, ..ListRef::default() };
            tables.numbers.push((*kind, *number, list));
        }
        self.unspecified_addresses();
        if !self.networks.is_empty() {
            for (network, ranks) in with_covering(&self.networks) {
                tables.addresses.push((network, self.lists.ranks(&ranks)));
            }
        }
        self.sets_of_programs(&mut tables);
        self.users(&mut tables, users);
        self.automata(&mut tables, rules)?;
        tables.needs = self.needs;
        tables.lists = self.lists.words;
        Ok(tables)
    }

    fn sets_of_programs(&mut self, tables: &mut Tables) {
        for (program, mask) in masks(&self.actor_sets) {
            let (kind, need) = if program.contains('/') {
                (TextKind::ActorPath, need::ACTOR_PATH)
            } else {
                (TextKind::ActorName, need::ACTOR)
            };
            self.needs |= need;
            tables.texts.push((kind, program.as_bytes().to_vec(), mask));
        }
        for (program, mask) in masks(&self.parent_sets) {
            let (kind, need) = if program.contains('/') {
                (NumberKind::AncestorPath, need::PARENT_PATH)
            } else {
                (NumberKind::AncestorName, need::PARENT)
            };
            self.needs |= need;
            tables.numbers.push((kind, text_hash(program.as_bytes()), mask));
        }
    }

    fn users(&mut self, tables: &mut Tables, users: &Users) {
        let mut masks: BTreeMap<u64, u64> = BTreeMap::new();
        for (index, names) in self.user_sets.iter().enumerate() {
            self.needs |= need::USER;
            for uid in names.iter().filter_map(|name| users.resolve(name)) {
                *masks.entry(u64::from(uid)).or_default() |= 1 << index;
            }
        }
        for (uid, bits) in masks {
            tables.numbers.push((NumberKind::User, uid, ListRef::mask(bits)));
        }
    }

    fn automata(&mut self, tables: &mut Tables, rules: &RuleSet) -> Result<(), ApplyError> {
        for (kind, need, patterns) in [
            (AutomatonKind::Path, need::PATH_AUTOMATON, &self.programs.patterns),
            (AutomatonKind::File, need::FILE_AUTOMATON, &self.files.patterns),
        ] {
            if patterns.is_empty() {
                continue;
            }
            self.needs |= need;
            let texts: Vec<&str> = patterns.keys().map(String::as_str).collect();
            let automaton = Automaton::full(&texts).map_err(|error| self.blame(rules, &error))?;
            let ranks: Vec<&Ranks> = patterns.values().collect();
            let mut entries = Vec::new();
            for matched in &automaton.matches {
                let mut all = Ranks::default();
                for pattern in matched {
                    if let Some(ranks) = ranks.get(*pattern as usize) {
                        all.extend(ranks);
                    }
                }
                let list = self.lists.ranks(&all);
                entries.push(vec![
                    list.match_offset,
                    list.match_count,
                    list.except_offset,
                    list.except_count,
                ]);
            }
            tables.automata.push((kind, AutomatonTable::new(&automaton, &entries)));
        }
        if !self.above_globs.is_empty() {
            self.needs |= need::ABOVE_AUTOMATON;
            let table = self.above_globs.table(&mut self.lists);
            tables.automata.push((AutomatonKind::Above, table.map_err(|error| self.blame(rules, &error))?));
        }
        for (kind, need, expressions, separator_as_space) in [
            (AutomatonKind::Name, need::NAME_AUTOMATON, &self.name_expressions, false),
            (AutomatonKind::Arguments, need::ARGUMENTS, &self.argument_expressions, true),
        ] {
            if expressions.is_empty() {
                continue;
            }
            self.needs |= need;
            let patterns: Vec<&str> = expressions.iter().map(String::as_str).collect();
            let options = Options { separator_as_space };
            let groups = spread(&patterns, options, GROUPS).map_err(|error| self.blame(rules, &error))?;
            for (first, automaton) in groups {
                let entries: Vec<Vec<u32>> =
                    automaton.matches.iter().map(|matched| mask_words(first, matched)).collect();
                tables.automata.push((kind, AutomatonTable::new(&automaton, &entries)));
            }
        }
        Ok(())
    }

    /// Names the rule whose expression the automaton's error is about.
    fn blame(&self, rules: &RuleSet, error: &AutomatonError) -> ApplyError {
        let pattern = match error {
            AutomatonError::Pattern { pattern, .. } | AutomatonError::PatternTooLarge { pattern, .. } => {
                pattern
            }
            AutomatonError::SetTooLarge { costliest, .. } => costliest,
        };
        let by_glob = self
            .programs
            .patterns
            .get(pattern)
            .or_else(|| self.files.patterns.get(pattern))
            .and_then(|ranks| ranks.matches.iter().chain(&ranks.excepts).next())
            .or_else(|| self.above_globs.first_rule(pattern))
            .and_then(|rank| rules.rules.get(*rank as usize));
        let by_expression = || {
            rules.rules.iter().find(|rule| {
                matches!(&rule.matcher, Matcher::Process(matcher)
                    if [&matcher.name_regex, &matcher.args_regex].into_iter().flatten().any(|own| own == pattern))
            })
        };
        match by_glob.or_else(by_expression).or(rules.rules.first()) {
            Some(rule) => does_not_fit(rule, error.to_string()),
            None => ApplyError::Kernel(std::io::Error::other(error.to_string())),
        }
    }
}

/// As few automata as hold all patterns, each with the number of its first pattern: expressions that begin with
/// anything multiply each other's states, and are held apart where they do not fit together.
fn spread(
    patterns: &[&str],
    options: Options,
    most: usize,
) -> Result<Vec<(usize, Automaton)>, AutomatonError> {
    match Automaton::search(patterns, options) {
        Err(AutomatonError::SetTooLarge { .. }) if most > 1 && patterns.len() > 1 => {
            let (left, right) = patterns.split_at(patterns.len() / 2);
            let mut groups = spread(left, options, most / 2)?;
            let right = spread(right, options, most - groups.len().max(most / 2))?;
            groups.extend(right.into_iter().map(|(first, automaton)| (first + left.len(), automaton)));
            Ok(groups)
        }
        built => built.map(|automaton| vec![(0, automaton)]),
    }
}

/// Which of the sets each program is in.
fn masks(sets: &[Vec<String>]) -> BTreeMap<&str, ListRef> {
    let mut masks: BTreeMap<&str, u64> = BTreeMap::new();
    for (index, programs) in sets.iter().enumerate() {
        for program in programs {
            *masks.entry(program).or_default() |= 1 << index;
        }
    }
    masks.into_iter().map(|(program, bits)| (program, ListRef::mask(bits))).collect()
}

/// The bits of the expressions that match, counted from `first`.
fn mask_words(first: usize, matched: &[u32]) -> Vec<u32> {
    let mut words = vec![0u32; MAX_EXPRESSIONS / 32];
    for bit in matched {
        let bit = first + *bit as usize;
        if let Some(word) = words.get_mut(bit / 32) {
            *word |= 1 << (bit % 32);
        }
    }
    words
}

impl AutomatonTable {
    /// `entries` are the words of each match state, all of one length.
    pub fn new(automaton: &Automaton, entries: &[Vec<u32>]) -> AutomatonTable {
        let match_base = automaton.transitions.len() as u32;
        let mut words = automaton.transitions.clone();
        words.extend(entries.iter().flatten());
        let mut header = [0; 24 + 256];
        for (index, word) in [
            automaton.start,
            automaton.end_class,
            automaton.min_match,
            automaton.stride,
            match_base,
            words.len() as u32,
        ]
        .iter()
        .enumerate()
        {
            header[index * 4..index * 4 + 4].copy_from_slice(&word.to_ne_bytes());
        }
        header[24..].copy_from_slice(&automaton.classes);
        AutomatonTable { header, words }
    }
}

/// The number of `item` among `items`, added where it is new.
fn bit<T: PartialEq + Clone>(items: &mut Vec<T>, item: &T, limit: usize, field: &str) -> Result<u16, String> {
    let index = items.iter().position(|known| known == item).unwrap_or(items.len());
    if index >= limit {
        return Err(format!(
            "the policies that select one container use more than {limit} different `{field}`; join some, or \
             select fewer containers"
        ));
    }
    if index == items.len() {
        items.push(item.clone());
    }
    Ok(index as u16)
}

/// What of a glob comes before its first wildcard.
fn literal_head(glob: &str) -> &[u8] {
    let end = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
    glob.as_bytes().get(..end).unwrap_or_default()
}

fn fits(text: &[u8]) -> Result<(), String> {
    if text.len() >= TEXT_MAX {
        return Err(format!("{} bytes are longer than the kernel's key of {}", text.len(), TEXT_MAX - 1));
    }
    Ok(())
}

/// Each prefix with the ranks of the prefixes that enclose it, for the kernel finds only the longest.
fn with_enclosing(prefixes: &BTreeMap<Vec<u8>, Ranks>) -> Vec<(Vec<u8>, Ranks)> {
    prefixes
        .keys()
        .map(|prefix| {
            let mut ranks = Ranks::default();
            for end in (0..prefix.len()).filter(|index| prefix[*index] == b'/') {
                if let Some(enclosing) = prefixes.get(&prefix[..=end]) {
                    ranks.extend(enclosing);
                }
            }
            (prefix.clone(), ranks)
        })
        .collect()
}

/// Each network with the ranks of the networks that cover it, for the kernel finds only the longest.
fn with_covering(networks: &BTreeMap<IpNet, Ranks>) -> Vec<(IpNet, Ranks)> {
    networks
        .keys()
        .map(|network| {
            let mut ranks = Ranks::default();
            let mut covering = Some(*network);
            while let Some(current) = covering {
                if let Some(found) = networks.get(&current) {
                    ranks.extend(found);
                }
                covering = current.supernet();
            }
            (*network, ranks)
        })
        .collect()
}

/// The bit of `struct rule`'s protocols.
fn protocol_bit(direction: Direction, protocol: Protocol) -> u16 {
    let shift = match direction {
        Direction::Egress => 0,
        Direction::Ingress => 2,
        Direction::Listen => 4,
    };
    match protocol {
        Protocol::Tcp => 1 << shift,
        Protocol::Udp => 2 << shift,
        Protocol::Raw => 1 << 8,
    }
}

/// These networks; every address where there are none.
fn networks(cidrs: &[String]) -> Result<Vec<IpNet>, String> {
    if cidrs.is_empty() {
        return Ok(every_address().to_vec());
    }
    cidrs.iter().map(|cidr| parse_network(cidr)).collect()
}

fn every_address() -> [IpNet; 2] {
    [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())]
}

/// A network; an IPv4 network written as IPv6 (`::ffff:0:0/96` and longer) is that IPv4 network.
fn parse_network(cidr: &str) -> Result<IpNet, String> {
    let network: IpNet = match cidr.parse() {
        Ok(network) => network,
        Err(_) => IpNet::from(cidr.parse::<IpAddr>().map_err(|_| format!("{cidr:?} is not a network"))?),
    };
    if let IpNet::V6(v6) = network
        && v6.prefix_len() >= 96
        && let Some(v4) = v6.network().to_ipv4_mapped()
    {
        return Ipv4Net::new(v4, v6.prefix_len() - 96).map(IpNet::V4).map_err(|error| error.to_string());
    }
    Ok(network.trunc())
}

#[cfg(test)]
mod tests;
