//! One batch, until each of its events has arrived or was given up.

use std::time::Duration;

use moat_event::Event;

use super::back_off::BackOff;
use super::sink::{Reply, Sink, Verdict};

/// How long things may take, and how often they are tried.
#[derive(Debug, Clone)]
pub struct Pace {
    /// For one call of a receiver.
    pub deadline: Duration,
    /// After the first failure; each further one doubles it.
    pub first_wait: Duration,
    pub longest_wait: Duration,
    /// After which an event becomes a dead letter.
    pub attempts: u32,
    /// How long a replica that is silent keeps a notifier from the others.
    pub term: Duration,
}

impl Default for Pace {
    /// Ten attempts are about twenty minutes.
    fn default() -> Pace {
        Pace {
            deadline: Duration::from_secs(30),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(5),
            attempts: 10,
            term: Duration::from_secs(15),
        }
    }
}

impl Pace {
    pub fn back_off(&self) -> BackOff {
        BackOff::new(self.first_wait, self.longest_wait)
    }
}

/// An event that did not arrive.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenUp {
    pub event: Event,
    pub attempts: u32,
    pub error: String,
}

/// Sends until nothing is left to send. `failed` hears of each attempt that left something, with the receiver's words.
///
/// What a receiver refuses is given up at once where it takes other events of the batch; where it takes none, the
/// receiver may be at fault, and the batch is tried again like any other.
pub async fn deliver(
    sink: &Sink,
    events: Vec<Event>,
    pace: &Pace,
    failed: impl Fn(&str) + Send,
) -> Vec<GivenUp> {
    let mut back_off = pace.back_off();
    let mut given_up = Vec::new();
    let mut left = events;
    for attempts in 1.. {
        let round = round(sink, left).await;
        let give_up = |(event, error)| GivenUp { event, attempts, error };
        given_up.extend(round.lost.into_iter().map(give_up));
        let mut again = round.later;
        if round.delivered > 0 {
            given_up.extend(round.refused.into_iter().map(give_up));
        } else {
            again.extend(round.refused);
        }
        let Some((_, error)) = again.last() else { break };
        failed(error);
        if attempts >= pace.attempts {
            given_up.extend(again.into_iter().map(give_up));
            break;
        }
        left = again.into_iter().map(|(event, _)| event).collect();
        tokio::time::sleep(back_off.failed(round.after)).await;
    }
    given_up
}

/// What one attempt left of a batch.
#[derive(Default)]
struct Round {
    delivered: usize,
    refused: Vec<(Event, String)>,
    lost: Vec<(Event, String)>,
    later: Vec<(Event, String)>,
    after: Option<Duration>,
}

/// Sends everything once. A batch that is refused is halved, until what is refused stands alone.
async fn round(sink: &Sink, events: Vec<Event>) -> Round {
    let mut round = Round::default();
    let mut parts = vec![events];
    let with =
        |events: Vec<Event>, error: String| events.into_iter().map(move |event| (event, error.clone()));
    while let Some(mut part) = parts.pop() {
        match sink.send(&part).await {
            Reply::Delivered(_) => round.delivered += part.len(),
            Reply::Each(verdicts) => {
                for (event, verdict) in part.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::Delivered => round.delivered += 1,
                        Verdict::Refused(error) => round.refused.push((event, error)),
                        Verdict::Later(error) => round.later.push((event, error)),
                    }
                }
            }
            Reply::Refused { error, at: Some(at) } if at < part.len() => {
                round.refused.push((part.remove(at), error));
                if !part.is_empty() {
                    parts.push(part);
                }
            }
            Reply::Refused { .. } if part.len() > 1 => {
                parts.push(part.split_off(part.len() / 2));
                parts.push(part);
            }
            Reply::Refused { error, .. } => round.refused.extend(with(part, error)),
            Reply::Ambiguous(error) => round.lost.extend(with(part, error)),
            Reply::Later { error, after } => {
                round.later.extend(with(part, error.clone()));
                for part in parts.drain(..).rev() {
                    round.later.extend(with(part, error.clone()));
                }
                round.after = after;
            }
        }
        if !sink.interval().is_zero() {
            tokio::time::sleep(sink.interval()).await;
        }
    }
    round
}

#[cfg(test)]
mod tests;
