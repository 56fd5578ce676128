//! Sends what containers did, summed up. One message at a time: what the console did not store is added to the next.

use std::convert::Infallible;
use std::time::Duration;

use moat_wire::gateway::CONTENT;
use moat_wire::gateway::proto::{Activities, to_console};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::Agent;
use super::session::{Sender, SessionError, send as send_message};

/// How long it is summed up.
const SUMMED: Duration = Duration::from_secs(5);

/// The last message that the console took, and whether it stored it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    pub sequence: u64,
    pub stored: bool,
}

/// Goes on until something fails.
pub async fn send(to: &Sender, taken: watch::Receiver<Taken>, agent: &Agent) -> SessionError {
    let Err(error) = try_send(to, taken, agent).await;
    error
}

async fn try_send(
    to: &Sender,
    mut taken: watch::Receiver<Taken>,
    agent: &Agent,
) -> Result<Infallible, SessionError> {
    let Some(observed) = &agent.observed else { return std::future::pending().await };
    // Of a session that has broken: the console may have stored it, and it is counted twice then.
    observed.settle(false);
    let mut tick = interval(SUMMED);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sequence = 0;
    loop {
        tick.tick().await;
        loop {
            let json = observed.next_message(CONTENT);
            if json.is_empty() {
                break;
            }
            sequence += 1;
            send_message(to, to_console::Message::Activities(Activities { sequence, json })).await?;
            let answer = taken.wait_for(|taken| taken.sequence >= sequence).await;
            let stored = answer.map_err(|_| SessionError::Ending)?.stored;
            observed.settle(stored);
            if !stored {
                break;
            }
        }
    }
}
