//! The API over a real listening server and a real store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod faults;
mod hostile;
mod notifiers;
mod oidc;
mod policies;
mod replicas;
mod server;
mod stream;
