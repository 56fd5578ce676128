//! Passwords: argon2id with the parameters that OWASP recommends (19 MiB, two passes), which are the crate's own.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// Fewest characters of a password (NIST SP 800-63B-4 asks for 15 where it is the only factor, 8 with another).
pub const MIN_CHARACTERS: usize = 12;
/// More is no password, but work for the hash.
const MAX_BYTES: usize = 1024;
/// Hashes at a time: each takes 19 MiB and a core.
static RUNNING: Semaphore = Semaphore::const_new(2);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("the password is too short: take at least {MIN_CHARACTERS} characters")]
    Short,
    #[error("the password is longer than {MAX_BYTES} bytes")]
    Long,
    #[error("the password is the name: take another")]
    Name,
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// What is kept of a new password for a user of this name.
pub async fn hash(name: &str, password: String) -> Result<String, PasswordError> {
    if password.chars().count() < MIN_CHARACTERS {
        return Err(PasswordError::Short);
    }
    if password.len() > MAX_BYTES {
        return Err(PasswordError::Long);
    }
    if password.eq_ignore_ascii_case(name) {
        return Err(PasswordError::Name);
    }
    blocking(move || {
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|error| PasswordError::Hash(error.to_string()))
    })
    .await
    .unwrap_or_else(|error| Err(PasswordError::Hash(error)))
}

/// Whether the password is the one that `hash` was made of. Without a hash it takes as long and is not: the time
/// does not tell which names exist.
pub async fn verify(hash: Option<String>, password: String) -> bool {
    static NOBODY: LazyLock<Option<String>> =
        LazyLock::new(|| Argon2::default().hash_password(b"nobody").ok().map(|hash| hash.to_string()));
    if password.len() > MAX_BYTES {
        return false;
    }
    blocking(move || {
        let known = hash.is_some();
        let Some(hash) = hash.or_else(|| NOBODY.clone()) else { return false };
        let matches = PasswordHash::new(&hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        known && matches
    })
    .await
    .unwrap_or(false)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let _turn = RUNNING.acquire().await.map_err(|error| error.to_string())?;
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_opens_its_hash_and_no_other_does() {
        let hash = hash("ann", "correct horse battery".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify(Some(hash.clone()), "correct horse battery".to_owned()).await);
        assert!(!verify(Some(hash), "correct horse batterz".to_owned()).await);
        assert!(!verify(None, "nobody".to_owned()).await, "nobody has no password");
        assert!(!verify(Some("no hash".to_owned()), "no hash".to_owned()).await);
    }

    #[tokio::test]
    async fn weak_and_endless_passwords_are_refused() {
        let refused = async |password: &str| hash("administrator", password.to_owned()).await.unwrap_err();
        assert_eq!(refused("short").await, PasswordError::Short);
        assert_eq!(refused("Administrator").await, PasswordError::Name);
        assert_eq!(refused(&"x".repeat(2000)).await, PasswordError::Long);
    }
}
