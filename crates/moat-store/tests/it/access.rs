use jiff::{SignedDuration, Timestamp};
use moat_store::{
    DeliveryState, NewApiToken, NewNotifier, NewUser, Oidc, Role, Session, Store, StoreError, User,
    UserChange,
};
use serde_json::json;

use crate::engine::{Fresh, admin, contract};

contract!(
    the_last_admin_stays,
    a_session_ends_with_what_it_was_given_for,
    tokens_expire_and_can_be_deleted,
    settings_guard_against_two_at_once,
    one_replica_works_for_a_notifier,
    dead_letters_can_be_retried,
);

async fn add(store: &Store, name: &str, role: Role) -> User {
    let mut change = store.begin(&admin()).await.unwrap();
    let oidc = Some(Oidc { issuer: "https://login.example".into(), subject: name.into() });
    let new = NewUser { name: name.into(), role, password_hash: Some("$argon2id$…".into()), oidc };
    let user = change.create_user(new).await.unwrap();
    change.commit().await.unwrap();
    user
}

async fn the_last_admin_stays(Fresh { store, .. }: Fresh) {
    let ada = add(&store, "ada", Role::Admin).await;
    let odo = add(&store, "odo", Role::Operator).await;
    assert_eq!(store.user_by_name("ada").await.unwrap(), ada);
    assert_eq!(store.user_by_oidc(odo.oidc.as_ref().unwrap()).await.unwrap(), odo);

    let mut change = store.begin(&admin()).await.unwrap();
    let twice = change.create_user(NewUser {
        name: "ada".into(),
        role: Role::Auditor,
        password_hash: None,
        oidc: None,
    });
    assert!(matches!(twice.await, Err(StoreError::Exists { what: "user", .. })));
    drop(change);
    for try_out in [
        UserChange { disabled: Some(true), ..UserChange::default() },
        UserChange { role: Some(Role::Auditor), ..UserChange::default() },
    ] {
        let mut change = store.begin(&admin()).await.unwrap();
        assert!(matches!(change.update_user(&ada.id, try_out, 1).await, Err(StoreError::Invalid(_))));
    }
    let mut change = store.begin(&admin()).await.unwrap();
    assert!(matches!(change.delete_user(&ada.id).await, Err(StoreError::Invalid(_))));
    drop(change);
    let mut change = store.begin(&admin()).await.unwrap();
    let promote = UserChange { role: Some(Role::Admin), ..UserChange::default() };
    change.update_user(&odo.id, promote, 1).await.unwrap();
    change.delete_user(&ada.id).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(store.users().await.unwrap().len(), 1);
    assert!(!format!("{odo:?}").contains("argon2id"));
}

