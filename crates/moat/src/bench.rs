//! `moat bench enforcers`: simulated enforcers that load a console over the real protocol.
//!
//! Each enrols, holds its own session, and sends events at its share of the rate, all of them waiting for the
//! console's word that they are stored. A policy set that arrives is acknowledged at once, and how late it came
//! is known from the time at which the console made its newest policy: clocks have to agree, so measure on one machine.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use moat_wire::token::EnrolmentToken;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::Outcome;
use crate::arguments::EnforcersOptions;
use crate::output;

mod enforcer;
mod stream;

use enforcer::{Happened, Load, enrol};
use stream::Stream;

/// Enrolments at once.
const ENROLLING: usize = 16;

/// What the console did with the load.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    enforcers: usize,
    seconds: f64,
    enrolled_per_second: f64,
    events_sent: u64,
    events_stored: u64,
    stored_per_second: f64,
    /// From sending a batch to knowing that it is stored.
    stored_after: Percentiles,
    policy_sets: Vec<Distribution>,
    sessions_lost: u64,
    dashboard: Option<Shown>,
}

/// What a dashboard has seen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    events: usize,
    /// From the making of an event to its coming, in milliseconds.
    after: Percentiles,
    /// How often it was too slow for some.
    gaps: u64,
}

/// In milliseconds.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Percentiles {
    median: f64,
    p95: f64,
    p99: f64,
    longest: f64,
}

/// How a policy set reached the enforcers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Distribution {
    set: i64,
    enforcers: usize,
    /// From the creation of its newest policy to the acknowledgement that the last enforcer sent, in milliseconds.
    acknowledged_after: Percentiles,
}

