//! Client and listener over real sockets.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use moat_event::{Event, LossStage};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;

/// Far beyond what any step takes, so that a hang fails and a slow machine does not.
const PATIENCE: Duration = Duration::from_secs(20);

struct Agent {
    directory: TempDir,
    path: PathBuf,
    cancel: CancellationToken,
    served: JoinHandle<()>,
}

impl Agent {
    fn start<H, F>(handler: H) -> Agent
    where
        H: Fn(Request, Responder) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/control.sock");
        let listener = Listener::bind(&path).unwrap();
        let cancel = CancellationToken::new();
        let served = tokio::spawn(listener.serve(handler, cancel.clone()));
        Agent { directory, path, cancel, served }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.path).await.unwrap()
    }

    async fn stop(self) {
        self.cancel.cancel();
        timeout(PATIENCE, self.served).await.expect("every client ends").unwrap();
        assert!(!self.path.exists(), "the socket is removed");
        drop(self.directory);
    }
}

fn event(number: u64) -> Event {
    serde_json::from_value(serde_json::json!({
        "timestamp": "2026-11-21T10:30:00Z", "eventType": "ProcessExec", "action": "Blocked",
        "severity": "High", "message": format!("event {number}"), "id": number.to_string(),
    }))
    .unwrap()
}

async fn echo(request: Request, responder: Responder) {
    match request {
        Request::Containers => {
            let _ = responder.send(Response::Containers(Vec::new())).await;
        }
        Request::Policies => {
            let _ = responder.send(Response::Error { message: String::from("not now") }).await;
        }
        Request::Events(query) => {
            for number in 0..query.last.unwrap_or(3) {
                let _ = responder.send(Response::Event(Box::new(event(number as u64)))).await;
            }
            if query.follow {
                std::future::pending::<()>().await;
            }
        }
        Request::Shutdown => {
            let _ = responder.send(Response::Done).await;
        }
        Request::Filter(container) => {
            let _ = responder.send(Response::Filter(vec![container.namespace, container.id])).await;
        }
        Request::Status | Request::Explain(_) => {}
    }
}

#[tokio::test]
async fn questions_are_answered_one_after_the_other() {
    let agent = Agent::start(echo);
    let mut client = agent.client().await;
    assert_eq!(client.containers().await.unwrap(), []);
    assert_eq!(client.policies().await.unwrap_err().to_string(), "not now");
    assert_eq!(client.status().await.unwrap_err().to_string(), "the agent has no answer to this");
    let container = NewContainer { namespace: String::from("k8s.io"), id: String::from("a") };
    assert_eq!(client.filter(container).await.unwrap(), ["k8s.io", "a"]);
    assert_eq!(client.containers().await.unwrap(), []);
    agent.stop().await;
}

