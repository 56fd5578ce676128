//! How a console is started.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use crate::notify::egress::Egress;

/// What [`start`](crate::start) needs to know.
#[derive(Clone)]
pub struct Config {
    /// The API and the dashboard.
    pub listen: SocketAddr,
    /// The enforcers.
    pub gateway: SocketAddr,
    /// Names and addresses under which enforcers and browsers reach this console, for its certificate.
    pub names: Vec<String>,
    /// Where `console.key` and, by default, the database are.
    pub state: PathBuf,
    /// `sqlite:PATH` or `postgres://…`; `moat.db` in `state` where absent.
    pub store: Option<String>,
    pub tls: Tls,
    /// Where notifiers may send to.
    pub egress: Egress,
    /// For each answer of the provider that people sign in with.
    pub provider_deadline: Duration,
}

/// The store's address may hold a password.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("gateway", &self.gateway)
            .field("state", &self.state)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// How browsers' connections are secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// By a certificate of the console's own authority.
    Own,
    /// PEM files.
    Files { certificate: PathBuf, key: PathBuf },
    /// Not at all: only for a loopback address, as behind a proxy on the same machine.
    Off,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("plain HTTP is for loopback addresses alone, and {0} is none: leave out --insecure-http")]
    PlainHttp(SocketAddr),
    #[error("the state folder {path} cannot be made: {source}", path = path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("the state folder {path} is not named in UTF-8: name the store with --store", path = path.display())]
    Encoding { path: PathBuf },
}

impl Config {
    /// With the defaults of `moat console`.
    pub fn new(state: PathBuf) -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8440)),
            gateway: SocketAddr::from(([127, 0, 0, 1], 8441)),
            names: Vec::new(),
            egress: Egress { allow: Vec::new(), files: Some(state.join("notify")) },
            state,
            store: None,
            tls: Tls::Own,
            provider_deadline: Duration::from_secs(8),
        }
    }

    pub fn key_file(&self) -> PathBuf {
        self.state.join("console.key")
    }

    pub fn store_url(&self) -> Result<String, ConfigError> {
        if let Some(url) = &self.store {
            return Ok(url.clone());
        }
        let path = self.state.join("moat.db");
        let text = path.to_str().ok_or_else(|| ConfigError::Encoding { path: self.state.clone() })?;
        Ok(format!("sqlite:{text}"))
    }

    /// Refuses what is not safe, and makes the state folder.
    pub(crate) fn prepare(&self) -> Result<(), ConfigError> {
        if self.tls == Tls::Off && !self.listen.ip().is_loopback() {
            return Err(ConfigError::PlainHttp(self.listen));
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.state)
            .map_err(|source| ConfigError::State { path: self.state.clone(), source })
    }

    /// Where a person on this machine finds the dashboard that listens on `listen`.
    pub fn url(&self, listen: SocketAddr) -> String {
        let scheme = if self.tls == Tls::Off { "http" } else { "https" };
        match self.names.first() {
            Some(name) => format!("{scheme}://{name}:{}", listen.port()),
            None => format!("{scheme}://{listen}"),
        }
    }

    /// What a certificate of this console has to name.
    pub(crate) fn certificate_names(&self) -> Vec<String> {
        let mut names = self.names.clone();
        for address in [self.listen.ip(), self.gateway.ip()] {
            if !address.is_unspecified() {
                names.push(address.to_string());
            }
        }
        names.push("localhost".to_owned());
        names.push("127.0.0.1".to_owned());
        names.sort();
        names.dedup();
        names
    }
}
