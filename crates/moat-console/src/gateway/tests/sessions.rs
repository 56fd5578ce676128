//! What goes through a session, and what happens when things go wrong.

use moat_policy::Attempt;
use moat_store::{ActivityKind, EnforcerState};
use moat_wire::gateway::ActivityReport;
use moat_wire::gateway::proto::policy_state::State;
use moat_wire::gateway::proto::{Activities, NodePolicies, NodePolicy, PolicyAck, PolicyKey, PolicyState};

use super::*;

over_both!(
    an_event_has_its_workload_before_its_container_was_reported,
    policies_of_the_node_s_own_folder_are_known_as_it_reports_them,
    what_containers_did_is_stored_and_what_is_no_activity_is_not,
    events_are_acknowledged_when_stored_and_what_is_sent_again_is_stored_once,
    what_is_not_understood_is_counted_and_does_not_stop_the_rest,
    a_console_that_dies_and_comes_back_has_everything_that_it_acknowledged_and_nothing_twice,
    policies_come_whole_first_then_as_changes_and_what_became_of_them_is_known,
    an_enforcer_has_one_session_and_the_newest_counts,
    an_oversized_message_ends_its_session_and_no_other,
    a_session_that_does_not_begin_with_a_greeting_is_ended,
    a_node_that_floods_gets_its_turn_and_the_others_theirs,
    a_console_that_ends_says_so,
);

fn messages(events: &[StoredEvent]) -> Vec<&str> {
    events.iter().map(|stored| stored.event.message.as_str()).collect()
}

async fn events_are_acknowledged_when_stored_and_what_is_sent_again_is_stored_once(console: Running) {
    let enforcer = console.enrol("web-1").await;
    let events: Vec<_> = (0..100).map(|n| event(&n.to_string())).collect();
    let mut session = console.session(&enforcer).await.unwrap();
    session.send_events(60, &events[..60]).await;
    assert_eq!(session.stored().await, 60);
    assert_eq!(console.stored().await.len(), 60);
    drop(session);
    // The acknowledgement was lost: all of it comes again.
    let mut session = console.session(&enforcer).await.unwrap();
    session.send_events(100, &events).await;
    assert_eq!(session.stored().await, 100);
    let stored = console.stored().await;
    let expected: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    assert_eq!(messages(&stored), expected);
    // An enforcer speaks for its own node only.
    assert!(stored.iter().all(|stored| stored.event.node == "web-1" && stored.enforcer_id == enforcer.id()));
}

async fn what_is_not_understood_is_counted_and_does_not_stop_the_rest(console: Running) {
    let mut session = console.session(&console.enrol("a").await).await.unwrap();
    let mut bad = event("bad");
    bad.id = String::from("'; DROP TABLE event; --");
    let good = event("good '; DROP TABLE event; -- <script>alert(1)</script>");
    let json = vec![
        b"{".to_vec(),
        serde_json::to_vec(&good).unwrap(),
        serde_json::to_vec(&bad).unwrap(),
        b"\xff\xfe".to_vec(),
    ];
    session.say(to_console::Message::Events(Events { sequence: 4, json })).await;
    assert_eq!(session.stored().await, 4);
    let stored = console.stored().await;
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[0].event.message, good.message);
    assert!(stored[1].event.message.contains("3 events") && stored[1].event.count == 3);
}

/// What the console says it did with activities.
async fn taken(session: &mut Conversation) -> (u64, bool) {
    match session.hear().await {
        Some(to_enforcer::Message::ActivitiesTaken(taken)) => (taken.sequence, taken.stored),
        other => panic!("expected activities to be taken, heard {other:?}"),
    }
}

