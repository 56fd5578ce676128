//! The bytes that user space and the programs share; `bpf/maps.h` and `bpf/scratch.h` are the other half.

use super::pins::fingerprint;
use super::tables::{ListRef, Rule};

/// Longest exact path or name in a key, in bytes (`TEXT_MAX`).
pub(super) const TEXT_MAX: usize = 248;
/// Longest texts of short and middle keys (`TEXT_SHORT`, `TEXT_MIDDLE`).
const TEXT_SHORT: usize = 24;
const TEXT_MIDDLE: usize = 56;
const TEXT_HEAD: usize = 8;

/// What a text key names (`enum text_kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub(super) enum TextKind {
    Path = 1,
    Name = 2,
    File = 5,
    Above = 6,
    ActorName = 7,
    ActorPath = 8,
    Runs = 9,
}

/// What a number key names (`enum number_kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub(super) enum NumberKind {
    User = 1,
    Syscall = 2,
    Capability = 3,
    /// The number is the text's [`text_hash`].
    AncestorName = 4,
    AncestorPath = 5,
}

/// Which automaton (`enum automaton_kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub(super) enum AutomatonKind {
    Path = 0,
    Name = 1,
    Arguments = 2,
    File = 3,
    /// Directories that only a wildcard of a glob covers.
    Above = 4,
}

/// `struct settings`: what is fixed when the programs are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    /// Index of the cgroup v1 controller that tells containers apart; `None` where there is cgroup v2.
    pub v1_controller: Option<i32>,
    /// The kernel lets cgroup programs send signals; elsewhere the agent kills.
    pub signals_from_cgroups: bool,
    /// An LSM program has judged an execution before the tracepoint sees it.
    pub judged_before: bool,
    /// Loops go through an array: the kernel has no `bpf_loop`.
    pub without_loop: bool,
}

impl Settings {
    pub fn bytes(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[0..4].copy_from_slice(&self.v1_controller.unwrap_or(-1).to_ne_bytes());
        bytes[4] = self.signals_from_cgroups.into();
        bytes[5] = self.judged_before.into();
        bytes[6] = rustix::param::page_size().ilog2() as u8;
        bytes[7] = self.without_loop.into();
        bytes
    }
}

/// `struct container`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Container {
    pub generation: u64,
    pub profile: u32,
    pub init_pid: u32,
    pub root_device: u32,
    /// `enum need` of its profile.
    pub needs: u32,
}

impl Container {
    /// The profile in a `struct container`.
    pub fn profile_in(bytes: &[u8]) -> Option<u32> {
        Some(u32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?))
    }

    /// The generation in a `struct container`.
    pub fn generation_in(bytes: &[u8]) -> Option<u64> {
        Some(u64::from_ne_bytes(bytes.get(0..8)?.try_into().ok()?))
    }

    pub fn bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[0..8].copy_from_slice(&self.generation.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.profile.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.init_pid.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.root_device.to_ne_bytes());
        bytes[20..24].copy_from_slice(&self.needs.to_ne_bytes());
        bytes
    }
}

/// A device number as the kernel keeps it: 12 bits major, 20 bits minor.
pub(super) fn kernel_device(device: u64) -> u32 {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    (major << 20) | (minor & 0xf_ffff)
}

pub(super) fn text_key(profile: u32, kind: TextKind, text: &[u8]) -> Vec<u8> {
    let length = text.len().min(TEXT_MAX);
    let room = [TEXT_SHORT, TEXT_MIDDLE].into_iter().find(|room| length <= *room).unwrap_or(TEXT_MAX);
    let mut key = vec![0; TEXT_HEAD + room];
    key[0..4].copy_from_slice(&profile.to_ne_bytes());
    key[4..6].copy_from_slice(&(kind as u16).to_ne_bytes());
    key[6..8].copy_from_slice(&(length as u16).to_ne_bytes());
    key[8..8 + length].copy_from_slice(&text[..length]);
    key
}

/// What stands for the name of a program where the programs keep those of ancestors (`hash_text` in `bpf/lineage.h`).
pub(super) fn text_hash(text: &[u8]) -> u64 {
    fingerprint([text])
}

