//! HTTP over Docker's Unix socket, with a deadline and a size limit on every answer.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::runtime::{Kind, RuntimeError};

const KIND: Kind = Kind::Docker;
const DEADLINE: Duration = Duration::from_secs(5);
/// Of an answer that is read as a whole, and of one event.
const SIZE_LIMIT: usize = 64 << 20;

#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
}

/// How Docker tells an error.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Client {
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Reads an object; `None` if there is none of that name. The path carries no version: the daemon then
    /// speaks its newest, and what is read here has not changed since 1.24.
    pub async fn get<T: DeserializeOwned>(
        &self,
        call: &'static str,
        path: &str,
    ) -> Result<Option<T>, RuntimeError> {
        let body = within_deadline(call, async {
            let response = self.send(call, Method::GET, path).await?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let status = response.status();
            let body = read(call, response).await?;
            if status.is_success() { Ok(Some(body)) } else { Err(refused(call, status, &body)) }
        });
        let parse = |body: Bytes| serde_json::from_slice(&body).map_err(|error| malformed(call, &error));
        body.await?.map(parse).transpose()
    }

    /// Asks for an act. What is gone, or was done already, is no error.
    pub async fn post(&self, call: &'static str, path: &str) -> Result<(), RuntimeError> {
        within_deadline(call, async {
            let response = self.send(call, Method::POST, path).await?;
            let status = response.status();
            let done = [StatusCode::NOT_FOUND, StatusCode::CONFLICT, StatusCode::NOT_MODIFIED];
            if status.is_success() || done.contains(&status) {
                return Ok(());
            }
            Err(refused(call, status, &read(call, response).await?))
        })
        .await
    }

    /// Opens an endless answer of one JSON object a line.
    pub async fn lines(&self, call: &'static str, path: &str) -> Result<Lines, RuntimeError> {
        let response = within_deadline(call, self.send(call, Method::GET, path)).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Lines { call, body: response.into_body(), buffer: Vec::new() });
        }
        Err(refused(call, status, &within_deadline(call, read(call, response)).await?))
    }

    async fn send(
        &self,
        call: &'static str,
        method: Method,
        path: &str,
    ) -> Result<Response<Incoming>, RuntimeError> {
        let unreachable = |error: &dyn Error| RuntimeError::Connect {
            kind: KIND,
            socket: self.socket.clone(),
            reason: error.to_string(),
        };
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| unreachable(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        // Ends with the answer's body, or when both ends of the exchange are dropped.
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header(hyper::header::HOST, "docker");
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| malformed(call, &error))?;
        sender.send_request(request).await.map_err(|error| unreachable(&error))
    }
}

/// An endless answer, line by line.
#[derive(Debug)]
pub struct Lines {
    call: &'static str,
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    /// The next object; an error when the daemon closes the connection. Loses nothing if it is dropped before
    /// it is done.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<T, RuntimeError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(|error| malformed(self.call, &error));
            }
            let closed = || RuntimeError::Refused {
                kind: KIND,
                call: self.call,
                reason: "the connection was closed".to_owned(),
            };
            let frame =
                self.body.frame().await.ok_or_else(closed)?.map_err(|error| malformed(self.call, &error))?;
            if let Some(data) = frame.data_ref() {
                self.buffer.extend_from_slice(data);
            }
            if self.buffer.len() > SIZE_LIMIT {
                return Err(malformed(self.call, &"a line without end"));
            }
        }
    }
}

async fn read(call: &'static str, response: Response<Incoming>) -> Result<Bytes, RuntimeError> {
    let body = Limited::new(response.into_body(), SIZE_LIMIT).collect().await;
    Ok(body.map_err(|error| malformed(call, &error))?.to_bytes())
}

async fn within_deadline<T>(
    call: &'static str,
    answer: impl Future<Output = Result<T, RuntimeError>>,
) -> Result<T, RuntimeError> {
    let deadline = DEADLINE;
    timeout(deadline, answer).await.map_err(|_| RuntimeError::Deadline { kind: KIND, call, deadline })?
}

fn refused(call: &'static str, status: StatusCode, body: &[u8]) -> RuntimeError {
    let reason =
        serde_json::from_slice::<Refusal>(body).map_or(status.to_string(), |refusal| refusal.message);
    RuntimeError::Refused { kind: KIND, call, reason }
}

fn malformed(call: &'static str, error: &dyn std::fmt::Display) -> RuntimeError {
    RuntimeError::Malformed { kind: KIND, call, reason: error.to_string() }
}
