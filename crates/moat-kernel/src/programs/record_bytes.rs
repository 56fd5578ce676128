//! Decodes what the programs send (`struct record` in `bpf/scratch.h`): bytes that attackers shape, so every
//! length is checked and nothing is trusted to be text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use moat_event::{Direction, FileOperation, Origin, Protocol};
use moat_policy::activity::FileSource;
use moat_policy::capabilities::capability_name;

use crate::record::{Act, Observation, Outcome, RawProcess, Record};

/// Size of the fixed part, in bytes.
pub const HEAD: usize = 112;
/// Size of `struct observed_key`, in bytes.
pub const KEY: usize = 32;
const NONE: u32 = u32::MAX;

/// One decoded record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// Decided in the kernel.
    Record(Record),
    /// A system call that changes files; user space decides.
    FileCall(FileCall),
    Tampering(Tampering),
}

/// What was refused because it was an act on Moat itself, not because of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tampering {
    pub record: Record,
    /// A process that was moved out of its container's cgroup.
    pub moved: Option<u32>,
}

/// Kind of its records, and `enum tampering`, from 1.
pub(super) const TAMPER: u32 = 7;
const TAMPERINGS: [&str; 6] = [
    "signal the agent",
    "trace the agent",
    "set the agent's limits",
    "reach a kernel object of Moat's",
    "remove a pin of Moat's",
    "leave the container's cgroup",
];

/// A system call as it began. Paths are as the caller wrote them, each with the directory it starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCall {
    pub cgroup: u64,
    pub number: u32,
    pub pid: u32,
    pub parent_pid: u32,
    pub uid: u32,
    /// Empty where the call names a file by descriptor; then `base` is that file.
    pub path: Vec<u8>,
    pub base: Vec<u8>,
    pub second_path: Vec<u8>,
    pub second_base: Vec<u8>,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{0} bytes are shorter than a record")]
    Short(usize),
    #[error("lengths exceed the record")]
    Lengths,
    #[error("record of unknown kind {0}")]
    Kind(u32),
    #[error("field out of range")]
    Range,
}

struct Reader<'a> {
    head: &'a [u8; HEAD],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn word(&self, at: usize) -> u32 {
        self.head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
    }

    fn long(&self, at: usize) -> u64 {
        self.head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length as usize).ok_or(DecodeError::Lengths)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Decodes one record. A system call's `name` is looked up by `syscall_name`.
