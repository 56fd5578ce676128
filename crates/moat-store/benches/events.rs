//! Writing and searching events at size: `cargo bench -p moat-store -- [sqlite|postgres] [EVENTS]`.
//!
//! Prints rates while the store grows and, at the end, how long searches take; docs/performance.md has the figures.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use moat_event::{Event, EventAction, EventType, Peer, Process, Severity};
use moat_store::{EventFilter, NewEvent, Store};
use moat_testkit::Postgres;
use uuid::{NoContext, Uuid};

const BATCH: usize = 1000;
const SESSIONS: usize = 16;
const STEPS: usize = 10;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let engine = arguments.first().map_or("sqlite", String::as_str);
    let events = arguments.get(1).map_or(Ok(200_000), |events| events.parse()).context("how many events?")?;
    let folder = tempfile::TempDir::new()?;
    let (server, url) = if engine == "postgres" {
        // As it comes, but for memory: its default of 128 MB is for the smallest of machines.
        let server = Postgres::with_settings(&["shared_buffers=6GB", "max_wal_size=16GB"])?;
        let url = server.database()?;
        (Some(server), url)
    } else {
        (None, format!("sqlite:{}", folder.path().join("moat.db").display()))
    };
    let store = Store::open(&url).await?;
    let begin = Timestamp::now() - SignedDuration::from_hours(20);
    let step = events / STEPS;
    for number in 0..STEPS {
        let start = Instant::now();
        write(&store, begin, number * step, step, events).await?;
        let seconds = start.elapsed().as_secs_f64();
        println!("{engine}: {:>9} events, {:>7.0} events/s", (number + 1) * step, step as f64 / seconds);
    }
    for (name, filter) in searches(begin) {
        let mut times = vec![];
        let mut found = 0;
        for _ in 0..20 {
            let start = Instant::now();
            let page = store.search_events(&filter, None, 100).await?;
            times.push(start.elapsed());
            found = page.events.len();
        }
        println!("{engine}: {name:<44} {:>7.1} ms p95, {found} found", milliseconds(&mut times));
    }
    if engine == "sqlite" {
        println!("{engine}: {} MB", std::fs::metadata(folder.path().join("moat.db"))?.len() / 1_000_000);
    }
    store.close().await;
    drop(server);
    Ok(())
}

fn milliseconds(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() * 95 / 100).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

/// As the gateway does: several sessions, each of which waits for its acknowledgement.
async fn write(store: &Store, begin: Timestamp, first: usize, count: usize, of: usize) -> Result<()> {
    let sessions = (0..SESSIONS).map(|session| {
        let store = store.clone();
        tokio::spawn(async move {
            for batch in (first..first + count).step_by(BATCH).skip(session).step_by(SESSIONS) {
                let events =
                    (batch..(batch + BATCH).min(first + count)).map(|number| event(begin, number, of));
                store.insert_events(events.collect::<Vec<_>>()).await?;
            }
            anyhow::Ok(())
        })
    });
    for session in sessions.collect::<Vec<_>>() {
        session.await??;
    }
    Ok(())
}

