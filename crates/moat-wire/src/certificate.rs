//! What Moat reads from a certificate: who it is for, its number, and how long it counts.

use jiff::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::token::hexadecimal;

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("the certificate cannot be read")]
    Unreadable,
    #[error("the certificate does not say whom it is for")]
    NoName,
    #[error("the certificate is for another key")]
    OtherKey,
}

/// A certificate whose signature somebody else has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The common name; of an enforcer its id.
    pub name: String,
    /// In hexadecimal.
    pub serial: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Subject public key info (RFC 5280 §4.1.2.7).
    key: Vec<u8>,
}

impl Certificate {
    pub fn of(der: &[u8]) -> Result<Certificate, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| CertificateError::Unreadable)?;
        let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let name = name.ok_or(CertificateError::NoName)?.to_owned();
        let time = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| CertificateError::Unreadable);
        Ok(Certificate {
            name,
            serial: hexadecimal(parsed.raw_serial()),
            not_before: time(parsed.validity().not_before.timestamp())?,
            not_after: time(parsed.validity().not_after.timestamp())?,
            key: parsed.public_key().raw.to_vec(),
        })
    }

    /// Whether it counts at that time.
    pub fn counts(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// From when on it should be renewed: when a third of its time is left, so that a console may be away for
    /// long before an enforcer cannot come back.
    pub fn renew_from(&self) -> Timestamp {
        let lifetime = self.not_before.duration_until(self.not_after);
        self.not_before.saturating_add(lifetime * 2 / 3).unwrap_or(self.not_before)
    }

    /// Whether it is for this key, given as subject public key info.
    pub fn is_for_key(&self, key: &[u8]) -> Result<(), CertificateError> {
        if self.key == key { Ok(()) } else { Err(CertificateError::OtherKey) }
    }
}
