//! The asking half: used by the command line.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moat_event::Event;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::frame::Lines;
use super::{
    ContainerStatus, EventQuery, Explain, Explanation, MAX_LINE, MAX_REQUEST, NewContainer, PolicyStatus,
    Request, Response, Status,
};

/// How long the agent has to take a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// How long the agent has to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Why the agent did not answer. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no agent answers on {}: start one with `moat up`, or name its socket with `--control`", .0.display())]
    NoAgent(PathBuf),
    #[error("{} may only be opened by root or the user who started the agent: try again with `sudo`", .0.display())]
    Denied(PathBuf),
    #[error("the agent on {} did not answer within {} s: look at its log, or restart it", .path.display(), .waited.as_secs())]
    Late { path: PathBuf, waited: Duration },
    #[error("the agent on {} closed the connection before it had answered: look at its log", .0.display())]
    Closed(PathBuf),
    #[error("the connection to the agent on {} broke: {source}", .path.display())]
    Broken { path: PathBuf, source: io::Error },
    #[error(
        "the agent's answer is not understood ({0}): use a `moat` and a `moat-enforcer` of the same version"
    )]
    NotUnderstood(String),
    #[error("the question is {length} bytes long, the agent takes at most {MAX_REQUEST}")]
    TooLong { length: usize },
    /// The agent understood and said no.
    #[error("{0}")]
    Refused(String),
}

/// One connection to the agent; asks one question at a time.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Client {
    pub async fn connect(path: &Path) -> Result<Client, ClientError> {
        let stream = match timeout(CONNECT, UnixStream::connect(path)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(not_connected(path, error)),
            Err(_) => return Err(ClientError::Late { path: path.to_owned(), waited: CONNECT }),
        };
        let (reader, writer) = stream.into_split();
        Ok(Client { path: path.to_owned(), lines: Lines::new(BufReader::new(reader), MAX_LINE), writer })
    }

    pub async fn status(&mut self) -> Result<Status, ClientError> {
        match self.ask(&Request::Status).await? {
            Response::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn containers(&mut self) -> Result<Vec<ContainerStatus>, ClientError> {
        match self.ask(&Request::Containers).await? {
            Response::Containers(containers) => Ok(containers),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn policies(&mut self) -> Result<Vec<PolicyStatus>, ClientError> {
        match self.ask(&Request::Policies).await? {
            Response::Policies(policies) => Ok(policies),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn explain(&mut self, question: Explain) -> Result<Explanation, ClientError> {
        match self.ask(&Request::Explain(question)).await? {
            Response::Explanation(explanation) => Ok(explanation),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn filter(&mut self, container: NewContainer) -> Result<Vec<String>, ClientError> {
        match self.ask(&Request::Filter(container)).await? {
            Response::Filter(calls) => Ok(calls),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks the agent to end, and waits until it has closed its socket.
    pub async fn shutdown(mut self) -> Result<(), ClientError> {
        match self.ask(&Request::Shutdown).await? {
            Response::Done => {}
            other => return Err(unexpected(&other)),
        }
        match timeout(ANSWER, self.lines.next()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ClientError::Late { path: self.path, waited: ANSWER }),
        }
    }

    /// The kept events and, with `follow`, live ones.
    pub async fn events(mut self, query: EventQuery) -> Result<EventStream, ClientError> {
        let follow = query.follow;
        self.send(&Request::Events(query)).await?;
        Ok(EventStream { client: self, follow })
    }

    async fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        self.send(request).await?;
        self.answer().await
    }

    async fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let mut line =
            serde_json::to_vec(request).map_err(|error| ClientError::NotUnderstood(error.to_string()))?;
        if line.len() > MAX_REQUEST {
            return Err(ClientError::TooLong { length: line.len() });
        }
        line.push(b'\n');
        match timeout(ANSWER, self.writer.write_all(&line)).await {
            // The agent may have said why before it closed: the answer is read in either case.
            Ok(Ok(()) | Err(_)) => Ok(()),
            Err(_) => Err(self.late()),
        }
    }

    async fn answer(&mut self) -> Result<Response, ClientError> {
        match timeout(ANSWER, self.receive()).await {
            Ok(response) => response,
            Err(_) => Err(self.late()),
        }
    }

    async fn receive(&mut self) -> Result<Response, ClientError> {
        let line = match self.lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => return Err(ClientError::Closed(self.path.clone())),
            Err(source) => return Err(ClientError::Broken { path: self.path.clone(), source }),
        };
        match serde_json::from_slice(&line).map_err(|error| ClientError::NotUnderstood(error.to_string()))? {
            Response::Error { message } => Err(ClientError::Refused(message)),
            response => Ok(response),
        }
    }

    fn late(&self) -> ClientError {
        ClientError::Late { path: self.path.clone(), waited: ANSWER }
    }
}

/// Events from the agent, oldest first.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    follow: bool,
}

impl EventStream {
    /// The next event; `None` when the agent has no more, or ends. With `follow` this waits as long as it
    /// takes. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        let response = if self.follow { self.client.receive().await? } else { self.client.answer().await? };
        match response {
            Response::Event(event) => Ok(Some(*event)),
            Response::Done => Ok(None),
            other => Err(unexpected(&other)),
        }
    }
}

fn not_connected(path: &Path, error: io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NoAgent(path.to_owned()),
        io::ErrorKind::PermissionDenied => ClientError::Denied(path.to_owned()),
        _ => ClientError::Broken { path: path.to_owned(), source: error },
    }
}

fn unexpected(response: &Response) -> ClientError {
    let kind = match response {
        Response::Status(_) => "a status",
        Response::Containers(_) => "containers",
        Response::Policies(_) => "policies",
        Response::Explanation(_) => "an explanation",
        Response::Filter(_) => "a filter",
        Response::Event(_) => "an event",
        Response::Done => "the end",
        Response::Error { .. } => "an error",
    };
    ClientError::NotUnderstood(format!("{kind} to another question"))
}
