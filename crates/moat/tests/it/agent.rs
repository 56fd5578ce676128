//! The agent's half of the control socket with given answers, for what the command line makes of them.

use std::path::{Path, PathBuf};

use moat_wire::control::{Listener, Request, Responder, Response};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

pub struct Agent {
    directory: TempDir,
    path: PathBuf,
    cancel: CancellationToken,
    runtime: Option<Runtime>,
}

impl Agent {
    /// Answers each request with what `answers` makes of it.
    pub fn start(answers: fn(Request) -> Vec<Response>) -> Agent {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cancel = CancellationToken::new();
        let handler = move |request, responder: Responder| async move {
            for answer in answers(request) {
                let _ = responder.send(answer).await;
            }
        };
        let listener = runtime.block_on(async { Listener::bind(&path).unwrap() });
        runtime.spawn(listener.serve(handler, cancel.clone()));
        Agent { directory, path, cancel, runtime: Some(runtime) }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs `moat` against this agent.
    pub fn ask(&self, arguments: &[&str]) -> String {
        super::run(&[arguments, &["--control", self.path.to_str().unwrap()]].concat(), self.directory())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
