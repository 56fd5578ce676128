//! Notifiers over a real store, with receivers that fail and replicas that die.

use std::collections::BTreeSet;

use moat_event::{Event, EventType};
use moat_store::{Actor, DeliveryState, NewEvent, NewNotifier};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::notify::destination::{Destination, File, Secrets, Webhook};
use crate::notify::encode::samples;
use crate::notify::receivers::http::{Answer, Receiver, Request};
use crate::notify::receivers::{egress, events, pace};
use crate::notify::status::Status;

/// Where a replica that is silent has to be given up by another.
const SHORT: Duration = Duration::from_secs(1);

struct Console {
    folder: TempDir,
    store: Store,
    engine: Engine,
}

fn admin() -> Actor {
    Actor { name: "admin".into(), role: "admin".into(), source_address: "127.0.0.1".into() }
}

fn hook(url: String) -> (Destination, Secrets) {
    let secrets =
        Secrets { signing_key: Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()), ..Secrets::default() };
    (Destination::Webhook(Webhook { url, authority: None, plaintext: false }), secrets)
}

impl Console {
    async fn new() -> Console {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("moat.db").display());
        let store = Store::open(&url).await.expect("a store");
        let key = ConsoleKey::open_or_create(&folder.path().join("console.key")).expect("a key");
        let egress = Egress { files: Some(folder.path().join("files")), ..egress() };
        let engine = Engine { store: store.clone(), key, egress, pace: pace() };
        Console { folder, store, engine }
    }

    /// Another replica: a connection of its own to the same store.
    async fn replica(&self) -> Engine {
        let url = format!("sqlite:{}", self.folder.path().join("moat.db").display());
        Engine { store: Store::open(&url).await.expect("a store"), ..self.engine.clone() }
    }

    fn config(&self, (destination, secrets): (Destination, Secrets)) -> (String, Value) {
        let kind = destination.kind().to_owned();
        let config = Config::seal(&self.engine.key, destination, &secrets).expect("sealed");
        (kind, config.write().expect("written"))
    }

    async fn notifier(&self, name: &str, to: (Destination, Secrets), filter: Filter) -> String {
        let (kind, config) = self.config(to);
        let filter = serde_json::to_value(filter).expect("JSON");
        let mut change = self.store.begin(&admin()).await.expect("begun");
        let new = NewNotifier { name: name.into(), kind, config, filter, enabled: true };
        let notifier = change.create_notifier(new).await.expect("made");
        change.commit().await.expect("committed");
        notifier.id
    }

    async fn insert(&self, events: &[Event]) {
        let new = |event: &Event| NewEvent { enforcer_id: "e".into(), workload: None, event: event.clone() };
        self.store.insert_events(events.iter().map(new).collect::<Vec<_>>()).await.expect("stored");
    }

    fn start(&self) -> Started {
        Started::new(self.engine.clone())
    }

    /// Waits until the store says what is expected of the notifier.
    async fn until(&self, id: &str, expected: impl Fn(&Status, i64) -> bool) -> Status {
        let waited = tokio::time::timeout(Duration::from_mins(1), async {
            loop {
                let notifier = self.store.notifier(id).await.expect("read");
                let status: Status = serde_json::from_value(notifier.status).expect("a status");
                if expected(&status, notifier.cursor) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        waited.await.expect("within a minute")
    }

    async fn until_at(&self, id: &str, cursor: i64) -> Status {
        self.until(id, |_, at| at == cursor).await
    }
}

struct Started {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Started {
    fn new(engine: Engine) -> Started {
        let cancel = CancellationToken::new();
        Started { task: tokio::spawn(engine.run(cancel.clone())), cancel }
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.expect("ended");
    }
}

fn ids(request: &Request) -> Vec<String> {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let events: Vec<Event> = serde_json::from_value(body["data"]["events"].clone()).expect("events");
    events.into_iter().map(|event| event.id).collect()
}

fn set(events: &[Event]) -> BTreeSet<String> {
    events.iter().map(|event| event.id.clone()).collect()
}

#[tokio::test]
async fn what_passes_the_filter_arrives_and_the_rest_does_not() {
    let console = Console::new().await;
    let mut receiver = Receiver::scripted([Answer::status(200, "")]).await;
    console.insert(&events(3)).await;
    let filter = Filter { types: vec![EventType::FileAccess], ..Filter::default() };
    let id = console.notifier("hook", hook(receiver.url()), filter).await;
    let started = console.start();
    let sent = events(1200);
    console.insert(&sent).await;
    console.insert(&[samples::loss()]).await;
    let status = console.until_at(&id, 1204).await;
    assert_eq!((status.condition, status.delivered, status.missed), (Condition::Working, 1200, 0));
    let arrived: Vec<String> = receiver.received().iter().flat_map(ids).collect();
    let expected: Vec<String> = sent.iter().map(|event| event.id.clone()).collect();
    assert_eq!(arrived, expected, "in order, and none from before the notifier was made");
    started.stop().await;
}

#[tokio::test]
async fn a_slow_receiver_delays_no_other() {
    let console = Console::new().await;
    let stuck = Receiver::scripted([Answer::Never]).await;
    let mut quick = Receiver::scripted([Answer::status(200, "")]).await;
    console.notifier("stuck", hook(stuck.url()), Filter::default()).await;
    let id = console.notifier("quick", hook(quick.url()), Filter::default()).await;
    let started = console.start();
    for round in 1..=3 {
        console.insert(&events(10)).await;
        console.until_at(&id, round * 10).await;
    }
    assert_eq!(quick.received().iter().flat_map(ids).count(), 30);
    started.stop().await;
}

#[tokio::test]
async fn a_console_that_dies_with_a_batch_in_flight_sends_it_again() {
    let console = Console::new().await;
    let mut receiver =
        Receiver::scripted([Answer::status(200, ""), Answer::Never, Answer::status(200, "")]).await;
    let id = console.notifier("hook", hook(receiver.url()), Filter::default()).await;
    let started = console.start();
    let (first, second) = (events(5), events(5));
    console.insert(&first).await;
    console.until_at(&id, 5).await;
    receiver.next().await;
    console.insert(&second).await;
    let in_flight = receiver.next().await;
    // Killed: no farewell, the lease stays taken.
    started.task.abort();
    assert!(started.task.await.is_err_and(|error| error.is_cancelled()));
    drop(started.cancel);
    let replica = console.replica().await;
    let pace = Pace { term: SHORT, ..pace() };
    let restarted = Started::new(Engine { pace, ..replica });
    let again = receiver.next().await;
    assert_eq!(
        (ids(&again), &again.headers["webhook-id"]),
        (ids(&in_flight), &in_flight.headers["webhook-id"])
    );
    let status = console.until_at(&id, 10).await;
    assert_eq!(status.delivered, 10);
    restarted.stop().await;
}

#[tokio::test]
async fn of_several_replicas_one_sends_and_another_takes_over() {
    let console = Console::new().await;
    let mut receiver = Receiver::scripted([Answer::status(200, "")]).await;
    let id = console.notifier("hook", hook(receiver.url()), Filter::default()).await;
    let replicas =
        [console.start(), Started::new(console.replica().await), Started::new(console.replica().await)];
    let mut sent = BTreeSet::new();
    let mut arrived = Vec::new();
    for (round, replica) in (1..).zip(replicas) {
        let batch = events(20);
        sent.extend(set(&batch));
        console.insert(&batch).await;
        console.until_at(&id, round * 20).await;
        arrived.extend(receiver.received().iter().flat_map(ids));
        replica.stop().await;
    }
    assert_eq!(arrived.len(), 60, "nothing twice");
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), sent);
}

#[tokio::test]
async fn a_lease_that_was_lost_writes_nothing_more() {
    let console = Console::new().await;
    let id = console.notifier("hook", hook("http://10.0.0.1".into()), Filter::default()).await;
    let mut old = Lease::take(&console.store, &id, "old", SHORT).await.expect("taken");
    // Silent for long enough by the other's clock.
    let mut new = Lease::take(&console.store, &id, "new", SHORT).await.expect("taken over");
    assert!(matches!(old.advance(7).await, Err(LeaseError::Store(_))));
    assert!(matches!(old.tell().await, Err(LeaseError::Lost)));
    assert!(matches!(old.hold(std::future::pending::<()>()).await, Err(LeaseError::Lost)));
    new.advance(3).await.expect("held");
    assert_eq!(console.store.notifier(&id).await.expect("read").cursor, 3);
}

#[tokio::test]
async fn a_lease_with_signs_of_life_is_not_taken() {
    let console = Console::new().await;
    let id = console.notifier("hook", hook("http://10.0.0.1".into()), Filter::default()).await;
    let mut holder = Lease::take(&console.store, &id, "holder", SHORT).await.expect("taken");
    let rival = Lease::take(&console.store, &id, "rival", SHORT);
    let rival = tokio::time::timeout(SHORT * 5, rival);
    let rival = holder.hold(rival).await.expect("held");
    assert!(rival.is_err(), "the rival still waits after five terms");
    console.store.release_notifier(&id, "holder").await.expect("released");
    Lease::take(&console.store, &id, "rival", SHORT).await.expect("taken at once");
}

#[tokio::test]
async fn dead_letters_are_kept_retried_and_counted() {
    let console = Console::new().await;
    let answers = vec![Answer::status(503, "down"); 4].into_iter().chain([Answer::status(200, "")]);
    let mut receiver = Receiver::scripted(answers).await;
    let id = console.notifier("hook", hook(receiver.url()), Filter::default()).await;
    let started = console.start();
    let (lost, later) = (events(3), events(2));
    console.insert(&lost).await;
    let status = console.until(&id, |status, cursor| cursor == 3 && status.given_up == 3).await;
    assert_eq!(status.last_error.as_deref(), Some("503 Service Unavailable: down"));
    console.insert(&later).await;
    console.until_at(&id, 5).await;
    assert_eq!(receiver.received().len(), 5, "four attempts, then the next batch");
    let letters = console.store.dead_letters(&id, None, 10).await.expect("read");
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.event_ids.len(), letter.attempts, letter.state), (3, 4, DeliveryState::Dead));

    let mut change = console.store.begin(&admin()).await.expect("begun");
    assert_eq!(change.retry_dead_letters(&id, Some(&letter.id)).await.expect("asked"), 1);
    change.commit().await.expect("committed");
    assert_eq!(ids(&receiver.next().await).into_iter().collect::<BTreeSet<_>>(), set(&lost));
    console.until(&id, |status, _| status.delivered == 5).await;
    assert_eq!(console.store.dead_letter_count(&id).await.expect("counted"), 0);
    started.stop().await;
}

