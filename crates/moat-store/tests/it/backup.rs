use jiff::{SignedDuration, Timestamp};
use moat_store::{EventFilter, NewEvent, NewPolicy, NewUser, Role, Store, StoreError};
use tempfile::TempDir;
use uuid::Uuid;

use crate::engine::{Fresh, admin, contract};

contract!(
    a_backup_comes_back_on_either_engine,
    a_damaged_backup_is_refused,
    only_an_empty_store_is_filled,
    a_backup_is_for_its_owner,
);

async fn fill(store: &Store) {
    let mut change = store.begin(&admin()).await.unwrap();
    let policy = NewPolicy {
        name: "shells".into(),
        kind: "RuntimePolicy".into(),
        document: "a: \"ü\"\n".into(),
        mode: "Audit".into(),
        rules: 1,
    };
    change.create_policy(policy, "first").await.unwrap();
    let user =
        NewUser { name: "ada".into(), role: Role::Admin, password_hash: Some("hash".into()), oidc: None };
    change.create_user(user).await.unwrap();
    change.commit().await.unwrap();
    store.keep_first("authority", &[0, 1, 255]).await.unwrap();
    let events = (0..1_500).map(|number| NewEvent {
        enforcer_id: "e1".into(),
        workload: Some("prod/Deployment/web".into()),
        event: serde_json::from_value(serde_json::json!({
            "timestamp": Timestamp::now() + SignedDuration::from_millis(number), "eventType": "FileAccess",
            "action": "Blocked", "severity": "High", "message": format!("number {number}"),
            "id": Uuid::now_v7().to_string(), "node": "node-1", "filePath": "/etc/passwd",
        }))
        .unwrap(),
    });
    store.insert_events(events.collect::<Vec<_>>()).await.unwrap();
}

async fn assert_same(store: &Store, other: &Store) {
    assert_eq!(store.policies().await.unwrap(), other.policies().await.unwrap());
    assert_eq!(
        store.policy_revisions("shells").await.unwrap(),
        other.policy_revisions("shells").await.unwrap()
    );
    assert_eq!(store.users().await.unwrap(), other.users().await.unwrap());
    assert_eq!(store.kept("authority").await.unwrap(), other.kept("authority").await.unwrap());
    assert_eq!(store.verify_audit().await.unwrap(), other.verify_audit().await.unwrap());
    assert_eq!(store.stored_events().await.unwrap(), other.stored_events().await.unwrap());
    let text = |text: &str| EventFilter { text: text.into(), ..EventFilter::default() };
    for filter in [text(""), text("/etc/pass"), text("number 1234"), text("nowhere")] {
        assert_eq!(
            store.search_events(&filter, None, 1000).await.unwrap(),
            other.search_events(&filter, None, 1000).await.unwrap()
        );
    }
}

async fn a_backup_comes_back_on_either_engine(fresh: Fresh) {
    fill(&fresh.store).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("backup");
    let rows = fresh.store.backup(&file).await.unwrap();
    assert!(rows > 1_500);
    let mut targets = vec![format!("sqlite:{}", folder.path().join("other.db").display())];
    targets.extend(Fresh::postgres().await.map(|other| other.url));
    for url in targets {
        assert_eq!(Store::restore(&url, &file).await.unwrap(), rows);
        let other = Store::open(&url).await.unwrap();
        assert_same(&fresh.store, &other).await;
        // It goes on where the first one was.
        let mut change = other.begin(&admin()).await.unwrap();
        change.delete_policy("shells", 1, "").await.unwrap();
        change.commit().await.unwrap();
        assert_eq!(other.verify_audit().await.unwrap().broken, None);
        assert_eq!(other.policy_set().await.unwrap(), 2);
    }
}

async fn a_damaged_backup_is_refused(fresh: Fresh) {
    fill(&fresh.store).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("backup");
    fresh.store.backup(&file).await.unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let without_end = lines[..lines.len() - 1].join("\n");
    let without_a_row = [&lines[..5], &lines[6..]].concat().join("\n");
    let newer = whole.replacen("\"format\":1", "\"format\":2", 1);
    let strange = whole.replacen("\"policy\"", "\"sqlite_master\"", 1);
    for (number, damaged) in
        ["", "hello", &without_end, &without_a_row, &newer, &strange].into_iter().enumerate()
    {
        std::fs::write(&file, damaged).unwrap();
        let url = format!("sqlite:{}", folder.path().join(format!("{number}.db")).display());
        let refused = Store::restore(&url, &file).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{number}: {refused:?}");
        assert_eq!(
            Store::open(&url).await.unwrap().policies().await.unwrap(),
            [],
            "nothing is half restored"
        );
    }
}

async fn only_an_empty_store_is_filled(fresh: Fresh) {
    fill(&fresh.store).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("backup");
    fresh.store.backup(&file).await.unwrap();
    let refused = Store::restore(&fresh.url, &file).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    assert_eq!(fresh.store.policies().await.unwrap().len(), 1);
}

async fn a_backup_is_for_its_owner(fresh: Fresh) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("backup");
    fresh.store.backup(&file).await.unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // And never over another file.
    assert!(matches!(fresh.store.backup(&file).await, Err(StoreError::Invalid(_))));
}
