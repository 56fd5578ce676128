//! Brings events to a receiver, and says what became of each.

mod file;
mod http;
mod protocol;
mod syslog;
pub(crate) mod tls;

use std::time::Duration;

use moat_event::Event;

use super::destination::{Destination, Secrets};
use super::egress::{Egress, EgressError};

/// A receiver, ready to be sent to.
#[derive(Debug)]
pub enum Sink {
    Http(Box<http::Http>),
    Syslog(syslog::Syslog),
    File(file::File),
}

/// What a receiver said to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It has them all; what it answered.
    Delivered(String),
    /// It says so for each event, in order.
    Each(Vec<Verdict>),
    /// It took none because of what one or all of them are: fewer may pass. Some receivers say which one it was.
    Refused { error: String, at: Option<usize> },
    /// It took some and does not say which, nor may it be asked again.
    Ambiguous(String),
    /// It took none because of itself, or cannot be reached: the same may pass later.
    Later { error: String, after: Option<Duration> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// Because of what it is.
    Refused(String),
    Later(String),
}

impl Reply {
    fn refused(error: impl Into<String>) -> Reply {
        Reply::Refused { error: error.into(), at: None }
    }

    fn later(error: impl Into<String>) -> Reply {
        Reply::Later { error: error.into(), after: None }
    }
}

/// A configuration that cannot be sent to.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDestination {
    #[error("{field}: {why}")]
    Field { field: &'static str, why: String },
    #[error("a notifier of kind {kind} needs the secret {name}")]
    SecretMissing { kind: &'static str, name: &'static str },
    #[error("a notifier of kind {kind} has no secret {name}")]
    SecretUnknown { kind: &'static str, name: &'static str },
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("file notifiers are off: start the console with a folder for them")]
    NoFiles,
}

impl InvalidDestination {
    fn field(field: &'static str, why: impl Into<String>) -> InvalidDestination {
        InvalidDestination::Field { field, why: why.into() }
    }
}

impl Sink {
    /// Checks a configuration and makes ready to send; nothing is sent yet. `deadline` is for each call of
    /// [`Sink::send`].
    pub fn new(
        destination: &Destination,
        secrets: &Secrets,
        egress: &Egress,
        deadline: Duration,
    ) -> Result<Sink, InvalidDestination> {
        let kind = destination.kind();
        if let Some(name) = secrets.names().into_iter().find(|name| !destination.secrets().contains(name)) {
            return Err(InvalidDestination::SecretUnknown { kind, name });
        }
        match destination {
            Destination::Syslog(config) => syslog::Syslog::new(config, egress, deadline).map(Sink::Syslog),
            Destination::File(config) => file::File::new(config, egress, deadline).map(Sink::File),
            Destination::Splunk(_)
            | Destination::Elasticsearch(_)
            | Destination::Webhook(_)
            | Destination::Slack(_)
            | Destination::Otlp(_) => {
                http::Http::new(destination, secrets, egress, deadline).map(|http| Sink::Http(Box::new(http)))
            }
        }
    }

    /// Returns within the deadline.
    pub async fn send(&self, events: &[Event]) -> Reply {
        match self {
            Sink::Http(http) => http.send(events).await,
            Sink::Syslog(syslog) => syslog.send(events).await,
            Sink::File(file) => file.send(events).await,
        }
    }

    /// Shortest time between two batches: chat channels take one message a second.
    pub fn interval(&self) -> Duration {
        match self {
            Sink::Http(http) => http.interval(),
            Sink::Syslog(_) | Sink::File(_) => Duration::ZERO,
        }
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    moat_event::printable(&text).into_owned()
}
