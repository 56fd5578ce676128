//! A policy's life: made, mistaken, changed by two people, compared, taken back.

use jiff::{SignedDuration, Timestamp};
use moat_console::console_actor;
use moat_event::{Event, Workload};
use moat_store::{
    Container, NewEnforcer, NewEnrolmentToken, NewEvent, NodePolicy, PolicyState, Protection, Store,
};
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

fn container(enforcer: &str, node: &str) -> Container {
    let workload = Workload {
        namespace: "shop".into(),
        kind: "Deployment".into(),
        name: "web".into(),
        container: "web".into(),
        container_id: format!("{node}-web"),
        node: node.into(),
        labels: [("app".to_owned(), "nginx".to_owned())].into(),
        ..Workload::default()
    };
    Container {
        enforcer_id: enforcer.into(),
        container_id: workload.container_id.clone(),
        workload,
        policies: vec!["no-shells".into()],
        rules: 1,
        problem: None,
        protection: Protection::Protected,
        started_at: None,
        seen_at: Timestamp::now(),
        ended_at: None,
    }
}

async fn enrol(store: &Store, node: &str) -> String {
    let mut transaction = store.begin(&console_actor()).await.unwrap();
    let token = NewEnrolmentToken {
        label: node.into(),
        secret_hash: vec![1],
        uses: 1,
        expires_at: Timestamp::now() + SignedDuration::from_hours(1),
    };
    let token = transaction.create_enrolment_token(token).await.unwrap();
    let new = NewEnforcer { node: node.into(), machine: node.into(), version: "0".into() };
    let enforcer = transaction.enrol(&token.id, &[1], new).await.unwrap();
    transaction.commit().await.unwrap();
    enforcer.id
}

#[tokio::test]
async fn policies_of_the_nodes_own_folders_are_shown_and_come_first() {
    let (server, admin) = Server::with_admin().await;
    let store = server.console.store();
    let document = POLICY.replace("matchNames: [default]", "matchNames: [shop]");
    assert_ne!(document, POLICY);
    let made = json!({ "document": document });
    server.send(&admin, Method::POST, "/policies", Some(made)).await;
    assert_eq!(server.get(&admin, "/node-policies").await["items"], json!([]));

    let audit = document.replace("mode: Enforce", "mode: Audit");
    let documents = [("node-1", &audit), ("node-2", &document), ("node-3", &document)];
    let mut first = String::new();
    for (node, document) in documents {
        let enforcer = enrol(store, node).await;
        let policy = NodePolicy {
            enforcer_id: enforcer.clone(),
            kind: "RuntimePolicy".into(),
            name: "no-shells".into(),
            file: "/etc/moat/policies/shells.yaml".into(),
            document: document.clone(),
            first_seen: Timestamp::now(),
            state: if node == "node-2" { PolicyState::Degraded } else { PolicyState::Enforced },
            reasons: if node == "node-2" { vec!["seen late".into()] } else { Vec::new() },
            containers: 1,
        };
        store.put_node_policies(&enforcer, true, &[policy], &[]).await.unwrap();
        if node != "node-3" {
            store.put_containers(&enforcer, true, &[container(&enforcer, node)], &[]).await.unwrap();
        }
        if first.is_empty() {
            first = enforcer;
        }
    }

    let listed = server.get(&admin, "/node-policies").await;
    let [policy] = listed["items"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(
        (&policy["mode"], &policy["versions"], &policy["coverage"]["nodes"], &policy["coverage"]["degraded"]),
        (&json!("Enforce"), &json!(2), &json!(3), &json!(1))
    );
    let shown = server.get(&admin, "/node-policies/RuntimePolicy/no-shells").await;
    let nodes = |version: usize| {
        let nodes = shown["versions"][version]["nodes"].as_array().unwrap();
        nodes.iter().map(|place| place["node"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((nodes(0), nodes(1)), (vec!["node-2", "node-3"], vec!["node-1"]));
    assert_eq!(shown["versions"][0]["document"], document);
    let other = server.send(&admin, Method::GET, "/node-policies/CompliancePolicy/no-shells", None).await;
    problem(other, StatusCode::NOT_FOUND).await;
    let overview = server.get(&admin, "/overview").await;
    assert_eq!(overview["policies"]["degraded"], 1);
    assert!(
        overview["problems"].to_string().contains("/policies/nodes/RuntimePolicy/no-shells"),
        "{overview}"
    );

    // On each node its own policy holds, and not the console's of the same name; nodes that differ are named.
    let workload = server.get(&admin, "/workloads/shop/Deployment/web").await;
    let other = if workload["rulesNode"] == "node-1" { "node-2" } else { "node-1" };
    assert_eq!(workload["otherNodes"], json!([other]));
    let rules = workload["rules"].as_array().unwrap();
    let mode = if other == "node-2" { "Audit" } else { "Enforce" };
    assert!(!rules.is_empty() && rules.iter().all(|rule| rule["source"] == "Node" && rule["mode"] == mode));
    assert_eq!(
        (&workload["notSelected"][0]["source"], &workload["notSelected"][0]["policy"]),
        (&json!("Console"), &json!("no-shells"))
    );

    // What an event tells about the rule that decided is what stands on its node.
    let event: Event = serde_json::from_value(json!({
        "timestamp": Timestamp::now(), "eventType": "ProcessExec", "action": "WouldBlock", "severity": "High", "message": "sh",
        "id": "019ab000-0000-7000-8000-000000000002", "policyName": "no-shells", "rule": "no-shells",
    }))
    .unwrap();
    let event = NewEvent { enforcer_id: first, workload: None, event };
    store.insert_events(vec![event]).await.unwrap();
    let told = server.get(&admin, "/events/019ab000-0000-7000-8000-000000000002").await;
    assert_eq!(
        (&told["rule"]["source"], &told["rule"]["mode"], &told["rule"]["revision"]),
        (&json!("Node"), &json!("Audit"), &Value::Null)
    );
    server.stop().await;
}