#[tokio::test]
async fn a_changed_notifier_goes_on_at_its_place_with_the_new_receiver() {
    let console = Console::new().await;
    let mut before = Receiver::scripted([Answer::status(200, ""), Answer::Never]).await;
    let mut after = Receiver::scripted([Answer::status(200, "")]).await;
    let id = console.notifier("hook", hook(before.url()), Filter::default()).await;
    let started = console.start();
    console.insert(&events(2)).await;
    console.until_at(&id, 2).await;
    let second = events(2);
    console.insert(&second).await;
    before.next().await;
    before.next().await;
    let (kind, config) = console.config(hook(after.url()));
    let new = NewNotifier { name: "hook".into(), kind, config, filter: serde_json::json!({}), enabled: true };
    let mut change = console.store.begin(&admin()).await.expect("begun");
    change.update_notifier(&id, new, 1).await.expect("changed");
    change.commit().await.expect("committed");
    assert_eq!(ids(&after.next().await).into_iter().collect::<BTreeSet<_>>(), set(&second));
    console.until_at(&id, 4).await;
    started.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_to_says_so() {
    let console = Console::new().await;
    let egress = Egress { allow: Vec::new(), ..console.engine.egress.clone() };
    let engine = Engine { egress, ..console.engine.clone() };
    let id = console.notifier("hook", hook("http://127.0.0.1:9".into()), Filter::default()).await;
    let started = Started::new(engine);
    let status = console.until(&id, |status, _| status.condition == Condition::Misconfigured).await;
    assert!(status.last_error.is_some_and(|error| error.contains("this host itself")));
    started.stop().await;
}

#[tokio::test]
async fn a_file_gets_every_event() {
    let console = Console::new().await;
    let destination = Destination::File(File { name: "events.jsonl".into() });
    let id = console.notifier("file", (destination, Secrets::default()), Filter::default()).await;
    let started = console.start();
    console.insert(&samples::all()).await;
    console.until_at(&id, 4).await;
    started.stop().await;
    let text = std::fs::read_to_string(console.folder.path().join("files/events.jsonl")).expect("a file");
    let read: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert_eq!(read, samples::all());
}

#[tokio::test]
async fn the_test_button_says_what_the_receiver_answered() {
    let mut receiver =
        Receiver::scripted([Answer::status(200, "thanks"), Answer::status(403, "who are you?")]).await;
    let (destination, secrets) = hook(receiver.url());
    let report = crate::notify::test("siem", &destination, &secrets, &egress(), Duration::from_secs(20))
        .await
        .expect("valid");
    assert_eq!((report.delivered, report.answer.as_str()), (true, "200 OK: thanks"));
    let request = receiver.next().await;
    assert_eq!(ids(&request), [report.event_id]);
    assert!(String::from_utf8_lossy(&request.body).contains("This is a test of the notifier siem."));
    let report = crate::notify::test("siem", &destination, &secrets, &egress(), Duration::from_secs(20))
        .await
        .expect("valid");
    assert_eq!((report.delivered, report.answer.as_str()), (false, "403 Forbidden: who are you?"));
}
