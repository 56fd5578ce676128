//! A console that is killed while enforcers send to it.

use moat_event::Event;
use moat_store::Store;
use moat_testkit::gateway::event;

use super::*;

const ENFORCERS: usize = 3;
const BATCH: usize = 20;
/// Messages that an enforcer sends before the console is killed under it.
const ROUNDS: usize = 3;

/// An enforcer with all that it has to say, as its spool would keep it.
struct Node {
    name: String,
    enforcer: Enforcer,
    events: Vec<Event>,
    /// Events that the console has acknowledged.
    stored: usize,
}

impl Node {
    /// Sends from where it was until the session ends.
    async fn send(&mut self, gateway: &str) {
        let Ok(mut session) = self.enforcer.session(gateway).await else { return };
        let mut sent = self.stored;
        loop {
            // Several messages on the way, as in a real enforcer.
            while sent < self.events.len() && sent - self.stored < 4 * BATCH {
                let batch = &self.events[sent..self.events.len().min(sent + BATCH)];
                sent += batch.len();
                session.send_events(sent as u64, batch).await;
            }
            if self.stored == self.events.len() {
                return;
            }
            match session.stored_or_over().await {
                Some(stored) => self.stored = usize::try_from(stored).unwrap(),
                None => return,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_and_the_rest_comes_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let mut program = Program::start(console(state, &ANYWHERE));
    let mut nodes = Vec::new();
    for number in 0..ENFORCERS {
        let name = format!("node-{number}");
        let enforcer = enrol(&program, state, &name).await;
        let events = (0..2000).map(|number| event(&format!("{number}"))).collect();
        nodes.push(Node { name, enforcer, events, stored: 0 });
    }
    let address = program.gateway.trim_start_matches("https://").to_owned();
    let again = ["--listen", "127.0.0.1:0", "--gateway", &address];
    for round in 1..=ROUNDS {
        let gateway = program.gateway.clone();
        let sending: Vec<_> = nodes
            .drain(..)
            .map(|mut node| {
                let gateway = gateway.clone();
                tokio::spawn(async move {
                    node.send(&gateway).await;
                    node
                })
            })
            .collect();
        // In the middle of it: somebody has been acknowledged something, and nobody everything.
        let store = Store::open(&format!("sqlite:{}", state.join("moat.db").display())).await.unwrap();
        let enough = (round * 400) as i64;
        while store.newest_event().await.unwrap() < enough {
            tokio::task::yield_now().await;
        }
        store.close().await;
        program.end(Signal::KILL);
        for node in sending {
            nodes.push(node.await.unwrap());
        }
        assert!(nodes.iter().any(|node| node.stored < node.events.len()), "killed too late");
        check(state, &nodes, false).await;
        program = Program::start(console(state, &again));
    }
    for node in &mut nodes {
        node.send(&program.gateway).await;
        assert_eq!(node.stored, node.events.len());
    }
    assert_eq!(program.end(Signal::TERM).code(), Some(0));
    check(state, &nodes, true).await;
    assert!(done(state, &["audit", "verify"]).contains("all as they were written"));
}

/// Everything that was acknowledged is there, once and in order; `all` of it at the end.
async fn check(state: &Path, nodes: &[Node], all: bool) {
    let store = Store::open(&format!("sqlite:{}", state.join("moat.db").display())).await.unwrap();
    let kept = store.events_after(0, 100_000).await.unwrap();
    for node in nodes {
        let kept: Vec<_> =
            kept.iter().filter(|kept| kept.event.node == node.name).map(|kept| &kept.event.id).collect();
        let sent: Vec<_> = node.events.iter().map(|event| &event.id).collect();
        assert!(kept.len() >= node.stored, "{}: {} of {} are kept", node.name, kept.len(), node.stored);
        assert_eq!(kept, sent[..kept.len()], "{}", node.name);
        assert!(!all || kept.len() == sent.len());
    }
    store.close().await;
}
