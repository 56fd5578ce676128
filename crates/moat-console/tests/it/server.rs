//! A console on a free port of the loopback interface, and callers of it.

use std::fs;
use std::net::SocketAddr;

use moat_console::access::Role;
use moat_console::{Config, Console, Started, Tls, start};
use moat_testkit::gateway::Enforcer;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const PASSWORD: &str = "correct horse battery";

pub struct Server {
    pub console: Console,
    pub url: String,
    /// Where enforcers connect.
    pub gateway: String,
    pub setup: String,
    store: Option<String>,
    client: Client,
    cancel: CancellationToken,
    started: Option<Started>,
    state: TempDir,
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
        Server::on(TempDir::new().unwrap(), adapt).await
    }

    /// Over the store with this address, or SQLite in the state folder.
    async fn at(state: TempDir, store: Option<&str>) -> Server {
        Server::on(state, |config| config.store = store.map(str::to_owned)).await
    }

    async fn on(state: TempDir, adapt: impl FnOnce(&mut Config)) -> Server {
        // reqwest asks for a provider even where nothing is encrypted; a second test finds the first one's.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = Config::new(state.path().to_owned());
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.gateway = SocketAddr::from(([127, 0, 0, 1], 0));
        config.tls = Tls::Off;
        // Where the receivers of tests are.
        config.egress.allow = vec!["127.0.0.0/8".parse().unwrap()];
        adapt(&mut config);
        let store = config.store.clone();
        let cancel = CancellationToken::new();
        let mut started = start(config, cancel.clone()).await.unwrap();
        let link = started.setup_link.take().unwrap_or_default();
        Server {
            console: started.console.clone(),
            url: started.url.clone(),
            gateway: format!("https://{}", started.gateway),
            // The secret stands after the #.
            setup: link.split_once('#').map(|(_, secret)| secret.to_owned()).unwrap_or_default(),
            store,
            client: Client::builder().build().unwrap(),
            cancel,
            started: Some(started),
            state,
        }
    }

    /// With an administrator, who is signed in.
    pub async fn with_admin() -> (Server, As) {
        let server = Server::start().await;
        let admin = server.admin().await;
        (server, admin)
    }

    /// The same, over the store with this address.
    pub async fn over(store: &str) -> (Server, As) {
        let server = Server::at(TempDir::new().unwrap(), Some(store)).await;
        let admin = server.admin().await;
        (server, admin)
    }

    /// Another console on the same store, with the same key.
    pub async fn replica(&self) -> Server {
        let state = TempDir::new().unwrap();
        fs::copy(self.state.path().join("console.key"), state.path().join("console.key")).unwrap();
        Server::at(state, self.store.as_deref()).await
    }

    /// A node that enrols by a token which that caller makes.
    pub async fn enrol(&self, caller: &As, node: &str) -> Enforcer {
        let response =
            self.send(caller, Method::POST, "/enrolment-tokens", Some(json!({ "label": node }))).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let made: Value = response.json().await.unwrap();
        let token = made["secret"].as_str().unwrap().parse().unwrap();
        Enforcer::enrol(&self.gateway, &token, node, "machine").await.unwrap()
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
