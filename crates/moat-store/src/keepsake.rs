//! What is made once for all replicas: the authority's certificate and its sealed key.

use crate::{Result, Store, StoreError};

impl Store {
    /// What is kept under this name, if anything.
    pub async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let row = self
            .database
            .fetch_optional("SELECT value FROM keepsake WHERE name = $1", vec![name.into()])
            .await?;
        row.map(|row| row.get("value")).transpose()
    }

    /// Keeps `value` unless something is kept under this name already; returns what is kept then. Of replicas that start
    /// at once one wins, and all go on with what it made.
    pub async fn keep_first(&self, name: &str, value: &[u8]) -> Result<Vec<u8>> {
        self.database
            .execute(
                "INSERT INTO keepsake (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                vec![name.into(), value.into()],
            )
            .await?;
        self.kept(name)
            .await?
            .ok_or_else(|| StoreError::Corrupt { what: "keepsake", why: format!("{name} did not stay") })
    }
}
