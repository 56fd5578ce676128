use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use tokio::time::timeout;

use super::*;
use crate::events::journal::Entry;

/// Longer than anything here may take; every wait ends with an event before.
const PATIENCE: Duration = Duration::from_secs(20);

fn policy(name: &str, extra: &str) -> String {
    format!(
        "apiVersion: aqua.security/v1alpha1\nkind: RuntimePolicy\nmetadata: {{ name: {name} }}\nspec:\n  {extra}\n  \
         rules:\n  - {{ name: r, action: Block, process: {{ names: [sh] }} }}\n"
    )
}

struct Running {
    folder: tempfile::TempDir,
    policies: watch::Receiver<Arc<Policies>>,
    events: Receiver<Arc<Entry>>,
    cancel: CancellationToken,
    _state: tempfile::TempDir,
}

impl Running {
    fn start(prepare: impl FnOnce(&Path)) -> Running {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        prepare(folder.path());
        let (output, events) = sync_channel(100);
        let journal = Arc::new(Journal::new(String::from("n"), output, None));
        let (watcher, policies) =
            Watcher::open(folder.path(), state.path(), journal, Arc::default(), None).unwrap();
        let cancel = CancellationToken::new();
        tokio::spawn(watcher.run(cancel.clone()));
        Running { folder, policies, events, cancel, _state: state }
    }

    fn now(&mut self) -> Arc<Policies> {
        Arc::clone(&self.policies.borrow_and_update())
    }

    async fn next(&mut self) -> Arc<Policies> {
        timeout(PATIENCE, self.policies.changed()).await.expect("nothing changed").unwrap();
        self.now()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn names(policies: &Policies) -> Vec<&str> {
    policies.runtime.iter().map(|loaded| loaded.policy.metadata.name.as_str()).collect()
}

#[tokio::test]
async fn changes_are_published_soon_and_with_a_new_generation() {
    let mut running = Running::start(|folder| fs::write(folder.join("a.yaml"), policy("a", "")).unwrap());
    let first = running.now();
    assert_eq!((first.generation, names(&first)), (1, vec!["a"]));

    let saved = Instant::now();
    fs::write(running.folder.path().join("b.yaml"), policy("b", "")).unwrap();
    let second = running.next().await;
    assert!(saved.elapsed() < Duration::from_secs(1), "it took {:?}", saved.elapsed());
    assert_eq!((second.generation, names(&second)), (2, vec!["a", "b"]));

    // Replaced in one step, as editors and Kubernetes do.
    let fresh = running.folder.path().join("new");
    fs::write(&fresh, policy("c", "")).unwrap();
    fs::rename(fresh, running.folder.path().join("b.yaml")).unwrap();
    let third = running.next().await;
    assert_eq!((third.generation, names(&third)), (3, vec!["a", "c"]));

    fs::remove_file(running.folder.path().join("a.yaml")).unwrap();
    assert_eq!(names(&*running.next().await), ["c"]);
}

#[tokio::test]
async fn a_refused_file_is_an_event_and_changes_nothing_in_force() {
    let mut running = Running::start(|folder| fs::write(folder.join("a.yaml"), policy("a", "")).unwrap());
    fs::write(running.folder.path().join("a.yaml"), "kind: [").unwrap();
    let refused = running.next().await;
    assert_eq!(names(&refused), ["a"]);
    assert_eq!(refused.refused.len(), 1);
    let event = &running.events.recv_timeout(PATIENCE).unwrap().event;
    assert!(event.message.contains("a.yaml:1:"), "{}", event.message);
    assert_eq!(event.severity, Severity::High);
}

#[tokio::test]
async fn a_policy_begins_to_be_enforced_at_its_instant() {
    let from = Timestamp::now() + Duration::from_millis(1500);
    let mut running = Running::start(|folder| {
        let extra = format!("mode: Enforce\n  enforceAfter: \"{from}\"");
        fs::write(folder.join("a.yaml"), policy("a", &extra)).unwrap();
    });
    assert_eq!(running.now().enforced, 0);
    let enforced = running.next().await;
    assert!(Timestamp::now() >= from);
    assert_eq!((enforced.enforced, enforced.generation), (1, 2));
}

#[test]
fn a_missing_folder_is_named_with_what_to_do() {
    let state = tempfile::tempdir().unwrap();
    let (output, _events) = sync_channel(1);
    let journal = Arc::new(Journal::new(String::from("n"), output, None));
    let error =
        Watcher::open(Path::new("/no/such/folder"), state.path(), journal, Arc::default(), None).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("/no/such/folder") && message.contains("--policies"), "{message}");
}
