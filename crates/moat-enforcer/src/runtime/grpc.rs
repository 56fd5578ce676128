//! gRPC over a runtime's Unix socket: one connection that makes itself anew, and a deadline on every call.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use super::{Kind, RuntimeError};

/// For calls about one thing.
pub const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// For calls about everything: containerd asks the shim of every container.
pub const LIST_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Connection {
    pub kind: Kind,
    socket: PathBuf,
    channel: Channel,
}

impl Connection {
    /// Connects at the first call, and again at the first call after the connection broke.
    pub fn new(kind: Kind, socket: &Path) -> Self {
        let path = socket.to_owned();
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // No address is resolved; a request over a Unix socket still has to name one.
        let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector);
        Self { kind, socket: socket.to_owned(), channel }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Awaits an answer.
    pub async fn call<T>(
        &self,
        call: &'static str,
        deadline: Duration,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, RuntimeError> {
        match timeout(deadline, answer).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.error(call, &status)),
            Err(_) => Err(RuntimeError::Deadline { kind: self.kind, call, deadline }),
        }
    }

    /// Awaits an answer about something that may be gone, which is `None`.
    pub async fn find<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Option<T>, RuntimeError> {
        match timeout(CALL_DEADLINE, answer).await {
            Ok(Ok(answer)) => Ok(Some(answer.into_inner())),
            Ok(Err(status)) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => Ok(None),
            Ok(Err(status)) => Err(self.error(call, &status)),
            Err(_) => Err(RuntimeError::Deadline { kind: self.kind, call, deadline: CALL_DEADLINE }),
        }
    }

    pub fn error(&self, call: &'static str, status: &Status) -> RuntimeError {
        if status.code() == Code::Unavailable {
            let reason = root_cause(status).unwrap_or_else(|| status.message().to_owned());
            return RuntimeError::Connect { kind: self.kind, socket: self.socket.clone(), reason };
        }
        RuntimeError::Refused { kind: self.kind, call, reason: status.message().to_owned() }
    }
}

/// tonic says "transport error"; why stands at the end of the chain.
fn root_cause(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}
