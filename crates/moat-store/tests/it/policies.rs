use moat_store::{Change, NewPolicy, PolicyAction, StoreError};

use crate::engine::{Fresh, admin, contract};

contract!(
    revisions_count_and_stay,
    a_change_of_an_old_revision_is_refused,
    a_deleted_policy_goes_and_comes_back,
    every_change_raises_the_set,
    what_is_not_committed_never_was,
    two_who_change_at_once_are_told_apart,
    names_are_data,
    a_watch_hears_of_the_newest_set,
);

fn policy(name: &str, document: &str) -> NewPolicy {
    NewPolicy {
        name: name.into(),
        kind: "RuntimePolicy".into(),
        document: document.into(),
        mode: "Enforce".into(),
        rules: 1,
    }
}

async fn revisions_count_and_stay(Fresh { store, .. }: Fresh) {
    let mut change = store.begin(&admin()).await.unwrap();
    let created = change.create_policy(policy("shells", "one"), "first").await.unwrap();
    change.commit().await.unwrap();
    assert_eq!((created.revision, created.document.as_str()), (1, "one"));
    assert_eq!(store.policy("shells").await.unwrap(), created);

    let mut change = store.begin(&admin()).await.unwrap();
    let updated = change.update_policy(policy("shells", "two"), 1, "stricter").await.unwrap();
    let back = change.roll_back_policy(policy("shells", "one"), 2, "to revision 1").await.unwrap();
    change.commit().await.unwrap();
    assert_eq!((updated.revision, back.revision), (2, 3));
    assert_eq!(back.created_at, created.created_at);

    let revisions = store.policy_revisions("shells").await.unwrap();
    let seen: Vec<_> = revisions
        .iter()
        .map(|revision| {
            (revision.revision, revision.action, revision.document.as_str(), revision.note.as_str())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (3, PolicyAction::RolledBack, "one", "to revision 1"),
            (2, PolicyAction::Updated, "two", "stricter"),
            (1, PolicyAction::Created, "one", "first"),
        ]
    );
    assert_eq!(store.policy_revision("shells", 2).await.unwrap(), revisions[1]);
    assert!(matches!(store.policy_revision("shells", 4).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(store.policy_revisions("others").await, Err(StoreError::NotFound { .. })));
}

async fn a_change_of_an_old_revision_is_refused(Fresh { store, .. }: Fresh) {
    let mut change = store.begin(&admin()).await.unwrap();
    change.create_policy(policy("shells", "one"), "").await.unwrap();
    change.update_policy(policy("shells", "two"), 1, "").await.unwrap();
    change.commit().await.unwrap();
    let mut change = store.begin(&admin()).await.unwrap();
    let late = change.update_policy(policy("shells", "three"), 1, "").await;
    assert!(matches!(late, Err(StoreError::Conflict { current: 2 })), "{late:?}");
    drop(change);
    let mut change = store.begin(&admin()).await.unwrap();
    assert!(matches!(change.delete_policy("shells", 1, "").await, Err(StoreError::Conflict { current: 2 })));
    drop(change);
    let mut change = store.begin(&admin()).await.unwrap();
    let again = change.create_policy(policy("shells", "four"), "").await;
    assert!(matches!(again, Err(StoreError::Exists { what: "policy", .. })), "{again:?}");
    drop(change);
    assert_eq!(store.policy("shells").await.unwrap().document, "two");
}

async fn a_deleted_policy_goes_and_comes_back(Fresh { store, .. }: Fresh) {
    let mut change = store.begin(&admin()).await.unwrap();
    change.create_policy(policy("shells", "one"), "").await.unwrap();
    change.delete_policy("shells", 1, "no longer needed").await.unwrap();
    change.commit().await.unwrap();
    assert!(matches!(store.policy("shells").await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.policies().await.unwrap(), []);
    let mut change = store.begin(&admin()).await.unwrap();
    let again = change.create_policy(policy("shells", "two"), "").await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(again.revision, 3);
    assert_eq!(store.policy_revisions("shells").await.unwrap().len(), 3);
}

async fn every_change_raises_the_set(Fresh { store, .. }: Fresh) {
    assert_eq!(store.policy_set().await.unwrap(), 0);
    let mut change = store.begin(&admin()).await.unwrap();
    change.create_policy(policy("a", "1"), "").await.unwrap();
    change.create_policy(policy("b", "1"), "").await.unwrap();
    change.commit().await.unwrap();
    let all = store.policy_changes(0).await.unwrap();
    assert_eq!(all.set, 2);
    assert_eq!(all.upserts.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);

    let mut change = store.begin(&admin()).await.unwrap();
    change.update_policy(policy("b", "2"), 1, "").await.unwrap();
    change.delete_policy("a", 1, "").await.unwrap();
    change.commit().await.unwrap();
    let step = store.policy_changes(2).await.unwrap();
    assert_eq!((step.set, step.removed), (4, vec!["a".to_owned()]));
    assert_eq!(step.upserts, [store.policy("b").await.unwrap()]);
    let none = store.policy_changes(4).await.unwrap();
    assert!(none.set == 4 && none.upserts.is_empty() && none.removed.is_empty());
}

async fn what_is_not_committed_never_was(Fresh { store, .. }: Fresh) {
    let mut change = store.begin(&admin()).await.unwrap();
    change.create_policy(policy("shells", "one"), "").await.unwrap();
    drop(change);
    assert_eq!(store.policies().await.unwrap(), []);
    assert_eq!(store.policy_set().await.unwrap(), 0);
    assert_eq!(store.verify_audit().await.unwrap().entries, 0);
}

async fn two_who_change_at_once_are_told_apart(Fresh { store, .. }: Fresh) {
    let mut change = store.begin(&admin()).await.unwrap();
    change.create_policy(policy("shells", "zero"), "").await.unwrap();
    change.commit().await.unwrap();
    let tries = (0..8).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut change = store.begin(&admin()).await?;
            change.update_policy(policy("shells", &number.to_string()), 1, "").await?;
            change.commit().await
        })
    });
    let mut won = 0;
    for one in tries.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Ok(()) => won += 1,
            Err(StoreError::Conflict { current: 2 }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(store.policy_set().await.unwrap(), 2);
}

/// What an attacker may choose is never SQL, and never breaks a statement.
async fn names_are_data(Fresh { store, .. }: Fresh) {
    let names =
        ["'; DROP TABLE policy; --", "\" OR 1=1", "%", "_", "$1", "\u{202e}evil", "漢字", "a\0b", "\\", "{}"];
    for name in names {
        let mut change = store.begin(&admin()).await.unwrap();
        change.create_policy(policy(name, name), name).await.unwrap();
        change.commit().await.unwrap();
    }
    assert_eq!(store.policies().await.unwrap().len(), names.len());
    for name in names {
        let found = store.policy(name).await.unwrap();
        assert_eq!(found.document, name.replace('\0', "\u{fffd}"));
    }
    assert_eq!(store.verify_audit().await.unwrap().broken, None);
}

async fn a_watch_hears_of_the_newest_set(Fresh { store, .. }: Fresh) {
    let mut watch = store.watch();
    for name in ["a", "b", "c"] {
        let mut change = store.begin(&admin()).await.unwrap();
        change.create_policy(policy(name, ""), "").await.unwrap();
        change.commit().await.unwrap();
    }
    let mut newest = 0;
    while newest < 3 {
        for change in watch.changed().await.unwrap() {
            if let Change::Policies { set } = change {
                newest = set;
            }
        }
    }
}
