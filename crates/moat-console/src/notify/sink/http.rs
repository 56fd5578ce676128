//! Events posted to a receiver over HTTP: no redirections, no proxies, no answer without bounds.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use moat_event::Event;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, Url, redirect};

use super::protocol::{Endpoint, Protocol};
use super::{InvalidDestination, Reply, chain, tls};
use crate::notify::destination::{Destination, Secrets};
use crate::notify::egress::Egress;

/// Largest body that is sent; a batch above it is halved.
const MAX_BODY: usize = 1 << 20;
/// Largest answer that is read: a bulk interface says some words about each document.
const MAX_ANSWER: usize = 4 << 20;

#[derive(Debug)]
pub struct Http {
    client: Client,
    url: Url,
    headers: HeaderMap,
    protocol: Protocol,
}

impl Http {
    pub fn new(
        destination: &Destination,
        secrets: &Secrets,
        egress: &Egress,
        deadline: Duration,
    ) -> Result<Http, InvalidDestination> {
        let endpoint = Endpoint::new(destination, secrets)?;
        let wrong = |why: String| InvalidDestination::field("url", why);
        let mut url = Url::parse(&endpoint.url).map_err(|error| wrong(error.to_string()))?;
        match url.scheme() {
            "http" if endpoint.has_secrets() && !endpoint.plaintext => {
                return Err(wrong(
                    "must be https, or everybody on the way reads the secret; plaintext: true allows it"
                        .into(),
                ));
            }
            "https" | "http" => {}
            other => return Err(wrong(format!("must be https or http, not {other}"))),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not hold a user or password: those are secrets".into()));
        }
        let host = url.host_str().unwrap_or_default();
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            egress.check(address)?;
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if !path.ends_with(endpoint.path) {
            url.set_path(&format!("{path}{}", endpoint.path));
        }
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client(endpoint.authority.as_deref())?)
            .dns_resolver(Guarded(egress.clone()))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(deadline)
            .user_agent(concat!("moat/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| wrong(chain(&error)))?;
        Ok(Http { client, url, headers: endpoint.headers, protocol: endpoint.protocol })
    }

    pub async fn send(&self, events: &[Event]) -> Reply {
        let (headers, body) = match self.protocol.request(events, Timestamp::now()) {
            Ok(request) => request,
            Err(error) => return Reply::refused(chain(&error)),
        };
        if body.len() > MAX_BODY {
            return Reply::refused(format!(
                "{} bytes are more than the {MAX_BODY} that are sent at once",
                body.len()
            ));
        }
        let request =
            self.client.post(self.url.clone()).headers(self.headers.clone()).headers(headers).body(body);
        let answered = async {
            let response = request.send().await?;
            let (status, after) = (response.status(), retry_after(response.headers()));
            reqwest::Result::Ok((status, after, read(response).await?))
        };
        match answered.await {
            Ok((_, _, None)) => Reply::later(format!("its answer is longer than {MAX_ANSWER} bytes")),
            Ok((status, asked, Some(body))) => match self.protocol.reply(status, &body, events.len()) {
                Reply::Later { error, .. } => Reply::Later { error, after: asked },
                reply => reply,
            },
            // The URL may be the secret.
            Err(error) => Reply::later(chain(&error.without_url())),
        }
    }

    pub fn interval(&self) -> Duration {
        self.protocol.interval()
    }
}

/// The body, unless it is too long.
async fn read(mut response: Response) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Seconds or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(Timestamp::now())).unwrap_or_default())
}

/// Resolves names to addresses that notifiers may send to.
struct Guarded(Egress);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0.clone();
        Box::pin(async move {
            let found = egress.resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let parsed = |text: &'static str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]))
        };
        assert_eq!(parsed("120"), Some(Duration::from_mins(2)));
        assert_eq!(parsed("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(parsed("Fri, 31 Dec 2100 23:59:59 GMT") > Some(Duration::from_hours(24)));
        assert_eq!(parsed("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
