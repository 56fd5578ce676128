//! The privileged agent's program: where it is, and how it is asked something on its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

const NAME: &str = "moat-enforcer";
/// Longest answer that is read.
const MAX_OUTPUT: u64 = 4 * 1024 * 1024;

/// `moat-enforcer` beside this program, else in `PATH`.
pub fn locate() -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(NAME)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path).map(|folder| folder.join(NAME)))
        .find(|candidate| is_executable(candidate))
        .context("moat-enforcer is neither beside moat nor in PATH: install it, or build it with `cargo build -p moat-enforcer`")
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Runs the agent's program with `arguments` and reads its answer, JSON. What it says on standard error goes
/// through.
pub async fn ask<T: DeserializeOwned>(
    arguments: &[&std::ffi::OsStr],
    deadline: Duration,
) -> anyhow::Result<T> {
    let program = locate()?;
    let mut child = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let stdout = child.stdout.take().context("the agent's output cannot be read")?;
    let answered = async {
        let mut output = Vec::new();
        stdout.take(MAX_OUTPUT).read_to_end(&mut output).await?;
        Ok::<_, std::io::Error>((output, child.wait().await?))
    };
    let (output, status) = timeout(deadline, answered)
        .await
        .with_context(|| format!("{} gave no answer within {} s", program.display(), deadline.as_secs()))??;
    // A finding may come with a status of its own; the answer counts.
    match serde_json::from_slice(&output) {
        Ok(answer) => Ok(answer),
        Err(_) if !status.success() => bail!("{} failed ({status})", program.display()),
        Err(error) => Err(error).with_context(|| {
            format!("{} gave an answer that is not understood: use a `moat` and a `moat-enforcer` of the same version", program.display())
        }),
    }
}
