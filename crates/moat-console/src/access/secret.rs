//! Random secrets that are shown once, and of which only a hash is kept: session cookies, API tokens, CSRF
//! tokens, one-time links.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// 256 random bits as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// SHA-256 of a secret. Secrets are random and long, so that a fast hash is enough, and a search by it tells
/// nothing about them by the time it takes.
pub type SecretHash = Vec<u8>;

/// The system gives no random numbers.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

impl Secret {
    pub fn new(prefix: &str) -> Result<Secret, NoRandom> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandom)?;
        Ok(Secret(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> SecretHash {
        Secret::hash_of(&self.0)
    }

    pub fn hash_of(text: &str) -> SecretHash {
        digest(&SHA256, text.as_bytes()).as_ref().to_vec()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A secret in a request or an answer: plain text there, and nowhere else.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Sensitive(pub String);

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sensitive")
    }
}

/// Whether two secrets are the same, in a time that does not depend on where they differ.
pub fn same(one: &str, other: &str) -> bool {
    Secret::hash_of(one) == Secret::hash_of(other)
}
