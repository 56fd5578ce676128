//! One simulated enforcer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use moat_wire::control::Status;
use moat_wire::gateway::proto::enrolment_client::EnrolmentClient;
use moat_wire::gateway::proto::gateway_client::GatewayClient;
use moat_wire::gateway::proto::policy_state::State;
use moat_wire::gateway::proto::{
    EnrolRequest, Events, Heartbeat, Hello, PolicyAck, PolicySet, PolicyState, ToConsole, to_console,
    to_enforcer,
};
use moat_wire::gateway::{EnforcerStatus, Identity, NewKey, SpoolStatus, Trust, connect, machine};
use moat_wire::token::EnrolmentToken;
use rustls_pki_types::CertificateDer;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Batches that may be on the way, as in a real enforcer.
const WINDOW: usize = 8;
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What all of them do.
#[derive(Debug)]
pub struct Load {
    pub url: String,
    /// How many there are.
    pub count: u32,
    /// Of each.
    pub events_per_second: f64,
    /// Events of one message.
    pub batch: usize,
    pub happened: mpsc::Sender<Happened>,
}

#[derive(Debug)]
pub enum Happened {
    InSession,
    Sent(u64),
    Stored {
        events: u64,
        after: Duration,
    },
    PolicySet {
        set: i64,
        after: Duration,
    },
    /// The session ended although nobody asked for that.
    Lost,
    /// A dashboard has an event.
    Shown {
        after: Duration,
    },
    /// A dashboard was too slow for some.
    Gap,
}

/// A key, its certificate and whom to trust.
#[derive(Debug)]
pub struct Enrolled {
    identity: Identity,
    authority: CertificateDer<'static>,
}

/// Enrols `count` nodes, `at_once` at a time.
pub async fn enrol(
    url: &str,
    token: &Arc<EnrolmentToken>,
    count: u32,
    at_once: usize,
) -> anyhow::Result<Vec<Enrolled>> {
    let (mut enrolling, mut enrolled) = (JoinSet::new(), Vec::new());
    for number in 0..count {
        if enrolling.len() >= at_once
            && let Some(done) = enrolling.join_next().await
        {
            enrolled.push(done??);
        }
        let (url, token) = (url.to_owned(), Arc::clone(token));
        enrolling.spawn(async move {
            // As nodes do, each comes by itself: the gateway keeps no stranger's connection for long.
            let mut client = EnrolmentClient::new(connect(&url, &Trust::Pinned(token.authority)).await?);
            let key = NewKey::generate()?;
            let node = format!("bench-{number}");
            let request = EnrolRequest {
                token: token.reveal(),
                machine: machine(node.as_bytes()),
                node,
                csr_der: key.request()?,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            };
            let answer =
                client.enrol(request).await.map_err(|status| anyhow::anyhow!("{}", status.message()))?;
            let answer = answer.into_inner();
            let identity = key.certified(&answer.certificate_chain_der)?;
            anyhow::Ok(Enrolled { identity, authority: CertificateDer::from(answer.authority_der) })
        });
    }
    while let Some(done) = enrolling.join_next().await {
        enrolled.push(done??);
    }
    Ok(enrolled)
}

/// Runs until `cancel`, or until its session is lost.
pub async fn run(number: usize, enrolled: Enrolled, load: Arc<Load>, cancel: CancellationToken) {
    let Some(Err(error)) = cancel.run_until_cancelled(session(number, &enrolled, &load)).await else {
        return;
    };
    crate::output::note(&format!("bench-{number}: {error:#}"));
    let _ = load.happened.send(Happened::Lost).await;
}

