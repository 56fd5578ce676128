//! The console's own certificate authority: made at the first start, kept in the store with its key sealed, the same
//! for all replicas.

use jiff::Timestamp;
use moat_store::{Store, StoreError};
use moat_wire::authority::{Authority, AuthorityError};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::key::{ConsoleKey, KeyError, NotOpened};

/// Under which name it is kept, and what its key is sealed for.
const NAME: &str = "authority";

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the authority's key: {0}")]
    Sealed(#[from] NotOpened),
    #[error("what the store keeps as the authority is not understood: {0}")]
    Form(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    certificate: Vec<u8>,
    sealed_key: String,
}

/// Of replicas that start at once on an empty store, one makes it and all go on with that.
pub async fn open_or_create(store: &Store, key: &ConsoleKey) -> Result<Authority, OpenError> {
    let kept = if let Some(kept) = store.kept(NAME).await? {
        kept
    } else {
        let made = Authority::create(Timestamp::now())?;
        let kept = Kept { certificate: made.certificate().to_vec(), sealed_key: key.seal(NAME, made.key())? };
        store.keep_first(NAME, &serde_json::to_vec(&kept)?).await?
    };
    let Kept { certificate, sealed_key } = serde_json::from_slice(&kept)?;
    Ok(Authority::open(CertificateDer::from(certificate), &key.open(NAME, &sealed_key)?)?)
}
