//! What the dashboard shows, asked of the console's API as the dashboard's own pages ask it.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use moat_event::Event;
use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};
use uuid::Uuid;

/// How long what an enforcer says may take to be stored, a busy machine included.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const ASK: Duration = Duration::from_millis(100);

/// A session with the console.
#[derive(Debug)]
pub struct Dashboard {
    client: Client,
    /// Of the API.
    url: String,
    cookie: String,
}

impl Dashboard {
    /// Comes in by the console's one-time link, which is then used up.
    pub async fn enter(link: &str) -> Result<Dashboard> {
        let (url, token) = link.split_once("/setup#").context("the console's link has another form")?;
        // A second one finds the first one's.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Nobody here knows the console's own authority yet. Who listens there is the demo's child, on loopback.
        let client = Client::builder().tls_danger_accept_invalid_certs(true).timeout(DEADLINE).build()?;
        let url = format!("{url}/api/v1");
        let password = format!("{}{}", Uuid::now_v7(), Uuid::now_v7());
        let setup = json!({ "token": token, "name": "demo", "password": password });
        let answer = client.post(format!("{url}/session/setup")).json(&setup).send().await?;
        let answer = successful(answer).await?;
        let cookie = answer.headers().get(header::SET_COOKIE).and_then(|cookie| cookie.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next());
        let cookie = cookie.context("the console signs in without a cookie")?.to_owned();
        Ok(Dashboard { client, url, cookie })
    }

    /// Waits until the events are there, each with the workload that it happened in. Those that do not come, and why.
    pub async fn missing<'e>(&self, events: &'e [Event]) -> Vec<(&'e Event, String)> {
        let mut missing: Vec<_> = events.iter().map(|event| (event, String::new())).collect();
        let mut beat = interval(ASK);
        let asking = async {
            while !missing.is_empty() {
                beat.tick().await;
                let mut still = Vec::new();
                for (event, _) in &missing {
                    let found = self.get(&format!("/events/{}", event.id)).await;
                    let why = match found {
                        Ok(Some(found)) if found["record"]["workload"].is_string() => continue,
                        Ok(Some(_)) => String::from("it is there, but without its workload"),
                        Ok(None) => String::from("it is not there"),
                        Err(error) => format!("{error:#}"),
                    };
                    still.push((*event, why));
                }
                missing = still;
            }
        };
        let _ = timeout(DEADLINE, asking).await;
        missing
    }

    /// Waits until so many policies of the node's own folder are there, each in force.
    pub async fn has_policies(&self, number: usize) -> Result<()> {
        let in_force = |policy: &Value| policy["coverage"]["pending"] == 0;
        let mut beat = interval(ASK);
        let mut listed = Value::Null;
        let asking = async {
            loop {
                beat.tick().await;
                listed = self.get("/node-policies").await?.unwrap_or_default();
                let items = listed["items"].as_array();
                if items.is_some_and(|items| items.len() == number && items.iter().all(in_force)) {
                    return anyhow::Ok(());
                }
            }
        };
        match timeout(DEADLINE, asking).await {
            Ok(asked) => asked,
            Err(_) => Err(anyhow!("after {} s the console lists {listed}", DEADLINE.as_secs())),
        }
    }

    async fn get(&self, path: &str) -> Result<Option<Value>> {
        let request = self.client.get(format!("{}{path}", self.url)).header(header::COOKIE, &self.cookie);
        let answer = request.send().await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(successful(answer).await?.json().await?))
    }
}

/// The answer, or the console's own words about why not.
async fn successful(answer: Response) -> Result<Response> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let problem: Value = answer.json().await.unwrap_or_default();
    Err(anyhow!("the console answers {status}: {}", problem["detail"].as_str().unwrap_or_default()))
}
