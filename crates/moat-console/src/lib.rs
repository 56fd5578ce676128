//! The console: what many nodes talk to and people look at.
//!
//! [`start`] opens the store, serves, and returns; [`Started::wait`] ends when the cancellation token says so.
#![forbid(unsafe_code)]

pub mod access;
pub mod api;
mod authority;
mod config;
mod dashboard;
pub mod gateway;
pub mod key;
mod live;
mod metrics;
pub mod notify;
pub mod oidc;
mod serve;
mod upkeep;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use moat_store::{Actor, Store, StoreError};
use moat_wire::authority::Authority;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Config, Tls};

use access::{SetupError, SetupLink, Throttle};
use key::{ConsoleKey, KeyError};
use live::Live;
use metrics::Metrics;
use notify::egress::Egress;
use notify::{Engine, Pace};
use oidc::Providers;

/// What every part of the console works with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Console(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    key: ConsoleKey,
    cancel: CancellationToken,
    authority: Arc<Authority>,
    throttle: Throttle,
    metrics: Metrics,
    live: Live,
    egress: Egress,
    providers: Providers,
    /// Where people on this machine find the dashboard, once it listens.
    url: OnceLock<String>,
    /// Whether browsers may send the session's cookie without TLS.
    plain: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error("the store cannot be opened: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Authority(#[from] authority::OpenError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Gateway(#[from] gateway::GatewayError),
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
}

impl Console {
    /// Opens the store, without serving anything: for commands on the console's own machine.
    pub async fn open(config: &Config, cancel: CancellationToken) -> Result<Console, ConsoleError> {
        config.prepare()?;
        let key = ConsoleKey::open_or_create(&config.key_file())?;
        let store = Store::open(&config.store_url()?).await?;
        let authority = Arc::new(authority::open_or_create(&store, &key).await?);
        let metrics = Metrics::default();
        Ok(Console(Arc::new(Inner {
            store,
            key,
            cancel,
            authority,
            throttle: Throttle::default(),
            live: Live::new(metrics.clone()),
            egress: config.egress.clone(),
            providers: Providers::new(config.provider_deadline),
            url: OnceLock::new(),
            metrics,
            plain: matches!(config.tls, Tls::Off),
        })))
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Seals secrets for the store.
    pub fn key(&self) -> &ConsoleKey {
        &self.0.key
    }

    /// Cancelled when the console ends.
    pub fn cancel(&self) -> &CancellationToken {
        &self.0.cancel
    }

    /// Signs the gateway's and the enforcers' certificates.
    pub fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// Where notifiers may send to.
    pub fn egress(&self) -> &Egress {
        &self.0.egress
    }

    /// Asks the provider that people sign in with.
    pub(crate) fn providers(&self) -> &Providers {
        &self.0.providers
    }

    /// Where people on this machine find the dashboard; empty if it does not listen.
    pub(crate) fn url(&self) -> &str {
        self.0.url.get().map_or("", String::as_str)
    }

    fn listens_at(&self, url: String) {
        let _ = self.0.url.set(url);
    }

    pub(crate) fn live(&self) -> &Live {
        &self.0.live
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.0.plain
    }
}

/// The console as the audit log names it.
pub fn console_actor() -> Actor {
    Actor { name: "moat".to_owned(), role: "Console".to_owned(), source_address: String::new() }
}

/// Who uses `moat console …` on the console's own machine, as the audit log names them.
pub fn local_actor() -> Actor {
    Actor {
        name: "command line".to_owned(),
        role: access::Role::Admin.name().to_owned(),
        source_address: String::new(),
    }
}

/// A console that answers.
#[derive(Debug)]
pub struct Started {
    pub console: Console,
    /// Where the API and the dashboard are.
    pub listen: SocketAddr,
    /// Where enforcers connect.
    pub gateway: SocketAddr,
    /// The same as `listen`, for people.
    pub url: String,
    /// Where nobody can sign in yet: the link by which the first administrator does. Show it to whoever started this.
    pub setup_link: Option<String>,
    tasks: JoinSet<()>,
}

impl Started {
    /// Until the console has ended.
    pub async fn wait(mut self) {
        while self.tasks.join_next().await.is_some() {}
        self.console.store().close().await;
    }
}

/// Opens the store and answers; ends on `cancel`.
pub async fn start(config: Config, cancel: CancellationToken) -> Result<Started, ConsoleError> {
    let console = Console::open(&config, cancel).await?;
    let mut tasks = JoinSet::new();
    let (watch, newest) = (console.store().watch(), console.store().newest_event().await?);
    let live = console.clone();
    tasks.spawn(async move { live.live().run(live.store(), watch, newest, live.cancel()).await });
    let upkeep = console.clone();
    tasks.spawn(async move { upkeep::run(upkeep.store(), upkeep.cancel()).await });
    let engine = Engine {
        store: console.store().clone(),
        key: console.key().clone(),
        egress: config.egress.clone(),
        pace: Pace::default(),
    };
    tasks.spawn(engine.run(console.cancel().child_token()));
    let (store, authority) = (console.store().clone(), Arc::clone(&console.0.authority));
    let gateway =
        gateway::start(store, authority, config.gateway, console.cancel().clone(), &mut tasks).await?;
    let listen = serve::start(&console, &config, &mut tasks)?;
    let url = console.url().to_owned();
    let setup_link = if SetupLink::is_needed(console.store()).await? {
        let secret = SetupLink::create(console.store(), &console_actor()).await?;
        Some(setup_url(&url, secret.reveal()))
    } else {
        None
    };
    Ok(Started { console, listen, gateway, url, setup_link, tasks })
}

/// The address of the page that redeems a one-time link. The secret stands after the `#`, which browsers keep to
/// themselves: it is in no server's log.
pub fn setup_url(url: &str, secret: &str) -> String {
    format!("{}/setup#{secret}", url.trim_end_matches('/'))
}

/// Fills the empty store that `config` names from a backup; returns the number of rows.
pub async fn restore(config: &Config, backup: &Path) -> Result<u64, ConsoleError> {
    config.prepare()?;
    Ok(Store::restore(&config.store_url()?, backup).await?)
}

/// [`start`], then [`Started::wait`].
pub async fn run(config: Config, cancel: CancellationToken) -> Result<(), ConsoleError> {
    start(config, cancel).await?.wait().await;
    Ok(())
}
