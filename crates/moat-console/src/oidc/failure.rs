//! Why a sign-in by the provider did not succeed: in words for whoever tried, which are chosen here and never the
//! provider's or the address's, and with details for the log alone.

use moat_store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::NoRandom;
use crate::api::problem::Problem;

/// What the sign-in page is told, as a word in its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// There is no provider.
    Off,
    /// Too many attempts failed.
    Throttled,
    /// The browser did not begin this sign-in, or too long ago.
    Stale,
    /// The person, or the provider's rules, said no.
    Denied,
    /// The provider answered with another error.
    Provider,
    /// The provider does not know this console, or its secret.
    Client,
    /// The code was used before or has expired.
    Code,
    Unreachable,
    Slow,
    /// The provider's answer is not understood.
    Answer,
    Issuer,
    Audience,
    Signature,
    Nonce,
    Expired,
    /// The provider gives no role.
    NoRole,
    /// An administrator has locked the user.
    Disabled,
    /// The provider takes the role of the last administrator.
    LastAdmin,
    /// Something is wrong in the console.
    Console,
}

impl Failure {
    /// The word itself.
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    pub fn message(self) -> &'static str {
        match self {
            Failure::Off => "Single sign-on is not set up here. Sign in with a name and a password.",
            Failure::Throttled => {
                "Too many sign-ins from here have failed. Wait a few minutes, then try again."
            }
            Failure::Stale => {
                "This sign-in was begun in another browser or window, more than ten minutes ago, or without cookies. \
                 Begin again."
            }
            Failure::Denied => "The provider did not allow the sign-in, or it was cancelled there.",
            Failure::Provider => {
                "The provider could not sign you in. Try again; the console's log has its words."
            }
            Failure::Client => {
                "The provider does not accept this console. An administrator has to check client ID, secret and \
                 redirect URI."
            }
            Failure::Code => "The provider no longer accepts this sign-in. Begin again.",
            Failure::Unreachable => "The provider cannot be reached from the console. Try again in a moment.",
            Failure::Slow => "The provider takes too long to answer. Try again in a moment.",
            Failure::Answer => {
                "The provider's answer is not understood. An administrator finds details in the console's log."
            }
            Failure::Issuer => {
                "The provider calls itself otherwise than it is entered here. An administrator has to check the issuer."
            }
            Failure::Audience => {
                "The provider's answer is for another application. An administrator has to check the client ID."
            }
            Failure::Signature => {
                "The provider's signature is not valid, so that its answer cannot be trusted."
            }
            Failure::Nonce => "The provider's answer is not for this sign-in. Begin again.",
            Failure::Expired => {
                "The provider's answer has expired or is from the future. Begin again; if it stays so, the clocks of \
                 provider and console differ."
            }
            Failure::NoRole => {
                "The provider knows you, but gives you no role in Moat. Ask an administrator for access."
            }
            Failure::Disabled => "Your user is locked. Ask an administrator.",
            Failure::LastAdmin => {
                "You are the last administrator, and the provider gives you another role. Make somebody else an \
                 administrator first; `moat console user link` helps where nobody can."
            }
            Failure::Console => "The console could not do this. Its log says why.",
        }
    }
}

/// A sign-in that did not succeed.
#[derive(Debug, Clone)]
pub struct Refused {
    pub failure: Failure,
    /// For the log and for administrators: no secrets.
    pub detail: String,
}

impl Refused {
    pub fn new(failure: Failure, detail: impl Into<String>) -> Refused {
        Refused { failure, detail: detail.into() }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        Refused::new(Failure::Console, error.to_string())
    }
}

impl From<NoRandom> for Refused {
    fn from(error: NoRandom) -> Refused {
        Refused::new(Failure::Console, error.to_string())
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Refused {
        Refused::new(Failure::Console, problem.detail)
    }
}
