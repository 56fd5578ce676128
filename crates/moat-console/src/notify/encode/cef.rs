//! The Common Event Format, version 0 (`ArcSight` Common Event Format Implementation Standard), as the message of an RFC 5424
//! header.

use std::fmt::Write as _;
use std::net::IpAddr;

use moat_event::{Direction, Event, Severity, printable};

use super::cut;
use super::fields::{action, event_type};
use super::syslog::{SMALLEST, header};

/// Longest value: that of the format's text fields.
const MAX_VALUE: usize = 1023;

/// One message of at most `max` bytes, without framing. Fields that do not fit are left out, the last first.
pub fn encode(event: &Event, facility: u8, max: usize) -> String {
    let max = max.max(SMALLEST);
    let severity = match event.severity {
        Severity::Info => 1,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    };
    let kind = event_type(event.event_type);
    let mut text = header(event, facility);
    let _ = write!(
        text,
        " - CEF:0|Moat|Moat|{}|{kind}|{kind} {}|{severity}|",
        env!("CARGO_PKG_VERSION"),
        action(event.action)
    );
    let mut first = true;
    for (key, value) in extension(event) {
        let shown = printable(&value);
        let parameter = format!("{}{key}={}", if first { "" } else { " " }, escaped(cut(&shown, MAX_VALUE)));
        if text.len() + parameter.len() <= max {
            text.push_str(&parameter);
            first = false;
        }
    }
    text
}

fn extension(event: &Event) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("externalId", event.id.clone()),
        ("rt", event.timestamp.as_millisecond().to_string()),
        ("act", action(event.action)),
    ];
    let mut add = |key, value: &str| {
        if !value.is_empty() {
            pairs.push((key, value.to_owned()));
        }
    };
    add("dvchost", &event.node);
    add("msg", &event.message);
    for (key, label_key, label, value) in [
        ("cs1", "cs1Label", "policy", &event.policy_name),
        ("cs2", "cs2Label", "rule", &event.rule),
        ("cs3", "cs3Label", "namespace", &event.namespace),
        ("cs4", "cs4Label", "pod", &event.pod_name),
        ("cs5", "cs5Label", "container", &event.container_name),
        ("cs6", "cs6Label", "image", &event.image),
    ] {
        if let Some(value) = value {
            add(label_key, label);
            add(key, value);
        }
    }
    if let Some(path) = &event.file_path {
        add("filePath", path);
    }
    if let Some(process) = &event.process {
        add("sproc", &process.executable);
        add("spid", &process.pid.to_string());
        add("suid", &process.uid.to_string());
        if !process.arguments.is_empty() {
            add("flexString1Label", "arguments");
            add("flexString1", &process.arguments.join(" "));
        }
    }
    if let Some(peer) = &event.peer {
        let source = peer.direction == Direction::Ingress;
        match (peer.address, source) {
            (IpAddr::V4(address), true) => add("src", &address.to_string()),
            (IpAddr::V4(address), false) => add("dst", &address.to_string()),
            (IpAddr::V6(address), true) => {
                add("c6a2Label", "Source IPv6 Address");
                add("c6a2", &address.to_string());
            }
            (IpAddr::V6(address), false) => {
                add("c6a3Label", "Destination IPv6 Address");
                add("c6a3", &address.to_string());
            }
        }
        add("dpt", &peer.port.to_string());
        add("proto", peer.protocol.name());
        add("deviceDirection", if peer.direction == Direction::Egress { "1" } else { "0" });
    }
    if let Some(what) = event.syscall.as_ref().or(event.capability.as_ref()) {
        add("flexString2Label", if event.syscall.is_some() { "system call" } else { "capability" });
        add("flexString2", what);
    }
    if let Some(loss) = &event.loss {
        add("cn1Label", "events lost");
        add("cn1", &loss.events.to_string());
    }
    if event.count > 1 {
        add("cnt", &event.count.to_string());
    }
    if let Some(reason) = &event.reason {
        add("reason", reason);
    }
    pairs
}

/// Of an extension's value; a header's needs none, for nobody outside chooses it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('=', r"\=")
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn messages() {
        let lines: Vec<String> = samples::all().iter().map(|event| encode(event, 16, 8192)).collect();
        insta::assert_snapshot!(lines.join("\n\n"));
    }

    #[test]
    fn what_an_attacker_writes_makes_no_key_and_no_line() {
        let text = encode(&samples::hostile(), 16, 65_507);
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
        let keys: Vec<&str> = extension(&samples::hostile()).into_iter().map(|(key, _)| key).collect();
        let (_, extension) = text.split_once("|10|").expect("the header's end");
        // A key stands before each `=` that no backslash escapes.
        let mut found = Vec::new();
        let mut escaped = false;
        for (at, character) in extension.char_indices() {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '=' => found.extend(extension[..at].rsplit(' ').next()),
                _ => {}
            }
        }
        assert_eq!(found, keys);
    }

    #[test]
    fn a_message_is_cut_to_the_receivers_size() {
        for event in samples::all() {
            let text = encode(&event, 16, 600);
            assert!(text.len() <= 600 && text.contains(&event.id), "{text}");
        }
    }
}
