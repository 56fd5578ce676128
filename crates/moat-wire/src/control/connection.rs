//! One client of the agent, from its first request to its end.
//!
//! Two loops: one reads requests and runs the handler, the other writes what the handler queued. Either one's
//! end ends both.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::frame::Lines;
use super::responder::{self, Responder};
use super::{MAX_REQUEST, Request, Response};

/// How long a client may take for its next request.
const IDLE: Duration = Duration::from_secs(30);
/// How long a handler may take, subscriptions excepted.
pub(super) const HANDLER: Duration = Duration::from_secs(25);
/// How long a client may take to read a line before it is dropped.
const WRITE: Duration = Duration::from_secs(10);
/// The same, when the agent is ending.
const LAST_WRITE: Duration = Duration::from_secs(1);
/// A client that never catches up hears of its losses this often.
const LOSS_REPORT: Duration = Duration::from_secs(1);

pub(super) async fn serve<H, F>(stream: UnixStream, handler: H, cancel: CancellationToken)
where
    H: Fn(Request, Responder) -> F,
    F: Future<Output = ()>,
{
    let (reader, writer) = stream.into_split();
    let (queue, lines) = mpsc::channel(responder::QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let read = async {
        answer(reader, handler, queue, Arc::clone(&lost), &cancel).await;
    };
    let write = async {
        if let Err(error) = write(writer, lines, &lost, &cancel).await {
            tracing::debug!(%error, "a control client is dropped");
        }
        cancel.cancel();
    };
    tokio::join!(read, write);
}

/// Reads requests one after the other; the queue ends with this.
async fn answer<H, F>(
    reader: OwnedReadHalf,
    handler: H,
    queue: mpsc::Sender<Vec<u8>>,
    lost: Arc<AtomicU64>,
    cancel: &CancellationToken,
) where
    H: Fn(Request, Responder) -> F,
    F: Future<Output = ()>,
{
    let mut requests = Lines::new(BufReader::new(reader), MAX_REQUEST);
    loop {
        let line = tokio::select! {
            () = cancel.cancelled() => return,
            line = timeout(IDLE, requests.next()) => line,
        };
        let responder = Responder::new(queue.clone(), Arc::clone(&lost));
        let request = match line {
            Ok(Ok(Some(line))) => serde_json::from_slice(&line).map_err(|error| {
                format!("the request is not understood ({error}): use a `moat` and a `moat-enforcer` of the same version")
            }),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Err(error.to_string()),
            Ok(Ok(None) | Err(_)) | Err(_) => return,
        };
        let request = match request {
            Ok(request) => request,
            Err(message) => {
                let _ = responder.send(Response::Error { message }).await;
                return;
            }
        };
        let subscription = matches!(&request, Request::Events(query) if query.follow);
        let stream = matches!(&request, Request::Events(_));
        let handled = handler(request, responder.clone());
        let in_time = tokio::select! {
            () = handled => true,
            () = cancel.cancelled() => true,
            // A subscription ends when its client sends anything, or closes.
            () = requests.readable(), if subscription => true,
            () = tokio::time::sleep(HANDLER), if !subscription => false,
        };
        // After the end nobody reads on.
        if stream
            && let events @ 1.. = lost.swap(0, Ordering::Relaxed)
            && responder.send(responder::loss(events)).await.is_err()
        {
            return;
        }
        let last = if !in_time {
            let message = format!(
                "this took longer than {} s: try again, or look at the agent's log",
                HANDLER.as_secs()
            );
            Response::Error { message }
        } else if stream {
            Response::Done
        } else if !responder.answered() {
            let message = String::from(if cancel.is_cancelled() {
                "the agent is ending"
            } else {
                "the agent has no answer to this"
            });
            Response::Error { message }
        } else {
            continue;
        };
        // Room in the queue comes within the writer's deadlines, or the queue closes.
        if responder.send(last).await.is_err() {
            return;
        }
    }
}

/// Writes until the queue ends.
async fn write(
    mut writer: OwnedWriteHalf,
    mut lines: mpsc::Receiver<Vec<u8>>,
    lost: &AtomicU64,
    cancel: &CancellationToken,
) -> io::Result<()> {
    let mut reported = Instant::now();
    while let Some(line) = lines.recv().await {
        write_line(&mut writer, &line, cancel).await?;
        // Told as soon as the client has caught up, or now and then if it never does.
        if (lines.is_empty() || reported.elapsed() >= LOSS_REPORT)
            && let events @ 1.. = lost.swap(0, Ordering::Relaxed)
        {
            reported = Instant::now();
            write_line(&mut writer, &responder::encode(&responder::loss(events)), cancel).await?;
        }
    }
    Ok(())
}

async fn write_line(writer: &mut OwnedWriteHalf, line: &[u8], cancel: &CancellationToken) -> io::Result<()> {
    let ending = async {
        cancel.cancelled().await;
        tokio::time::sleep(LAST_WRITE).await;
    };
    tokio::select! {
        written = timeout(WRITE, writer.write_all(line)) => {
            written.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
        }
        () = ending => Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read and the agent ends")),
    }
}
