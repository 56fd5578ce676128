//! `moat console`: the central server, and what is done on its own machine.

pub mod hosted;
mod options;

use std::fmt::Write;

use anyhow::{Context, anyhow};
use moat_console::api::audit::AuditVerification;
use moat_console::api::enrolment_tokens::{NewEnrolmentToken, make};
use moat_console::api::users::User;
use moat_console::{Console, access::SetupLink, local_actor, setup_url};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{Outcome, output};
pub use options::ConsoleOptions;
use options::{AuditCommand, ConsoleCommand, TokenCommand, UserCommand};

pub async fn run(options: &ConsoleOptions, json: bool) -> anyhow::Result<Outcome> {
    let config = options.config()?;
    let Some(command) = &options.command else { return serve(config).await };
    if let ConsoleCommand::Restore { file } = command {
        let rows = moat_console::restore(&config, file).await?;
        output::note(&format!("{rows} rows are restored"));
        return Ok(Outcome::Ok);
    }
    let url = config.url(config.listen);
    let console = Console::open(&config, CancellationToken::new()).await?;
    let outcome = match command {
        ConsoleCommand::Token { command: TokenCommand::Create { label, uses, hours } } => {
            let new = NewEnrolmentToken { label: label.clone(), uses: *uses, hours: *hours };
            let made =
                make(&console, &local_actor(), new).await.map_err(|problem| anyhow!(problem.detail))?;
            if json {
                output::json(&made)?;
            } else {
                output::text(&format!("{}\n", made.secret.0))?;
            }
            Outcome::Ok
        }
        ConsoleCommand::User { command: UserCommand::List } => {
            let users: Vec<_> = console.store().users().await?.iter().map(User::from).collect();
            if json {
                output::json(&users)?;
            } else {
                output::text(&table(&users)?)?;
            }
            Outcome::Ok
        }
        ConsoleCommand::User { command: UserCommand::Link } => {
            let secret = SetupLink::create(console.store(), &local_actor()).await?;
            output::text(&format!("{}\n", setup_url(&url, secret.reveal())))?;
            Outcome::Ok
        }
        ConsoleCommand::Backup { file } => {
            let rows = console.store().backup(file).await?;
            output::note(&format!("{rows} rows are in {}", file.display()));
            Outcome::Ok
        }
        // Answered above, for it must not open the store first.
        ConsoleCommand::Restore { .. } => Outcome::Ok,
        ConsoleCommand::Audit { command: AuditCommand::Verify } => {
            let found = AuditVerification::from(console.store().verify_audit().await?);
            if json {
                output::json(&found)?;
            } else {
                output::text(&in_words(&found))?;
            }
            if found.intact { Outcome::Ok } else { Outcome::Finding }
        }
    };
    console.store().close().await;
    Ok(outcome)
}

fn table(users: &[User]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for user in users {
        let state = if user.disabled { "disabled" } else { "" };
        writeln!(text, "{:24} {:9} {state}", moat_event::printable(&user.name), user.role.name())?;
    }
    Ok(text)
}

fn in_words(found: &AuditVerification) -> String {
    match (found.broken_at, &found.reason) {
        (Some(entry), reason) => format!(
            "the audit log is broken at entry {entry}: {}\n",
            reason.as_deref().unwrap_or("it is not as it was written")
        ),
        (None, _) => {
            format!("{} entries, all as they were written; the newest is {}\n", found.entries, found.head)
        }
    }
}

async fn serve(config: moat_console::Config) -> anyhow::Result<Outcome> {
    log();
    raise_open_files();
    let cancel = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    let started = moat_console::start(config, cancel.clone()).await?;
    announce(&started);
    let mut serving = tokio::spawn(started.wait());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = &mut serving => {
            ended.context("the console failed")?;
            anyhow::bail!("the console ended by itself; its log says why");
        }
    }
    cancel.cancel();
    serving.await.context("the console did not end in order")?;
    Ok(Outcome::Ok)
}

/// Says where the console is and, once, how to come in.
fn announce(started: &moat_console::Started) {
    output::note(&format!("the console is at {}", started.url));
    if let Some(link) = &started.setup_link {
        output::note(&format!("nobody can sign in yet: make the first administrator within a day at {link}"));
    }
}

/// What happens goes to standard error; `RUST_LOG` says how much.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let written = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    // Somebody who embeds this may have set up a log of their own.
    drop(written);
}

/// Each idle connection is an open file, and many systems allow only 1024.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it is refused, the console serves as many as it may.
    let _ = setrlimit(Resource::Nofile, limit);
}
