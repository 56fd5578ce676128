use jiff::{SignedDuration, Timestamp};
use moat_store::{
    Change, EnforcerState, Heartbeat, NewEnforcer, NewEnrolmentToken, NodePolicy, PolicyState, PolicyStatus,
    SetProgress, Store, StoreError,
};
use serde_json::json;

use crate::engine::{Fresh, admin, contract};

contract!(
    a_token_lets_in_as_often_as_it_says,
    a_bad_token_lets_nobody_in,
    another_machine_replaces_a_node,
    a_revoked_enforcer_is_not_admitted,
    heartbeats_say_how_far_it_is,
    statuses_are_replaced_as_a_whole,
    policies_of_nodes_are_kept_until_they_are_gone,
    replicas_keep_what_the_first_made,
);

fn in_an_hour() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(1)
}

async fn token(store: &Store, uses: i64, expires_at: Timestamp) -> String {
    let mut change = store.begin(&admin()).await.unwrap();
    let new = NewEnrolmentToken { label: "lab".into(), secret_hash: vec![7; 32], uses, expires_at };
    let token = change.create_enrolment_token(new).await.unwrap();
    change.commit().await.unwrap();
    token.id
}

/// The enforcer's id; its certificate has the serial number `serial`.
async fn enrol(
    store: &Store,
    token: &str,
    node: &str,
    machine: &str,
    serial: &str,
) -> Result<String, StoreError> {
    let mut change = store.begin(&admin()).await?;
    let new = NewEnforcer { node: node.into(), machine: machine.into(), version: "0.1.0".into() };
    let enforcer = change.enrol(token, &[7; 32], new).await?;
    change.add_certificate(&enforcer.id, serial, in_an_hour()).await?;
    change.commit().await?;
    Ok(enforcer.id)
}

