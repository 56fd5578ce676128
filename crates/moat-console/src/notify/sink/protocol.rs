//! What the receivers that speak HTTP want to be told, and what their answers mean.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use moat_event::{Event, printable};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use serde::Deserialize;

use super::{InvalidDestination, Reply, Verdict};
use crate::notify::destination::{Destination, Secrets};
use crate::notify::encode::{elasticsearch, otlp, slack, splunk, webhook};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Of a receiver's answer, this much is shown.
const MAX_SHOWN: usize = 300;

/// How one kind of receiver is spoken to.
#[derive(Debug)]
pub enum Protocol {
    Splunk { index: Option<String> },
    Elasticsearch { index: String },
    Webhook { key: hmac::Key },
    Slack,
    Otlp,
}

/// Where to post, and the headers that are the same each time.
#[derive(Debug)]
pub struct Endpoint {
    pub protocol: Protocol,
    pub url: String,
    /// Below the URL; added unless it is there.
    pub path: &'static str,
    pub headers: HeaderMap,
    pub authority: Option<String>,
    /// Whether secrets may go over `http`.
    pub plaintext: bool,
}

impl Endpoint {
    pub fn new(destination: &Destination, secrets: &Secrets) -> Result<Endpoint, InvalidDestination> {
        let missing = |name| InvalidDestination::SecretMissing { kind: destination.kind(), name };
        let mut headers = HeaderMap::new();
        if let Some(value) = &secrets.authorization {
            headers.insert(AUTHORIZATION, secret("authorization", value)?);
        }
        let (protocol, path, url, common) = match destination {
            Destination::Splunk(splunk) => {
                let token = secrets.token.as_ref().ok_or_else(|| missing("token"))?;
                headers.insert(AUTHORIZATION, secret("token", &format!("Splunk {token}"))?);
                let protocol = Protocol::Splunk { index: splunk.index.clone() };
                (protocol, "/services/collector/event", &splunk.url, (&splunk.authority, splunk.plaintext))
            }
            Destination::Elasticsearch(config) => {
                let value = match (&config.user, &secrets.password, &secrets.token) {
                    (None, None, None) => None,
                    (None, None, Some(token)) => Some(secret("token", &format!("ApiKey {token}"))?),
                    (Some(user), Some(password), None) => {
                        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
                        Some(secret("password", &format!("Basic {pair}"))?)
                    }
                    (Some(_), None, _) => return Err(missing("password")),
                    (None, Some(_), _) => {
                        return Err(InvalidDestination::field("user", "is missing for the password"));
                    }
                    (Some(_), Some(_), Some(_)) => {
                        return Err(InvalidDestination::field(
                            "user",
                            "is of no use beside the secret token",
                        ));
                    }
                };
                headers.extend(value.map(|value| (AUTHORIZATION, value)));
                let index = config.index.clone();
                if index.is_empty()
                    || index.len() > 255
                    || index.starts_with(['_', '-', '+', '.'])
                    || !is_index(&index)
                {
                    return Err(InvalidDestination::field(
                        "index",
                        "must be lower case, without `\\/*?\"<>|,#:` and spaces",
                    ));
                }
                (
                    Protocol::Elasticsearch { index },
                    "/_bulk",
                    &config.url,
                    (&config.authority, config.plaintext),
                )
            }
            Destination::Webhook(config) => {
                let text = secrets.signing_key.as_ref().ok_or_else(|| missing("signingKey"))?;
                let key = webhook::signing_key(text).ok_or_else(|| {
                    let why = "must be whsec_ and the base64 of 24 to 64 bytes: printf whsec_; openssl rand -base64 32";
                    InvalidDestination::field("signingKey", why)
                })?;
                (Protocol::Webhook { key }, "", &config.url, (&config.authority, config.plaintext))
            }
            Destination::Slack(config) => {
                let url = secrets.url.as_ref().ok_or_else(|| missing("url"))?;
                (Protocol::Slack, "", url, (&config.authority, config.plaintext))
            }
            Destination::Otlp(config) => {
                (Protocol::Otlp, "/v1/logs", &config.url, (&config.authority, config.plaintext))
            }
            Destination::Syslog(_) | Destination::File(_) => {
                return Err(InvalidDestination::field("destination", "does not speak HTTP"));
            }
        };
        let (authority, plaintext) = (common.0.clone(), common.1);
        Ok(Endpoint { protocol, url: url.clone(), path, headers, authority, plaintext })
    }

    /// Whether what it sends beside events must not be overheard.
    pub fn has_secrets(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION) || matches!(self.protocol, Protocol::Slack)
    }
}

/// Elasticsearch's rules for the names of indices.
fn is_index(name: &str) -> bool {
    !name
        .chars()
        .any(|c| c.is_uppercase() || c.is_whitespace() || c.is_control() || "\\/*?\"<>|,#:".contains(c))
}