#[tokio::test]
async fn the_socket_and_its_directory_are_private() {
    let agent = Agent::start(echo);
    assert_eq!(fs::metadata(&agent.path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(agent.path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    let names: Vec<_> = fs::read_dir(agent.path.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    agent.stop().await;
}

#[tokio::test]
async fn a_second_agent_is_refused_and_a_stale_socket_is_replaced() {
    let agent = Agent::start(echo);
    let error = Listener::bind(&agent.path).unwrap_err();
    assert!(matches!(error, ListenError::AlreadyServed(_)), "{error}");

    let stale = agent.directory.path().join("run/stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(stale.exists());
    let error = Client::connect(&stale).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no agent answers on {}: start one with `moat up`, or name its socket with `--control`",
            stale.display()
        )
    );
    drop(Listener::bind(&stale).unwrap());

    let file = agent.directory.path().join("run/file");
    fs::write(&file, "kept").unwrap();
    assert!(matches!(Listener::bind(&file).unwrap_err(), ListenError::NotASocket(_)));
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    agent.stop().await;
}

#[tokio::test]
async fn a_directory_that_others_may_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = Listener::bind(&directory.path().join("control.sock")).unwrap_err();
    assert!(matches!(error, ListenError::OpenDirectory(_)), "{error}");
}

#[tokio::test]
async fn events_end_with_the_last_one_or_with_the_agent() {
    let agent = Agent::start(echo);
    let mut events = agent.client().await.events(EventQuery::default()).await.unwrap();
    for number in 0..3 {
        assert_eq!(events.next().await.unwrap(), Some(event(number)));
    }
    assert_eq!(events.next().await.unwrap(), None);

    let query = EventQuery { follow: true, last: Some(1), ..EventQuery::default() };
    let mut following = agent.client().await.events(query).await.unwrap();
    assert_eq!(following.next().await.unwrap(), Some(event(0)));
    let end = tokio::spawn(async move { following.next().await });
    agent.stop().await;
    assert_eq!(timeout(PATIENCE, end).await.unwrap().unwrap().unwrap(), None);
}

#[tokio::test]
async fn a_handler_ends_when_its_subscriber_goes_away() {
    struct Dropped(tokio::sync::mpsc::UnboundedSender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (sender, mut dropped) = tokio::sync::mpsc::unbounded_channel();
    let agent = Agent::start(move |_, responder: Responder| {
        let guard = Dropped(sender.clone());
        async move {
            let _guard = guard;
            let _ = responder.offer(event(0));
            std::future::pending::<()>().await;
        }
    });
    let query = EventQuery { follow: true, ..EventQuery::default() };
    let mut events = agent.client().await.events(query).await.unwrap();
    assert_eq!(events.next().await.unwrap(), Some(event(0)));
    drop(events);
    timeout(PATIENCE, dropped.recv()).await.expect("the handler is dropped").unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn a_slow_reader_never_blocks_the_agent_and_is_told_what_it_lost() {
    const SENT: u64 = 50_000;
    let (sender, mut finished) = tokio::sync::mpsc::unbounded_channel();
    let agent = Agent::start(move |_, responder: Responder| {
        let sender = sender.clone();
        async move {
            for number in 0..SENT {
                responder.offer(event(number)).unwrap();
            }
            sender.send(()).unwrap();
        }
    });
    let mut events = agent.client().await.events(EventQuery::default()).await.unwrap();
    timeout(PATIENCE, finished.recv()).await.expect("offers do not wait").unwrap();
    let (mut received, mut lost) = (0, 0);
    while let Some(event) = timeout(PATIENCE, events.next()).await.unwrap().unwrap() {
        match event.loss {
            Some(loss) => {
                assert_eq!(loss.stage, LossStage::Subscriber);
                lost += loss.events;
            }
            None => received += 1,
        }
    }
    assert!(lost > 0, "{received} received");
    assert_eq!(received + lost, SENT);
    agent.stop().await;
}

#[tokio::test]
async fn nonsense_gets_an_error_and_ends_the_connection() {
    let agent = Agent::start(echo);
    let too_long = vec![b'x'; MAX_REQUEST + 2];
    for nonsense in [&b"{\"stat\": 1}\n"[..], b"\xff\xfe\n", b"\n", &too_long] {
        let mut stream = BufReader::new(UnixStream::connect(&agent.path).await.unwrap());
        // The agent may close before it has read everything.
        let _ = stream.get_mut().write_all(nonsense).await;
        let mut line = String::new();
        timeout(PATIENCE, stream.read_line(&mut line)).await.unwrap().unwrap();
        assert!(matches!(serde_json::from_str(&line).unwrap(), Response::Error { .. }), "{line}");
        line.clear();
        // An end, or a reset where the agent had not read everything.
        assert!(matches!(timeout(PATIENCE, stream.read_line(&mut line)).await.unwrap(), Ok(0) | Err(_)));
    }
    assert_eq!(agent.client().await.containers().await.unwrap(), []);
    agent.stop().await;
}

#[tokio::test]
async fn one_client_too_many_is_told_so_and_a_place_is_given_back() {
    let agent = Agent::start(echo);
    let mut clients = Vec::new();
    for _ in 0..MAX_CLIENTS {
        let mut client = agent.client().await;
        client.containers().await.unwrap();
        clients.push(client);
    }
    let error = agent.client().await.containers().await.unwrap_err();
    assert_eq!(error.to_string(), "64 clients are connected already: close one and try again");
    clients.pop();
    let asked = async {
        while agent.client().await.containers().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asked).await.expect("the place is free again");
    agent.stop().await;
}

#[tokio::test]
async fn shutdown_waits_for_the_end() {
    let agent = Agent::start(echo);
    let mut shutdown = tokio::spawn(agent.client().await.shutdown());
    assert!(timeout(Duration::from_millis(100), &mut shutdown).await.is_err(), "the agent still runs");
    agent.stop().await;
    timeout(PATIENCE, shutdown).await.unwrap().unwrap().unwrap();
}
