use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moat_event::{Event, EventAction, EventType, Process, Severity};
use moat_store::{Change, EventFilter, Inserted, NewEvent, Store, StoreError, StoredEvent, TopSubject};
use uuid::Uuid;

use crate::engine::{Fresh, contract};

contract!(
    an_event_is_kept_whole,
    what_comes_again_is_known,
    a_bad_id_is_refused_alone,
    a_search_finds_what_a_scan_finds,
    words_find_beginnings_of_words,
    late_events_stand_at_their_time,
    a_search_that_finds_little_goes_on,
    events_that_come_late_are_found_in_their_place,
    followers_miss_nothing,
    statistics_count_what_is_stored,
);

const POLICIES: [&str; 3] = ["no-shells", "etc-read-only", "egress"];
const NAMESPACES: [&str; 2] = ["prod", "test'; --"];
const EXECUTABLES: [&str; 4] = ["/bin/sh", "/usr/bin/curl", "/usr/sbin/nginx", "/tmp/größe"];
const TYPES: [EventType; 3] = [EventType::ProcessExec, EventType::FileAccess, EventType::System];
const ACTIONS: [EventAction; 2] = [EventAction::Blocked, EventAction::Alerted];

fn start() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn event(at: Timestamp) -> Event {
    serde_json::from_value(serde_json::json!({
        "timestamp": at, "eventType": "ProcessExec", "action": "Blocked", "severity": "High",
        "message": "blocked", "id": Uuid::now_v7().to_string(), "node": "node-1",
    }))
    .unwrap()
}

fn new(event: Event) -> NewEvent {
    NewEvent { enforcer_id: "e1".into(), workload: None, event }
}

/// The n-th of many events that differ in everything that can be searched for.
fn varied(number: usize) -> NewEvent {
    // Multiplied by a prime, so that the fields do not repeat together.
    let mixed = number.wrapping_mul(7919);
    let pick = |divisor: usize, of: usize| (mixed / divisor) % of;
    let mut event = event(start() + SignedDuration::from_millis(number as i64 * 10));
    event.event_type = TYPES[pick(1, 3)];
    event.action = ACTIONS[pick(3, 2)];
    event.severity = Severity::ALL[pick(6, 5)];
    event.namespace = Some(NAMESPACES[pick(2, 2)].into());
    event.pod_name = Some(format!("web-{}", pick(5, 40)));
    event.container_name = Some("nginx".into());
    event.policy_name = (pick(4, 4) < 3).then(|| POLICIES[pick(4, 4)].into());
    event.rule = Some(format!("rule-{}", pick(11, 4)));
    event.node = format!("node-{}", pick(13, 3));
    event.process = Some(Process {
        executable: EXECUTABLES[pick(7, 4)].into(),
        arguments: vec!["-c".into(), format!("echo {number}")],
        ..Process::default()
    });
    NewEvent {
        enforcer_id: format!("e{}", pick(17, 3)),
        workload: Some(format!("prod/Deployment/w{}", pick(19, 5))),
        event,
    }
}

async fn an_event_is_kept_whole(Fresh { store, .. }: Fresh) {
    let mut one = varied(3);
    one.event.message = "a\0b <script>alert(1)</script> '; DROP TABLE event; --".into();
    assert_eq!(
        store.insert_events(vec![one.clone()]).await.unwrap(),
        Inserted { stored: 1, ..Inserted::default() }
    );
    let kept = store.event(&one.event.id).await.unwrap();
    assert_eq!((&kept.event, kept.seq, kept.enforcer_id.as_str()), (&one.event, 1, one.enforcer_id.as_str()));
    let page = store.search_events(&EventFilter::default(), None, 10).await.unwrap();
    assert_eq!((page.events, page.next), (vec![kept], None));
    for id in ["", "nothing", "018f0000-0000-7000-8000-000000000000"] {
        assert!(matches!(store.event(id).await, Err(StoreError::NotFound { .. })));
    }
}

