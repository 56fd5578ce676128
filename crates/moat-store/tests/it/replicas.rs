//! Several consoles on one PostgreSQL.

use moat_store::{Change, NewPolicy, Store, StoreError, Watch};
use moat_testkit::{Postgres, skip};
use serde_json::json;

use crate::engine::{Fresh, admin};
use crate::faults::event;

async fn hear(watch: &mut Watch, wanted: impl Fn(&Change) -> bool) {
    while !watch.changed().await.unwrap().iter().any(&wanted) {}
}

#[tokio::test]
async fn a_replica_hears_what_another_changes() {
    let Some(Fresh { store: here, url, .. }) = Fresh::postgres().await else { return };
    let there = Store::open(&url).await.unwrap();
    let mut watch = there.watch();
    here.insert_events(vec![event(), event()]).await.unwrap();
    hear(&mut watch, |change| *change == Change::Events { up_to: 2 }).await;
    assert_eq!(there.events_after(0, 10).await.unwrap().len(), 2);
    let mut change = here.begin(&admin()).await.unwrap();
    let policy = NewPolicy {
        name: "a".into(),
        kind: "RuntimePolicy".into(),
        document: String::new(),
        mode: "Audit".into(),
        rules: 0,
    };
    change.create_policy(policy, "").await.unwrap();
    change.put_setting("retention", &json!({}), 0, json!({})).await.unwrap();
    change.commit().await.unwrap();
    let (mut policies, mut settings) = (false, false);
    while !(policies && settings) {
        for change in watch.changed().await.unwrap() {
            policies |= change == Change::Policies { set: 1 };
            settings |= change == Change::Settings;
        }
    }
}

/// PostgreSQL goes and comes back: calls fail in the right way meanwhile, nothing acknowledged is lost, and replicas hear
/// of each other again.
#[tokio::test]
async fn postgres_may_go_and_come_back() {
    let mut server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return skip("postgres", format!("{why:#}")),
    };
    let url = server.database().unwrap();
    let (here, there) = (Store::open(&url).await.unwrap(), Store::open(&url).await.unwrap());
    here.insert_events(vec![event()]).await.unwrap();
    for crash in [false, true] {
        let before = here.newest_event().await.unwrap();
        if crash {
            server.crash().unwrap();
        } else {
            server.stop().unwrap();
        }
        let lost = event();
        let refused = here.insert_events(vec![lost.clone()]).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert!(matches!(here.ping().await, Err(StoreError::Unavailable(_))));
        assert!(matches!(here.begin(&admin()).await, Err(StoreError::Unavailable(_))));
        let mut watch = there.watch();
        server.resume().unwrap();
        // What was not acknowledged is sent again; the first tries may still meet connections that died.
        let mut tries = 0;
        while let Err(error) = here.insert_events(vec![lost.clone()]).await {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
            tries += 1;
            assert!(tries < 50, "{error}");
        }
        hear(&mut watch, |change| matches!(change, Change::Events { up_to } if *up_to > before)).await;
        assert!(there.event(&lost.event.id).await.is_ok());
    }
    assert_eq!(there.stored_events().await.unwrap().values().sum::<i64>(), 3);
}

#[tokio::test]
async fn a_read_only_postgres_says_so() {
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return skip("postgres", format!("{why:#}")),
    };
    let url = server.database().unwrap();
    let store = Store::open(&url).await.unwrap();
    store.insert_events(vec![event()]).await.unwrap();
    server.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on").unwrap();
    server.sql("postgres", "SELECT pg_reload_conf()").unwrap();
    let mut refused = Ok(());
    // A session learns of the new setting between two of its statements.
    for _ in 0..100 {
        refused = store.insert_events(vec![event()]).await.map(|_| ());
        if refused.is_err() {
            break;
        }
    }
    assert!(matches!(refused, Err(StoreError::ReadOnly)), "{refused:?}");
    assert!(!store.events_after(0, 1).await.unwrap().is_empty(), "reading goes on");
}
