//! What an open is for, read from the system call that the opener is blocked in.
//!
//! fanotify says that a file is opened, not how. `/proc/TID/syscall` (`proc_pid_syscall(5)`) has the number and the six
//! argument registers, which cannot change while the thread waits for our answer.

use moat_event::FileOperation;

/// Why a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be executed: judged as an execution, not as a read. `arguments` is the address of `argv`.
    Execute { arguments: u64 },
    /// To be read or written; these flags of open(2).
    Open { flags: u32 },
    /// Not known yet: the thread has asked, and is not asleep where its registers can be read.
    Awake,
    /// Not known: `openat2`, whose flags lie in memory that another thread can change, `io_uring`, another ABI, or a
    /// thread that cannot be read. Every operation must be allowed then.
    Unknown,
}

#[cfg(target_arch = "x86_64")]
mod number {
    pub const OPEN: Option<u64> = Some(2);
    pub const CREAT: Option<u64> = Some(85);
    pub const OPENAT: u64 = 257;
    pub const EXECVE: u64 = 59;
    pub const EXECVEAT: u64 = 322;
    pub const OPEN_BY_HANDLE_AT: u64 = 304;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub const OPEN: Option<u64> = None;
    pub const CREAT: Option<u64> = None;
    pub const OPENAT: u64 = 56;
    pub const EXECVE: u64 = 221;
    pub const EXECVEAT: u64 = 281;
    pub const OPEN_BY_HANDLE_AT: u64 = 265;
}

/// Everything that an open can be for.
pub(super) const EVERY_OPERATION: [FileOperation; 4] =
    [FileOperation::Read, FileOperation::Write, FileOperation::Truncate, FileOperation::Create];

impl Purpose {
    /// From the text of `/proc/TID/syscall`: `NUMBER 0xARG0 … 0xARG5 0xSP 0xPC`.
    pub fn parse(text: &[u8]) -> Purpose {
        if text == b"running\n" {
            return Purpose::Awake;
        }
        Purpose::try_parse(text).unwrap_or(Purpose::Unknown)
    }

    fn try_parse(text: &[u8]) -> Option<Purpose> {
        let text = str::from_utf8(text).ok()?;
        let mut words = text.split_ascii_whitespace();
        let number: u64 = words.next()?.parse().ok()?;
        let mut argument = |index: usize| u64::from_str_radix(words.nth(index)?.strip_prefix("0x")?, 16).ok();
        let flags = match number {
            number::EXECVE => return Some(Purpose::Execute { arguments: argument(1)? }),
            number::EXECVEAT => return Some(Purpose::Execute { arguments: argument(2)? }),
            number::OPENAT | number::OPEN_BY_HANDLE_AT => argument(2)?,
            other if Some(other) == number::OPEN => argument(1)?,
            other if Some(other) == number::CREAT => (libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC) as u64,
            _ => return None,
        };
        Some(Purpose::Open { flags: flags as u32 })
    }

    /// The operations to judge. `new` says that the file was just born; it exists when the kernel asks us.
    pub fn operations(self, new: bool) -> impl Iterator<Item = FileOperation> {
        const READ: (FileOperation, u8) = (FileOperation::Read, 1);
        const WRITE: (FileOperation, u8) = (FileOperation::Write, 2);
        const TRUNCATE: (FileOperation, u8) = (FileOperation::Truncate, 4);
        const CREATE: (FileOperation, u8) = (FileOperation::Create, 8);
        let wanted = match self {
            Purpose::Execute { .. } => 0,
            Purpose::Unknown | Purpose::Awake => {
                READ.1 | WRITE.1 | TRUNCATE.1 | if new { CREATE.1 } else { 0 }
            }
            Purpose::Open { flags } => {
                let flags = flags as i32;
                let access = match flags & libc::O_ACCMODE {
                    libc::O_RDONLY => READ.1,
                    libc::O_WRONLY => WRITE.1,
                    // 3 means neither, with the permission of both (open(2)).
                    _ => READ.1 | WRITE.1,
                };
                let truncate = if flags & libc::O_TRUNC == 0 { 0 } else { TRUNCATE.1 };
                let exclusive = libc::O_CREAT | libc::O_EXCL;
                let created = flags & exclusive == exclusive || (new && flags & libc::O_CREAT != 0);
                access | truncate | if created { CREATE.1 } else { 0 }
            }
        };
        [READ, WRITE, TRUNCATE, CREATE]
            .into_iter()
            .filter(move |(_, bit)| wanted & bit != 0)
            .map(|(operation, _)| operation)
    }
}

#[cfg(test)]
mod tests {
    use FileOperation::{Create, Read, Truncate, Write};

    use super::*;

    fn operations(purpose: Purpose) -> Vec<FileOperation> {
        purpose.operations(false).collect()
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn open_calls_are_told_apart() {
        let openat = |flags: i32| {
            Purpose::parse(format!("257 0xffffff9c 0x7ffc 0x{flags:x} 0x0 0x0 0x0 0x7 0x7\n").as_bytes())
        };
        assert_eq!(operations(openat(libc::O_RDONLY | libc::O_CLOEXEC)), [Read]);
        assert_eq!(operations(openat(libc::O_WRONLY | libc::O_APPEND)), [Write]);
        assert_eq!(operations(openat(libc::O_RDWR)), [Read, Write]);
        assert_eq!(operations(openat(libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC)), [Write, Truncate]);
        assert_eq!(operations(openat(libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL)), [Write, Create]);
        assert_eq!(
            openat(libc::O_WRONLY | libc::O_CREAT).operations(true).collect::<Vec<_>>(),
            [Write, Create]
        );
        assert_eq!(operations(Purpose::parse(b"2 0x7ffc 0x1 0x0 0x0 0x0 0x0 0x7 0x7\n")), [Write]);
        assert_eq!(
            operations(Purpose::parse(b"85 0x7ffc 0x1a4 0x0 0x0 0x0 0x0 0x7 0x7\n")),
            [Write, Truncate]
        );
        assert_eq!(
            Purpose::parse(b"59 0x0 0xab 0x0 0x0 0x0 0x0 0x7 0x7\n"),
            Purpose::Execute { arguments: 0xab }
        );
    }

    #[test]
    fn what_cannot_be_told_counts_as_every_operation() {
        for text in [
            "",
            "-1 0x0 0x0\n",
            "437 0x0 0x0 0x0 0x18 0x0 0x0 0x7 0x7\n",
            "426 0x3\n",
            "257 0x0\n",
            "257 0x0 0x0 zz",
        ] {
            assert_eq!(Purpose::parse(text.as_bytes()), Purpose::Unknown, "{text}");
        }
        assert_eq!(Purpose::parse(b"running\n"), Purpose::Awake);
        for purpose in [Purpose::Unknown, Purpose::Awake] {
            assert_eq!(operations(purpose), [Read, Write, Truncate]);
        }
    }
}