/// Events as a cluster of 100 nodes has them: few policies, some hundred pods with generated names, arguments that seldom
/// repeat.
fn event(begin: Timestamp, number: usize, of: usize) -> NewEvent {
    let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let pick = |shift: u32, of: u64| (mixed >> shift) % of;
    let at = begin + SignedDuration::from_micros(72_000_000_000 / of as i64 * number as i64);
    let at = Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at);
    let millis = at.as_millisecond() as u64;
    let id = Uuid::new_v7(uuid::Timestamp::from_unix(
        NoContext,
        millis / 1000,
        (millis % 1000) as u32 * 1_000_000,
    ));
    let service = pick(8, 40);
    let executable = ["/bin/sh", "/usr/bin/curl", "/usr/bin/python3.11", "/usr/sbin/nginx", "/bin/cat"]
        [pick(16, 5) as usize];
    let file = pick(20, 3) == 0;
    let event = Event {
        timestamp: at,
        event_type: if file { EventType::FileAccess } else { EventType::ProcessExec },
        policy_name: Some(format!("policy-{}", pick(24, 20))),
        pod_name: Some(format!("service-{service}-7d9f8b6c5-{:05x}", pick(10, 500))),
        container_name: Some("main".into()),
        file_path: file.then(|| format!("/var/lib/app/{}/state", pick(30, 5_000))),
        action: if pick(33, 4) == 0 { EventAction::Blocked } else { EventAction::Alerted },
        severity: Severity::ALL[if pick(36, 1000) == 0 { 4 } else { pick(36, 4) as usize }],
        message: format!("{executable} is not allowed here by policy"),
        id: id.to_string(),
        node: format!("node-{}", pick(40, 100)),
        namespace: Some(format!("team-{}", service / 4)),
        workload_kind: Some("Deployment".into()),
        workload_name: Some(format!("service-{service}")),
        labels: [("app".to_owned(), format!("service-{service}"))].into(),
        container_id: Some(format!("{mixed:064x}")),
        image: Some(format!("registry.example.com/team/service-{service}:1.{}", pick(44, 9))),
        image_digest: None,
        rule: Some(format!("rule-{}", pick(48, 6))),
        reason: Some("the rule names this path".into()),
        generation: Some(7),
        process: Some(Process {
            pid: pick(50, 30_000) as u32,
            executable: executable.into(),
            arguments: vec!["-c".into(), format!("run --job {number} --attempt {}", pick(52, 5))],
            parent: "/usr/bin/supervisord".into(),
            ..Process::default()
        }),
        file_operation: None,
        file_source: None,
        peer: None::<Peer>,
        syscall: None,
        capability: None,
        count: 1,
        loss: None,
    };
    NewEvent {
        enforcer_id: format!("enforcer-{}", pick(40, 100)),
        workload: Some(format!("team-{}/Deployment/service-{service}", service / 4)),
        event,
    }
}

fn searches(begin: Timestamp) -> Vec<(&'static str, EventFilter)> {
    let none = EventFilter::default;
    let hour = |hour: i64| Some(begin + SignedDuration::from_hours(hour));
    vec![
        ("the newest", none()),
        ("an hour in the middle", EventFilter { from: hour(10), to: hour(11), ..none() }),
        (
            "blocked, at least High",
            EventFilter { actions: vec![EventAction::Blocked], severity: Some(Severity::High), ..none() },
        ),
        ("Critical (1 in 1,000)", EventFilter { severity: Some(Severity::Critical), ..none() }),
        ("one pod (1 in 20,000)", EventFilter { pods: vec!["service-7-7d9f8b6c5-0012f".into()], ..none() }),
        (
            "one node and one policy",
            EventFilter { nodes: vec!["node-17".into()], policies: vec!["policy-3".into()], ..none() },
        ),
        (
            "one workload, one rule, Critical",
            EventFilter {
                workloads: vec!["team-2/Deployment/service-9".into()],
                rules: vec!["rule-2".into()],
                severity: Some(Severity::Critical),
                ..none()
            },
        ),
        ("words: curl policy", EventFilter { text: "curl policy".into(), ..none() }),
        (
            "words: /var/lib/app/123/state (1 in 15,000)",
            EventFilter { text: "/var/lib/app/123/state".into(), ..none() },
        ),
        ("words: job 123456 (one event)", EventFilter { text: "123456".into(), ..none() }),
        ("words: xmrig (none)", EventFilter { text: "xmrig".into(), ..none() }),
        ("a type that never was", EventFilter { types: vec![EventType::Admission], ..none() }),
        (
            "never together: a team and another's service",
            EventFilter {
                namespaces: vec!["team-1".into()],
                workloads: vec!["team-9/Deployment/service-39".into()],
                ..none()
            },
        ),
    ]
}
