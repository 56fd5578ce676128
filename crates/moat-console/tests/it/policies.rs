//! A policy's life: made, mistaken, changed by two people, compared, taken back.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{As, Server, problem};

const POLICY: &str = include_str!("../../../../examples/no-shells.yaml");

async fn put(server: &Server, caller: &As, etag: &str, document: &str) -> reqwest::Response {
    server
        .request(caller, Method::PUT, "/policies/no-shells")
        .header("if-match", etag)
        .json(&json!({ "document": document, "note": "tighter" }))
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_policy_is_changed_by_one_at_a_time_and_can_be_taken_back() {
    let (server, admin) = Server::with_admin().await;
    let new = json!({ "document": POLICY, "note": "first" });
    let dry = server.send(&admin, Method::POST, "/policies?dryRun=true", Some(new.clone())).await;
    assert_eq!(dry.status(), StatusCode::CREATED);
    assert_eq!(server.get(&admin, "/policies").await["items"], json!([]));

    let made = server.send(&admin, Method::POST, "/policies", Some(new.clone())).await;
    assert_eq!((made.status(), &made.headers()["etag"]), (StatusCode::CREATED, &"\"1\"".parse().unwrap()));
    let policy: Value = made.json().await.unwrap();
    assert_eq!(
        (&policy["name"], &policy["mode"], &policy["document"]),
        (&json!("no-shells"), &json!("Enforce"), &json!(POLICY))
    );
    problem(server.send(&admin, Method::POST, "/policies", Some(new)).await, StatusCode::CONFLICT).await;

    let audit = POLICY.replace("mode: Enforce", "mode: Audit");
    assert_ne!(audit, POLICY);
    let changed = put(&server, &admin, "\"1\"", &audit).await;
    assert_eq!((changed.status(), &changed.headers()["etag"]), (StatusCode::OK, &"\"2\"".parse().unwrap()));
    let late = problem(put(&server, &admin, "\"1\"", POLICY).await, StatusCode::PRECONDITION_FAILED).await;
    assert_eq!(late["current"], 2);
    let blind = json!({ "document": POLICY });
    let blind = server.send(&admin, Method::PUT, "/policies/no-shells", Some(blind)).await;
    problem(blind, StatusCode::PRECONDITION_REQUIRED).await;

    let diff = server.get(&admin, "/policies/no-shells/diff?from=1").await;
    assert_eq!((&diff["added"], &diff["removed"]), (&json!(1), &json!(1)));
    let unified = diff["unified"].as_str().unwrap();
    assert!(unified.contains("-  mode: Enforce\n+  mode: Audit\n"), "{unified}");

    let back = server
        .request(&admin, Method::POST, "/policies/no-shells/rollback")
        .header("if-match", "\"2\"")
        .json(&json!({ "revision": 1 }))
        .send()
        .await
        .unwrap();
    let back: Value = back.json().await.unwrap();
    assert_eq!((&back["revision"], &back["document"]), (&json!(3), &json!(POLICY)));
    let history = server.get(&admin, "/policies/no-shells/revisions").await;
    let history: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|one| one["action"].clone()).collect();
    assert_eq!(history, ["RolledBack", "Updated", "Created"]);
    server.stop().await;
}

#[tokio::test]
async fn mistakes_are_told_with_their_places_and_nothing_is_stored() {
    let (server, admin) = Server::with_admin().await;
    let wrong = POLICY.replace("severity: High", "severity: Hihg");
    assert_ne!(wrong, POLICY);
    let told =
        server.send(&admin, Method::POST, "/policies/validate", Some(json!({ "document": wrong }))).await;
    let told: Value = told.json().await.unwrap();
    assert_eq!(told["valid"], false);
    let line = POLICY.lines().position(|line| line.contains("severity: High")).unwrap() + 1;
    assert_eq!(told["diagnostics"][0]["line"], line, "{told}");
    let response = server.send(&admin, Method::POST, "/policies", Some(json!({ "document": wrong }))).await;
    let refused = problem(response, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(refused["diagnostics"], told["diagnostics"]);
    assert_eq!(server.get(&admin, "/policies").await["items"], json!([]));
    let renamed = server
        .request(&admin, Method::PUT, "/policies/other")
        .header("if-match", "\"1\"")
        .json(&json!({ "document": POLICY }))
        .send()
        .await
        .unwrap();
    problem(renamed, StatusCode::BAD_REQUEST).await;
    server.stop().await;
}

#[tokio::test]
async fn overview_schema_and_templates_answer_on_an_empty_console() {
    let (server, admin) = Server::with_admin().await;
    let overview = server.get(&admin, "/overview").await;
    assert_eq!(overview["enforcers"]["connected"], 0);
    assert_eq!(overview["problems"], json!([]));
    assert!(overview["events"]["buckets"].as_array().unwrap().len() >= 60, "{overview}");
    let templates = server.get(&admin, "/policies/templates").await;
    for template in templates["items"].as_array().unwrap() {
        let made = json!({ "document": template["document"] });
        let response = server.send(&admin, Method::POST, "/policies", Some(made)).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{}", template["name"]);
    }
    assert!(server.get(&admin, "/policies/schema").await["oneOf"].is_array());
    let answer = reqwest::get(format!("{}/readyz", server.url)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await.unwrap().text().await.unwrap();
    assert!(
        metrics
            .contains(r#"moat_console_http_requests_total{method="GET",route="/overview",status="200"} 1"#),
        "{metrics}"
    );
    server.stop().await;
}