pub(super) fn prefix_key(profile: u32, kind: TextKind, prefix: &[u8]) -> [u8; 12 + TEXT_MAX] {
    let mut key = [0; 12 + TEXT_MAX];
    let length = prefix.len().min(TEXT_MAX);
    key[0..4].copy_from_slice(&(64 + length as u32 * 8).to_ne_bytes());
    key[4..8].copy_from_slice(&profile.to_ne_bytes());
    key[8..12].copy_from_slice(&(kind as u32).to_ne_bytes());
    key[12..12 + length].copy_from_slice(&prefix[..length]);
    key
}

/// Names that rules may have for one file (`OBJECT_NAMES`).
pub(super) const OBJECT_NAMES: u32 = 16;

/// `place` counts the names that rules have for the file.
pub(super) fn object_key(profile: u32, kind: TextKind, inode: u64, device: u32, place: u32) -> [u8; 24] {
    let mut key = [0; 24];
    key[0..4].copy_from_slice(&profile.to_ne_bytes());
    key[4..8].copy_from_slice(&(kind as u32).to_ne_bytes());
    key[8..16].copy_from_slice(&inode.to_ne_bytes());
    key[16..20].copy_from_slice(&device.to_ne_bytes());
    key[20..24].copy_from_slice(&place.to_ne_bytes());
    key
}

pub(super) fn number_key(profile: u32, kind: NumberKind, number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[0..4].copy_from_slice(&profile.to_ne_bytes());
    key[4..8].copy_from_slice(&(kind as u32).to_ne_bytes());
    key[8..16].copy_from_slice(&number.to_ne_bytes());
    key
}

/// `length` bits of the address count.
pub(super) fn address_key(profile: u32, network: &ipnet::IpNet) -> [u8; 28] {
    let mut key = [0; 28];
    let length = u32::from(network.prefix_len());
    key[0..4].copy_from_slice(&(64 + length).to_ne_bytes());
    key[4..8].copy_from_slice(&profile.to_ne_bytes());
    match network {
        ipnet::IpNet::V4(network) => {
            key[8..12].copy_from_slice(&4u32.to_ne_bytes());
            key[12..16].copy_from_slice(&network.network().octets());
        }
        ipnet::IpNet::V6(network) => {
            key[8..12].copy_from_slice(&6u32.to_ne_bytes());
            key[12..28].copy_from_slice(&network.network().octets());
        }
    }
    key
}

/// Automata of one kind that a profile may have (`GROUPS`).
pub(super) const GROUPS: usize = 8;

pub(super) fn automaton_key(profile: u32, kind: AutomatonKind, group: usize) -> [u8; 8] {
    (u64::from(profile) << 32 | (group as u64) << 8 | u64::from(kind as u32)).to_ne_bytes()
}

impl ListRef {
    /// `struct lists`.
    pub fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (index, word) in
            [self.match_offset, self.match_count, self.except_offset, self.except_count].iter().enumerate()
        {
            bytes[index * 4..index * 4 + 4].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// A mask, where the kernel reads one in place of lists.
    pub fn mask(bits: u64) -> ListRef {
        ListRef { match_offset: bits as u32, match_count: (bits >> 32) as u32, ..ListRef::default() }
    }
}

impl Rule {
    /// `struct rule`.
    pub fn bytes(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[0] = self.action;
        bytes[1] = self.flags;
        bytes[2] = self.origins;
        bytes[3] = self.sources;
        for (index, half) in [
            self.name_bit,
            self.arguments_bit,
            self.parent_bit,
            self.user_bit,
            self.protocols,
            self.operations,
            self.actor_bit,
            self.except_actor_bit,
            self.except_user_bit,
        ]
        .iter()
        .enumerate()
        {
            bytes[4 + index * 2..6 + index * 2].copy_from_slice(&half.to_ne_bytes());
        }
        for (index, word) in
            [self.ports.offset, self.ports.count, self.except_ports.offset, self.except_ports.count]
                .iter()
                .enumerate()
        {
            bytes[24 + index * 4..28 + index * 4].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// A ruled expression set, ready for the kernel (`struct automaton` and its table).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AutomatonTable {
    pub header: [u8; 24 + 256],
    pub words: Vec<u32>,
}

#[cfg(test)]
mod tests;
