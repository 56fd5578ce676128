//! What is told about a notifier that is at work.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NotifierCondition")]
pub enum Condition {
    /// No replica has worked for it yet.
    #[default]
    Idle,
    /// All that came so far was delivered or put aside.
    Working,
    /// The receiver does not take what it is sent; it is tried again.
    Failing,
    /// It cannot even be tried.
    Misconfigured,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "NotifierStatus")]
pub struct Status {
    pub condition: Condition,
    /// Events that arrived, since the notifier was made.
    pub delivered: u64,
    /// Events that became dead letters, since then.
    pub given_up: u64,
    /// Events that were deleted by retention before it was their turn; at most this many.
    pub missed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivered_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<Timestamp>,
}

/// Shared by the work and by what reports it.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<Status>>);

impl Shared {
    pub fn new(kept: &serde_json::Value) -> Shared {
        // A status of another version only loses its counts.
        Shared(Arc::new(Mutex::new(Status::deserialize(kept).unwrap_or_default())))
    }

    pub fn change(&self, change: impl FnOnce(&mut Status)) {
        // Plain data: whole whoever panicked.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn failed(&self, condition: Condition, error: &str) {
        self.change(|status| {
            status.condition = condition;
            status.last_error = Some(error.to_owned());
            status.last_error_at = Some(Timestamp::now());
        });
    }

    pub fn arrived(&self, delivered: u64, given_up: u64) {
        self.change(|status| {
            status.condition = Condition::Working;
            status.delivered += delivered;
            status.given_up += given_up;
            if delivered > 0 {
                status.last_delivered_at = Some(Timestamp::now());
            }
        });
    }

    pub fn json(&self) -> serde_json::Value {
        let status = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        serde_json::to_value(status).unwrap_or_default()
    }
}
