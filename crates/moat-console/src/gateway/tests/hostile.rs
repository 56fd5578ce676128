//! What an enforcer that somebody has taken over may say.

use moat_event::Process;
use moat_wire::gateway::MAX_EVENT;
use moat_wire::gateway::proto::{Containers, Heartbeat, PolicyAck, PolicyState};

use super::*;

over_both!(
    text_of_any_kind_is_stored_as_it_is_and_harms_nobody,
    an_enforcer_speaks_for_nobody_else,
    nonsense_is_no_reason_to_fail,
);

/// For SQL, for HTML, for terminals and for PostgreSQL, whose texts hold no such character as the last.
const HOSTILE: &str =
    "x'); DROP TABLE event; -- </script><script>alert(1)</script> \u{1b}[2J \u{202e} %s \u{0}";

async fn text_of_any_kind_is_stored_as_it_is_and_harms_nobody(console: Running) {
    let mut session = console.session(&console.enrol("a").await).await.unwrap();
    let mut hostile = Event {
        policy_name: Some(HOSTILE.into()),
        pod_name: Some(HOSTILE.into()),
        namespace: Some(HOSTILE.into()),
        container_id: Some(HOSTILE.into()),
        labels: [(HOSTILE.to_owned(), HOSTILE.to_owned())].into(),
        process: Some(Process {
            executable: HOSTILE.into(),
            arguments: vec![HOSTILE.into(); 3],
            ..Process::default()
        }),
        ..event(HOSTILE)
    };
    let workload = serde_json::json!({
        "namespace": HOSTILE, "pod": HOSTILE, "labels": { HOSTILE: HOSTILE }, "container": HOSTILE, "containerId": HOSTILE,
        "image": HOSTILE, "node": HOSTILE, "kind": HOSTILE, "name": HOSTILE,
    });
    let report = serde_json::json!({
        "workload": workload, "policies": [HOSTILE], "rules": 1, "problem": HOSTILE, "protection": "Audit",
    });
    let upserts_json = vec![serde_json::to_vec(&report).unwrap()];
    let containers = Containers { full: true, upserts_json, ended_ids: vec![HOSTILE.into()] };
    session.say(to_console::Message::Containers(containers)).await;
    session.send_events(1, std::slice::from_ref(&hostile)).await;
    assert_eq!(session.stored().await, 1);
    let stored = console.stored().await;
    hostile.node = "a".into();
    assert_eq!(stored[0].event, hostile);
    let containers = console.store.containers(&moat_store::ContainerFilter::default()).await.unwrap();
    assert_eq!((containers.len(), containers[0].workload.labels[HOSTILE].as_str()), (1, HOSTILE));
}

async fn an_enforcer_speaks_for_nobody_else(console: Running) {
    let (victim, robber) = (console.enrol("victim").await, console.enrol("robber").await);
    let mut theirs = console.session(&victim).await.unwrap();
    let known = event("the victim's");
    theirs.send_events(1, std::slice::from_ref(&known)).await;
    assert_eq!(theirs.stored().await, 1);
    // An id that is known already, a node and an enforcer that are others.
    let mut session = console.session(&robber).await.unwrap();
    let forged = Event { node: "victim".into(), ..event("forged") };
    let replayed = Event { message: "overwritten".into(), ..known.clone() };
    session.send_events(1, &[forged, replayed]).await;
    assert_eq!(session.stored().await, 1);
    let stored = console.stored().await;
    let told: Vec<_> = stored
        .iter()
        .map(|stored| {
            (stored.event.node.as_str(), stored.enforcer_id.as_str(), stored.event.message.as_str())
        })
        .collect();
    assert_eq!(told, [("victim", victim.id(), "the victim's"), ("robber", robber.id(), "forged")]);
}

async fn nonsense_is_no_reason_to_fail(console: Running) {
    let mut session = console.session(&console.enrol("a").await).await.unwrap();
    let nested = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    session
        .say(to_console::Message::Containers(Containers {
            full: false,
            upserts_json: vec![nested.clone(), b"{}".to_vec(), b"\xff".to_vec()],
            ended_ids: vec![String::new()],
        }))
        .await;
    session
        .say(to_console::Message::Heartbeat(Heartbeat { status_json: nested.clone(), sent_at_us: i64::MIN }))
        .await;
    session
        .say(to_console::Message::Heartbeat(Heartbeat { status_json: b"7".to_vec(), sent_at_us: i64::MAX }))
        .await;
    let states =
        vec![PolicyState { name: HOSTILE.into(), revision: i64::MIN, state: 99, ..PolicyState::default() }];
    session
        .say(to_console::Message::PolicyAck(PolicyAck { set: i64::MAX, in_force: true, policies: states }))
        .await;
    let large = serde_json::to_vec(&event(&"large ".repeat(MAX_EVENT / 6))).unwrap();
    let json = vec![nested, b"{\"message\":\"\\ud800\"}".to_vec(), Vec::new(), large];
    session.say(to_console::Message::Events(Events { sequence: u64::MAX, json })).await;
    assert_eq!(session.stored().await, u64::MAX);
    session.send_events(2, &[event("sense")]).await;
    assert_eq!(session.stored().await, 2);
    let stored = console.stored().await;
    let messages: Vec<_> = stored.iter().map(|stored| stored.event.message.as_str()).collect();
    assert!(messages[0].contains("4 events") && messages[1..] == ["sense"], "{messages:?}");
}
