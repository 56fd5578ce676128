//! A notifier's configuration as the store keeps it: the destination in the open, its secrets sealed.

use serde::{Deserialize, Serialize};

use super::destination::{Destination, Secrets};
use crate::key::{ConsoleKey, KeyError, NotOpened};

/// The store's `config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    pub destination: Destination,
    /// Which secrets there are.
    pub secrets: Vec<String>,
    sealed: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the notifier's configuration in the store is not one: {0}")]
    Form(#[from] serde_json::Error),
    #[error(transparent)]
    Seal(#[from] KeyError),
    #[error(
        "the notifier's secrets do not open ({0}), or its address was changed behind the console's back: \
             enter them again"
    )]
    Open(#[from] NotOpened),
}

impl Config {
    pub fn seal(
        key: &ConsoleKey,
        destination: Destination,
        secrets: &Secrets,
    ) -> Result<Config, ConfigError> {
        let sealed = if secrets.is_empty() {
            None
        } else {
            Some(key.seal(&purpose(&destination), &serde_json::to_vec(secrets)?)?)
        };
        let secrets = secrets.names().into_iter().map(str::to_owned).collect();
        Ok(Config { destination, secrets, sealed })
    }

    pub fn read(value: &serde_json::Value) -> Result<Config, ConfigError> {
        Ok(Config::deserialize(value)?)
    }

    pub fn write(&self) -> Result<serde_json::Value, ConfigError> {
        Ok(serde_json::to_value(self)?)
    }

    pub fn open(&self, key: &ConsoleKey) -> Result<Secrets, ConfigError> {
        match &self.sealed {
            None => Ok(Secrets::default()),
            Some(sealed) => Ok(serde_json::from_slice(&key.open(&purpose(&self.destination), sealed)?)?),
        }
    }
}

/// Secrets are sealed for where they are sent to: in a configuration with another address they do not open.
fn purpose(destination: &Destination) -> String {
    format!("notifier {} {}", destination.kind(), destination.address())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::destination::Webhook;

    #[test]
    fn secrets_open_for_their_address_only_and_are_seen_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = ConsoleKey::open_or_create(&folder.path().join("console.key")).expect("a key");
        let to =
            |url: &str| Destination::Webhook(Webhook { url: url.into(), authority: None, plaintext: false });
        let secrets = Secrets { authorization: Some("Bearer hush".into()), ..Secrets::default() };
        let config = Config::seal(&key, to("https://a.example/x"), &secrets).expect("sealed");
        let kept = config.write().expect("written");
        assert!(!kept.to_string().contains("hush") && !format!("{config:?} {secrets:?}").contains("hush"));
        let read = Config::read(&kept).expect("read");
        assert_eq!(read.open(&key).expect("opened"), secrets);
        assert_eq!(read.secrets, ["authorization"]);
        let moved = Config { destination: to("https://evil.example/x"), ..read };
        assert!(matches!(moved.open(&key), Err(ConfigError::Open(_))));
        let none = Config::seal(&key, to("https://a.example/x"), &Secrets::default()).expect("sealed");
        assert_eq!(none.open(&key).expect("opened"), Secrets::default());
    }
}
