//! An event as a flat list of named texts, the most telling first, for formats without nesting.

use std::borrow::Cow;

use moat_event::{Direction, Event, EventAction, EventType, LossStage, Origin};

/// The fields that the event has, in the names of its JSON.
pub fn fields(event: &Event) -> Vec<(&'static str, Cow<'_, str>)> {
    let mut fields: Vec<(&'static str, Cow<'_, str>)> =
        vec![("id", event.id.as_str().into()), ("action", action(event.action).into())];
    fields.push(("severity", event.severity.name().into()));
    let mut add = |name, value: Option<Cow<'_, str>>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            fields.push((name, Cow::Owned(value.into_owned())));
        }
    };
    let text = |text: &Option<String>| text.clone().map(Cow::Owned);
    let number = |number: u64| Some(Cow::Owned(number.to_string()));
    add("policyName", text(&event.policy_name));
    add("rule", text(&event.rule));
    add("namespace", text(&event.namespace));
    add("podName", text(&event.pod_name));
    add("containerName", text(&event.container_name));
    add("filePath", text(&event.file_path));
    add("fileOperation", event.file_operation.map(|operation| operation.name().into()));
    if let Some(peer) = &event.peer {
        add("direction", Some(direction(peer.direction).into()));
        add("protocol", Some(peer.protocol.name().into()));
        add("address", Some(peer.address.to_string().into()));
        add("port", number(peer.port.into()));
    }
    add("syscall", text(&event.syscall));
    add("capability", text(&event.capability));
    if let Some(process) = &event.process {
        add("executable", Some(process.executable.as_str().into()));
        add("pid", number(process.pid.into()));
        add("uid", number(process.uid.into()));
        add("parent", Some(process.parent.as_str().into()));
        add("parentPid", number(process.parent_pid.into()));
        add("origin", process.origin.map(|o| origin(o).into()));
        add("cwd", Some(process.cwd.as_str().into()));
        add("arguments", Some(process.arguments.join(" ").into()));
    }
    if let Some(loss) = &event.loss {
        add("lossStage", Some(loss_stage(loss.stage)));
        add("lossEvents", number(loss.events));
    }
    if event.count > 1 {
        add("count", number(event.count));
    }
    add("reason", text(&event.reason));
    add("image", text(&event.image));
    add("imageDigest", text(&event.image_digest));
    add("containerId", text(&event.container_id));
    let labels: Vec<String> = event.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    add("labels", Some(labels.join(",").into()));
    fields
}

/// The name of a unit variant, as in the event's JSON.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

pub fn action(action: EventAction) -> String {
    word(&action)
}

pub fn event_type(event_type: EventType) -> String {
    word(&event_type)
}

pub fn direction(direction: Direction) -> String {
    word(&direction)
}

pub fn origin(origin: Origin) -> String {
    word(&origin)
}

fn loss_stage(stage: LossStage) -> Cow<'static, str> {
    word(&stage).into()
}
