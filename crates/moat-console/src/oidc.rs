//! Sign-in by an OpenID Connect provider: the authorization code flow with PKCE (OpenID Connect Core 1.0 §3.1,
//! RFC 7636).
//!
//! [`Flow`] is what a browser keeps between leaving for the provider and coming back, [`Providers`] asks the provider,
//! [`Identity`] is whom it names, and lets them in. `api/oidc.rs` has the endpoints. Nothing is kept in memory that
//! another replica would need.

mod failure;
mod flow;
pub mod http;
mod identity;
mod provider;

pub use failure::{Failure, Refused};
pub use flow::{COOKIE, Flow, LIFETIME, path_back};
pub use identity::Identity;
pub use provider::{Providers, Registration};