/// A header's value that no log shows.
fn secret(field: &'static str, text: &str) -> Result<HeaderValue, InvalidDestination> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| InvalidDestination::field(field, "holds characters that no HTTP header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Protocol {
    /// The body and the headers that depend on it.
    pub fn request(&self, events: &[Event], at: Timestamp) -> serde_json::Result<(HeaderMap, Vec<u8>)> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, JSON);
        let body = match self {
            Protocol::Splunk { index } => splunk::encode(events, index.as_deref())?,
            Protocol::Elasticsearch { index } => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
                elasticsearch::encode(events, index)?
            }
            Protocol::Slack => slack::encode(events)?,
            Protocol::Otlp => otlp::encode(events, at)?,
            Protocol::Webhook { key } => {
                let body = webhook::encode(events, at)?;
                let id = webhook::id(events);
                let seconds = at.as_second();
                let signature = webhook::signature(key, &id, seconds, &body);
                for (name, value) in [
                    ("webhook-id", id),
                    ("webhook-timestamp", seconds.to_string()),
                    ("webhook-signature", signature),
                ] {
                    let value = HeaderValue::from_str(&value).map_err(serde::ser::Error::custom)?;
                    headers.insert(HeaderName::from_static(name), value);
                }
                body
            }
        };
        Ok((headers, body))
    }

    /// What an answer means for the events that were sent.
    pub fn reply(&self, status: StatusCode, body: &[u8], events: usize) -> Reply {
        match self {
            Protocol::Splunk { .. } => splunk_reply(status, body, events),
            Protocol::Elasticsearch { .. } => elasticsearch_reply(status, body, events),
            Protocol::Otlp => otlp_reply(status, body, events),
            Protocol::Webhook { .. } | Protocol::Slack => by_status(status, body),
        }
    }

    pub fn interval(&self) -> Duration {
        match self {
            Protocol::Slack => Duration::from_secs(1),
            _ => Duration::ZERO,
        }
    }
}

fn shown(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..body.len().min(MAX_SHOWN)).unwrap_or_default());
    let text = printable(text.trim());
    if text.is_empty() { status.to_string() } else { format!("{status}: {text}") }
}

fn by_status(status: StatusCode, body: &[u8]) -> Reply {
    let text = shown(status, body);
    match status {
        _ if status.is_success() => Reply::Delivered(text),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Reply::refused(text)
        }
        _ if status.is_redirection() => Reply::later(format!(
            "{text}: it wants to be found elsewhere; redirections are not followed, change the URL"
        )),
        _ => Reply::later(text),
    }
}

/// Splunk's documentation, "Troubleshoot HTTP Event Collector": codes and the number of the first event that it did not
/// take. Those after it were not looked at, those before it may come twice.
fn splunk_reply(status: StatusCode, body: &[u8], events: usize) -> Reply {
    #[derive(Deserialize)]
    struct Answer {
        code: u32,
        #[serde(rename = "invalid-event-number")]
        invalid: Option<usize>,
    }
    let answer = serde_json::from_slice::<Answer>(body).ok();
    match answer {
        Some(Answer { code: 0, .. }) | None => by_status(status, body),
        // No data, invalid format, event field missing or blank, error in an indexed field.
        Some(Answer { code: 5 | 6 | 12 | 13 | 15, invalid: Some(invalid) }) if invalid < events => {
            Reply::Refused { error: shown(status, body), at: Some(invalid) }
        }
        Some(_) if status == StatusCode::PAYLOAD_TOO_LARGE => Reply::refused(shown(status, body)),
        // The token, the index, its queue: not the events.
        Some(_) => Reply::later(shown(status, body)),
    }
}

fn elasticsearch_reply(status: StatusCode, body: &[u8], events: usize) -> Reply {
    #[derive(Deserialize)]
    struct Answer {
        items: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        create: Created,
    }
    #[derive(Deserialize)]
    struct Created {
        status: u16,
        #[serde(default)]
        error: serde_json::Value,
    }
    if !status.is_success() {
        return by_status(status, body);
    }
    let answer: Answer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(error) => {
            return Reply::later(format!(
                "this is no answer of a bulk interface ({error}): {}",
                shown(status, body)
            ));
        }
    };
    if answer.items.len() != events {
        return Reply::later(format!("it answers for {} of {events} documents", answer.items.len()));
    }
    let verdict = |Item { create }: Item| {
        let why = || {
            let reason = create.error.get("reason").and_then(serde_json::Value::as_str).unwrap_or_default();
            shown(StatusCode::from_u16(create.status).unwrap_or(StatusCode::BAD_REQUEST), reason.as_bytes())
        };
        match create.status {
            // It was there already: delivered before.
            200..=299 | 409 => Verdict::Delivered,
            // Its queue, the index, or the right to write to it: not the document.
            401 | 403 | 404 | 429 | 500..=599 => Verdict::Later(why()),
            _ => Verdict::Refused(why()),
        }
    };
    let verdicts: Vec<Verdict> = answer.items.into_iter().map(verdict).collect();
    if verdicts.iter().all(|verdict| *verdict == Verdict::Delivered) {
        return Reply::Delivered(format!("{status}: {events} documents indexed"));
    }
    Reply::Each(verdicts)
}

/// OTLP specification 1.x, "Partial Success": which it rejected it does not say, and the request must not be repeated.
fn otlp_reply(status: StatusCode, body: &[u8], events: usize) -> Reply {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        partial_success: Option<Partial>,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Partial {
        rejected_log_records: serde_json::Value,
        error_message: String,
    }
    let partial = serde_json::from_slice::<Answer>(body).ok().and_then(|answer| answer.partial_success);
    let rejected = partial.as_ref().map_or(0, |partial| match &partial.rejected_log_records {
        serde_json::Value::String(text) => text.parse().unwrap_or(0),
        number => number.as_u64().unwrap_or(0),
    });
    match partial {
        Some(partial) if status.is_success() && rejected > 0 => {
            let message = printable(&partial.error_message).into_owned();
            Reply::Ambiguous(format!("it rejected {rejected} of {events} log records: {message}"))
        }
        _ => by_status(status, body),
    }
}
