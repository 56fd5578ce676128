//! A store that is full, read-only, or killed.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use moat_store::{NewEvent, Store, StoreError};
use moat_testkit::Tmpfs;
use tempfile::TempDir;
use uuid::Uuid;

pub fn event() -> NewEvent {
    NewEvent {
        enforcer_id: "e1".into(),
        workload: None,
        event: serde_json::from_value(serde_json::json!({
            "timestamp": Timestamp::now(), "eventType": "FileAccess", "action": "Blocked", "severity": "High",
            "message": "x".repeat(500), "id": Uuid::now_v7().to_string(), "node": "node-1",
        }))
        .unwrap(),
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let Some(disk) = Tmpfs::mount("6m") else { return };
    let url = format!("sqlite:{}", disk.path().join("moat.db").display());
    let store = Store::open(&url).await.unwrap();
    let mut acknowledged = vec![];
    let refused = loop {
        let batch: Vec<_> = (0..200).map(|_| event()).collect();
        match store.insert_events(batch.clone()).await {
            Ok(_) => acknowledged.extend(batch.into_iter().map(|new| new.event.id)),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 100_000, "the disk does not fill");
    };
    assert!(matches!(refused, StoreError::Full), "{refused:?}");
    assert!(!acknowledged.is_empty());
    for id in &acknowledged {
        store.event(id).await.unwrap();
    }
    // With room again it goes on, in the same process and after a restart.
    disk.remount("size=32m");
    store.insert_events(vec![event()]).await.unwrap();
    store.close().await;
    let again = Store::open(&url).await.unwrap();
    assert_eq!(again.stored_events().await.unwrap().values().sum::<i64>(), acknowledged.len() as i64 + 1);
    again.close().await;
}

#[tokio::test]
async fn a_read_only_disk_is_said_to_be_so() {
    let Some(disk) = Tmpfs::mount("16m") else { return };
    let url = format!("sqlite:{}", disk.path().join("moat.db").display());
    let store = Store::open(&url).await.unwrap();
    store.insert_events(vec![event()]).await.unwrap();
    store.close().await;
    drop(store);
    disk.remount("ro");
    let refused = Store::open(&url).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly)), "{refused:?}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named_as_such() {
    for url in ["sqlite:/nowhere/moat.db", "postgres:///x?host=/nowhere&user=moat"] {
        let refused = Store::open(url).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    for url in ["", "mysql://x", "moat.db"] {
        assert!(matches!(Store::open(url).await, Err(StoreError::Invalid(_))));
    }
}

const CHILD: &str = "MOAT_STORE_TEST_CHILD";

/// The program that is killed: it says the id of each event that the store has acknowledged.
#[tokio::test]
async fn killed_child() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let store = Store::open(&url).await.unwrap();
    loop {
        let batch: Vec<_> = (0..20).map(|_| event()).collect();
        store.insert_events(batch.clone()).await.unwrap();
        for new in batch {
            println!("acknowledged {}", new.event.id);
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("moat.db").display());
    let mut acknowledged = vec![];
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "faults::killed_child", "--nocapture"])
            .env(CHILD, &url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            acknowledged.extend(line.strip_prefix("acknowledged ").map(str::to_owned));
            if acknowledged.len() >= round * 500 {
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
    }
    let store = Store::open(&url).await.unwrap();
    assert!(acknowledged.len() >= 1_500);
    for id in &acknowledged {
        store.event(id).await.unwrap();
    }
}
