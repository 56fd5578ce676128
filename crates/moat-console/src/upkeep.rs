//! Lets old events go, and makes room for new ones: once at the start, then every hour, and when the settings change.

use std::time::Duration;

use moat_store::{Change, Store};
use tokio_util::sync::CancellationToken;

use crate::api::settings::{self, Retention};

const EVERY: Duration = Duration::from_hours(1);

/// Until `cancel`.
pub async fn run(store: &Store, cancel: &CancellationToken) {
    let mut watch = store.watch();
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = tick.tick() => {}
            changes = watch.changed() => match changes {
                Some(changes) if changes.contains(&Change::Settings) => {}
                Some(_) => continue,
                None => return,
            },
        }
        // Small steps: ended between two of them, nothing is half done.
        tokio::select! {
            () = cancel.cancelled() => return,
            () = once(store) => {}
        }
    }
}

async fn once(store: &Store) {
    let purged = match settings::read::<Retention>(store).await {
        Ok(kept) => store.maintain(&kept.value.into()).await,
        Err(error) => Err(error),
    };
    match purged {
        Ok(purged) if purged.events > 0 => tracing::info!(events = purged.events, "old events were let go"),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "old events could not be let go; tried again in an hour"),
    }
}