async fn what_comes_again_is_known(Fresh { store, .. }: Fresh) {
    let batch: Vec<_> = (0..700).map(varied).collect();
    let twice: Vec<_> = batch.iter().take(10).chain(&batch).cloned().collect();
    assert_eq!(store.insert_events(twice).await.unwrap(), Inserted { stored: 700, known: 10, refused: 0 });
    let again = store.insert_events(batch.clone()).await.unwrap();
    assert_eq!(again, Inserted { stored: 0, known: 700, refused: 0 });
    assert_eq!(store.stored_events().await.unwrap().values().sum::<i64>(), 700);
    assert_eq!(all(&store, &EventFilter::default(), 100).await.len(), 700);
}

async fn a_bad_id_is_refused_alone(Fresh { store, .. }: Fresh) {
    let mut bad = varied(0);
    bad.event.id = "1; DELETE FROM event".into();
    let inserted = store.insert_events(vec![varied(1), bad, varied(2)]).await.unwrap();
    assert_eq!(inserted, Inserted { stored: 2, known: 0, refused: 1 });
    assert_eq!(store.insert_events(vec![]).await.unwrap(), Inserted::default());
}

/// All pages one after the other.
async fn all(store: &Store, filter: &EventFilter, limit: usize) -> Vec<StoredEvent> {
    let (mut found, mut cursor) = (vec![], None);
    loop {
        let page = store.search_events(filter, cursor, limit).await.unwrap();
        assert!(page.events.len() <= limit);
        found.extend(page.events);
        match page.next {
            // What travels to a client and back.
            Some(next) => cursor = Some(next.to_string().parse().unwrap()),
            None => return found,
        }
    }
}

fn filters() -> Vec<EventFilter> {
    let none = EventFilter::default;
    let at = |millis| Some(start() + SignedDuration::from_millis(millis));
    vec![
        none(),
        EventFilter { from: at(5_000), to: at(9_000), ..none() },
        EventFilter { types: vec![EventType::FileAccess], ..none() },
        EventFilter { types: vec![EventType::FileAccess, EventType::System], ..none() },
        EventFilter { types: vec![EventType::Admission], ..none() },
        EventFilter { actions: vec![EventAction::Alerted], severity: Some(Severity::High), ..none() },
        EventFilter { severity: Some(Severity::Info), ..none() },
        EventFilter { namespaces: vec!["test'; --".into()], ..none() },
        EventFilter { pods: vec!["web-7".into(), "web-9".into()], ..none() },
        EventFilter { containers: vec!["nginx".into()], rules: vec!["rule-2".into()], ..none() },
        EventFilter { workloads: vec!["prod/Deployment/w2".into()], ..none() },
        EventFilter { policies: vec!["egress".into()], nodes: vec!["node-1".into()], ..none() },
        EventFilter { enforcers: vec!["e2".into()], to: at(4_000), text: "sh".into(), ..none() },
        EventFilter { text: "/usr/bin/cur".into(), ..none() },
        EventFilter { text: "NGINX echo".into(), ..none() },
        EventFilter { text: "größe".into(), ..none() },
        EventFilter { text: "% _".into(), ..none() },
        EventFilter { text: "1234".into(), ..none() },
        EventFilter { text: "x".into(), ..none() },
        EventFilter { text: "nowhere".into(), ..none() },
    ]
}

