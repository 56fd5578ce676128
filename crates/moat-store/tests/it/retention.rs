use jiff::{SignedDuration, Timestamp};
use moat_event::EventType;
use moat_store::{EventFilter, Inserted, Keep, NewEvent, Retention, Store};
use uuid::Uuid;

use crate::engine::{Fresh, contract};

contract!(
    old_events_go_by_type,
    the_oldest_go_where_there_are_too_many,
    days_that_are_over_go_at_once,
    what_came_before_its_day_is_found_after,
);

fn events(event_type: &str, count: usize, at: Timestamp) -> Vec<NewEvent> {
    (0..count)
        .map(|number| NewEvent {
            enforcer_id: "e1".into(),
            workload: None,
            event: serde_json::from_value(serde_json::json!({
                "timestamp": at + SignedDuration::from_millis(number as i64), "eventType": event_type,
                "action": "Blocked", "severity": "High", "message": "blocked",
                "id": Uuid::now_v7().to_string(), "node": "node-1",
            }))
            .unwrap(),
        })
        .collect()
}

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(days * 24) - SignedDuration::from_mins(1)
}

async fn found(store: &Store, event_type: EventType) -> usize {
    let filter = EventFilter { types: vec![event_type], ..EventFilter::default() };
    let (mut count, mut cursor) = (0, None);
    loop {
        let page = store.search_events(&filter, cursor, 1000).await.unwrap();
        count += page.events.len();
        cursor = page.next;
        if cursor.is_none() {
            return count;
        }
    }
}

async fn stored(store: &Store, event_type: EventType) -> i64 {
    store.stored_events().await.unwrap().get(&event_type).copied().unwrap_or_default()
}

async fn old_events_go_by_type(Fresh { store, .. }: Fresh) {
    for (event_type, days) in [("FileAccess", 20), ("ProcessExec", 20), ("FileAccess", 5), ("ProcessExec", 0)]
    {
        store.insert_events(events(event_type, 700, days_ago(days))).await.unwrap();
    }
    let mut retention = Retention { default: Keep { days: 30, max_rows: 1_000_000 }, ..Retention::default() };
    assert_eq!(store.maintain(&retention).await.unwrap().events, 0);
    retention.types.insert(EventType::FileAccess, Keep { days: 10, max_rows: 1_000_000 });
    assert_eq!(store.maintain(&retention).await.unwrap().events, 700);
    assert_eq!(found(&store, EventType::FileAccess).await, 700);
    assert_eq!(found(&store, EventType::ProcessExec).await, 1_400);
    assert_eq!(stored(&store, EventType::FileAccess).await, 700);
    assert_eq!(store.maintain(&retention).await.unwrap().events, 0);
    // Writing goes on where it was.
    store.insert_events(events("FileAccess", 10, days_ago(0))).await.unwrap();
    assert_eq!(found(&store, EventType::FileAccess).await, 710);
}

async fn the_oldest_go_where_there_are_too_many(Fresh { store, .. }: Fresh) {
    store.insert_events(events("FileAccess", 3_000, days_ago(2))).await.unwrap();
    store.insert_events(events("ProcessExec", 3_000, days_ago(1))).await.unwrap();
    let retention = Retention { default: Keep { days: 30, max_rows: 1_000 }, ..Retention::default() };
    store.maintain(&retention).await.unwrap();
    for event_type in [EventType::FileAccess, EventType::ProcessExec] {
        let left = found(&store, event_type).await;
        assert!((400..=1_000).contains(&left), "{left}: whole blocks of 512 go");
        assert_eq!(stored(&store, event_type).await, left as i64);
    }
    let oldest = store.events_after(0, 1).await.unwrap();
    assert!(oldest[0].seq > 2_000, "the oldest went first");
}

async fn days_that_are_over_go_at_once(Fresh { store, .. }: Fresh) {
    let batch = events("FileAccess", 600, days_ago(1));
    store.insert_events(batch.clone()).await.unwrap();
    store.insert_events(events("FileAccess", 600, days_ago(0))).await.unwrap();
    let retention = Retention { default: Keep { days: 0, max_rows: 1_000_000 }, ..Retention::default() };
    store.maintain(&retention).await.unwrap();
    assert_eq!(
        (found(&store, EventType::FileAccess).await, stored(&store, EventType::FileAccess).await),
        (0, 0)
    );
    assert_eq!(store.insert_events(batch).await.unwrap().stored, 600);
}

/// A clock that is wrong by years costs nothing but its place.
async fn what_came_before_its_day_is_found_after(Fresh { store, .. }: Fresh) {
    for at in ["1970-01-01T00:00:00Z", "2199-12-31T23:59:59Z"] {
        let batch = events("System", 5, at.parse().unwrap());
        store.insert_events(batch.clone()).await.unwrap();
        assert_eq!(store.insert_events(batch).await.unwrap(), Inserted { known: 5, ..Inserted::default() });
    }
    assert_eq!(found(&store, EventType::System).await, 10);
    store.maintain(&Retention::default()).await.unwrap();
    assert_eq!(found(&store, EventType::System).await, 5, "what is older than the retention went");
}