pub async fn enforcers(options: &EnforcersOptions, json: bool) -> anyhow::Result<Outcome> {
    let token = std::fs::read_to_string(&options.enrolment_token_file)
        .with_context(|| format!("cannot read {}", options.enrolment_token_file.display()))?;
    let token: Arc<EnrolmentToken> = Arc::new(token.parse()?);
    let stream = match (&options.dashboard, &options.api_token_file) {
        (Some(dashboard), Some(file)) => {
            let token = std::fs::read_to_string(file);
            let token = token.with_context(|| format!("cannot read {}", file.display()))?;
            Some(Stream::open(dashboard, &token).await?)
        }
        _ => None,
    };
    let began = Instant::now();
    let identities = enrol(&options.console, &token, options.count, ENROLLING).await?;
    let enrolling = began.elapsed();
    output::note(&format!(
        "{} enforcers have enrolled in {:.1} s",
        identities.len(),
        enrolling.as_secs_f64()
    ));

    let cancel = CancellationToken::new();
    let (happened, mut happenings) = mpsc::channel(4096);
    let watching = stream.map(|stream| tokio::spawn(stream.follow(happened.clone(), cancel.clone())));
    let load = Arc::new(Load {
        url: options.console.clone(),
        count: options.count,
        events_per_second: f64::from(options.events_per_second) / f64::from(options.count.max(1)),
        batch: usize::from(options.batch.max(1)),
        happened,
    });
    let mut running = JoinSet::new();
    for (number, identity) in identities.into_iter().enumerate() {
        running.spawn(enforcer::run(number, identity, Arc::clone(&load), cancel.clone()));
    }
    drop(load);
    let mut tally = Tally::default();
    // The rate is counted from when all are in session.
    while tally.in_session < running.len() {
        match happenings.recv().await {
            Some(happening) => tally.take(&happening),
            None => bail!("the enforcers' sessions ended before all had begun; the console's log says why"),
        }
    }
    tally.start();
    let began = Instant::now();
    let ends = began + Duration::from_secs(options.seconds);
    loop {
        tokio::select! {
            () = sleep_until(ends) => break,
            Some(happening) = happenings.recv() => tally.take(&happening),
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let dashboard = options.dashboard.is_some();
    let report = tally.into_report(seconds, options.count as usize, enrolling.as_secs_f64(), dashboard);
    cancel.cancel();
    while happenings.recv().await.is_some() {}
    while running.join_next().await.is_some() {}
    if let Some(watching) = watching {
        watching.await??;
    }
    if json {
        output::json(&report)?;
    } else {
        output::text(&report.text())?;
    }
    Ok(if report.sessions_lost == 0 { Outcome::Ok } else { Outcome::Finding })
}

#[derive(Debug, Default)]
struct Tally {
    in_session: usize,
    sent: u64,
    stored: u64,
    stored_after: Vec<f64>,
    sets: std::collections::BTreeMap<i64, Vec<f64>>,
    lost: u64,
    shown_after: Vec<f64>,
    gaps: u64,
}

impl Tally {
    fn start(&mut self) {
        let in_session = self.in_session;
        *self = Tally { in_session, ..Tally::default() };
    }

    fn take(&mut self, happened: &Happened) {
        match *happened {
            Happened::InSession => self.in_session += 1,
            Happened::Sent(events) => self.sent += events,
            Happened::Stored { events, after } => {
                self.stored += events;
                self.stored_after.push(milliseconds(after));
            }
            Happened::PolicySet { set, after } => self.sets.entry(set).or_default().push(milliseconds(after)),
            Happened::Lost => self.lost += 1,
            Happened::Shown { after } => self.shown_after.push(milliseconds(after)),
            Happened::Gap => self.gaps += 1,
        }
    }

    fn into_report(self, seconds: f64, enforcers: usize, enrolling: f64, dashboard: bool) -> Report {
        Report {
            enforcers,
            seconds,
            enrolled_per_second: enforcers as f64 / enrolling,
            events_sent: self.sent,
            events_stored: self.stored,
            stored_per_second: self.stored as f64 / seconds,
            stored_after: percentiles(self.stored_after),
            policy_sets: self
                .sets
                .into_iter()
                .map(|(set, after)| Distribution {
                    set,
                    enforcers: after.len(),
                    acknowledged_after: percentiles(after),
                })
                .collect(),
            sessions_lost: self.lost,
            dashboard: dashboard.then(|| Shown {
                events: self.shown_after.len(),
                after: percentiles(self.shown_after),
                gaps: self.gaps,
            }),
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!(
            "{} enforcers for {:.1} s, enrolled {:.0} a second, {} sessions lost\n\
             events  sent {}, stored {}: {:.0} a second\n\
             stored after  median {:.0} ms, p95 {:.0} ms, p99 {:.0} ms, longest {:.0} ms\n",
            self.enforcers,
            self.seconds,
            self.enrolled_per_second,
            self.sessions_lost,
            self.events_sent,
            self.events_stored,
            self.stored_per_second,
            self.stored_after.median,
            self.stored_after.p95,
            self.stored_after.p99,
            self.stored_after.longest,
        );
        if let Some(Shown { events, after, gaps }) = &self.dashboard {
            let _ = writeln!(
                text,
                "on the dashboard  {events} after: median {:.0} ms, p95 {:.0} ms, p99 {:.0} ms, longest {:.0} ms; too slow for some {gaps} times",
                after.median, after.p95, after.p99, after.longest,
            );
        }
        for Distribution { set, enforcers, acknowledged_after } in &self.policy_sets {
            let Percentiles { median, longest, .. } = acknowledged_after;
            let _ = writeln!(
                text,
                "policy set {set}  acknowledged by {enforcers}, median after {median:.0} ms, the last after {longest:.0} ms"
            );
        }
        text
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn percentiles(mut values: Vec<f64>) -> Percentiles {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = ((values.len() as f64 * share).ceil() as usize).saturating_sub(1);
        values.get(index).copied().unwrap_or_default()
    };
    Percentiles { median: at(0.5), p95: at(0.95), p99: at(0.99), longest: at(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let text = |values| format!("{:?}", percentiles(values));
        assert_eq!(
            text((1..=100).rev().map(f64::from).collect()),
            "Percentiles { median: 50.0, p95: 95.0, p99: 99.0, longest: 100.0 }"
        );
        assert_eq!(text(vec![7.0]), "Percentiles { median: 7.0, p95: 7.0, p99: 7.0, longest: 7.0 }");
        assert_eq!(text(Vec::new()), "Percentiles { median: 0.0, p95: 0.0, p99: 0.0, longest: 0.0 }");
    }
}
