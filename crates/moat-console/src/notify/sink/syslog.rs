//! Syslog over UDP, TCP and TLS.
//!
//! Syslog has no acknowledgement. Over TCP and TLS a batch is a connection: after its last message the sink ends its own
//! direction and waits for the receiver to end the other, which a receiver does once it has read everything. One that
//! died, or closed with messages unread (its kernel answers with a reset), has not received the batch, and gets it again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moat_event::Event;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

use super::{InvalidDestination, Reply, chain, tls};
use crate::notify::destination::{self, SyslogFormat, Transport};
use crate::notify::egress::{Egress, EgressError};
use crate::notify::encode::{cef, syslog};

/// Longest UDP payload (RFC 768, RFC 791).
const MAX_DATAGRAM: usize = 65_507;
const MAX_MESSAGE: usize = 1 << 20;

pub struct Syslog {
    host: String,
    port: u16,
    transport: Transport,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    format: SyslogFormat,
    facility: u8,
    max: usize,
    egress: Egress,
    deadline: Duration,
}

impl std::fmt::Debug for Syslog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Syslog({:?} {}:{})", self.transport, self.host, self.port)
    }
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("connecting: {0}")]
    Connecting(io::Error),
    #[error("agreeing on TLS: {0}")]
    Tls(io::Error),
    #[error("sending: {0}")]
    Sending(io::Error),
    #[error("waiting for the receiver to close the connection, which says that it has read everything: {0}")]
    Confirming(io::Error),
}

impl Syslog {
    pub fn new(
        config: &destination::Syslog,
        egress: &Egress,
        deadline: Duration,
    ) -> Result<Syslog, InvalidDestination> {
        let wrong = |why: &str| InvalidDestination::field("address", why);
        let (host, port) = config
            .address
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse::<u16>().ok().filter(|&port| port > 0)?)))
            .ok_or_else(|| wrong("must be HOST:PORT"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = host.parse() {
            egress.check(address)?;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong("must be HOST:PORT"))?;
        if config.facility > 23 {
            return Err(InvalidDestination::field("facility", "must be 0 to 23 (RFC 5424 table 1)"));
        }
        let (default, most) = match config.transport {
            Transport::Udp => (2048, MAX_DATAGRAM),
            Transport::Tcp | Transport::Tls => (8192, MAX_MESSAGE),
        };
        let max = config.max_bytes.map_or(default, |bytes| bytes as usize);
        if !(syslog::SMALLEST..=most).contains(&max) {
            let why = format!("must be {} to {most}", syslog::SMALLEST);
            return Err(InvalidDestination::field("maxBytes", why));
        }
        let tls = match (config.transport, &config.authority) {
            (Transport::Tls, authority) => {
                Some((TlsConnector::from(Arc::new(tls::client(authority.as_deref())?)), name))
            }
            (_, Some(_)) => return Err(InvalidDestination::field("authority", "is for the transport Tls")),
            (_, None) => None,
        };
        Ok(Syslog {
            host: host.to_owned(),
            port,
            transport: config.transport,
            tls,
            format: config.format,
            facility: config.facility,
            max,
            egress: egress.clone(),
            deadline,
        })
    }

    pub async fn send(&self, events: &[Event]) -> Reply {
        let messages: Vec<String> = events.iter().map(|event| self.message(event)).collect();
        match tokio::time::timeout(self.deadline, self.bring(&messages)).await {
            Ok(Ok(())) => Reply::Delivered(match self.transport {
                Transport::Udp => "sent; UDP does not say whether it arrived".into(),
                Transport::Tcp | Transport::Tls => "sent; the receiver has read everything".into(),
            }),
            Ok(Err(error)) => Reply::later(chain(&error)),
            Err(_) => Reply::later(format!(
                "the receiver did not take the messages and close the connection within {} s",
                self.deadline.as_secs()
            )),
        }
    }

    fn message(&self, event: &Event) -> String {
        match self.format {
            SyslogFormat::Rfc5424 => syslog::encode(event, self.facility, self.max),
            SyslogFormat::Cef => cef::encode(event, self.facility, self.max),
        }
    }

    async fn bring(&self, messages: &[String]) -> Result<(), SendError> {
        let addresses = self.egress.resolve(&self.host, self.port).await?;
        if self.transport == Transport::Udp {
            return datagrams(&addresses, messages).await.map_err(SendError::Sending);
        }
        let stream = TcpStream::connect(addresses.as_slice()).await.map_err(SendError::Connecting)?;
        match &self.tls {
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(SendError::Tls)?;
                frames(stream, messages).await
            }
            None => frames(stream, messages).await,
        }
    }
}

/// A message a datagram (RFC 5426 §3.1). A receiver that is not there is noticed where its host says so (ICMP).
async fn datagrams(addresses: &[SocketAddr], messages: &[String]) -> io::Result<()> {
    let Some(address) = addresses.first() else { return Err(io::ErrorKind::NotFound.into()) };
    let local: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    for message in messages {
        socket.send(message.as_bytes()).await?;
    }
    socket.take_error()?.map_or(Ok(()), Err)
}

/// Messages with their length in front (RFC 6587 §3.4.1), on a connection of their own.
async fn frames(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    messages: &[String],
) -> Result<(), SendError> {
    let mut bytes = Vec::with_capacity(messages.iter().map(|message| message.len() + 8).sum());
    for message in messages {
        bytes.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
    }
    stream.write_all(&bytes).await.map_err(SendError::Sending)?;
    stream.shutdown().await.map_err(SendError::Sending)?;
    let mut ignored = [0; 1024];
    loop {
        match stream.read(&mut ignored).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // The end of the connection without TLS's own farewell: it was read to its end all the same.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(SendError::Confirming(error)),
        }
    }
}
