//! The live stream: what comes, what came while one was away, and who may go on listening.

use moat_event::Event;
use moat_store::NewEvent;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::server::{As, Server};

fn event(number: usize, severity: &str) -> NewEvent {
    let event: Event = serde_json::from_value(json!({
        "timestamp": "2026-11-21T10:00:00Z", "eventType": "ProcessExec", "action": "Blocked", "severity": severity,
        "message": format!("number {number}"), "id": format!("0197f0a0-0000-7000-8000-{number:012}"), "node": "node-1",
    }))
    .unwrap();
    NewEvent { enforcer_id: "enforcer".to_owned(), workload: None, event }
}

/// Reads one server-sent event: its name, its id and its data.
async fn next(response: &mut Response, left: &mut String) -> (String, String, Value) {
    loop {
        if let Some((item, rest)) =
            left.split_once("\n\n").map(|(item, rest)| (item.to_owned(), rest.to_owned()))
        {
            *left = rest;
            let field = |name: &str| {
                let value = item.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                value.trim_start_matches(": ").to_owned()
            };
            return (field("event"), field("id"), serde_json::from_str(&field("data")).unwrap());
        }
        let chunk = response.chunk().await.unwrap().expect("the stream goes on");
        left.push_str(&String::from_utf8_lossy(&chunk));
    }
}

async fn open(server: &Server, caller: &As, path: &str, last: Option<&str>) -> Response {
    let mut request = server.request(caller, Method::GET, path);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

#[tokio::test]
async fn events_come_as_they_happen_and_those_missed_are_sent_again() {
    let (server, admin) = Server::with_admin().await;
    let store = server.console.store();
    store.insert_events(vec![event(1, "High")]).await.unwrap();

    let mut live = open(&server, &admin, "/events/stream?severity=High", None).await;
    let mut left = String::new();
    store.insert_events(vec![event(2, "Low"), event(3, "High")]).await.unwrap();
    let (name, id, data) = next(&mut live, &mut left).await;
    assert_eq!((name.as_str(), &data["event"]["message"]), ("event", &json!("number 3")));
    drop(live);

    store.insert_events(vec![event(4, "High"), event(5, "Info"), event(6, "Critical")]).await.unwrap();
    let mut again = open(&server, &admin, "/events/stream?severity=High", Some(&id)).await;
    let mut left = String::new();
    for expected in ["number 4", "number 6"] {
        let (name, _, data) = next(&mut again, &mut left).await;
        assert_eq!((name.as_str(), &data["event"]["message"]), ("event", &json!(expected)));
    }
    store.insert_events(vec![event(7, "High")]).await.unwrap();
    assert_eq!(next(&mut again, &mut left).await.2["event"]["message"], "number 7");
    server.stop().await;
}