async fn session(number: usize, enrolled: &Enrolled, load: &Load) -> anyhow::Result<()> {
    let trust = Trust::Authority { authority: &enrolled.authority, identity: &enrolled.identity };
    let channel = connect(&load.url, &trust).await?;
    let (to, outgoing) = mpsc::channel(4);
    let hello = Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: String::from("simulated"),
        driver: String::from("guard"),
        ..Hello::default()
    };
    say(&to, to_console::Message::Hello(hello)).await?;
    let incoming = GatewayClient::new(channel).session(ReceiverStream::new(outgoing)).await;
    let mut incoming = incoming.map_err(|status| anyhow::anyhow!("{}", status.message()))?.into_inner();
    load.happened.send(Happened::InSession).await?;

    let period = Duration::from_secs_f64(load.batch as f64 / load.events_per_second.max(0.001));
    // Each in its own time, as nodes do.
    let phase = number as f64 / f64::from(load.count.max(1));
    let mut tick = interval_at(Instant::now() + period.mul_f64(phase), period);
    // What is late is sent at once: the rate is what was asked for, as long as the console keeps up.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT.mul_f64(phase), HEARTBEAT);
    let mut on_the_way: VecDeque<(u64, Instant)> = VecDeque::new();
    let mut sequence = 0;
    loop {
        tokio::select! {
            _ = tick.tick(), if on_the_way.len() < WINDOW && load.events_per_second > 0.0 => {
                let json = (0..load.batch).map(|index| event(number, sequence + index as u64)).collect();
                sequence += load.batch as u64;
                on_the_way.push_back((sequence, Instant::now()));
                say(&to, to_console::Message::Events(Events { sequence, json })).await?;
                load.happened.send(Happened::Sent(load.batch as u64)).await?;
            }
            _ = heartbeat.tick() => say(&to, to_console::Message::Heartbeat(beat())).await?,
            message = incoming.message() => {
                let Some(message) = message.map_err(|status| anyhow::anyhow!("{}", status.message()))? else {
                    bail!("the console ended the session");
                };
                match message.message {
                    Some(to_enforcer::Message::EventsStored(stored)) => {
                        while let Some((_, sent)) = on_the_way.pop_front_if(|(sequence, _)| *sequence <= stored.sequence) {
                            let (events, after) = (load.batch as u64, sent.elapsed());
                            load.happened.send(Happened::Stored { events, after }).await?;
                        }
                    }
                    Some(to_enforcer::Message::PolicySet(set)) if !set.more => acknowledge(&to, &set, load).await?,
                    Some(to_enforcer::Message::Goodbye(goodbye)) => bail!("{}", goodbye.message),
                    _ => {}
                }
            }
        }
    }
}

async fn say(to: &mpsc::Sender<ToConsole>, message: to_console::Message) -> anyhow::Result<()> {
    to.send(ToConsole { message: Some(message) }).await.context("the console ended the connection")
}

/// As if it were in force at once.
async fn acknowledge(to: &mpsc::Sender<ToConsole>, set: &PolicySet, load: &Load) -> anyhow::Result<()> {
    let policies = set.upserts.iter().map(|policy| PolicyState {
        name: policy.name.clone(),
        revision: policy.revision,
        state: State::Enforced.into(),
        reasons: Vec::new(),
        containers: 0,
    });
    let policies = policies.collect();
    say(to, to_console::Message::PolicyAck(PolicyAck { set: set.set, in_force: true, policies })).await?;
    let newest = set.upserts.iter().map(|policy| policy.first_seen_us).max();
    if let Some(made) = newest {
        let after = Timestamp::now().as_microsecond().saturating_sub(made);
        let after = Duration::from_micros(u64::try_from(after).unwrap_or_default());
        load.happened.send(Happened::PolicySet { set: set.set, after }).await?;
    }
    Ok(())
}

fn beat() -> Heartbeat {
    let agent = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_seconds: 0,
        driver: String::from("guard"),
        policies: 0,
        containers: 20,
        enforced_containers: 20,
        generation: 1,
        events: 0,
        losses: Vec::new(),
        resident_bytes: 0,
        problems: Vec::new(),
    };
    let status = EnforcerStatus { agent, spool: SpoolStatus::default() };
    Heartbeat {
        status_json: serde_json::to_vec(&status).unwrap_or_default(),
        sent_at_us: Timestamp::now().as_microsecond(),
    }
}

/// About as large and as varied as what a cluster sends: twenty pods a node, a few hundred files and programs.
fn event(node: usize, number: u64) -> Vec<u8> {
    let (pod, file) = (number % 20, number % 257);
    let program = ["/bin/sh", "/usr/bin/curl", "/usr/bin/python3", "/usr/sbin/nginx"][(number % 4) as usize];
    format!(
        "{{\"timestamp\":\"{now}\",\"eventType\":\"FileAccess\",\"policyName\":\"etc-is-read-only\",\"podName\":\"shop-{node}-{pod}\",\
         \"containerName\":\"app\",\"filePath\":\"/etc/app/{file}.conf\",\"action\":\"Blocked\",\"severity\":\"High\",\
         \"message\":\"File access to /etc/app/{file}.conf by app container is prohibited by policy.\",\"id\":\"{id}\",\
         \"namespace\":\"shop\",\"labels\":{{\"app\":\"shop\",\"tier\":\"front\"}},\"containerId\":\"{node:032x}{pod:032x}\",\
         \"image\":\"docker.io/library/shop:1.{pod}\",\"rule\":\"no-writes\",\"process\":{{\"pid\":{pid},\"executable\":\"{program}\",\
         \"arguments\":[\"{program}\",\"-c\",\"work {number}\"],\"parent\":\"/sbin/init\",\"parentPid\":1,\"uid\":0}},\"fileOperation\":\"Write\"}}",
        now = Timestamp::now(),
        id = Uuid::now_v7(),
        pid = 1000 + number % 30_000,
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_are_events() {
        let sent = event(7, 1234);
        let event: moat_event::Event = serde_json::from_slice(&sent).unwrap();
        assert_eq!(event.pod_name.as_deref(), Some("shop-7-14"));
        assert!((500..1000).contains(&sent.len()), "{}", sent.len());
    }
}
