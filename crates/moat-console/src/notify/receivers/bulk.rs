//! The bulk interface as OpenSearch 2 has it: newline-delimited actions and documents, an answer for each in order,
//! version conflicts, a mapping that refuses, a queue that is full.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{Answer, Receiver, Request};

#[derive(Debug, Default)]
pub struct Index {
    pub documents: BTreeMap<String, Value>,
    /// Documents that are refused this often for want of room.
    pub busy: BTreeMap<String, u32>,
    /// Documents that the mapping does not take.
    pub unmappable: Vec<String>,
    pub conflicts: usize,
}

pub async fn start(index: Index) -> (Receiver, Arc<Mutex<Index>>) {
    let index = Arc::new(Mutex::new(index));
    let shared = Arc::clone(&index);
    let receiver =
        Receiver::start(move |request| bulk(&mut shared.lock().expect("not poisoned"), request)).await;
    (receiver, index)
}

fn bulk(index: &mut Index, request: &Request) -> Answer {
    let content_type = request.headers.get("content-type").and_then(|value| value.to_str().ok());
    if content_type != Some("application/x-ndjson") {
        return Answer::status(406, r#"{"error":"Content-Type header is not supported","status":406}"#);
    }
    if !request.body.ends_with(b"\n") {
        let error = r#"{"error":{"type":"illegal_argument_exception","reason":"The bulk request must be terminated by a newline [\\n]"},"status":400}"#;
        return Answer::status(400, error);
    }
    let text = std::str::from_utf8(&request.body).expect("UTF-8");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON a line")).collect();
    let items: Vec<Value> = lines.chunks(2).map(|pair| create(index, &pair[0], &pair[1])).collect();
    let errors = items.iter().any(|item| item["create"]["status"].as_u64() > Some(299));
    Answer::status(200, &json!({ "took": 3, "errors": errors, "items": items }).to_string())
}

fn create(index: &mut Index, action: &Value, document: &Value) -> Value {
    let (name, id) = (&action["create"]["_index"], action["create"]["_id"].as_str().expect("an id"));
    let failed = |status: u16, kind: &str, reason: &str| {
        let error = json!({ "type": kind, "reason": reason });
        json!({ "create": { "_index": name, "_id": id, "status": status, "error": error } })
    };
    if let Some(times) = index.busy.get_mut(id).filter(|times| **times > 0) {
        *times -= 1;
        return failed(429, "rejected_execution_exception", "rejected execution of coordinating operation");
    }
    if index.unmappable.iter().any(|unmappable| unmappable == id) {
        return failed(
            400,
            "mapper_parsing_exception",
            "failed to parse field [process.pid] of type [integer]",
        );
    }
    if index.documents.contains_key(id) {
        index.conflicts += 1;
        return failed(409, "version_conflict_engine_exception", "version conflict, document already exists");
    }
    index.documents.insert(id.to_owned(), document.clone());
    json!({ "create": { "_index": name, "_id": id, "_version": 1, "result": "created", "status": 201 } })
}
