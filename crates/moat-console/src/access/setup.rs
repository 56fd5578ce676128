//! The one-time link by which the first administrator comes in, or one who has lost the way.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use moat_store::{Actor, NewUser, Role, Store, StoreError, User, UserChange};
use serde::{Deserialize, Serialize};

use super::password::{self, PasswordError};
use super::secret::{NoRandom, Secret};

/// Setting under which the hash of the link's token is kept; the newest link counts.
const KEY: &str = "setup-link";
const LIFETIME: Duration = Duration::from_hours(24);

/// Makes and redeems links.
#[derive(Debug, Clone, Copy)]
pub struct SetupLink;

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("the link is unknown, used or expired: `moat console user link` prints a new one")]
    Refused,
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Random(#[from] NoRandom),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    /// In hexadecimal; empty once it is used.
    hash: String,
    expires_at: Timestamp,
}

impl SetupLink {
    /// Whether nobody could sign in without a link.
    pub async fn is_needed(store: &Store) -> Result<bool, StoreError> {
        Ok(!store.users().await?.iter().any(|user| user.role == Role::Admin && !user.disabled))
    }

    /// A new link's token; an older one no longer counts.
    pub async fn create(store: &Store, actor: &Actor) -> Result<Secret, SetupError> {
        let secret = Secret::new("")?;
        let expires_at = Timestamp::now().checked_add(LIFETIME).unwrap_or(Timestamp::MAX);
        let kept = Kept { hash: hexadecimal(&secret.hash()), expires_at };
        let revision = store.setting(KEY).await?.map_or(0, |setting| setting.revision);
        let mut transaction = store.begin(actor).await?;
        put(&mut transaction, &kept, revision).await?;
        transaction.commit().await?;
        Ok(secret)
    }

    /// Makes the administrator of that name, or gives the user of that name this password and the role. Of two who
    /// use the link at once, one comes in.
    pub async fn redeem(
        store: &Store,
        token: &str,
        name: &str,
        password: String,
        address: &str,
    ) -> Result<User, SetupError> {
        let setting = store.setting(KEY).await?.ok_or(SetupError::Refused)?;
        let kept: Kept = serde_json::from_value(setting.value).map_err(|_| SetupError::Refused)?;
        let hash = hexadecimal(&Secret::hash_of(token));
        if kept.hash.is_empty() || kept.hash != hash || kept.expires_at <= Timestamp::now() {
            return Err(SetupError::Refused);
        }
        let password_hash = Some(password::hash(name, password).await?);
        let actor = Actor {
            name: "setup link".to_owned(),
            role: super::Role::Admin.name().to_owned(),
            source_address: address.to_owned(),
        };
        let existing = match store.user_by_name(name).await {
            Ok(user) => Some(user),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let mut transaction = store.begin(&actor).await?;
        let used = Kept { hash: String::new(), ..kept };
        put(&mut transaction, &used, setting.revision).await.map_err(|error| match error {
            StoreError::Conflict { .. } => SetupError::Refused,
            other => other.into(),
        })?;
        let user = if let Some(user) = existing {
            let change = UserChange { role: Some(Role::Admin), password_hash, disabled: Some(false) };
            transaction.update_user(&user.id, change, user.revision).await?
        } else {
            let new = NewUser { name: name.to_owned(), role: Role::Admin, password_hash, oidc: None };
            transaction.create_user(new).await?
        };
        transaction.commit().await?;
        Ok(user)
    }
}

async fn put(
    transaction: &mut moat_store::Transaction,
    kept: &Kept,
    revision: i64,
) -> Result<(), StoreError> {
    let value = serde_json::to_value(kept).map_err(|error| StoreError::Invalid(error.to_string()))?;
    let shown = serde_json::json!({ "expiresAt": kept.expires_at, "used": kept.hash.is_empty() });
    transaction.put_setting(KEY, &value, revision, shown).await?;
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