/// The words of a text, as the documentation of the filter says it.
fn tokens(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn matches(filter: &EventFilter, new: &NewEvent) -> bool {
    let event = &new.event;
    let one_of = |values: &[String], value: Option<&String>| {
        values.is_empty() || value.is_some_and(|value| values.contains(value))
    };
    let process = event.process.as_ref().unwrap();
    let fields = [
        event.policy_name.as_deref(),
        event.rule.as_deref(),
        event.namespace.as_deref(),
        event.pod_name.as_deref(),
        event.container_name.as_deref(),
        new.workload.as_deref(),
        Some(&event.node),
        Some(&process.executable),
        Some(&event.message),
    ];
    let mut words: Vec<String> = fields.into_iter().flatten().flat_map(tokens).collect();
    words.extend(process.arguments.iter().flat_map(|argument| tokens(argument)));
    // Of the filters above only one has a word with more than one part, and its parts stand in one field.
    let occurs = |word: &String| words.iter().any(|other| other.starts_with(word.as_str()));
    filter.from.is_none_or(|from| event.timestamp >= from)
        && filter.to.is_none_or(|to| event.timestamp < to)
        && (filter.types.is_empty() || filter.types.contains(&event.event_type))
        && (filter.actions.is_empty() || filter.actions.contains(&event.action))
        && filter.severity.is_none_or(|least| event.severity >= least)
        && one_of(&filter.namespaces, event.namespace.as_ref())
        && one_of(&filter.pods, event.pod_name.as_ref())
        && one_of(&filter.containers, event.container_name.as_ref())
        && one_of(&filter.workloads, new.workload.as_ref())
        && one_of(&filter.policies, event.policy_name.as_ref())
        && one_of(&filter.rules, event.rule.as_ref())
        && one_of(&filter.nodes, Some(&event.node))
        && one_of(&filter.enforcers, Some(&new.enforcer_id))
        && tokens(&filter.text).iter().all(occurs)
}

async fn a_search_finds_what_a_scan_finds(Fresh { store, .. }: Fresh) {
    let events: Vec<_> = (0..2_000).map(varied).collect();
    // In pieces that do not end where blocks do.
    for batch in events.chunks(333) {
        store.insert_events(batch.to_vec()).await.unwrap();
    }
    let stored = all(&store, &EventFilter::default(), 1000).await;
    let mut found_something = 0;
    for filter in filters() {
        let expected: Vec<_> =
            events.iter().rev().filter(|new| matches(&filter, new)).map(|new| &new.event.id).collect();
        assert_eq!(
            stored.iter().filter(|stored| filter.matches(stored)).count(),
            expected.len(),
            "{filter:?}"
        );
        for limit in [7, 1000] {
            let found = all(&store, &filter, limit).await;
            let ids: Vec<_> = found.iter().map(|found| &found.event.id).collect();
            assert_eq!(ids, expected, "{filter:?} in pages of {limit}");
            // Who hears of events as they come judges as the search does.
            assert!(found.iter().all(|found| filter.matches(found)), "{filter:?}");
        }
        found_something += usize::from(!expected.is_empty());
    }
    assert!(found_something >= 15, "{found_something}");
}

async fn words_find_beginnings_of_words(Fresh { store, .. }: Fresh) {
    let mut one = event(start());
    one.file_path = Some("/etc/passwd".into());
    one.message = "Read of /etc/passwd by cat-10.2 is prohibited".into();
    store.insert_events(vec![new(one)]).await.unwrap();
    for (text, found) in [
        ("/etc/passwd", true),
        ("etc/pass", true),
        ("PASSWD prohibited", true),
        ("p", true),
        ("cat-10.2", true),
        ("  ", true),
        ("asswd", false),
        ("passwd/etc", false),
        ("etc/passwdx", false),
        ("et/passwd", false),
        ("prohibitedly", false),
        ("passwd shadow", false),
    ] {
        let filter = EventFilter { text: text.into(), ..EventFilter::default() };
        assert_eq!(!all(&store, &filter, 10).await.is_empty(), found, "{text:?}");
    }
}

/// What a node brings after an hour without a console stands among the events of its time.
async fn late_events_stand_at_their_time(Fresh { store, .. }: Fresh) {
    let events: Vec<_> = (0..3_000).map(varied).collect();
    let (late, live): (Vec<_>, Vec<_>) = events.iter().cloned().partition(|new| new.event.node == "node-2");
    store.insert_events(live).await.unwrap();
    for batch in late.chunks(100) {
        store.insert_events(batch.to_vec()).await.unwrap();
    }
    let ids: Vec<_> =
        all(&store, &EventFilter::default(), 150).await.into_iter().map(|found| found.event.id).collect();
    let expected: Vec<_> = events.iter().rev().map(|new| new.event.id.clone()).collect();
    assert_eq!(ids, expected);
}

/// Two values that every block has, but no event together: the search stops, says how far it came, and goes on from there.
async fn a_search_that_finds_little_goes_on(Fresh { store, .. }: Fresh) {
    let blocks = 280;
    let mut number = 0;
    for _ in 0..blocks / 8 {
        let batch = (0..8 * 512).map(|_| {
            number += 1;
            let mut event = event(start() + SignedDuration::from_millis(number));
            (event.policy_name, event.rule) =
                if number % 2 == 0 { (Some("a".into()), None) } else { (None, Some("b".into())) };
            if number == 300 {
                event.rule = Some("b".into());
            }
            new(event)
        });
        store.insert_events(batch.collect::<Vec<_>>()).await.unwrap();
    }
    let filter =
        EventFilter { policies: vec!["a".into()], rules: vec!["b".into()], ..EventFilter::default() };
    let first = store.search_events(&filter, None, 100).await.unwrap();
    assert_eq!(first.events, []);
    assert!(
        first.next.is_some() && first.searched_to.unwrap() < start() + SignedDuration::from_millis(number)
    );
    let found = all(&store, &filter, 100).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].seq, 300);
}