async fn a_session_ends_with_what_it_was_given_for(Fresh { store, .. }: Fresh) {
    let user = add(&store, "ada", Role::Admin).await;
    let other = add(&store, "odo", Role::Admin).await;
    let session = |user: &User, hash: u8, lasts: i64| Session {
        token_hash: vec![hash; 32],
        user_id: user.id.clone(),
        csrf: "c".into(),
        created_at: Timestamp::from_second(1_800_000_000).unwrap(),
        expires_at: Timestamp::now() + SignedDuration::from_secs(lasts),
        address: "192.0.2.7".into(),
        user_agent: "<script>".into(),
    };
    let mut change = store.begin(&admin()).await.unwrap();
    change.create_session(&session(&user, 1, 60)).await.unwrap();
    change.create_session(&session(&user, 2, 0)).await.unwrap();
    change.create_session(&session(&other, 3, 60)).await.unwrap();
    change.commit().await.unwrap();
    let (found, by) = store.session(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((found.csrf.as_str(), by.name.as_str(), by.last_login_at.is_some()), ("c", "ada", true));
    assert_eq!(store.session(&[2; 32]).await.unwrap(), None, "expired");
    assert_eq!(store.purge_sessions().await.unwrap(), 1);
    let mut change = store.begin(&admin()).await.unwrap();
    let disable = UserChange { disabled: Some(true), ..UserChange::default() };
    change.update_user(&user.id, disable, 1).await.unwrap();
    change.delete_session(&[3; 32]).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(store.session(&[1; 32]).await.unwrap(), None, "disabled");
    assert_eq!(store.session(&[3; 32]).await.unwrap(), None, "signed out");
}

async fn tokens_expire_and_can_be_deleted(Fresh { store, .. }: Fresh) {
    let new = |hash: u8, expires_at| NewApiToken {
        name: format!("ci-{hash}"),
        token_hash: vec![hash; 32],
        role: Role::Operator,
        scopes: vec!["policies:write".into()],
        expires_at,
    };
    let mut change = store.begin(&admin()).await.unwrap();
    let kept = change.create_api_token(new(1, None)).await.unwrap();
    change.create_api_token(new(2, Some(Timestamp::now()))).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(store.api_token_by_hash(&[1; 32]).await.unwrap().unwrap(), kept);
    assert_eq!(store.api_token_by_hash(&[2; 32]).await.unwrap(), None);
    store.api_token_used(&kept.id).await.unwrap();
    assert!(store.api_token_by_hash(&[1; 32]).await.unwrap().unwrap().last_used_at.is_some());
    let mut change = store.begin(&admin()).await.unwrap();
    change.delete_api_token(&kept.id).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(store.api_token_by_hash(&[1; 32]).await.unwrap(), None);
    let mut change = store.begin(&admin()).await.unwrap();
    assert!(matches!(change.delete_api_token(&kept.id).await, Err(StoreError::NotFound { .. })));
}

async fn settings_guard_against_two_at_once(Fresh { store, .. }: Fresh) {
    assert_eq!(store.setting("retention").await.unwrap(), None);
    let mut change = store.begin(&admin()).await.unwrap();
    let set =
        change.put_setting("retention", &json!({ "days": 30 }), 0, json!({ "days": 30 })).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(store.settings().await.unwrap(), [set]);
    let mut change = store.begin(&admin()).await.unwrap();
    let late = change.put_setting("retention", &json!({}), 0, json!({})).await;
    assert!(matches!(late, Err(StoreError::Conflict { current: 1 })), "{late:?}");
    drop(change);
    let mut change = store.begin(&admin()).await.unwrap();
    change.put_setting("retention", &json!({ "days": 7 }), 1, json!({ "days": 7 })).await.unwrap();
    change.commit().await.unwrap();
    let now = store.setting("retention").await.unwrap().unwrap();
    assert_eq!((now.revision, now.value), (2, json!({ "days": 7 })));
}

async fn notifier(store: &Store) -> String {
    let mut change = store.begin(&admin()).await.unwrap();
    let new = NewNotifier {
        name: "siem".into(),
        kind: "syslog".into(),
        config: json!({ "secret": "sealed" }),
        filter: json!({}),
        enabled: true,
    };
    let notifier = change.create_notifier(new).await.unwrap();
    change.commit().await.unwrap();
    notifier.id
}

async fn one_replica_works_for_a_notifier(Fresh { store, .. }: Fresh) {
    let id = notifier(&store).await;
    let free = store.notifier_lease(&id).await.unwrap();
    assert_eq!(free.owner, None);
    assert!(store.take_notifier(&id, "a", &free).await.unwrap());
    assert!(!store.take_notifier(&id, "b", &free).await.unwrap(), "it looks otherwise by now");
    let taken = store.notifier_lease(&id).await.unwrap();
    assert!(store.renew_notifier(&id, "a", &json!({ "delivered": 1 })).await.unwrap());
    assert!(!store.renew_notifier(&id, "b", &json!({})).await.unwrap());
    assert!(!store.take_notifier(&id, "b", &taken).await.unwrap(), "there was a sign of life");
    store.advance_notifier(&id, "a", 12, &json!({ "delivered": 12 })).await.unwrap();
    let backwards = store.advance_notifier(&id, "a", 11, &json!({})).await;
    assert!(matches!(backwards, Err(StoreError::Refused(_))));
    // Silent since: another replica takes over, and the former owner writes nothing more.
    let silent = store.notifier_lease(&id).await.unwrap();
    assert!(store.take_notifier(&id, "b", &silent).await.unwrap());
    assert!(!store.renew_notifier(&id, "a", &json!({})).await.unwrap());
    let late = store.advance_notifier(&id, "a", 13, &json!({})).await;
    assert!(matches!(late, Err(StoreError::Refused(_))));
    store.release_notifier(&id, "a").await.unwrap();
    assert_eq!(store.notifier_lease(&id).await.unwrap().owner.as_deref(), Some("b"));
    store.release_notifier(&id, "b").await.unwrap();
    assert_eq!(store.notifier_lease(&id).await.unwrap().owner, None);
    let notifier = store.notifier(&id).await.unwrap();
    assert_eq!((notifier.cursor, notifier.status), (12, json!({ "delivered": 12 })));
    let entries =
        store.audit_entries(&moat_store::AuditFilter { limit: 10, ..Default::default() }).await.unwrap();
    assert!(!serde_json::to_string(&entries).unwrap().contains("sealed"));
}

async fn dead_letters_can_be_retried(Fresh { store, .. }: Fresh) {
    let id = notifier(&store).await;
    let now = Timestamp::now();
    let events = ["e1".to_owned(), "e2".to_owned()];
    let waiting =
        store.create_delivery(&id, &events, 1, "refused", DeliveryState::Waiting, now).await.unwrap();
    assert_eq!(store.due_deliveries(&id, 10).await.unwrap()[0].event_ids, events);
    let later = now + SignedDuration::from_hours(1);
    store.delivery_failed(&waiting, "refused again", DeliveryState::Waiting, later).await.unwrap();
    assert_eq!(store.due_deliveries(&id, 10).await.unwrap(), []);
    assert_eq!(store.next_delivery(&id).await.unwrap().unwrap().as_microsecond(), later.as_microsecond());
    store.delivery_failed(&waiting, "gave up", DeliveryState::Dead, later).await.unwrap();
    let letters = store.dead_letters(&id, None, 10).await.unwrap();
    assert_eq!((letters[0].attempts, letters[0].last_error.as_deref()), (3, Some("gave up")));
    assert_eq!(store.dead_letter_count(&id).await.unwrap(), 1);
    let mut change = store.begin(&admin()).await.unwrap();
    assert_eq!(change.retry_dead_letters(&id, Some(&waiting)).await.unwrap(), 1);
    change.commit().await.unwrap();
    assert_eq!(store.due_deliveries(&id, 10).await.unwrap().len(), 1);
    store.delivery_done(&waiting).await.unwrap();
    for number in 0..5 {
        let error = number.to_string();
        store.create_delivery(&id, &events, 9, &error, DeliveryState::Dead, now).await.unwrap();
    }
    assert_eq!(store.purge_dead_letters(now - SignedDuration::from_hours(1), 3).await.unwrap(), 2);
    let mut change = store.begin(&admin()).await.unwrap();
    assert_eq!(change.delete_dead_letters(&id, None).await.unwrap(), 3);
    assert!(matches!(change.retry_dead_letters(&id, Some("x")).await, Err(StoreError::NotFound { .. })));
}
