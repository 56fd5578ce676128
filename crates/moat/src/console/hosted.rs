//! The console inside `moat up`: on threads of its own, so that it cannot hold up the agent's supervisor, whose one
//! thread has to live as long as the agent.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use moat_console::api::enrolment_tokens::{NewEnrolmentToken, make};
use moat_console::{Config, Started, local_actor};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

/// A console that runs until this is dropped.
pub struct Hosted {
    cancel: Option<DropGuard>,
    thread: Option<JoinHandle<()>>,
    /// What the agent needs to enrol here.
    pub uplink: Uplink,
}

/// Where an agent finds its console, and by which file it enrols.
#[derive(Debug, Clone)]
pub struct Uplink {
    pub console: String,
    pub token_file: PathBuf,
}

impl Hosted {
    /// Starts the console and waits until it answers.
    pub async fn start(state: &Path) -> anyhow::Result<Hosted> {
        let config = Config::new(state.join("console-server"));
        let token_file = config.state.join("enrolment-token");
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        let (ready, started) = oneshot::channel();
        let file = token_file.clone();
        let thread = std::thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || serve(config, cancel, &file, ready))
            .context("no thread for the console")?;
        let gateway = started.await.context("the console ended at its start")??;
        let uplink = Uplink { console: format!("https://{gateway}"), token_file };
        Ok(Hosted { cancel: Some(guard), thread: Some(thread), uplink })
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.cancel.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    config: Config,
    cancel: CancellationToken,
    token_file: &Path,
    ready: oneshot::Sender<anyhow::Result<std::net::SocketAddr>>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime.context("the console's event loop cannot be started") {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        match begin(config, cancel, token_file).await {
            Ok(started) => {
                super::announce(&started);
                let _ = ready.send(Ok(started.gateway));
                started.wait().await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

async fn begin(config: Config, cancel: CancellationToken, token_file: &Path) -> anyhow::Result<Started> {
    let started = moat_console::start(config, cancel).await?;
    let new = NewEnrolmentToken { label: "moat up".to_owned(), uses: 1, hours: 1 };
    let made =
        make(&started.console, &local_actor(), new).await.map_err(|problem| anyhow!(problem.detail))?;
    write_private(token_file, &made.secret.0)
        .with_context(|| format!("{} cannot be written", token_file.display()))?;
    Ok(started)
}

/// Readable by this user alone from the first moment on.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")
}
