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

/// A reader of a live stream.
pub struct Live {
    response: Response,
    left: String,
}

impl Live {
    pub async fn open(server: &Server, caller: &As, path: &str, last: Option<&str>) -> Live {
        let mut request = server.request(caller, Method::GET, path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Live { response, left: String::new() }
    }

    /// Reads one server-sent event: its name, its id and its data.
    pub async fn next(&mut self) -> (String, String, Value) {
        loop {
            if let Some((item, rest)) =
                self.left.split_once("\n\n").map(|(item, rest)| (item.to_owned(), rest.to_owned()))
            {
                self.left = rest;
                let field = |name: &str| {
                    let value = item.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                    value.trim_start_matches(": ").to_owned()
                };
                return (field("event"), field("id"), serde_json::from_str(&field("data")).unwrap());
            }
            let chunk = self.response.chunk().await.unwrap().expect("the stream goes on");
            self.left.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    pub async fn next_but_heartbeats(&mut self) -> (String, String, Value) {
        loop {
            let next = self.next().await;
            if next.0 != "heartbeat" {
                return next;
            }
        }
    }
}

#[tokio::test]
async fn events_come_as_they_happen_and_those_missed_are_sent_again() {
    let (server, admin) = Server::with_admin().await;
    let store = server.console.store();
    store.insert_events(vec![event(1, "High")]).await.unwrap();

    let mut live = Live::open(&server, &admin, "/events/stream?severity=High", None).await;
    store.insert_events(vec![event(2, "Low"), event(3, "High")]).await.unwrap();
    let (name, id, data) = live.next().await;
    assert_eq!((name.as_str(), &data["event"]["message"]), ("event", &json!("number 3")));
    drop(live);

    store.insert_events(vec![event(4, "High"), event(5, "Info"), event(6, "Critical")]).await.unwrap();
    let mut again = Live::open(&server, &admin, "/events/stream?severity=High", Some(&id)).await;
    for expected in ["number 4", "number 6"] {
        let (name, _, data) = again.next().await;
        assert_eq!((name.as_str(), &data["event"]["message"]), ("event", &json!(expected)));
    }
    store.insert_events(vec![event(7, "High")]).await.unwrap();
    assert_eq!(again.next().await.2["event"]["message"], "number 7");
    server.stop().await;
}

#[tokio::test]
async fn an_event_too_large_to_be_handed_on_is_a_gap_and_to_be_read() {
    let (server, admin) = Server::with_admin().await;
    let mut live = Live::open(&server, &admin, "/events/stream", None).await;
    let mut large = event(1, "High");
    large.event.message = "x".repeat(20_000);
    let store = server.console.store();
    store.insert_events(vec![large, event(2, "High")]).await.unwrap();
    let (name, _, data) = live.next_but_heartbeats().await;
    assert_eq!((name.as_str(), &data["missed"]), ("gap", &json!(1)), "{data}");
    let (name, _, data) = live.next_but_heartbeats().await;
    assert_eq!((name.as_str(), &data["event"]["message"]), ("event", &json!("number 2")));
    let listed = server.request(&admin, Method::GET, "/events").send().await.unwrap();
    let listed: Value = listed.json().await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    server.stop().await;
}

/// More than the console keeps for a reader and what connections hold on the way.
const FLOOD: usize = 20_000;

#[tokio::test]
async fn who_reads_too_slowly_gets_a_gap_and_holds_nobody_up() {
    let (server, admin) = Server::with_admin().await;
    let mut slow = Live::open(&server, &admin, "/events/stream", None).await;
    let mut quick = Live::open(&server, &admin, "/events/stream?severity=High", None).await;
    let reading = async {
        loop {
            let (name, _, data) = quick.next_but_heartbeats().await;
            assert_eq!(name, "event", "{data}");
            if data["event"]["message"] == "the last" {
                return;
            }
        }
    };
    let writing = async {
        let store = server.console.store();
        for start in (0..FLOOD).step_by(500) {
            store
                .insert_events((start..start + 500).map(|number| event(number, "Low")).collect::<Vec<_>>())
                .await
                .unwrap();
        }
        let mut last = event(FLOOD, "High");
        "the last".clone_into(&mut last.event.message);
        store.insert_events(vec![last]).await.unwrap();
    };
    // The slow one has read nothing until here.
    futures::join!(reading, writing);
    let mut told = Vec::new();
    let (mut events, mut missed) = (0, 0);
    loop {
        let (name, _, data) = slow.next_but_heartbeats().await;
        if name == "gap" {
            missed += data["missed"].as_u64().unwrap();
            told.push(data);
        } else {
            events += 1;
            if data["event"]["message"] == "the last" {
                break;
            }
        }
    }
    assert!(!told.is_empty(), "{events} events came and no gap");
    assert_eq!(events + missed, FLOOD as u64 + 1, "{told:?}");
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains(&format!("moat_console_event_stream_gaps_total {}", told.len())), "{metrics}");
    server.stop().await;
}