async fn a_token_lets_in_as_often_as_it_says(Fresh { store, .. }: Fresh) {
    let token = token(&store, 2, in_an_hour()).await;
    let tries: Vec<_> = (0..6)
        .map(|number| {
            let (store, token) = (store.clone(), token.clone());
            tokio::spawn(async move {
                enrol(&store, &token, &format!("node-{number}"), "m", &number.to_string()).await
            })
        })
        .collect();
    let mut admitted = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(_) => admitted += 1,
            Err(StoreError::Refused(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(admitted, 2);
    assert_eq!(store.enforcers().await.unwrap().len(), 2);
    assert_eq!(store.enrolment_tokens().await.unwrap()[0].uses_left, 0);
}

async fn a_bad_token_lets_nobody_in(Fresh { store, .. }: Fresh) {
    let expired = token(&store, 1, Timestamp::now()).await;
    assert!(matches!(enrol(&store, &expired, "n", "m", "1").await, Err(StoreError::Refused(_))));
    assert!(matches!(enrol(&store, "no-such-token", "n", "m", "1").await, Err(StoreError::Refused(_))));
    let good = token(&store, 1, in_an_hour()).await;
    let mut change = store.begin(&admin()).await.unwrap();
    let new = NewEnforcer { node: "n".into(), machine: "m".into(), version: "0".into() };
    assert!(matches!(change.enrol(&good, &[8; 32], new).await, Err(StoreError::Refused(_))));
    drop(change);
    let mut change = store.begin(&admin()).await.unwrap();
    change.revoke_enrolment_token(&good).await.unwrap();
    change.commit().await.unwrap();
    assert!(matches!(enrol(&store, &good, "n", "m", "1").await, Err(StoreError::Refused(_))));
    assert_eq!(store.enforcers().await.unwrap(), []);
}

async fn another_machine_replaces_a_node(Fresh { store, .. }: Fresh) {
    let token = token(&store, 3, in_an_hour()).await;
    let first = enrol(&store, &token, "node-1", "machine-a", "a1").await.unwrap();
    let again = enrol(&store, &token, "node-1", "machine-a", "a2").await.unwrap();
    assert_eq!(again, first, "the same machine is the same enforcer");
    assert!(matches!(store.admit("a1", &first).await, Err(StoreError::Refused(_))));
    store.admit("a2", &first).await.unwrap();

    let other = enrol(&store, &token, "node-1", "machine-b", "b1").await.unwrap();
    assert_ne!(other, first);
    assert_eq!(store.enforcer(&first).await.unwrap().state, EnforcerState::Replaced);
    assert_eq!(store.enforcer(&other).await.unwrap().state, EnforcerState::Away);
    assert!(matches!(store.admit("a2", &first).await, Err(StoreError::Refused(_))));
    store.admit("b1", &other).await.unwrap();
    assert!(matches!(store.admit("b1", &first).await, Err(StoreError::Refused(_))), "another's certificate");
    assert!(matches!(store.admit("c1", &other).await, Err(StoreError::Refused(_))), "an unknown certificate");
}

async fn a_revoked_enforcer_is_not_admitted(Fresh { store, .. }: Fresh) {
    let token = token(&store, 1, in_an_hour()).await;
    let id = enrol(&store, &token, "node-1", "m", "s1").await.unwrap();
    let mut watch = store.watch();
    let mut change = store.begin(&admin()).await.unwrap();
    change.revoke_enforcer(&id).await.unwrap();
    change.commit().await.unwrap();
    assert!(watch.changed().await.unwrap().contains(&Change::Enforcers));
    assert!(matches!(store.admit("s1", &id).await, Err(StoreError::Refused(_))));
    assert_eq!(store.enforcer(&id).await.unwrap().state, EnforcerState::Revoked);
    assert_eq!(store.revoked_certificates().await.unwrap(), ["s1"]);
    let mut change = store.begin(&admin()).await.unwrap();
    let renewed = change.add_certificate(&id, "s2", in_an_hour()).await;
    assert!(matches!(renewed, Err(StoreError::Refused(_))), "{renewed:?}");
}

async fn heartbeats_say_how_far_it_is(Fresh { store, .. }: Fresh) {
    let token = token(&store, 1, in_an_hour()).await;
    let id = enrol(&store, &token, "node-1", "m", "s1").await.unwrap();
    store.enforcer_connected(&id, "a/1", "0.1.0", "6.12", "lsm", &json!({ "hooks": 3 })).await.unwrap();
    let enforcer = store.enforcer(&id).await.unwrap();
    assert_eq!((enforcer.state, enforcer.driver.as_str()), (EnforcerState::Connected, "lsm"));
    let progress = SetProgress { offered_set: 3, accepted_set: 3, enforced_set: 2 };
    let beats = [
        Heartbeat {
            enforcer_id: id.clone(),
            status: Some(json!({ "uptime": 5 })),
            progress: Some(progress),
            lag_ms: Some(12),
        },
        Heartbeat { enforcer_id: id.clone(), ..Heartbeat::default() },
    ];
    store.heartbeats(&beats).await.unwrap();
    let enforcer = store.enforcer(&id).await.unwrap();
    assert_eq!((enforcer.progress, enforcer.lag_ms), (progress, 12));
    assert_eq!(enforcer.status, json!({ "uptime": 5 }));
    // The session moved to another replica before the first one noticed its end.
    assert_eq!(store.enforcers_elsewhere("a").await.unwrap(), [""; 0]);
    store.enforcer_connected(&id, "b/1", "0.1.0", "6.12", "lsm", &json!({})).await.unwrap();
    assert_eq!(store.enforcers_elsewhere("a").await.unwrap(), [id.as_str()]);
    assert_eq!(store.enforcers_elsewhere("b").await.unwrap(), [""; 0]);
    store.enforcer_disconnected(&id, "a/1").await.unwrap();
    assert_eq!(store.enforcer(&id).await.unwrap().state, EnforcerState::Connected);
    store.enforcer_disconnected(&id, "b/1").await.unwrap();
    assert_eq!(store.enforcers_elsewhere("a").await.unwrap(), [""; 0]);
    assert_eq!(store.enforcer(&id).await.unwrap().state, EnforcerState::Away);
}

async fn statuses_are_replaced_as_a_whole(Fresh { store, .. }: Fresh) {
    let status = |enforcer: &str, policy: &str, state| PolicyStatus {
        enforcer_id: enforcer.into(),
        policy: policy.into(),
        revision: 1,
        state,
        reasons: vec!["because".into()],
        containers: 2,
    };
    let first = [status("e1", "a", PolicyState::Enforced), status("e1", "b", PolicyState::Degraded)];
    store.put_policy_statuses(&["e1".into()], &first).await.unwrap();
    store.put_policy_statuses(&["e2".into()], &[status("e2", "a", PolicyState::Refused)]).await.unwrap();
    assert_eq!(store.policy_statuses(None, Some("e1")).await.unwrap(), first);
    assert_eq!(store.policy_statuses(Some("a"), None).await.unwrap().len(), 2);
    store.put_policy_statuses(&["e1".into()], &[status("e1", "a", PolicyState::Pending)]).await.unwrap();
    let left = store.policy_statuses(None, None).await.unwrap();
    assert_eq!(
        left.iter().map(|status| (status.enforcer_id.as_str(), status.state)).collect::<Vec<_>>(),
        [("e1", PolicyState::Pending), ("e2", PolicyState::Refused)]
    );
}

async fn policies_of_nodes_are_kept_until_they_are_gone(Fresh { store, .. }: Fresh) {
    let token = token(&store, 2, in_an_hour()).await;
    let (one, two) = (
        enrol(&store, &token, "node-1", "m1", "1").await.unwrap(),
        enrol(&store, &token, "node-2", "m2", "2").await.unwrap(),
    );
    let policy = |enforcer: &str, name: &str, document: &str| NodePolicy {
        enforcer_id: enforcer.into(),
        kind: "RuntimePolicy".into(),
        name: name.into(),
        file: format!("/etc/moat/policies/{name}.yaml"),
        document: document.into(),
        first_seen: Timestamp::from_microsecond(1_700_000_000_000_000).unwrap(),
        state: PolicyState::Enforced,
        reasons: Vec::new(),
        containers: 2,
    };
    let first = [policy(&one, "a", "a: 1"), policy(&one, "b", "b: 1")];
    store.put_node_policies(&one, true, &first, &[]).await.unwrap();
    store.put_node_policies(&two, true, &[policy(&two, "a", "a: 1")], &[]).await.unwrap();
    assert_eq!(store.node_policies_of(&one).await.unwrap(), first);
    let groups = store.node_policy_groups().await.unwrap();
    let told: Vec<_> =
        groups.iter().map(|group| (group.name.as_str(), group.nodes, group.containers)).collect();
    assert_eq!(told, [("a", 2, 4), ("b", 1, 2)]);

    // What differs comes alone; what a full report does not name is gone.
    let gone = [("RuntimePolicy".to_owned(), "b".to_owned())];
    store.put_node_policies(&one, false, &[policy(&one, "a", "a: 2")], &gone).await.unwrap();
    assert_eq!(store.node_policies_of(&one).await.unwrap(), [policy(&one, "a", "a: 2")]);
    let named = store.node_policies_named("RuntimePolicy", "a").await.unwrap();
    assert_eq!(named.iter().map(|policy| policy.document.as_str()).collect::<Vec<_>>().len(), 2);
    assert_eq!(store.node_policies_named("CompliancePolicy", "a").await.unwrap(), []);
    store.put_node_policies(&one, true, &[], &[]).await.unwrap();
    assert_eq!(store.node_policies_of(&one).await.unwrap(), []);

    // Those of a node that may not come back are not in force anywhere that counts.
    let mut change = store.begin(&admin()).await.unwrap();
    change.revoke_enforcer(&two).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(store.node_policy_groups().await.unwrap(), []);
}

async fn replicas_keep_what_the_first_made(Fresh { store, url, .. }: Fresh) {
    let other = Store::open(&url).await.unwrap();
    assert_eq!(store.keep_first("authority", b"one").await.unwrap(), b"one");
    assert_eq!(other.keep_first("authority", b"two").await.unwrap(), b"one");
    assert_eq!(other.kept("authority").await.unwrap().unwrap(), b"one");
    assert_eq!(other.kept("nothing").await.unwrap(), None);
}
