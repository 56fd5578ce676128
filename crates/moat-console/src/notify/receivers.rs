//! Receivers for tests: real servers on loopback, faithful to what they stand for or as faulty as they are told to be.

pub mod bulk;
pub mod http;
pub mod rsyslog;

use std::time::Duration;

use moat_event::Event;

use super::deliver::{GivenUp, Pace, deliver};
use super::destination::{Destination, Secrets};
use super::egress::Egress;
use super::sink::Sink;

/// Loopback is where the tests' receivers are.
pub fn egress() -> Egress {
    let allow = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
    Egress { allow: allow.into(), files: None }
}

/// Fast enough for tests; the deadline is longer than any receiver that answers needs.
pub fn pace() -> Pace {
    Pace {
        deadline: Duration::from_secs(20),
        first_wait: Duration::from_millis(2),
        longest_wait: Duration::from_millis(20),
        attempts: 4,
        // A busy machine may be silent for seconds.
        term: Duration::from_secs(6),
    }
}

pub fn sink(destination: &Destination, secrets: &Secrets, pace: &Pace) -> Sink {
    Sink::new(destination, secrets, &egress(), pace.deadline).expect("a valid destination")
}

/// Delivers, and returns what was given up and the errors on the way.
pub async fn delivered(sink: &Sink, events: Vec<Event>, pace: &Pace) -> (Vec<GivenUp>, Vec<String>) {
    let errors = std::sync::Mutex::new(Vec::new());
    let given_up =
        deliver(sink, events, pace, |error| errors.lock().expect("not poisoned").push(error.to_owned()))
            .await;
    (given_up, errors.into_inner().expect("not poisoned"))
}

/// Distinct events.
pub fn events(count: usize) -> Vec<Event> {
    (0..count)
        .map(|number| Event {
            id: uuid::Uuid::now_v7().to_string(),
            message: format!("event {number}"),
            ..super::encode::samples::read()
        })
        .collect()
}
