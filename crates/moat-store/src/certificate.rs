//! The certificates that were issued to enforcers, and whether they still hold.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::database::Row;
use crate::{Change, Result, Store, StoreError, Transaction};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// In hexadecimal digits.
    pub serial: String,
    pub enforcer_id: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub reason: Option<String>,
}

impl Store {
    /// The certificate with this serial number, if this console issued it.
    pub async fn certificate(&self, serial: &str) -> Result<Certificate> {
        let row = self
            .database
            .fetch_optional("SELECT * FROM certificate WHERE serial = $1", vec![serial.into()])
            .await?;
        certificate(
            &row.ok_or_else(|| StoreError::NotFound { what: "certificate", name: serial.to_owned() })?,
        )
    }

    /// Whether an enforcer may come in with this certificate: issued to it, not expired, not revoked.
    pub async fn admit(&self, serial: &str, enforcer_id: &str) -> Result<()> {
        let certificate = match self.certificate(serial).await {
            Err(StoreError::NotFound { .. }) => {
                return Err(StoreError::Refused("the certificate is unknown"));
            }
            other => other?,
        };
        if certificate.enforcer_id != enforcer_id {
            return Err(StoreError::Refused("the certificate is another enforcer's"));
        }
        if certificate.revoked_at.is_some() {
            return Err(StoreError::Refused("the certificate is revoked: enrol the node again"));
        }
        if certificate.expires_at <= Timestamp::now() {
            return Err(StoreError::Refused("the certificate has expired: enrol the node again"));
        }
        Ok(())
    }

    /// The serial numbers of certificates that are revoked and not yet expired.
    pub async fn revoked_certificates(&self) -> Result<Vec<String>> {
        let rows = self
            .database
            .fetch(
                "SELECT serial FROM certificate WHERE revoked_at IS NOT NULL AND expires_at > $1",
                vec![Timestamp::now().into()],
            )
            .await?;
        rows.iter().map(|row| row.get("serial")).collect()
    }
}

impl Transaction {
    /// Adds a certificate that was issued to an enforcer, at its enrolment or renewal; it becomes the enforcer's own.
    pub async fn add_certificate(
        &mut self,
        enforcer_id: &str,
        serial: &str,
        expires_at: Timestamp,
    ) -> Result<()> {
        self.connection
            .execute(
                "INSERT INTO certificate (serial, enforcer_id, issued_at, expires_at) VALUES ($1, $2, $3, $4)",
                vec![serial.into(), enforcer_id.into(), self.at.into(), expires_at.into()],
            )
            .await
            .map_err(|error| error.exists("certificate", serial))?;
        let touched = self
            .connection
            .execute(
                "UPDATE enforcer SET certificate_serial = $2, certificate_expires_at = $3 WHERE id = $1 AND ended IS NULL",
                vec![enforcer_id.into(), serial.into(), expires_at.into()],
            )
            .await?;
        if touched == 0 {
            return Err(StoreError::Refused("the enforcer is revoked or replaced: enrol the node again"));
        }
        self.changed(Change::Enforcers);
        Ok(())
    }
}

fn certificate(row: &Row) -> Result<Certificate> {
    Ok(Certificate {
        serial: row.get("serial")?,
        enforcer_id: row.get("enforcer_id")?,
        issued_at: row.time("issued_at")?,
        expires_at: row.time("expires_at")?,
        revoked_at: row.optional_time("revoked_at")?,
        reason: row.get("reason")?,
    })
}
