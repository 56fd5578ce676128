use moat_store::{AuditFilter, Store, StoreError};
use serde_json::json;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::engine::{Fresh, admin, contract};

contract!(
    the_log_is_a_chain,
    a_changed_entry_shows,
    a_removed_entry_shows,
    a_cut_off_end_shows,
    many_at_once_make_one_chain,
);

async fn write(store: &Store, count: usize) {
    for number in 0..count {
        let mut change = store.begin(&admin()).await.unwrap();
        change.audit("test", "notifiers", &format!("n{number}"), &json!({ "number": number }));
        change.commit().await.unwrap();
    }
}

/// Somebody with access to the database itself.
async fn tamper(url: &str, sql: &'static str) {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let mut connection = SqliteConnection::connect(path).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }
}

async fn the_log_is_a_chain(Fresh { store, .. }: Fresh) {
    write(&store, 5).await;
    let entries = store.audit_entries(&AuditFilter { limit: 3, ..AuditFilter::default() }).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [5, 4, 3]);
    assert_eq!(entries[0].previous_hash, entries[1].hash);
    assert_eq!(entries[0].detail, json!({ "number": 4 }));
    assert_eq!(entries[0].source_address, "192.0.2.1");
    let rest = AuditFilter { before: Some(3), limit: 10, ..AuditFilter::default() };
    assert_eq!(store.audit_entries(&rest).await.unwrap().len(), 2);
    let one = AuditFilter { name: Some("n2".into()), limit: 10, ..AuditFilter::default() };
    assert_eq!(store.audit_entries(&one).await.unwrap().len(), 1);
    let verified = store.verify_audit().await.unwrap();
    assert_eq!((verified.entries, verified.hash, verified.broken), (5, entries[0].hash.clone(), None));
}

async fn a_changed_entry_shows(Fresh { store, url, .. }: Fresh) {
    write(&store, 5).await;
    tamper(&url, "UPDATE audit SET actor = 'nobody' WHERE seq = 3").await;
    let broken = store.verify_audit().await.unwrap().broken.unwrap();
    assert_eq!((broken.seq, broken.reason.as_str()), (3, "it was changed after it was written"));
}

async fn a_removed_entry_shows(Fresh { store, url, .. }: Fresh) {
    write(&store, 5).await;
    tamper(&url, "DELETE FROM audit WHERE seq = 3").await;
    let broken = store.verify_audit().await.unwrap().broken.unwrap();
    assert_eq!((broken.seq, broken.reason.as_str()), (4, "entries before this one were removed"));
}

async fn a_cut_off_end_shows(Fresh { store, url, .. }: Fresh) {
    write(&store, 5).await;
    tamper(&url, "DELETE FROM audit WHERE seq > 3").await;
    let broken = store.verify_audit().await.unwrap().broken.unwrap();
    assert_eq!((broken.seq, broken.reason.as_str()), (4, "the log ends here, but 5 entries were written"));
    // Going on does not heal it.
    write(&store, 1).await;
    assert_eq!(store.verify_audit().await.unwrap().broken.unwrap().seq, 6);
}

async fn many_at_once_make_one_chain(Fresh { store, .. }: Fresh) {
    let writers = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { write(&store, 10).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let verified = store.verify_audit().await.unwrap();
    assert_eq!((verified.entries, verified.broken), (80, None));
    assert!(matches!(store.user("nobody").await, Err(StoreError::NotFound { .. })));
}
