//! A store that is full or may not be written to, as enforcers and callers of the API meet it.

use moat_event::Event;
use moat_testkit::gateway::{Conversation, event};
use moat_testkit::{BreakingDisk, Postgres, Tmpfs, skip};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{As, Server, problem};

const POLICY: &str = include_str!("../../../../examples/no-shells.yaml");

/// Saves policies, each with a comment that fills some pages, until one is refused.
async fn refused_policy(server: &Server, admin: &As, name: &str) -> reqwest::Response {
    for number in 0..1000 {
        let document = POLICY.replace("name: no-shells\n", &format!("name: {name}-{number}\n"));
        assert_ne!(document, POLICY);
        let new = json!({ "document": format!("{document}# {}\n", noise(20_000)) });
        let response = server.send(admin, Method::POST, "/policies", Some(new)).await;
        if response.status() != StatusCode::CREATED {
            return response;
        }
    }
    panic!("the store takes everything");
}

/// Text that no compression makes smaller.
fn noise(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state % 64) as u8)
    };
    (0..length).map(|_| next()).collect()
}

async fn messages(server: &Server, admin: &As) -> Vec<String> {
    let page = server.get(admin, "/events?limit=1000").await;
    let mut items = page["items"].as_array().unwrap().clone();
    items.sort_by_key(|item| item["seq"].as_i64());
    items.iter().map(|item| item["event"]["message"].as_str().unwrap().to_owned()).collect()
}

/// A console with an enforcer in session, of whose events a quarter is stored.
struct Stage {
    server: Server,
    admin: As,
    session: Conversation,
    events: Vec<Event>,
    expected: Vec<String>,
}

impl Stage {
    async fn over(store: &str) -> Stage {
        let (server, admin) = Server::over(store).await;
        let enforcer = server.enrol(&admin, "node-1").await;
        let mut session = enforcer.session(&server.gateway).await.unwrap();
        let events: Vec<Event> =
            (0..400).map(|number| event(&format!("{number} {}", noise(4_000)))).collect();
        let expected = events.iter().map(|event| event.message.clone()).collect();
        session.send_events(100, &events[..100]).await;
        assert_eq!(session.stored().await, 100);
        Stage { server, admin, session, events, expected }
    }

    /// The store takes no more: callers are told so, nothing is acknowledged, and reading goes on.
    async fn takes_no_more(&mut self, status: StatusCode, word: &str) {
        let Stage { server, admin, session, .. } = self;
        let refused = problem(refused_policy(server, admin, "first").await, status).await;
        assert!(refused["detail"].as_str().unwrap().contains(word), "{refused}");
        let saved = server.get(admin, "/policies").await["items"].clone();
        for (sequence, chunk) in (2..).zip(self.events[100..].chunks(100)) {
            session.send_events(sequence * 100, chunk).await;
        }
        tokio::select! {
            sequence = session.stored() => panic!("{sequence} is acknowledged and not stored"),
            () = refusals(server, admin, status) => {}
        }
        // What was acknowledged is there, and no more.
        assert_eq!(messages(server, admin).await, self.expected[..100]);
        assert_eq!(server.get(admin, "/policies").await["items"], saved);
        assert_eq!(server.get(admin, "/enforcers").await["items"][0]["node"], "node-1");
    }

    /// The store takes what comes again: all that waited arrives, once and in order, and nobody had to start anything.
    async fn goes_on(mut self) {
        while self.session.stored().await < 400 {}
        let Stage { server, admin, .. } = self;
        assert_eq!(messages(&server, &admin).await, self.expected);
        let new = json!({ "document": POLICY });
        let made = server.send(&admin, Method::POST, "/policies", Some(new)).await;
        assert_eq!(made.status(), StatusCode::CREATED);
        let verified = server.send(&admin, Method::POST, "/audit/verify", None).await;
        assert_eq!(verified.json::<Value>().await.unwrap()["intact"], true);
        server.stop().await;
    }
}

/// While the gateway has tried several times, each of which a wrong acknowledgement would follow at once.
async fn refusals(server: &Server, admin: &As, status: StatusCode) {
    for name in ["second", "third", "fourth"] {
        problem(refused_policy(server, admin, name).await, status).await;
    }
}

fn postgres() -> Option<Postgres> {
    Postgres::start().map_err(|why| skip("postgres", format!("{why:#}"))).ok()
}

#[tokio::test]
async fn a_full_disk_under_sqlite() {
    let Some(disk) = Tmpfs::mount("16m") else { return };
    let mut stage = Stage::over(&format!("sqlite:{}", disk.path().join("moat.db").display())).await;
    disk.fill().unwrap();
    stage.takes_no_more(StatusCode::INSUFFICIENT_STORAGE, "full").await;
    disk.make_room().unwrap();
    stage.goes_on().await;
}

#[tokio::test]
async fn a_full_disk_under_postgres() {
    let Some(postgres) = postgres() else { return };
    let Some(disk) = Tmpfs::mount("48m") else { return };
    let mut stage = Stage::over(&postgres.database_in(&disk.path()).unwrap()).await;
    disk.fill().unwrap();
    stage.takes_no_more(StatusCode::INSUFFICIENT_STORAGE, "full").await;
    disk.make_room().unwrap();
    stage.goes_on().await;
}

#[tokio::test]
async fn a_broken_disk_under_sqlite() {
    let Some(disk) = BreakingDisk::mount("32M") else { return };
    let mut stage = Stage::over(&format!("sqlite:{}", disk.path().join("moat.db").display())).await;
    disk.break_down().unwrap();
    stage.takes_no_more(StatusCode::SERVICE_UNAVAILABLE, "store").await;
}

#[tokio::test]
async fn a_read_only_postgres() {
    let Some(postgres) = postgres() else { return };
    let mut stage = Stage::over(&postgres.database().unwrap()).await;
    let set = |read_only: &str| {
        let setting = format!("ALTER SYSTEM SET default_transaction_read_only = {read_only}");
        postgres.sql("postgres", &setting).unwrap();
        postgres.sql("postgres", "SELECT pg_reload_conf()").unwrap();
    };
    set("on");
    stage.takes_no_more(StatusCode::SERVICE_UNAVAILABLE, "read-only").await;
    set("off");
    stage.goes_on().await;
}
