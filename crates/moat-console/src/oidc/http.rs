//! Requests to the provider: with a deadline, no redirections, no proxies, and no answer without bounds.

use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, Request, Url, redirect};

use super::{Failure, Refused};
use crate::notify::sink::{chain, tls};

/// Largest answer that is read: discovery documents and keys have a few KiB.
const MAX_ANSWER: usize = 1 << 20;

#[derive(Debug)]
pub struct Http {
    /// Made when first needed: it reads the system's authorities.
    client: OnceLock<Client>,
    deadline: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the provider does not answer within {0:?}")]
    Slow(Duration),
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    #[error("the provider's answer is longer than {MAX_ANSWER} bytes")]
    TooLong,
    #[error("{0} is not https: what is sent there could be read on the way")]
    Insecure(String),
    #[error("requests cannot be made: {0}")]
    Client(String),
}

impl From<&HttpError> for Refused {
    fn from(error: &HttpError) -> Refused {
        let failure = match error {
            HttpError::Slow(_) => Failure::Slow,
            HttpError::Unreachable(_) => Failure::Unreachable,
            HttpError::TooLong | HttpError::Insecure(_) => Failure::Answer,
            HttpError::Client(_) => Failure::Console,
        };
        Refused::new(failure, error.to_string())
    }
}

impl Http {
    pub fn new(deadline: Duration) -> Http {
        Http { client: OnceLock::new(), deadline }
    }

    /// For what this issuer is asked.
    pub fn to<'a>(&'a self, issuer: &'a str) -> ToIssuer<'a> {
        ToIssuer { http: self, issuer }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                HttpError::Slow(self.deadline)
            } else {
                HttpError::Unreachable(chain(&error))
            }
        };
        let request = Request::try_from(request).map_err(failed)?;
        let mut response = self.client()?.execute(request).await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(HttpError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }

    fn client(&self) -> Result<&Client, HttpError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let tls = tls::client(None).map_err(|error| HttpError::Client(chain(&error)))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(self.deadline)
            .user_agent(concat!("moat/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HttpError::Client(chain(&error)))?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// The client as the library wants it.
#[derive(Debug)]
pub struct ToIssuer<'a> {
    http: &'a Http,
    issuer: &'a str,
}

impl<'c> AsyncHttpClient<'c> for ToIssuer<'_> {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let uri = request.uri().to_string();
            if !Url::parse(&uri).is_ok_and(|url| is_secure(&url, self.issuer)) {
                return Err(HttpError::Insecure(uri));
            }
            self.http.send(request).await
        })
    }
}

/// https; or plain HTTP on this machine, if the issuer is there too: an issuer elsewhere may not send the console to
/// what listens beside it.
pub fn is_secure(url: &Url, issuer: &str) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url) && Url::parse(issuer).is_ok_and(|issuer| is_loopback(&issuer)),
        _ => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_issuer_on_this_machine_goes_without_tls() {
        let secure = |url: &str, issuer: &str| is_secure(&Url::parse(url).unwrap(), issuer);
        let (near, far) = ("http://127.0.0.1:5556/dex", "https://login.example.org");
        assert!(secure("https://login.example.org/token", far));
        assert!(secure("http://localhost:5556/token", near));
        for (url, issuer) in [
            ("http://login.example.org/token", "http://login.example.org"),
            ("http://127.0.0.1:2379/token", far),
            ("http://169.254.169.254/latest", near),
            ("http://127.0.0.1.evil.example/", near),
            ("file:///etc/passwd", near),
            ("javascript:alert(1)", far),
        ] {
            assert!(!secure(url, issuer), "{url} of {issuer}");
        }
    }
}
