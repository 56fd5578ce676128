//! Two consoles on one PostgreSQL: what reaches one reaches the other, and both outlast the database's absence.

use std::time::Duration;

use moat_testkit::gateway::event;
use moat_testkit::{Postgres, skip};
use moat_wire::gateway::proto::goodbye;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::server::{As, Server, problem};
use crate::stream::Live;

const POLICY: &str = include_str!("../../../../examples/no-shells.yaml");
/// Far longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn postgres() -> Option<Postgres> {
    Postgres::start().map_err(|why| skip("postgres", format!("{why:#}"))).ok()
}

/// Asks again at each change that the console hears of, until it is as wanted.
async fn until(server: &Server, caller: &As, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut watch = server.console.store().watch();
    let asking = async {
        loop {
            let found = server.get(caller, path).await;
            if wanted(&found) {
                return found;
            }
            watch.changed().await;
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{path} does not become as wanted"))
}

#[tokio::test]
async fn what_reaches_one_replica_reaches_the_other() {
    let Some(postgres) = postgres() else { return };
    let (here, admin) = Server::over(&postgres.database().unwrap()).await;
    let there = here.replica().await;
    let enforcer = here.enrol(&admin, "node-1").await;
    let mut session = enforcer.session(&here.gateway).await.unwrap();

    // Events up: in at one, out of the other's live stream.
    let mut live = Live::open(&there, &admin, "/events/stream", None).await;
    session.send_events(1, &[event("seen by both")]).await;
    assert_eq!(session.stored().await, 1);
    let (name, _, data) = live.next().await;
    assert_eq!((name.as_str(), &data["event"]["message"]), ("event", &json!("seen by both")));

    // Policies down: saved at the other, offered here, and what became of it known at the other.
    let new = json!({ "document": POLICY });
    let made = there.send(&admin, Method::POST, "/policies", Some(new)).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let set = session.policy_set().await;
    assert_eq!(set.upserts.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(), ["no-shells"]);
    session.enforced(&set).await;
    let policy =
        until(&there, &admin, "/policies/no-shells", |policy| policy["coverage"]["enforced"] == 1).await;
    assert_eq!(policy["coverage"]["nodes"], 1);

    // A revocation too.
    let path = format!("/enforcers/{}", enforcer.id());
    assert!(there.send(&admin, Method::DELETE, &path, None).await.status().is_success());
    assert_eq!(session.goodbye().await, goodbye::Reason::Revoked);
    there.stop().await;
    here.stop().await;
}

#[tokio::test]
async fn an_enforcer_that_comes_to_another_replica_has_its_older_session_ended() {
    let Some(postgres) = postgres() else { return };
    let (here, admin) = Server::over(&postgres.database().unwrap()).await;
    let there = here.replica().await;
    let (enforcer, other) = (here.enrol(&admin, "node-1").await, here.enrol(&admin, "node-2").await);
    let mut untouched = other.session(&here.gateway).await.unwrap();
    untouched.send_events(1, &[event("other")]).await;
    assert_eq!(untouched.stored().await, 1);
    let path = format!("/enforcers/{}", enforcer.id());
    let mut older = enforcer.session(&here.gateway).await.unwrap();
    until(&here, &admin, &path, |enforcer| enforcer["state"] == "Connected").await;
    // To and fro: each time the older one ends, and the newer one does not.
    for (number, server) in (1..).zip([&there, &here, &there]) {
        let mut newer = enforcer.session(&server.gateway).await.unwrap();
        assert_eq!(older.goodbye().await, goodbye::Reason::Superseded);
        newer.send_events(number, &[event("newer")]).await;
        assert_eq!(newer.stored().await, number);
        older = newer;
    }
    assert_eq!(here.get(&admin, &path).await["state"], "Connected");
    untouched.send_events(2, &[event("other")]).await;
    assert_eq!(untouched.stored().await, 2);
    drop(older);
    until(&here, &admin, &path, |enforcer| enforcer["state"] == "Away").await;
    there.stop().await;
    here.stop().await;
}

/// PostgreSQL ends in order and in a crash, with enforcers in session at both replicas.
#[tokio::test]
async fn events_wait_while_postgres_is_away_and_all_arrive_once_and_in_order() {
    let Some(mut postgres) = postgres() else { return };
    let (here, admin) = Server::over(&postgres.database().unwrap()).await;
    let there = here.replica().await;
    let mut sessions = Vec::new();
    for (node, server) in [("node-1", &here), ("node-2", &there)] {
        let enforcer = here.enrol(&admin, node).await;
        sessions.push((node, enforcer.session(&server.gateway).await.unwrap()));
    }
    let mut live = Live::open(&there, &admin, "/events/stream?nodes=node-1", None).await;
    let mut expected = Vec::new();
    let mut sequence = 0;
    for crash in [false, true] {
        if crash {
            postgres.crash().unwrap();
        } else {
            postgres.stop().unwrap();
        }
        // Several messages each: those behind the first wait in the connection.
        for _ in 0..5 {
            sequence += 1;
            let message = format!("number {sequence}");
            for (_, session) in &sessions {
                session.send_events(sequence, &[event(&message)]).await;
            }
            expected.push(message);
        }
        for server in [&here, &there] {
            let refused = server.send(&admin, Method::GET, "/events", None).await;
            assert!(refused.headers().contains_key("retry-after"));
            problem(refused, StatusCode::SERVICE_UNAVAILABLE).await;
            let ready = reqwest::get(format!("{}/readyz", server.url)).await.unwrap();
            assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
            // What needs no store goes on.
            assert!(reqwest::get(format!("{}/healthz", server.url)).await.unwrap().status().is_success());
        }
        postgres.resume().unwrap();
        for (_, session) in &mut sessions {
            while session.stored().await < sequence {}
        }
    }
    for (node, _) in &sessions {
        let page = here.get(&admin, &format!("/events?nodes={node}&limit=1000")).await;
        let mut items = page["items"].as_array().unwrap().clone();
        items.sort_by_key(|item| item["seq"].as_i64());
        let found: Vec<_> = items.iter().map(|item| item["event"]["message"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{node}");
    }
    // Who listened all the while has missed nothing either.
    for message in &expected {
        let (name, _, data) = live.next_but_heartbeats().await;
        assert_eq!((name.as_str(), &data["event"]["message"]), ("event", &json!(message)));
    }
    there.stop().await;
    here.stop().await;
}
