//! The answering half: used by the agent. Owns the socket's file and who may talk on it.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection;
use super::responder::Responder;
use super::{Request, Response};

/// Connections served at once.
pub const MAX_CLIENTS: usize = 64;
/// Before the next connection is taken when the last could not be, e.g. for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("an agent already answers on {}: stop it, or give this one another socket with `--control`", .0.display())]
    AlreadyServed(PathBuf),
    #[error("{} is there and is not a socket: move it away, or choose another path with `--control`", .0.display())]
    NotASocket(PathBuf),
    #[error("others may replace what is in {}: make it writable for its owner only, or choose another directory with `--control`", .0.display())]
    OpenDirectory(PathBuf),
    #[error("the control socket {} cannot be made: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The bound socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Device and inode of the file, so that only our own is removed.
    identity: (u64, u64),
}

impl Listener {
    /// Makes the socket with mode 0600, in a directory that is made with mode 0700 where it is missing. A
    /// socket that nobody listens on is replaced. Call within a tokio runtime.
    pub fn bind(path: &Path) -> Result<Listener, ListenError> {
        let io = |source| ListenError::Io { path: path.to_owned(), source };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
        let guard = File::open(directory).map_err(io)?;
        let metadata = guard.metadata().map_err(io)?;
        let sticky = metadata.mode() & 0o1000 != 0;
        let owned = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
        if !owned || (metadata.mode() & 0o022 != 0 && !sticky) {
            return Err(ListenError::OpenDirectory(directory.to_owned()));
        }
        // Two agents that start at once must not both find the socket stale. Ends with `guard`.
        guard.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => ListenError::AlreadyServed(path.to_owned()),
            TryLockError::Error(error) => io(error),
        })?;
        remove_stale(path)?;

        // Bound under another name and renamed when its mode is right: it never is there with another one.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let fresh = directory.join(name);
        let socket = UnixListener::bind(&fresh).map_err(io)?;
        let placed = fs::set_permissions(&fresh, Permissions::from_mode(0o600))
            .and_then(|()| fs::symlink_metadata(&fresh))
            .and_then(|metadata| fs::rename(&fresh, path).map(|()| (metadata.dev(), metadata.ino())));
        match placed {
            Ok(identity) => Ok(Listener { socket, path: path.to_owned(), identity }),
            Err(error) => {
                let _ = fs::remove_file(&fresh);
                Err(io(error))
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers until `cancel`; then every client hears the end, and all are gone when this returns. `handler`
    /// is called once a request; a handler whose client goes away, or that takes longer than
    /// 25 s (subscriptions excepted), is dropped at its next await.
    pub async fn serve<H, F>(self, handler: H, cancel: CancellationToken)
    where
        H: Fn(Request, Responder) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
        let mut clients = JoinSet::new();
        loop {
            let stream = tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = clients.join_next() => continue,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a control connection cannot be taken");
                        tokio::select! {
                            () = cancel.cancelled() => break,
                            () = tokio::time::sleep(PAUSE) => continue,
                        }
                    }
                },
            };
            if let Err(reason) = admitted(&stream) {
                tracing::warn!(reason, "a control connection is refused");
                refuse(&stream, reason);
                continue;
            }
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                refuse(
                    &stream,
                    format!("{MAX_CLIENTS} clients are connected already: close one and try again"),
                );
                continue;
            };
            let client = connection::serve(stream, handler.clone(), cancel.child_token());
            clients.spawn(async move {
                client.await;
                drop(place);
            });
        }
        while clients.join_next().await.is_some() {}
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket that nobody listens on.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let io = |source| ListenError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match BlockingStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(io),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
        Ok(_) => Err(ListenError::AlreadyServed(path.to_owned())),
    }
}

/// Root, or the user that the agent runs as (`SO_PEERCRED`, unix(7)).
fn admitted(stream: &UnixStream) -> Result<(), String> {
    let credentials = stream.peer_cred().map_err(|error| format!("the peer's user is not known: {error}"))?;
    let own = rustix::process::geteuid().as_raw();
    if [0, own].contains(&credentials.uid()) {
        Ok(())
    } else {
        Err(format!("user {} may not talk to the agent of user {own}", credentials.uid()))
    }
}

/// Says why, where there is room for it, and closes.
fn refuse(stream: &UnixStream, message: String) {
    if let Ok(mut line) = serde_json::to_vec(&Response::Error { message }) {
        line.push(b'\n');
        let _ = stream.try_write(&line);
    }
}
