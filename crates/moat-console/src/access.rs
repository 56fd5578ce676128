//! Who may do what: roles, the rule for each route, and how a request proves whose it is.

mod caller;
mod guard;
mod matrix;
pub mod password;
mod secret;
mod setup;
mod throttle;

pub use caller::{Caller, Proof};
pub use guard::{COOKIE, cookie, guard, identify, is_still_valid, peer};
pub use matrix::{Access, Action, Resource, Role, Scope, allows, scopes};
pub use secret::{NoRandom, Secret, Sensitive, same};
pub use setup::{SetupError, SetupLink};
pub use throttle::Throttle;