fn ran(path: &str) -> ActivityReport {
    ActivityReport {
        namespace: String::from("prod"),
        workload_kind: String::from("Deployment"),
        workload_name: String::from("web"),
        container: String::from("nginx"),
        attempt: Attempt::Exec {
            path: path.to_owned(),
            arguments: Some(vec![String::from("sh"), String::from("'; DROP TABLE activity; --\0\u{202e}")]),
            user: Some(0),
            parents: Vec::new(),
            origin: moat_event::Origin::ExecSession,
            source: moat_event::FileSource::Image,
        },
        count: 3,
        first_seen: "2026-03-01T12:00:00Z".parse().unwrap(),
        last_seen: "2026-03-01T13:00:00Z".parse().unwrap(),
    }
}

async fn what_containers_did_is_stored_and_what_is_no_activity_is_not(console: Running) {
    let mut session = console.session(&console.enrol("a").await).await.unwrap();
    let connected = ActivityReport {
        attempt: Attempt::Connect {
            direction: moat_event::Direction::Egress,
            protocol: moat_event::Protocol::Tcp,
            address: "2001:db8::5".parse().unwrap(),
            port: 443,
        },
        // Of a node whose clock is ahead.
        last_seen: "2999-01-01T00:00:00Z".parse().unwrap(),
        count: u64::MAX,
        ..ran("")
    };
    let refused = [
        ActivityReport { container: "n".repeat(513), ..ran("/bin/long") },
        ActivityReport { workload_name: String::from("a\0b"), ..ran("/bin/nul") },
        ActivityReport { attempt: Attempt::Syscall { name: String::from("ptrace") }, ..ran("") },
        ran(&"x".repeat(70_000)),
        ran("/bin/a\0b"),
    ];
    let json = |report: &ActivityReport| serde_json::to_vec(report).unwrap();
    let mut all = vec![json(&ran("/bin/sh")), b"{".to_vec(), json(&connected)];
    all.extend(refused.iter().map(json));
    for sequence in 1..=2 {
        let activities = Activities { sequence, json: all.clone() };
        session.say(to_console::Message::Activities(activities)).await;
        assert_eq!(taken(&mut session).await, (sequence, true));
    }
    // Events go on behind them.
    session.send_events(1, &[event("after")]).await;
    assert_eq!(session.stored().await, 1);

    let workload = Some(("prod", "Deployment", "web"));
    let mut stored = console.store.activities(workload, Timestamp::UNIX_EPOCH, 100).await.unwrap();
    assert_eq!(console.store.activities(None, Timestamp::UNIX_EPOCH, 100).await.unwrap().len(), 2);
    stored.sort_by_key(|one| one.kind);
    let [shell, peer] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!((shell.kind, shell.subject.as_str(), shell.count), (ActivityKind::Executed, "/bin/sh", 6));
    assert_eq!(serde_json::from_value::<Attempt>(shell.detail.clone()).unwrap(), ran("/bin/sh").attempt);
    assert_eq!((shell.first_seen, shell.last_seen), (ran("").first_seen, ran("").last_seen));
    assert_eq!((peer.kind, peer.subject.as_str()), (ActivityKind::Connected, "[2001:db8::5]:443/tcp"));
    assert!(peer.last_seen <= Timestamp::now() && peer.count == 2 * i64::from(u32::MAX));
}

async fn a_console_that_dies_and_comes_back_has_everything_that_it_acknowledged_and_nothing_twice(
    console: Running,
) {
    let enforcer = console.enrol("a").await;
    let events: Vec<_> = (0..2000).map(|n| event(&n.to_string())).collect();
    let mut session = console.session(&enforcer).await.unwrap();
    for (index, batch) in (1..).zip(events.chunks(50)) {
        session.send_events(index * 50, batch).await;
    }
    let acknowledged = session.stored().await;
    let (place, authority, address) = console.kill().await;
    let console = Running::on(place, authority, address).await;
    let survived = console.stored().await;
    assert!(survived.len() as u64 >= acknowledged);
    let mut session = console.session(&enforcer).await.unwrap();
    let from = usize::try_from(acknowledged).unwrap();
    session.send_events(2000, &events[from..]).await;
    assert_eq!(session.stored().await, 2000);
    let expected: Vec<_> = (0..2000).map(|n| n.to_string()).collect();
    assert_eq!(messages(&console.stored().await), expected);
}

