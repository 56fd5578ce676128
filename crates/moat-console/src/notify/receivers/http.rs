//! An HTTP server that answers as a test wants, and hands over what it was sent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

#[derive(Debug)]
pub struct Request {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub struct Receiver {
    pub address: SocketAddr,
    pub requests: mpsc::UnboundedReceiver<Request>,
    server: JoinHandle<()>,
}

#[derive(Debug, Clone)]
pub enum Answer {
    Status(u16, Vec<(&'static str, String)>, String),
    Never,
}

impl Answer {
    pub fn status(status: u16, body: &str) -> Answer {
        Answer::Status(status, Vec::new(), body.to_owned())
    }
}

type Respond = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

impl Receiver {
    /// Answers in this order, and with the last for ever.
    pub async fn scripted(answers: impl IntoIterator<Item = Answer>) -> Receiver {
        let answers = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
        Receiver::start(move |_| {
            let mut answers = answers.lock().expect("not poisoned");
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.expect("an answer")
        })
        .await
    }

    pub async fn start(respond: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, requests) = mpsc::unbounded_channel();
        let respond: Respond = Arc::new(respond);
        let app = Router::new().fallback(handle).with_state((respond, sender));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("served") });
        Receiver { address, requests, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn next(&mut self) -> Request {
        self.requests.recv().await.expect("a request")
    }

    /// What has come so far.
    pub fn received(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn handle(
    State((respond, sender)): State<(Respond, mpsc::UnboundedSender<Request>)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request { path: uri.path().to_owned(), headers, body };
    let answer = respond(&request);
    // Fails once the test is over.
    let _ = sender.send(request);
    match answer {
        Answer::Never => std::future::pending().await,
        Answer::Status(status, headers, body) => {
            let mut response = (StatusCode::from_u16(status).expect("a status"), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().expect("a header"));
            }
            response
        }
    }
}

/// A server that resets connections after the first bytes of a request, and counts them.
pub async fn resetting() -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 16];
            let _ = stream.read(&mut some).await;
            stream.set_zero_linger().expect("set");
            drop(stream);
            if sender.send(()).is_err() {
                return;
            }
        }
    });
    (address, connections)
}
