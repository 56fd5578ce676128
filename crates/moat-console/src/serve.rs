//! The listening side of the API and the dashboard: TLS, limits, deadlines, security headers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_server::tls_rustls::RustlsConfig;
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use jiff::Timestamp;
use moat_wire::authority::AuthorityError;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::task::JoinSet;
use tower_http::compression::CompressionLayer;

use crate::access::peer;
use crate::api::extract::MAX_BODY;
use crate::api::problem::Problem;
use crate::{Config, Console, Tls, api, dashboard};

/// Until an answer begins.
const DEADLINE: Duration = Duration::from_secs(30);
/// For a request's head, also of an idle connection's next one.
const HEAD_DEADLINE: Duration = Duration::from_secs(75);
/// For open requests when the console ends.
const END: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the {what} {path} cannot be read: {reason}", path = path.display())]
    File { what: &'static str, path: PathBuf, reason: String },
    #[error("the certificate cannot be used: {0}")]
    Certificate(rustls::Error),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// Binds, then serves until the console is cancelled.
pub fn start(console: &Console, config: &Config, tasks: &mut JoinSet<()>) -> Result<SocketAddr, ServeError> {
    let failed = |source| ServeError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    console.listens_at(config.url(address));
    let handle = Handle::new();
    let app = router(console).into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::from_tcp(listener).map_err(failed)?.handle(handle.clone());
    limit(&mut server);
    match tls(console, config)? {
        None => tasks.spawn(async move { ended(server.serve(app).await) }),
        Some(tls) => {
            let acceptor =
                axum_server::tls_rustls::RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(tls)));
            let server = server.acceptor(acceptor);
            tasks.spawn(async move { ended(server.serve(app).await) })
        }
    };
    let cancel = console.cancel().clone();
    tasks.spawn(async move {
        cancel.cancelled().await;
        handle.graceful_shutdown(Some(END));
    });
    Ok(address)
}

fn limit(server: &mut Server<SocketAddr>) {
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(64 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
}

fn ended(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "the API no longer listens");
    }
}

/// `None` for plain HTTP.
fn tls(console: &Console, config: &Config) -> Result<Option<ServerConfig>, ServeError> {
    let (chain, key) = match &config.tls {
        Tls::Off => return Ok(None),
        Tls::Own => own(console, config)?,
        Tls::Files { certificate, key } => files(certificate, key)?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(ServeError::Certificate)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(tls))
}

/// A certificate of the console's own authority, made anew at each start.
fn own(console: &Console, config: &Config) -> Result<Identity, ServeError> {
    let names = config.certificate_names();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let identity = console.authority().server(&names, Timestamp::now())?;
    Ok((identity.chain, identity.key))
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn files(certificate: &PathBuf, key: &PathBuf) -> Result<Identity, ServeError> {
    let file = |what, path: &PathBuf, error: rustls_pki_types::pem::Error| ServeError::File {
        what,
        path: path.clone(),
        reason: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| file("certificate", certificate, error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| file("key", key, error))?;
    Ok((chain, key))
}

fn router(console: &Console) -> Router {
    api::router(console)
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(dashboard::serve)
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(name_instance))
        .layer(from_fn(deadline))
        .layer(from_fn(security_headers))
        .with_state(console.clone())
}

async fn ready(State(console): State<Console>) -> Result<&'static str, Problem> {
    console.store().ping().await?;
    Ok("ready\n")
}

/// For whoever is on this machine, or may read the settings.
async fn metrics(State(console): State<Console>, parts: Parts) -> Result<Response, Problem> {
    if !peer(&parts.extensions).is_loopback() {
        crate::access::identify(&console, &parts).await?;
    }
    let text = console.metrics().render().map_err(|_| Problem::internal())?;
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media)], text).into_response())
}

/// Problems name the path that was asked for, and what the framework answers on its own becomes one.
async fn name_instance(request: Request, next: Next) -> Response {
    let path: Box<str> = request.uri().path().into();
    let response = next.run(request).await;
    if let Some(problem) = response.extensions().get::<Problem>() {
        return Problem { instance: Some(path), ..problem.clone() }.into_response();
    }
    let bare = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Problem::method_not_allowed(),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(MAX_BODY),
        _ => return response,
    };
    Problem { instance: Some(path), ..bare }.into_response()
}

async fn deadline(request: Request, next: Next) -> Response {
    tokio::time::timeout(DEADLINE, next.run(request))
        .await
        .unwrap_or_else(|_| Problem::timeout().into_response())
}

async fn security_headers(request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, moat_ui::CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
