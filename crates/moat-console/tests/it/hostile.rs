//! Bad input: it is data, or it is refused.

use moat_event::{Event, EventAction, EventType, Process, Severity};
use moat_store::NewEvent;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{As, Server, problem};

const SCRIPT: &str = "</script><script>alert(1)</script>'; DROP TABLE event; --\u{202e}\u{0}";

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Sends a request line as it stands, which clients would clean up.
async fn raw(server: &Server, request: &str) -> String {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn no_path_leads_out_of_the_dashboard() {
    let server = Server::start().await;
    for path in [
        "/../../../../etc/passwd",
        "/assets/../../../../etc/passwd",
        "/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/assets/%2e%2e/%2e%2e/Cargo.toml",
        "//etc/passwd",
        "/console.key",
        "/moat.db",
    ] {
        let answer =
            raw(&server, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        let secret = ["root:", "[package]", "SQLite format"].iter().any(|secret| answer.contains(secret));
        assert!(!secret, "{path}: {answer}");
        let page = answer.contains("content-type: text/html") || answer.starts_with("HTTP/1.1 4");
        assert!(page, "{path}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_browsers_safe() {
    let (server, admin) = Server::with_admin().await;
    for response in [
        server.send(&admin, Method::GET, "/session", None).await,
        server.send(&As::Nobody, Method::GET, "/nowhere", None).await,
        reqwest::get(format!("{}/policies/x", server.url)).await.unwrap(),
    ] {
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        let scripts = policy.split(';').map(str::trim).find(|part| part.starts_with("script-src")).unwrap();
        assert_eq!(scripts, "script-src 'self'");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
    }
    let session = server.send(&admin, Method::GET, "/session", None).await;
    assert_eq!(session.headers()["cache-control"], "no-store");
    server.stop().await;
}

#[tokio::test]
async fn what_attackers_name_things_stays_data() {
    let (server, admin) = Server::with_admin().await;
    let id = "0197f0a0-0000-7000-8000-000000000001";
    let event: Event = serde_json::from_value(json!({
        "timestamp": "2026-11-21T10:00:00Z", "eventType": "ProcessExec", "action": "Blocked", "severity": "High",
        "message": SCRIPT, "id": id, "node": "node-1", "namespace": SCRIPT, "podName": SCRIPT,
        "containerName": "web", "labels": { SCRIPT: SCRIPT }, "policyName": SCRIPT, "rule": SCRIPT,
    }))
    .unwrap();
    let event = Event {
        process: Some(Process {
            executable: SCRIPT.to_owned(),
            arguments: vec![SCRIPT.to_owned()],
            ..Process::default()
        }),
        ..event
    };
    assert_eq!(
        (event.event_type, event.action, event.severity),
        (EventType::ProcessExec, EventAction::Blocked, Severity::High)
    );
    let new = NewEvent { enforcer_id: "enforcer".to_owned(), workload: None, event: event.clone() };
    server.console.store().insert_events(vec![new]).await.unwrap();

    let response = server.send(&admin, Method::GET, &format!("/events/{id}"), None).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let detail: serde_json::Value = response.json().await.unwrap();
    assert_eq!(serde_json::from_value::<Event>(detail["record"]["event"].clone()).unwrap(), event);

    // Quotes of SQL in every parameter that takes text.
    let quote = "x' OR '1'='1";
    for name in
        ["namespaces", "pods", "containers", "policies", "rules", "nodes", "enforcers", "workloads", "text"]
    {
        let request = server.request(&admin, Method::GET, &format!("/events?{name}={}", encode(quote)));
        let found: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(found["items"], json!([]), "{name}: {found}");
    }
    let found = server.get(&admin, &format!("/events?policies={}", encode(SCRIPT))).await;
    assert_eq!(found["items"][0]["event"]["id"], id, "{found}");
    for name in ["actor", "action", "resource", "name"] {
        let request = server.request(&admin, Method::GET, &format!("/audit?{name}={}", encode(quote)));
        let found: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(found["items"], json!([]), "{name}: {found}");
    }
    for path in ["/users/x'--", "/policies/..%2f..%2fetc", "/enforcers/%00", "/workloads/a/b/%27"] {
        problem(server.send(&admin, Method::GET, path, None).await, StatusCode::NOT_FOUND).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn too_much_and_nonsense_are_refused_as_such() {
    let (server, admin) = Server::with_admin().await;
    let huge = json!({ "document": "x".repeat(2 * 1024 * 1024) });
    problem(
        server.send(&admin, Method::POST, "/policies/validate", Some(huge)).await,
        StatusCode::PAYLOAD_TOO_LARGE,
    )
    .await;
    let unknown = json!({ "document": "", "doucment": "" });
    let told = problem(
        server.send(&admin, Method::POST, "/policies/validate", Some(unknown)).await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    assert!(told["detail"].as_str().unwrap().contains("doucment"), "{told}");
    for path in [
        "/events?severity=Awful",
        "/events?cursor=x",
        "/events?from=yesterday",
        "/audit?cursor=x",
        "/events?typo=1",
    ] {
        problem(server.send(&admin, Method::GET, path, None).await, StatusCode::BAD_REQUEST).await;
    }
    problem(server.send(&admin, Method::GET, "/nowhere", None).await, StatusCode::NOT_FOUND).await;
    problem(server.send(&admin, Method::PATCH, "/policies", None).await, StatusCode::METHOD_NOT_ALLOWED)
        .await;
    server.stop().await;
}
