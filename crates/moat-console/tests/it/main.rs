//! The API over a real listening server and a real store.

mod access;
mod hostile;
mod policies;
mod server;
mod stream;
