//! `moat console` as a program of its own: what its commands do, how browsers meet it, and what it outlasts.

mod clock;
mod commands;
mod connections;
mod kill;
mod tls;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use moat_testkit::gateway::Enforcer;
use reqwest::{Client, Method, Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{moat, transcript};

const PASSWORD: &str = "correct horse battery";
/// Far longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Any free port, for the API and for the gateway.
const ANYWHERE: [&str; 4] = ["--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0"];

/// A console that runs until this is dropped.
struct Program {
    child: Child,
    /// What it says, line by line.
    lines: Receiver<String>,
    url: String,
    gateway: String,
}

impl Program {
    /// Starts it and waits until it serves.
    fn start(mut command: Command) -> Program {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = read(child.stderr.take().unwrap());
        let mut said = Vec::new();
        let gateway = loop {
            let Ok(line) = lines.recv_timeout(PATIENCE) else {
                panic!("the console does not come up: {said:#?}")
            };
            if let Some((_, address)) = line.split_once("the console is at ") {
                let gateway = said.iter().find_map(|line: &String| line.split_once("may connect address="));
                let gateway = gateway.expect("where enforcers connect is told before").1;
                break (address.to_owned(), format!("https://{gateway}"));
            }
            said.push(line);
        };
        let (url, gateway) = gateway;
        Program { child, lines, url, gateway }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the console says something")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(&mut self, signal: Signal) -> std::process::ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads all along, so that the console never waits for its log to be read.
fn read(stderr: ChildStderr) -> Receiver<String> {
    let (to, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = to.send(line);
        }
    });
    lines
}

/// `moat console …` with that state folder.
fn console(state: &Path, arguments: &[&str]) -> Command {
    let mut command = moat(&["console"]);
    command.args(arguments).arg("--state").arg(state).env("NO_COLOR", "1");
    command
}

/// Runs a command of `moat console` that has to succeed; returns what it prints.
fn done(state: &Path, arguments: &[&str]) -> String {
    let output = console(state, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", transcript(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs one that has to fail; returns what it says.
fn refused(state: &Path, arguments: &[&str], status: i32) -> String {
    let output: Output = console(state, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", transcript(&output));
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A client for consoles without TLS.
fn client() -> Client {
    // It asks for a provider even where nothing is encrypted; a second test finds the first one's.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

/// A signed-in administrator.
struct Admin {
    client: Client,
    url: String,
    cookie: String,
    csrf: String,
}

impl Admin {
    /// By a link that `moat console user link` prints.
    async fn by_link(client: &Client, url: &str, link: &str, name: &str) -> Admin {
        let secret = link.trim().split_once('#').expect("the secret stands after the #").1;
        let setup = json!({ "token": secret, "name": name, "password": PASSWORD });
        let response = client.post(format!("{url}/api/v1/session/setup")).json(&setup).send().await.unwrap();
        Admin::signed_in(client, url, response).await
    }

    async fn signed_in(client: &Client, url: &str, response: Response) -> Admin {
        assert_eq!(response.status(), StatusCode::OK);
        let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
        let session: Value = response.json().await.unwrap();
        Admin {
            client: client.clone(),
            url: url.to_owned(),
            cookie: cookie.split(';').next().unwrap().to_owned(),
            csrf: session["csrf"].as_str().unwrap().to_owned(),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.client.request(method, format!("{}/api/v1{path}", self.url));
        let request = request.header("cookie", &self.cookie).header("x-moat-csrf", &self.csrf);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        request.send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.send(Method::GET, path, None).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }
}

/// Enrols by a token that `moat console token create` prints.
async fn enrol(program: &Program, state: &Path, node: &str) -> Enforcer {
    let token = done(state, &["token", "create", "--label", node]).parse().unwrap();
    Enforcer::enrol(&program.gateway, &token, node, "machine").await.unwrap()
}
