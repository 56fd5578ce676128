//! The enforcer's end of a connection.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tonic::transport::{self, Channel, ClientTlsConfig, Endpoint};

use super::SERVER_NAME;
use super::identity::{Identity, to_pem};
use super::tls::Pinned;

const CONNECT: Duration = Duration::from_secs(10);
/// A connection on which nothing is heard for so long is given up.
const SILENCE: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("`{0}` is no address of a console: write it as `https://HOST:PORT`; the port is its --gateway's")]
    Url(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(transport::Error),
    #[error("cannot connect: {0}")]
    Connect(transport::Error),
}

/// Whom to take for the console, and how to prove oneself.
#[derive(Debug)]
pub enum Trust<'a> {
    /// The authority whose certificate has this SHA-256; without a certificate of one's own.
    Pinned([u8; 32]),
    Authority {
        authority: &'a CertificateDer<'a>,
        identity: &'a Identity,
    },
}

/// Connects to the gateway of a console.
pub async fn connect(url: &str, trust: &Trust<'_>) -> Result<Channel, ChannelError> {
    let unusable = || ChannelError::Url(url.to_owned());
    if !url.starts_with("https://") {
        return Err(unusable());
    }
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|_| unusable())?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(SILENCE)
        .keep_alive_timeout(CONNECT)
        .keep_alive_while_idle(true);
    let tls = ClientTlsConfig::new().domain_name(SERVER_NAME).timeout(CONNECT);
    let endpoint = match trust {
        Trust::Pinned(authority) => endpoint.tls_config_with_verifier(tls, Arc::new(Pinned::new(*authority))),
        Trust::Authority { authority, identity } => {
            let authority = transport::Certificate::from_pem(to_pem(authority));
            endpoint.tls_config(tls.ca_certificate(authority).identity(identity.for_channel()))
        }
    };
    endpoint.map_err(ChannelError::Tls)?.connect().await.map_err(ChannelError::Connect)
}