/// Nodes that were away bring events that belong between those that are there, in blocks far behind theirs.
async fn events_that_come_late_are_found_in_their_place(Fresh { store, .. }: Fresh) {
    let at = |millis: i64| new(event(start() + SignedDuration::from_millis(millis)));
    // A segment of blocks, and a second one begun: numbers begin with one.
    let there = 64 * 512 - 1;
    let all: Vec<_> = (0..there).map(|number| at(2 * number)).collect();
    for batch in all.chunks(4096) {
        store.insert_events(batch).await.unwrap();
    }
    store
        .insert_events((there - 600..there).map(|number| at(2 * number - 1)).collect::<Vec<_>>())
        .await
        .unwrap();
    let found = store.search_events(&EventFilter::default(), None, 700).await.unwrap().events;
    let times: Vec<_> = found.iter().map(|found| found.event.timestamp).collect();
    let newest = 2 * (there - 1);
    let expected = (0..700).map(|number| start() + SignedDuration::from_millis(newest - number));
    assert_eq!(times, expected.collect::<Vec<_>>());
}

async fn followers_miss_nothing(Fresh { store, .. }: Fresh) {
    let mut watch = store.watch();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for batch in 0..10 {
                    let first = writer * 1000 + batch * 20;
                    store.insert_events((first..first + 20).map(varied).collect::<Vec<_>>()).await.unwrap();
                }
            })
        })
        .collect();
    let (mut seen, mut position) = (BTreeSet::new(), 0);
    while seen.len() < 800 {
        for change in watch.changed().await.unwrap() {
            let Change::Events { up_to } = change else { continue };
            while position < up_to {
                let page = store.events_after(position, 50).await.unwrap();
                let Some(last) = page.last() else { break };
                position = last.seq;
                for found in page {
                    assert!(seen.insert(found.event.id), "told twice");
                }
            }
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store.newest_event().await.unwrap(), position);
}

async fn statistics_count_what_is_stored(Fresh { store, .. }: Fresh) {
    let events: Vec<_> = (0..1_000)
        .map(|number| {
            let mut new = varied(number);
            new.event.timestamp = start() + SignedDuration::from_secs(number as i64 * 10);
            new.event.count = 2;
            new
        })
        .collect();
    store.insert_events(events.clone()).await.unwrap();
    store.insert_events(events.clone()).await.unwrap();
    let end = start() + SignedDuration::from_hours(3);
    let buckets = store.event_statistics(start(), end, Duration::from_mins(10)).await.unwrap();
    assert_eq!(buckets.iter().map(|bucket| bucket.events).sum::<i64>(), 1_000);
    assert_eq!(buckets.iter().map(|bucket| bucket.happenings).sum::<i64>(), 2_000);
    let in_first = |bucket: &&moat_store::Bucket| bucket.start == start();
    assert_eq!(buckets.iter().filter(in_first).map(|bucket| bucket.events).sum::<i64>(), 60);
    let critical = |new: &&NewEvent| new.event.severity == Severity::Critical;
    assert_eq!(
        buckets
            .iter()
            .filter(|bucket| bucket.severity == Severity::Critical)
            .map(|bucket| bucket.events)
            .sum::<i64>(),
        events.iter().filter(critical).count() as i64
    );
    let top = store.event_top(TopSubject::Policy, start(), end, 2).await.unwrap();
    let of = |name: &str| {
        events.iter().filter(|new| new.event.policy_name.as_deref() == Some(name)).count() as i64
    };
    assert_eq!(top.len(), 2);
    assert_eq!(top[0].events, of(&top[0].name));
    assert!(top[0].events >= top[1].events);
    assert_eq!(store.event_top(TopSubject::Executable, end, end, 9).await.unwrap(), []);
}