async fn policies_come_whole_first_then_as_changes_and_what_became_of_them_is_known(console: Running) {
    console.put_policy("a", "a: 1").await;
    let enforcer = console.enrol("node").await;
    let mut session = console.session(&enforcer).await.unwrap();
    let whole = session.policy_set().await;
    assert_eq!((whole.base, whole.upserts.len(), whole.more), (0, 1, false));
    console.put_policy("b", &"#".repeat(200_000)).await;
    console.put_policy("c", &"#".repeat(200_000)).await;
    let mut names = Vec::new();
    let mut set = whole.set;
    while names.len() < 2 {
        let change = session.policy_set().await;
        assert!(change.base == set || change.base < change.set);
        names.extend(change.upserts.into_iter().map(|policy| policy.name));
        set = change.set;
    }
    assert_eq!(names, ["b", "c"]);
    let policies = vec![PolicyState {
        name: String::from("a"),
        revision: 1,
        state: State::Degraded.into(),
        reasons: vec![String::from("kernel")],
        containers: 3,
    }];
    let acknowledgement = PolicyAck { set, in_force: true, policies };
    session.say(to_console::Message::PolicyAck(acknowledgement)).await;
    let known = async {
        let mut watch = console.store.watch();
        loop {
            let kept = console.store.enforcer(enforcer.id()).await.unwrap();
            let statuses = console.store.policy_statuses(Some("a"), None).await.unwrap();
            if kept.progress.enforced_set == set && kept.progress.offered_set == set && !statuses.is_empty() {
                return statuses;
            }
            watch.changed().await;
        }
    };
    let statuses = timeout(PATIENCE, known).await.unwrap();
    assert_eq!((statuses[0].state, statuses[0].containers), (moat_store::PolicyState::Degraded, 3));
}

async fn an_event_has_its_workload_before_its_container_was_reported(console: Running) {
    let mut session = console.session(&console.enrol("a").await).await.unwrap();
    let mut known = event("known");
    known.namespace = Some(String::from("shop"));
    known.workload_kind = Some(String::from("Deployment"));
    known.workload_name = Some(String::from("web"));
    session.send_events(2, &[known, event("of nobody")]).await;
    assert_eq!(session.stored().await, 2);
    let stored = console.stored().await;
    let workloads: Vec<_> = stored.iter().map(|stored| stored.workload.as_deref()).collect();
    assert_eq!(workloads, [Some("shop/Deployment/web"), None]);
}

async fn policies_of_the_node_s_own_folder_are_known_as_it_reports_them(console: Running) {
    let enforcer = console.enrol("a").await;
    let mut session = console.session(&enforcer).await.unwrap();
    let key = |name: &str| PolicyKey { kind: String::from("RuntimePolicy"), name: name.to_owned() };
    let policy = |name: &str| NodePolicy {
        key: Some(key(name)),
        file: format!("/etc/moat/{name}.yaml"),
        document: String::from("a: 1"),
        first_seen_us: 5,
        state: State::Degraded.into(),
        reasons: vec![String::from("kernel")],
        containers: 3,
    };
    let nameless = NodePolicy { key: None, ..policy("c") };
    let full =
        NodePolicies { full: true, upserts: vec![policy("a"), policy("b"), nameless], removed: Vec::new() };
    session.say(to_console::Message::NodePolicies(full)).await;
    let change = NodePolicies { full: false, upserts: Vec::new(), removed: vec![key("b")] };
    session.say(to_console::Message::NodePolicies(change)).await;
    // What is said after it is stored after it.
    session.send_events(1, &[event("after")]).await;
    assert_eq!(session.stored().await, 1);
    let known = console.store.node_policies_of(&enforcer.identity.certificate.name).await.unwrap();
    let [known] = known.as_slice() else { panic!("{known:?}") };
    assert_eq!((known.name.as_str(), known.file.as_str(), known.containers), ("a", "/etc/moat/a.yaml", 3));
    assert_eq!(
        (known.state, &known.reasons),
        (moat_store::PolicyState::Degraded, &vec![String::from("kernel")])
    );
}

