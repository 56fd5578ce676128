//! Splunk's HTTP Event Collector: one JSON object for each event, one after the other.

use moat_event::Event;
use serde::Serialize;

#[derive(Serialize)]
struct Envelope<'a> {
    /// Seconds, as a number that keeps microseconds.
    time: serde_json::Value,
    host: &'a str,
    source: &'static str,
    sourcetype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<&'a str>,
    event: &'a Event,
}

pub fn encode(events: &[Event], index: Option<&str>) -> serde_json::Result<Vec<u8>> {
    let mut body = Vec::with_capacity(events.len() * 1024);
    for event in events {
        let time = serde_json::from_str(&event.timestamp.strftime("%s.%6f").to_string())?;
        let envelope = Envelope {
            time,
            host: if event.node.is_empty() { "moat" } else { &event.node },
            source: "moat",
            sourcetype: "moat:event",
            index,
            event,
        };
        serde_json::to_writer(&mut body, &envelope)?;
        body.push(b'\n');
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn body() {
        let body = encode(&samples::all(), Some("security")).expect("encoded");
        insta::assert_snapshot!(String::from_utf8(body).expect("text"));
    }

    #[test]
    fn the_event_reads_back_as_it_was() {
        let body = encode(&samples::all(), None).expect("encoded");
        let read: Vec<Event> = serde_json::Deserializer::from_slice(&body)
            .into_iter::<serde_json::Value>()
            .map(|value| serde_json::from_value(value.expect("JSON")["event"].clone()).expect("an event"))
            .collect();
        assert_eq!(read, samples::all());
    }
}
