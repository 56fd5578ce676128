//! Keeps following a runtime across its restarts; each source says only how one connection is followed.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Change, Container, RuntimeError};

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// How one connection to a runtime is followed until it breaks.
pub trait Follow: Sync {
    /// Gives the feed a [`Feed::resync`] and then every change.
    fn follow(&self, feed: &mut Feed) -> impl Future<Output = Result<Infallible, RuntimeError>> + Send;
}

/// Where changes go. Waits while the receiver's queue is full; the runtime then keeps them.
#[derive(Debug)]
pub struct Feed {
    changes: mpsc::Sender<Change>,
    connected: bool,
    delay: Duration,
}

impl Feed {
    /// Says that the connection stands and which containers there are.
    pub async fn resync(&mut self, containers: Vec<Container>) {
        self.connected = true;
        self.delay = FIRST_DELAY;
        self.send(Change::Resync(containers)).await;
    }

    /// Sends a change. A receiver that is gone ends the whole of [`keep_following`], so that needs no answer.
    pub async fn send(&mut self, change: Change) {
        let _ = self.changes.send(change).await;
    }
}

/// Follows `source`, connection after connection, until the receiver is dropped. An outage is told once.
pub async fn keep_following(source: &impl Follow, changes: mpsc::Sender<Change>) {
    // True at first, so that a runtime that is not there at all is told, too.
    let mut feed = Feed { changes: changes.clone(), connected: true, delay: FIRST_DELAY };
    let follow = async {
        loop {
            let Err(error) = source.follow(&mut feed).await;
            tracing::debug!(%error, "container runtime lost");
            if std::mem::take(&mut feed.connected) {
                feed.send(Change::Unreachable { reason: error.to_string() }).await;
            }
            sleep(feed.delay).await;
            feed.delay = (feed.delay * 2).min(LONGEST_DELAY);
        }
    };
    tokio::select! {
        () = changes.closed() => {}
        () = follow => {}
    }
}
