//! The enforcers' side of the console: gRPC over TLS by the console's own authority (`moat_wire::gateway`).
//!
//! ```text
//! connections (TLS, limits) ─▶ enrolment ─▶ store
//!                           └▶ service (who is it, may it) ─▶ session ─▶ store (events, containers)
//!                                                              ▲  └────▶ fleet ─▶ store (heartbeats, statuses)
//!                                                              └ policies, goodbyes ┘
//! ```
//!
//! A session reads its next message when the last one is stored, so that an enforcer is never faster than the
//! store; and as each has one small message in the store's queue at a time, one that floods gets no more than
//! its turn. [`start`] is called by the console; it serves until it is cancelled.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moat_store::Store;
use moat_wire::authority::{Authority, AuthorityError};
use moat_wire::gateway::MAX_MESSAGE;
use moat_wire::gateway::proto::enrolment_server::EnrolmentServer;
use moat_wire::gateway::proto::gateway_server::GatewayServer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

mod connections;
mod enrolment;
mod fleet;
mod intake;
mod policies;
mod service;
mod session;

use enrolment::Enrol;
use fleet::Fleet;
use service::Service;

/// A connection on which nothing is heard for so long is asked whether anybody is there.
const SILENCE: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(10);
/// What a sender may have on the way before it is read.
const STREAM_WINDOW: u32 = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("the gateway cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("the gateway's TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Store(#[from] moat_store::StoreError),
}

/// Binds, then serves until `cancel`. Returns the address that it listens on.
pub async fn start(
    store: Store,
    authority: Arc<Authority>,
    address: SocketAddr,
    cancel: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, GatewayError> {
    let failed = |source| GatewayError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let connections = connections::accept(listener, &authority, cancel.clone(), tasks)?;
    let fleet = Fleet::start(store.clone(), cancel.clone(), tasks).await?;

    let enrolment = EnrolmentServer::new(Enrol { store: store.clone(), authority: Arc::clone(&authority) })
        .max_decoding_message_size(64 * 1024);
    let service = Service { store, authority, fleet, cancel: cancel.clone() };
    let gateway = GatewayServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let serving = Server::builder()
        .max_concurrent_streams(8)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(2 * STREAM_WINDOW)
        .http2_keepalive_interval(Some(SILENCE))
        .http2_keepalive_timeout(Some(ANSWER))
        .add_service(enrolment)
        .add_service(gateway)
        .serve_with_incoming_shutdown(connections, cancel.cancelled_owned());
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the gateway no longer serves");
        }
    });
    tracing::info!(%address, "enforcers may connect");
    Ok(address)
}

#[cfg(test)]
mod tests;
