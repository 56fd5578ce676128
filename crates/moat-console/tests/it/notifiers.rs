//! Notifiers over the API: configured, tested, delivering, and their secrets kept.

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use moat_event::Event;
use moat_store::NewEvent;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::server::{As, Server, problem};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A receiver that answers 200; returns its address and what it is sent.
async fn receiver() -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, received) = mpsc::unbounded_channel();
    let take = async move |body: Bytes| {
        let _ = sender.send(serde_json::from_slice(&body).unwrap());
        "thanks"
    };
    let app = Router::new().route("/hook", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, received)
}

async fn change(server: &Server, admin: &As, path: &str, revision: i64, body: &Value) -> reqwest::Response {
    let request = server.request(admin, Method::PUT, path).header("if-match", format!("\"{revision}\""));
    request.json(body).send().await.unwrap()
}

#[tokio::test]
async fn a_notifier_is_made_tested_and_delivers() {
    let (server, admin) = Server::with_admin().await;
    let (url, mut received) = receiver().await;
    let new = json!({
        "name": "hook",
        "destination": { "webhook": { "url": url } },
        "secrets": { "signingKey": KEY },
        "filter": { "minSeverity": "High" },
    });
    let response = server.send(&admin, Method::POST, "/notifiers", Some(new.clone())).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let made: Value = response.json().await.unwrap();
    assert_eq!((&made["secrets"], &made["revision"]), (&json!(["signingKey"]), &json!(1)));
    let path = format!("/notifiers/{}", made["id"].as_str().unwrap());

    let response = server.send(&admin, Method::POST, &format!("{path}/test"), None).await;
    let report: Value = response.json().await.unwrap();
    assert_eq!((&report["delivered"], &report["answer"]), (&json!(true), &json!("200 OK: thanks")));
    let sent = received.recv().await.unwrap();
    assert_eq!(sent["data"]["events"][0]["id"], report["eventId"]);

    let event: Event = serde_json::from_value(json!({
        "timestamp": "2026-11-21T10:30:00Z", "eventType": "FileAccess", "action": "Blocked", "severity": "High",
        "message": "blocked", "id": "019ab000-0000-7000-8000-000000000001",
    }))
    .unwrap();
    let new_event = NewEvent { enforcer_id: "e".into(), workload: None, event };
    server.console.store().insert_events(vec![new_event]).await.unwrap();
    let sent = received.recv().await.unwrap();
    assert_eq!(sent["data"]["events"][0]["message"], "blocked");
    assert_eq!(server.get(&admin, &format!("{path}/dead-letters")).await["items"], json!([]));

    for shown in [path.as_str(), "/notifiers", "/audit"] {
        let shown = server.get(&admin, shown).await.to_string();
        assert!(shown.contains("hook") && !shown.contains("whsec"), "{shown}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_change_keeps_secrets_for_the_same_address_only() {
    let (server, admin) = Server::with_admin().await;
    let (url, _received) = receiver().await;
    let with = |url: &str| json!({ "name": "hook", "destination": { "webhook": { "url": url } } });
    let mut new = with(&url);
    problem(
        server.send(&admin, Method::POST, "/notifiers", Some(new.clone())).await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    new["secrets"] = json!({ "signingKey": KEY });
    let made: Value =
        server.send(&admin, Method::POST, "/notifiers", Some(new.clone())).await.json().await.unwrap();
    let path = format!("/notifiers/{}", made["id"].as_str().unwrap());
    let kept = change(&server, &admin, &path, 1, &with(&url)).await;
    assert_eq!(kept.status(), StatusCode::OK);
    let moved = change(&server, &admin, &path, 2, &with("https://mallory.example")).await;
    let moved = problem(moved, StatusCode::BAD_REQUEST).await;
    assert!(moved["detail"].as_str().unwrap().contains("enter them again"), "{moved}");
    new["secrets"] = json!({ "signingKey": KEY });
    problem(change(&server, &admin, &path, 1, &new).await, StatusCode::PRECONDITION_FAILED).await;
    let gone = server.send(&admin, Method::DELETE, &path, None).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    problem(server.send(&admin, Method::GET, &path, None).await, StatusCode::NOT_FOUND).await;
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_a_notifier_is_refused_with_its_reason() {
    let (server, admin) = Server::with_admin().await;
    for (destination, why) in [
        (json!({ "file": { "name": "../../etc/cron.d/x" } }), "without folders"),
        (json!({ "webhook": { "url": "http://169.254.169.254/latest" } }), "link-local"),
        (json!({ "syslog": { "address": "log.example", "transport": "Tcp" } }), "HOST:PORT"),
        (json!({ "otlp": { "url": "ftp://x" } }), "https or http"),
        (json!({ "pager": {} }), "unknown variant"),
    ] {
        let mut new = json!({ "name": "x", "destination": destination });
        if new["destination"].get("webhook").is_some() {
            new["secrets"] = json!({ "signingKey": KEY });
        }
        let response = server.send(&admin, Method::POST, "/notifiers", Some(new)).await;
        let found = problem(response, StatusCode::BAD_REQUEST).await;
        assert!(found["detail"].as_str().unwrap().contains(why), "{found}");
    }
    let filter = json!({
        "name": "x", "destination": { "file": { "name": "x" } }, "filter": { "namespaces": ["{a"] },
    });
    let found =
        problem(server.send(&admin, Method::POST, "/notifiers", Some(filter)).await, StatusCode::BAD_REQUEST)
            .await;
    assert!(found["detail"].as_str().unwrap().starts_with("filter: "), "{found}");
    server.stop().await;
}
