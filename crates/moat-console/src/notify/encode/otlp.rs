//! OpenTelemetry logs in the JSON encoding of OTLP (opentelemetry-proto 1.x: 64-bit numbers are strings), attributes
//! named by the semantic conventions where they have a name, `moat.` otherwise.

use std::collections::BTreeMap;

use jiff::Timestamp;
use moat_event::{Event, Severity};
use serde_json::{Value, json};

use super::fields::{action, direction, event_type, origin};

pub fn encode(events: &[Event], observed: Timestamp) -> serde_json::Result<Vec<u8>> {
    let mut nodes: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for event in events {
        nodes.entry(&event.node).or_default().push(record(event, observed));
    }
    let resources: Vec<Value> = nodes
        .into_iter()
        .map(|(node, records)| {
            json!({
                "resource": { "attributes": [text("service.name", "moat"), text("host.name", node), text("k8s.node.name", node)] },
                "scopeLogs": [{
                    "scope": { "name": "moat", "version": env!("CARGO_PKG_VERSION") },
                    "logRecords": records,
                }],
            })
        })
        .collect();
    serde_json::to_vec(&json!({ "resourceLogs": resources }))
}

fn record(event: &Event, observed: Timestamp) -> Value {
    let severity = match event.severity {
        Severity::Info => 9,
        Severity::Low => 10,
        Severity::Medium => 13,
        Severity::High => 17,
        Severity::Critical => 21,
    };
    json!({
        "timeUnixNano": event.timestamp.as_nanosecond().to_string(),
        "observedTimeUnixNano": observed.as_nanosecond().to_string(),
        "severityNumber": severity,
        "severityText": event.severity.name(),
        "eventName": format!("moat.{}", event_type(event.event_type)),
        "body": { "stringValue": event.message },
        "attributes": attributes(event),
    })
}

fn attributes(event: &Event) -> Vec<Value> {
    let mut attributes = vec![text("moat.event.id", &event.id), text("moat.action", &action(event.action))];
    for (name, value) in [
        ("moat.policy.name", &event.policy_name),
        ("moat.policy.rule", &event.rule),
        ("moat.reason", &event.reason),
        ("k8s.namespace.name", &event.namespace),
        ("k8s.pod.name", &event.pod_name),
        ("k8s.container.name", &event.container_name),
        ("container.id", &event.container_id),
        ("container.image.name", &event.image),
        ("moat.image.digest", &event.image_digest),
        ("file.path", &event.file_path),
        ("moat.syscall", &event.syscall),
        ("moat.capability", &event.capability),
    ] {
        attributes.extend(value.as_ref().map(|value| text(name, value)));
    }
    attributes.extend(event.file_operation.map(|operation| text("moat.file.operation", operation.name())));
    if let Some(process) = &event.process {
        attributes.push(number("process.pid", process.pid));
        attributes.push(number("process.parent_pid", process.parent_pid));
        attributes.push(number("process.user.id", process.uid));
        attributes.push(text("process.executable.path", &process.executable));
        if !process.arguments.is_empty() {
            let values: Vec<Value> =
                process.arguments.iter().map(|argument| json!({ "stringValue": argument })).collect();
            attributes.push(
                json!({ "key": "process.command_args", "value": { "arrayValue": { "values": values } } }),
            );
        }
        attributes.extend(process.origin.map(|from| text("moat.process.origin", &origin(from))));
    }
    if let Some(peer) = &event.peer {
        attributes.push(text("network.peer.address", &peer.address.to_string()));
        attributes.push(number("network.peer.port", peer.port));
        attributes.push(text("network.transport", &peer.protocol.name().to_lowercase()));
        attributes.push(text("moat.network.direction", &direction(peer.direction)));
    }
    if let Some(loss) = &event.loss {
        attributes.push(number("moat.loss.events", loss.events));
    }
    if event.count > 1 {
        attributes.push(number("moat.count", event.count));
    }
    attributes.extend(event.labels.iter().map(|(key, value)| text(&format!("k8s.pod.label.{key}"), value)));
    attributes
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: impl Into<u64>) -> Value {
    json!({ "key": key, "value": { "intValue": value.into().to_string() } })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn body() {
        let observed = "2026-11-21T10:30:01Z".parse().expect("a time");
        let body = encode(&samples::all(), observed).expect("encoded");
        let value: Value = serde_json::from_slice(&body).expect("JSON");
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).expect("text"));
    }
}
