//! What a dashboard sees: the console's live stream of events.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use reqwest::{Client, Response};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::enforcer::Happened;

/// Longest line that is read; events are shorter.
const MAX_LINE: usize = 4 << 20;

#[derive(Deserialize)]
struct Record {
    event: Made,
}

#[derive(Deserialize)]
struct Made {
    timestamp: Timestamp,
}

/// An open stream.
#[derive(Debug)]
pub struct Stream(Response);

impl Stream {
    /// Opens it with a token of the API.
    pub async fn open(dashboard: &str, token: &str) -> anyhow::Result<Stream> {
        let url = format!("{}/api/v1/events/stream", dashboard.trim_end_matches('/'));
        // Fails where there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().connect_timeout(Duration::from_secs(10)).build()?;
        let response = client.get(&url).bearer_auth(token.trim()).send().await;
        let response = response.with_context(|| format!("cannot open {url}"))?;
        let status = response.status();
        ensure!(status.is_success(), "{url} answers {status}: is the token one of the API, and still valid?");
        Ok(Stream(response))
    }

    /// Tells how late each event comes, until `cancel`.
    pub async fn follow(
        mut self,
        happened: mpsc::Sender<Happened>,
        cancel: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut text = Vec::new();
        while let Some(chunk) = cancel.run_until_cancelled(self.0.chunk()).await {
            let Some(chunk) = chunk? else { bail!("the console ended the stream of events") };
            let now = Timestamp::now();
            text.extend_from_slice(&chunk);
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            ensure!(text.len() - whole <= MAX_LINE, "the stream of events has a line without an end");
            for line in text.drain(..whole).as_slice().split(|byte| *byte == b'\n') {
                if line == b"event: gap" {
                    happened.send(Happened::Gap).await?;
                }
                let Some(Ok(record)) = line.strip_prefix(b"data: ").map(serde_json::from_slice::<Record>)
                else {
                    continue;
                };
                let after =
                    Duration::try_from(now.duration_since(record.event.timestamp)).unwrap_or_default();
                happened.send(Happened::Shown { after }).await?;
            }
        }
        Ok(())
    }
}
