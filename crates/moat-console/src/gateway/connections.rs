//! Connections of enforcers: accepted, with TLS, within limits.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use moat_wire::authority::Authority;
use moat_wire::certificate::Certificate;
use moat_wire::gateway::{SERVER_NAME, server_config};
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Sleep, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Connected, TcpConnectInfo, TlsConnectInfo};

use super::GatewayError;

/// Connections at once.
const CONNECTIONS: usize = 20_000;
/// Of these, such without a certificate: all that they may do is enrol.
const STRANGERS: usize = 256;
/// How long a connection without a certificate may last.
const STRANGERS_TIME: Duration = Duration::from_mins(1);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often it is looked at whether the gateway's own certificate is to be renewed.
const LOOK_AT_CERTIFICATE: Duration = Duration::from_hours(1);
/// After a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

type Connections = ReceiverStream<io::Result<Connection>>;

/// Accepts connections until `cancel`; those whose TLS stands come out.
pub fn accept(
    listener: TcpListener,
    authority: &Arc<Authority>,
    cancel: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<Connections, GatewayError> {
    let certificate = Arc::new(OwnCertificate::new(authority)?);
    let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&certificate) as _;
    let config = server_config(authority.certificate(), resolver)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (to, connections) = mpsc::channel(64);
    let renewing = cancel.clone();
    let authority = Arc::clone(authority);
    tasks.spawn(async move {
        let mut tick = interval(LOOK_AT_CERTIFICATE);
        while renewing.run_until_cancelled(tick.tick()).await.is_some() {
            if let Err(error) = certificate.renew_if_due(&authority) {
                tracing::error!(%error, "the gateway's certificate cannot be renewed");
            }
        }
    });
    tasks.spawn(async move {
        let (places, strangers) =
            (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Semaphore::new(STRANGERS)));
        let accepting = async {
            loop {
                // Whoever comes beyond that waits in the kernel's queue.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let (acceptor, strangers, to) =
                            (acceptor.clone(), Arc::clone(&strangers), to.clone());
                        tokio::spawn(async move {
                            if let Some(connection) = shake_hands(stream, &acceptor, &strangers, place).await
                            {
                                let _ = to.send(Ok(connection)).await;
                            }
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        sleep(PAUSE).await;
                    }
                }
            }
        };
        let _ = cancel.run_until_cancelled(accepting).await;
    });
    Ok(ReceiverStream::new(connections))
}

async fn shake_hands(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    strangers: &Arc<Semaphore>,
    place: OwnedSemaphorePermit,
) -> Option<Connection> {
    let peer = stream.peer_addr().ok();
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::info!(?peer, %error, "a connection to the gateway is refused");
            return None;
        }
        Err(_) => return None,
    };
    let known = stream.get_ref().1.peer_certificates().is_some();
    let (until, stranger) = if known {
        (None, None)
    } else {
        let Ok(stranger) = Arc::clone(strangers).try_acquire_owned() else {
            tracing::warn!(?peer, "too many connections without a certificate, one is refused");
            return None;
        };
        (Some(Box::pin(sleep(STRANGERS_TIME))), Some(stranger))
    };
    Some(Connection { stream, until, _place: place, _stranger: stranger })
}

/// The gateway's certificate; a new one takes its place while connections go on.
#[derive(Debug)]
struct OwnCertificate(RwLock<(Arc<CertifiedKey>, Certificate)>);

impl OwnCertificate {
    fn new(authority: &Authority) -> Result<OwnCertificate, GatewayError> {
        Ok(OwnCertificate(RwLock::new(Self::issue(authority)?)))
    }

    fn issue(authority: &Authority) -> Result<(Arc<CertifiedKey>, Certificate), GatewayError> {
        let identity = authority.server(&[SERVER_NAME], Timestamp::now())?;
        let key = default_provider().key_provider.load_private_key(identity.key)?;
        Ok((Arc::new(CertifiedKey::new(identity.chain, key)), identity.certificate))
    }

    fn renew_if_due(&self, authority: &Authority) -> Result<(), GatewayError> {
        let due = self.0.read().unwrap_or_else(PoisonError::into_inner).1.renew_from();
        if due <= Timestamp::now() {
            let renewed = Self::issue(authority)?;
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        }
        Ok(())
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).0))
    }
}

/// A connection with its place among those that may be. Without a certificate, it breaks after a while.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    until: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
    _stranger: Option<OwnedSemaphorePermit>,
}

impl Connected for Connection {
    type ConnectInfo = TlsConnectInfo<TcpConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(until) = &mut self.until
            && until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
