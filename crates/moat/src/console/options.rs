//! The words of `moat console`.
#![expect(clippy::doc_markdown, reason = "these comments are the help texts, which are no Markdown")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use moat_console::notify::egress::{Egress, IpNet};
use moat_console::{Config, Tls};

/// Without a command, the console serves until Ctrl-C or SIGTERM.
#[derive(Debug, Args)]
pub struct ConsoleOptions {
    #[command(subcommand)]
    pub command: Option<ConsoleCommand>,
    /// Where the API and the dashboard listen
    #[arg(long, value_name = "ADDRESS", env = "MOAT_CONSOLE_LISTEN", default_value = "127.0.0.1:8440")]
    pub listen: SocketAddr,
    /// Where enforcers connect
    #[arg(long, value_name = "ADDRESS", env = "MOAT_CONSOLE_GATEWAY", default_value = "127.0.0.1:8441")]
    pub gateway: SocketAddr,
    /// Name or address under which browsers and enforcers reach this console, for its certificate; may be given again
    #[arg(long = "name", value_name = "NAME", env = "MOAT_CONSOLE_NAME", value_delimiter = ',')]
    pub names: Vec<String>,
    /// Folder of the console's key and, without --store, its database
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "MOAT_CONSOLE_STATE",
        default_value = "/var/lib/moat/console"
    )]
    pub state: PathBuf,
    /// sqlite:PATH or postgres://HOST/DATABASE; passwords belong in --store-file
    #[arg(long, global = true, value_name = "URL", conflicts_with = "store_file")]
    pub store: Option<String>,
    /// File whose first line is the store's address [env: MOAT_CONSOLE_STORE is the address itself]
    #[arg(long, global = true, value_name = "FILE")]
    pub store_file: Option<PathBuf>,
    /// Certificate chain for browsers, PEM, instead of one of the console's own authority
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Plain HTTP, as for a proxy on this machine; only with a loopback address
    #[arg(long, conflicts_with = "tls_cert")]
    pub insecure_http: bool,
    /// Network that notifiers may send to though it would be refused: 127.0.0.0/8 for a receiver on this machine; may be
    /// given again
    #[arg(
        long = "notify-allow",
        value_name = "NETWORK",
        env = "MOAT_CONSOLE_NOTIFY_ALLOW",
        value_delimiter = ','
    )]
    pub notify_allow: Vec<IpNet>,
}

#[derive(Debug, Subcommand)]
pub enum ConsoleCommand {
    /// Tokens by which enforcers enrol
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Who may sign in
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Write everything but sessions to a new file, while the console goes on
    #[command(after_help = "\
The file is for its owner alone. It does not hold console.key, without which the authority and the notifiers'
secrets in it cannot be used: keep a copy of that elsewhere.")]
    Backup { file: PathBuf },
    /// Fill an empty store from a backup; a backup from SQLite fits PostgreSQL, and the other way round
    Restore { file: PathBuf },
    /// The audit log
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it: it is shown this once
    #[command(after_help = "\
Examples:
  moat console token create --label rack-3 --uses 40 --hours 8 > token
  moat up --console https://moat.example.org:8441 --enrolment-token-file token")]
    Create {
        /// What it is for
        #[arg(long, default_value = "")]
        label: String,
        /// How many enforcers may enrol by it
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// After which it no longer counts
        #[arg(long, default_value_t = 24)]
        hours: u32,
    },
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// All users
    List,
    /// Print a new one-time link by which one makes an administrator, or gives an existing user a new password and
    /// that role
    Link,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no entry was changed, removed or inserted
    #[command(after_help = "\
Exit status: 0 the log is as it was written; 1 it is not.")]
    Verify,
}

impl ConsoleOptions {
    pub fn config(&self) -> anyhow::Result<Config> {
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                Tls::Files { certificate: certificate.clone(), key: key.clone() }
            }
            _ if self.insecure_http => Tls::Off,
            _ => Tls::Own,
        };
        let defaults = Config::new(self.state.clone());
        Ok(Config {
            listen: self.listen,
            gateway: self.gateway,
            names: self.names.clone(),
            state: self.state.clone(),
            store: self.store()?,
            tls,
            egress: Egress { allow: self.notify_allow.clone(), ..defaults.egress },
            provider_deadline: defaults.provider_deadline,
        })
    }

    /// From the flag, the file, or the environment, in this order.
    fn store(&self) -> anyhow::Result<Option<String>> {
        if let Some(store) = &self.store {
            return Ok(Some(store.clone()));
        }
        match &self.store_file {
            Some(path) => first_line(path).map(Some),
            None => Ok(std::env::var("MOAT_CONSOLE_STORE").ok().filter(|store| !store.is_empty())),
        }
    }
}

fn first_line(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => bail!("{} is empty: its first line is the store's address", path.display()),
    }
}
