//! The enrolment token: what a person carries from the console to a node.
//!
//! It says whom to trust (the hash of the console's authority) and why the console should trust the node (a
//! secret that it gave out). The console keeps only the secret's hash.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

const PREFIX: &str = "moat-enrol-v1.";
const ID: usize = 16;
const SECRET: usize = 32;
const FINGERPRINT: usize = 32;

/// A token. Its text form is a secret: it goes into files and environments, never into arguments or logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// Names the token where its secret must not stand.
    pub id: Uuid,
    pub secret: Secret,
    /// SHA-256 of the authority's certificate.
    pub authority: [u8; FINGERPRINT],
}

/// What a token's bearer knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; SECRET]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error(
        "this is no enrolment token: one begins with `{PREFIX}`; print one with `moat console token create`"
    )]
    NotAToken,
    #[error("the enrolment token is damaged or cut off: copy it again, whole")]
    Damaged,
    #[error("the system gives no random numbers")]
    Random,
}

impl Secret {
    pub fn generate() -> Result<Secret, TokenError> {
        let mut secret = [0; SECRET];
        SystemRandom::new().fill(&mut secret).map_err(|_| TokenError::Random)?;
        Ok(Secret(secret))
    }

    /// What the console keeps of it: its SHA-256. The secret is random and long, so that a fast hash is enough.
    pub fn hash(&self) -> Vec<u8> {
        digest(&SHA256, &self.0).as_ref().to_vec()
    }
}

impl EnrolmentToken {
    /// The whole token, to be shown once.
    pub fn reveal(&self) -> String {
        let bytes = [self.id.as_bytes().as_slice(), &self.secret.0, &self.authority].concat();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for EnrolmentToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<EnrolmentToken, TokenError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(TokenError::NotAToken)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Damaged)?;
        let (id, rest) = bytes.split_first_chunk::<ID>().ok_or(TokenError::Damaged)?;
        let (secret, authority) = rest.split_first_chunk::<SECRET>().ok_or(TokenError::Damaged)?;
        let authority = authority.try_into().map_err(|_| TokenError::Damaged)?;
        Ok(EnrolmentToken { id: Uuid::from_bytes(*id), secret: Secret(*secret), authority })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Two digits a byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> EnrolmentToken {
        EnrolmentToken { id: Uuid::now_v7(), secret: Secret::generate().unwrap(), authority: [7; 32] }
    }

    #[test]
    fn a_token_reads_back_from_its_text_and_from_no_other() {
        let token = token();
        let text = token.reveal();
        assert_eq!(format!(" {text}\n").parse(), Ok(token.clone()));
        assert_eq!(token.secret.hash().len(), 32);
        assert_ne!(token.secret.hash(), Secret::generate().unwrap().hash());

        let cut: String = text.chars().take(text.len() - 4).collect();
        assert_eq!(cut.parse::<EnrolmentToken>(), Err(TokenError::Damaged));
        assert_eq!(format!("{text}AAAA").parse::<EnrolmentToken>(), Err(TokenError::Damaged));
        assert_eq!(format!("{PREFIX}not base64!").parse::<EnrolmentToken>(), Err(TokenError::Damaged));
        assert_eq!("eyJhbGciOi".parse::<EnrolmentToken>(), Err(TokenError::NotAToken));
    }

    #[test]
    fn the_secret_is_not_shown_by_accident() {
        let token = token();
        let shown = format!("{token:?}");
        assert!(shown.contains(&token.id.to_string()) && shown.contains("Secret,"), "{shown}");
    }
}
