//! What an enforcer proves itself by: its key, and the certificate that the console gave for it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::certificate::{Certificate, CertificateError};

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("a key cannot be made: {0}")]
    Key(rcgen::Error),
    #[error("no certificate was given")]
    NoCertificate,
    #[error("the key cannot be read: {0}")]
    UnreadableKey(rcgen::Error),
    #[error("the certificates cannot be read: {0}")]
    UnreadableChain(rustls_pki_types::pem::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A key that has no certificate yet. It never leaves the node.
pub struct NewKey(KeyPair);

impl NewKey {
    pub fn generate() -> Result<NewKey, IdentityError> {
        KeyPair::generate().map(NewKey).map_err(IdentityError::Key)
    }

    /// The certificate signing request for it, in DER. It names nobody: the console decides.
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        let request = parameters.serialize_request(&self.0).map_err(IdentityError::Key)?;
        Ok(request.der().to_vec())
    }

    /// With the certificate that was given for it, leaf first.
    pub fn certified(self, chain: &[Vec<u8>]) -> Result<Identity, IdentityError> {
        let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        Identity::new(&self.0, &chain)
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKey")
    }
}

/// A key with its certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub certificate: Certificate,
    chain_pem: String,
    key_pem: String,
}

impl Identity {
    fn new(key: &KeyPair, chain: &[CertificateDer<'_>]) -> Result<Identity, IdentityError> {
        let certificate = Certificate::of(chain.first().ok_or(IdentityError::NoCertificate)?)?;
        certificate.is_for_key(&key.subject_public_key_info())?;
        let chain_pem = chain.iter().map(|der| to_pem(der)).collect();
        Ok(Identity { certificate, chain_pem, key_pem: key.serialize_pem() })
    }

    /// Reads [`to_pem`](Identity::to_pem) back.
    pub fn from_pem(text: &str) -> Result<Identity, IdentityError> {
        let key = KeyPair::from_pem(text).map_err(IdentityError::UnreadableKey)?;
        let chain = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(IdentityError::UnreadableChain)?;
        Identity::new(&key, &chain)
    }

    /// Key and certificates in one text, so that a file of both is replaced in one step. It is a secret.
    pub fn to_pem(&self) -> String {
        format!("{}{}", self.key_pem, self.chain_pem)
    }

    pub(super) fn for_channel(&self) -> tonic::transport::Identity {
        tonic::transport::Identity::from_pem(&self.chain_pem, &self.key_pem)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Reads the first certificate of such a text.
pub fn from_pem(text: &str) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(text.as_bytes()).map_err(IdentityError::UnreadableChain)
}

/// A certificate as text (RFC 7468).
pub fn to_pem(certificate: &[u8]) -> String {
    let encoded = STANDARD.encode(certificate);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while let Some((line, after)) = rest.split_at_checked(64) {
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        text.push_str(rest);
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
