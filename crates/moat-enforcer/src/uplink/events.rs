//! Sends what is in the spool, in order.

use std::collections::VecDeque;

use moat_wire::gateway::CONTENT;
use moat_wire::gateway::proto::{Events, to_console};
use tokio::sync::watch;

use super::Agent;
use super::session::{Sender, SessionError, send as send_message};
use super::shared::Shared;

/// Messages that may be on the way without being known to be stored.
const WINDOW: usize = 8;

/// Goes on until something fails. `stored` says up to which number the console has stored events.
pub async fn send(spool: &Shared, to: &Sender, stored: watch::Receiver<u64>, agent: &Agent) -> SessionError {
    let Err(error) = try_send(spool, to, stored, agent).await;
    error
}

async fn try_send(
    spool: &Shared,
    to: &Sender,
    mut stored: watch::Receiver<u64>,
    agent: &Agent,
) -> Result<std::convert::Infallible, SessionError> {
    let mut position = spool.start().await?;
    let mut appended = spool.appended();
    let mut on_the_way = VecDeque::with_capacity(WINDOW);
    loop {
        appended.mark_unchanged();
        let (next, read) = spool.read(position, CONTENT).await?;
        position = next;
        match read {
            Ok(Some(batch)) => {
                on_the_way.push_back(batch.sequence);
                let events = Events { sequence: batch.sequence, json: batch.events };
                send_message(to, to_console::Message::Events(events)).await?;
            }
            Ok(None) => appended.changed().await.map_err(|_| SessionError::Ending)?,
            Err(lost) => {
                if let Some(journal) = agent.journal.upgrade() {
                    journal.spool_lost(lost);
                }
            }
        }
        loop {
            let up_to = *stored.borrow_and_update();
            while on_the_way.front().is_some_and(|sequence| *sequence <= up_to) {
                on_the_way.pop_front();
            }
            if on_the_way.len() < WINDOW {
                break;
            }
            stored.changed().await.map_err(|_| SessionError::Ending)?;
        }
    }
}