async fn an_enforcer_has_one_session_and_the_newest_counts(console: Running) {
    let enforcer = console.enrol("a").await;
    let mut older = console.session(&enforcer).await.unwrap();
    older.send_events(1, &[event("older")]).await;
    assert_eq!(older.stored().await, 1);
    let mut newer = console.session(&enforcer).await.unwrap();
    newer.send_events(1, &[event("newer")]).await;
    assert_eq!(newer.stored().await, 1);
    assert_eq!(older.goodbye().await, goodbye::Reason::Superseded);
    // That the older one is over does not make the enforcer look away.
    newer.send_events(2, &[event("still here")]).await;
    assert_eq!(newer.stored().await, 2);
    let state = console.store.enforcer(enforcer.id()).await.unwrap().state;
    assert_eq!(state, EnforcerState::Connected);
    drop(newer);
    let away = async {
        let mut watch = console.store.watch();
        while console.store.enforcer(enforcer.id()).await.unwrap().state != EnforcerState::Away {
            watch.changed().await;
        }
    };
    timeout(PATIENCE, away).await.unwrap();
}

async fn an_oversized_message_ends_its_session_and_no_other(console: Running) {
    let mut large = console.session(&console.enrol("a").await).await.unwrap();
    let mut small = console.session(&console.enrol("b").await).await.unwrap();
    let json = vec![vec![b' '; MAX_MESSAGE + 1]];
    large.say(to_console::Message::Events(Events { sequence: 1, json })).await;
    assert_eq!(large.goodbye().await, goodbye::Reason::Protocol);
    small.send_events(1, &[event("unharmed")]).await;
    assert_eq!(small.stored().await, 1);
    assert_eq!(messages(&console.stored().await), ["unharmed"]);
}

async fn a_session_that_does_not_begin_with_a_greeting_is_ended(console: Running) {
    let enforcer = console.enrol("a").await;
    let first = to_console::Message::Events(Events::default());
    let mut session = enforcer.converse(&console.url, first).await.unwrap();
    assert_eq!(session.goodbye().await, goodbye::Reason::Protocol);
}

async fn a_node_that_floods_gets_its_turn_and_the_others_theirs(console: Running) {
    let mut flood = console.session(&console.enrol("flood").await).await.unwrap();
    let mut calm = console.session(&console.enrol("calm").await).await.unwrap();
    let many: Vec<_> = (0..200).map(|n| event(&format!("flood {n}"))).collect();
    for sequence in 1..=50 {
        let json = many.iter().map(|event| {
            let mut event = event.clone();
            event.id = Uuid::now_v7().to_string();
            serde_json::to_vec(&event).unwrap()
        });
        let events = Events { sequence, json: json.collect() };
        flood.say(to_console::Message::Events(events)).await;
    }
    assert_eq!(flood.stored().await, 1);
    // All that the flood has sent is waiting; who comes now does not wait behind it.
    calm.send_events(1, &[event("calm")]).await;
    assert_eq!(calm.stored().await, 1);
    let stored = console.stored().await;
    let before = stored.iter().take_while(|stored| stored.event.node == "flood").count();
    assert!(stored.iter().any(|stored| stored.event.node == "calm") && before < 50 * 200, "{before}");
    while flood.stored().await < 50 {}
    assert_eq!(console.stored().await.len(), 50 * 200 + 1);
}

async fn a_console_that_ends_says_so(console: Running) {
    let mut session = console.session(&console.enrol("a").await).await.unwrap();
    session.send_events(1, &[event("a")]).await;
    assert_eq!(session.stored().await, 1);
    console.cancel.cancel();
    assert_eq!(session.goodbye().await, goodbye::Reason::Ending);
}