///
/// # Errors
/// Whatever does not have the layout of a record; nothing panics.
pub fn decode(
    bytes: &[u8],
    syscall_name: impl Fn(u32) -> Option<&'static str>,
) -> Result<Decoded, DecodeError> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(DecodeError::Short(bytes.len()))?;
    let mut reader = Reader { head, rest };
    let first = reader.take(reader.word(52))?;
    let second = reader.take(reader.word(56))?;
    let third = reader.take(reader.word(60))?;
    let fourth = reader.take(reader.word(64))?;

    let cgroup = reader.long(8);
    let (pid, parent_pid, uid) = (reader.word(32), reader.word(36), reader.word(40));
    let number = reader.word(72);
    let kind = reader.word(0);
    if kind == 4 {
        return Ok(Decoded::FileCall(FileCall {
            cgroup,
            number,
            pid,
            parent_pid,
            uid,
            path: first.to_vec(),
            base: second.to_vec(),
            second_path: third.to_vec(),
            second_base: fourth.to_vec(),
        }));
    }
    let outcome = match reader.word(4) {
        0 => Outcome::Allowed,
        1 => Outcome::Denied,
        2 => Outcome::Killed,
        3 => Outcome::KilledAfter,
        _ => return Err(DecodeError::Range),
    };
    let mut process = RawProcess { pid, parent_pid, uid, ..RawProcess::default() };
    let acting = |process: &mut RawProcess| {
        process.executable = first.to_vec();
        process.arguments = second.to_vec();
        process.parent_executable = third.to_vec();
        process.cwd = fourth.to_vec();
        process.origin = origin(reader.word(44));
    };
    let act = match kind {
        TAMPER => {
            acting(&mut process);
            let what = (number as usize).checked_sub(1).and_then(|index| TAMPERINGS.get(index));
            Act::Tampering { what: what.ok_or(DecodeError::Range)? }
        }
        1 => {
            process.executable = first.to_vec();
            process.arguments = second.to_vec();
            process.arguments_truncated = reader.word(68) as usize > second.len();
            process.parent_executable = third.to_vec();
            process.cwd = fourth.to_vec();
            process.origin = origin(reader.word(44));
            let source = match reader.word(48) {
                0 => FileSource::Image,
                1 => FileSource::Added,
                2 => FileSource::Fileless,
                _ => return Err(DecodeError::Range),
            };
            Act::Exec { path: told(&reader, first), source }
        }
        2 => Act::Connect {
            direction: match number & 255 {
                0 => Direction::Egress,
                1 => Direction::Ingress,
                2 => Direction::Listen,
                _ => return Err(DecodeError::Range),
            },
            protocol: match number >> 8 & 255 {
                6 => Protocol::Tcp,
                17 => Protocol::Udp,
                255 => Protocol::Raw,
                _ => return Err(DecodeError::Range),
            },
            peer: address(&reader)?,
            port: (number >> 16) as u16,
        },
        3 => {
            acting(&mut process);
            Act::Syscall { name: syscall_name(number).ok_or(DecodeError::Range)? }
        }
        6 => {
            acting(&mut process);
            Act::Capability { name: capability_name(number).ok_or(DecodeError::Range)? }
        }
        5 => {
            process.executable = second.to_vec();
            process.parent_executable = third.to_vec();
            process.cwd = fourth.to_vec();
            process.origin = origin(reader.word(44));
            let operation = FileOperation::ALL.get(number as usize).ok_or(DecodeError::Range)?;
            Act::File { path: told(&reader, first), operation: *operation }
        }
        other => return Err(DecodeError::Kind(other)),
    };
    let record = Record {
        cgroup,
        generation: reader.long(16),
        enforced: rank(reader.word(24)),
        audited: rank(reader.word(28)),
        outcome,
        process,
        act,
        count: 1,
    };
    if kind == TAMPER {
        let moved = reader.long(96) as u32;
        return Ok(Decoded::Tampering(Tampering { record, moved: (moved != 0).then_some(moved) }));
    }
    Ok(Decoded::Record(record))
}

/// Decodes what a container did, and by which key the kernel counts what is alike (`bpf/observe.h`).
///
/// # Errors
/// Whatever is no execution or connection with a key behind it; nothing panics.
pub fn decode_observation(bytes: &[u8]) -> Result<([u8; KEY], Observation), DecodeError> {
    let (record, key) = bytes.split_last_chunk::<KEY>().ok_or(DecodeError::Short(bytes.len()))?;
    match decode(record, |_| None)? {
        Decoded::Record(Record {
            cgroup,
            process,
            act: act @ (Act::Exec { .. } | Act::Connect { .. }),
            ..
        }) => Ok((*key, Observation { cgroup, process, act, count: 1 })),
        _ => Err(DecodeError::Range),
    }
}

/// A path; of one that is too long the end is known, and told as such.
fn told(reader: &Reader<'_>, path: &[u8]) -> Vec<u8> {
    if reader.long(96) == 0 { path.to_vec() } else { [b"...", path].concat() }
}

fn rank(word: u32) -> Option<usize> {
    (word != NONE).then_some(word as usize)
}

/// `enum role`.
pub(super) fn origin(role: u32) -> Option<Origin> {
    match role {
        2 => Some(Origin::Entrypoint),
        3 => Some(Origin::ExecSession),
        _ => None,
    }
}

fn address(reader: &Reader<'_>) -> Result<IpAddr, DecodeError> {
    const AF_INET: u32 = 2;
    const AF_INET6: u32 = 10;
    let bytes = &reader.head[80..96];
    match reader.word(76) {
        AF_INET => bytes
            .first_chunk::<4>()
            .map(|octets| IpAddr::V4(Ipv4Addr::from(*octets)))
            .ok_or(DecodeError::Lengths),
        AF_INET6 => bytes
            .first_chunk::<16>()
            .map(|octets| IpAddr::V6(Ipv6Addr::from(*octets)))
            .ok_or(DecodeError::Lengths),
        _ => Err(DecodeError::Range),
    }
}

#[cfg(test)]
mod tests;
