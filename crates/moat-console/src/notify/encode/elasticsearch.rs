//! The bulk interface of Elasticsearch and OpenSearch: a line that says what to do, a line with the document.
//!
//! `create` under the event's id makes a second delivery of the same event harmless, and is what data streams take.

use moat_event::Event;
use serde_json::{Value, json};

pub fn encode(events: &[Event], index: &str) -> serde_json::Result<Vec<u8>> {
    let mut body = Vec::with_capacity(events.len() * 1024);
    for event in events {
        let id: String = event.id.chars().take(512).collect();
        serde_json::to_writer(&mut body, &json!({ "create": { "_index": index, "_id": id } }))?;
        body.push(b'\n');
        serde_json::to_writer(&mut body, &document(event)?)?;
        body.push(b'\n');
    }
    Ok(body)
}

/// Labels become a list of `KEY=VALUE`: as an object, each key that somebody thinks of would be a field of the index for
/// ever, and `app` beside `app.kubernetes.io/name` could not be indexed at all.
fn document(event: &Event) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(event)?;
    if let Some(fields) = document.as_object_mut() {
        fields.insert("@timestamp".into(), json!(event.timestamp));
        if !event.labels.is_empty() {
            let labels: Vec<String> =
                event.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            fields.insert("labels".into(), json!(labels));
        }
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn body() {
        let body = encode(&samples::all(), "moat-events").expect("encoded");
        insta::assert_snapshot!(String::from_utf8(body).expect("text"));
    }

    #[test]
    fn an_event_is_two_lines_whatever_it_says() {
        let body = encode(&[samples::hostile(), samples::hostile()], "moat-events").expect("encoded");
        let lines: Vec<&[u8]> = body.split_inclusive(|&byte| byte == b'\n').collect();
        assert_eq!(lines.len(), 4);
        for line in lines {
            serde_json::from_slice::<Value>(line).expect("a JSON object a line");
        }
    }
}
