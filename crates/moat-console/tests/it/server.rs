//! A console on a free port of the loopback interface, and callers of it.

use std::net::SocketAddr;

use moat_console::access::Role;
use moat_console::{Config, Console, Started, Tls, start};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const PASSWORD: &str = "correct horse battery";

pub struct Server {
    pub console: Console,
    pub url: String,
    pub setup: String,
    client: Client,
    cancel: CancellationToken,
    started: Option<Started>,
    _state: TempDir,
}

/// Who calls.
#[derive(Debug, Clone)]
pub enum As {
    Nobody,
    Token(String),
    Session { cookie: String, csrf: String },
}

impl Server {
    pub async fn start() -> Server {
        Server::start_with(|_| ()).await
    }

    pub async fn start_with(adapt: impl FnOnce(&mut Config)) -> Server {
        // reqwest asks for a provider even where nothing is encrypted; a second test finds the first one's.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let state = TempDir::new().unwrap();
        let mut config = Config::new(state.path().to_owned());
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.gateway = SocketAddr::from(([127, 0, 0, 1], 0));
        config.tls = Tls::Off;
        // Where the receivers of tests are.
        config.egress.allow = vec!["127.0.0.0/8".parse().unwrap()];
        adapt(&mut config);
        let cancel = CancellationToken::new();
        let mut started = start(config, cancel.clone()).await.unwrap();
        let link = started.setup_link.take().expect("nobody can sign in yet");
        let setup = link.split_once('#').expect("the secret stands after the #").1.to_owned();
        Server {
            console: started.console.clone(),
            url: started.url.clone(),
            setup,
            client: Client::builder().build().unwrap(),
            cancel,
            started: Some(started),
            _state: state,
        }
    }

    /// With an administrator, who is signed in.
    pub async fn with_admin() -> (Server, As) {
        let server = Server::start().await;
        let admin = server.admin().await;
        (server, admin)
    }

    /// The first administrator, who is signed in.
    pub async fn admin(&self) -> As {
        let setup = json!({ "token": self.setup, "name": "admin", "password": PASSWORD });
        let response = self.send(&As::Nobody, Method::POST, "/session/setup", Some(setup)).await;
        assert_eq!(response.status(), StatusCode::OK);
        session(response).await
    }

    pub fn request(&self, caller: &As, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}/api/v1{path}", self.url));
        match caller {
            As::Nobody => request,
            As::Token(token) => request.bearer_auth(token),
            As::Session { cookie, csrf } => {
                request.header("cookie", format!("moat_session={cookie}")).header("x-moat-csrf", csrf)
            }
        }
    }

    pub async fn send(&self, caller: &As, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.request(caller, method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    pub async fn get(&self, caller: &As, path: &str) -> Value {
        let response = self.send(caller, Method::GET, path, None).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// An API token of that role.
    pub async fn token(&self, admin: &As, role: Role, scopes: &[&str]) -> As {
        let name = format!("{}-{}", role.name(), scopes.join("-").replace(':', "."));
        let new = json!({ "name": name, "role": role, "scopes": scopes });
        let response = self.send(admin, Method::POST, "/tokens", Some(new)).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let made: Value = response.json().await.unwrap();
        As::Token(made["secret"].as_str().unwrap().to_owned())
    }

    pub async fn stop(mut self) {
        self.cancel.cancel();
        if let Some(started) = self.started.take() {
            started.wait().await;
        }
    }
}

/// The session that an answer signs in to.
pub async fn session(response: Response) -> As {
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
    let value =
        cookie.strip_prefix("moat_session=").and_then(|rest| rest.split(';').next()).unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    As::Session { cookie: value, csrf: body["csrf"].as_str().unwrap().to_owned() }
}

/// A problem document, with its status.
pub async fn problem(response: Response, status: StatusCode) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status.as_u16());
    assert!(problem["instance"].is_string() && problem["title"].is_string(), "{problem}");
    problem
}
