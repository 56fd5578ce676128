//! The console's own certificate authority: who may be a gateway and who an enforcer.
//!
//! The console creates it at its first start and keeps its key sealed. It takes no subject and no usage from a
//! request, only the key: a certificate says what the authority says. Enforcers trust this authority and no
//! other, so that nothing but the console can be taken for it.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::certificate::{Certificate, CertificateError};

/// How long a certificate of a gateway or an enforcer counts.
pub const LEAF_LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long the authority itself counts.
const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);
/// Certificates count from a little before they were made, for clocks differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the certificate request is not accepted: {0}")]
    Request(rcgen::Error),
    #[error("`{0}` is neither a host name nor an address that a certificate may carry")]
    Name(String),
    #[error("a certificate cannot be made: {0}")]
    Issue(rcgen::Error),
    #[error("the authority's key or certificate cannot be used: {0}")]
    Unusable(rcgen::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("the system gives no random numbers")]
    Random,
    #[error("{0} is beyond what a certificate can carry")]
    Time(Timestamp),
}

/// The authority with its key.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate with the authority's after it, and its key.
#[derive(Debug)]
pub struct ServerIdentity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub certificate: Certificate,
}

/// What an enforcer gets for its request.
#[derive(Debug)]
pub struct Issued {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    pub certificate: Certificate,
}

impl Authority {
    /// A new authority with a new key.
    pub fn create(now: Timestamp) -> Result<Authority, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Issue)?;
        let mut parameters = parameters("Moat console authority", now, AUTHORITY_LIFETIME)?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key).map_err(AuthorityError::Issue)?;
        Ok(Authority { certificate: certificate.into(), issuer: Issuer::new(parameters, key) })
    }

    /// The authority that was created before: its certificate and its key as [`key`](Authority::key) gave it.
    pub fn open(certificate: CertificateDer<'static>, key: &[u8]) -> Result<Authority, AuthorityError> {
        let key = KeyPair::try_from(key).map_err(AuthorityError::Unusable)?;
        Certificate::of(&certificate)?.is_for_key(&key.subject_public_key_info())?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(AuthorityError::Unusable)?;
        Ok(Authority { certificate, issuer })
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The private key as PKCS #8 (RFC 5958). Seal it before it is kept.
    pub fn key(&self) -> &[u8] {
        self.issuer.key().serialized_der()
    }

    /// SHA-256 of the certificate: what enrolment tokens name the authority by.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.certificate)
    }

    /// A certificate for a server that is reached under these host names and addresses.
    pub fn server(&self, names: &[&str], now: Timestamp) -> Result<ServerIdentity, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Issue)?;
        let mut parameters = parameters("Moat console", now, LEAF_LIFETIME)?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.subject_alt_names = names.iter().map(|name| subject(name)).collect::<Result<_, _>>()?;
        let Issued { chain, certificate } = self.issue(parameters, &key)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(ServerIdentity { chain, key, certificate })
    }

    /// A certificate for the enforcer of that id, for the key in the request. The request has to be signed by
    /// that key; whatever else it asks for is ignored.
    pub fn enforcer(&self, id: &str, request: &[u8], now: Timestamp) -> Result<Issued, AuthorityError> {
        let request = CertificateSigningRequestDer::from(request);
        let request = CertificateSigningRequestParams::from_der(&request).map_err(AuthorityError::Request)?;
        let mut parameters = parameters(id, now, LEAF_LIFETIME)?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(parameters, &request.public_key)
    }

    fn issue(
        &self,
        mut parameters: CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<Issued, AuthorityError> {
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.use_authority_key_identifier_extension = true;
        let leaf: CertificateDer<'static> =
            parameters.signed_by(key, &self.issuer).map_err(AuthorityError::Issue)?.into();
        let certificate = Certificate::of(&leaf)?;
        Ok(Issued { chain: vec![leaf, self.certificate.clone()], certificate })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// SHA-256 of a certificate.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, certificate).as_ref());
    fingerprint
}

/// What every certificate has. The serial number is random (RFC 5280 §4.1.2.2: positive, at most 20 bytes).
fn parameters(
    common_name: &str,
    now: Timestamp,
    lifetime: SignedDuration,
) -> Result<CertificateParams, AuthorityError> {
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| AuthorityError::Random)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    let at = |after| now.checked_add(after).map_err(|_| AuthorityError::Time(now));
    parameters.not_before = SystemTime::from(at(-CLOCK_SKEW)?).into();
    parameters.not_after = SystemTime::from(at(lifetime)?).into();
    Ok(parameters)
}

fn subject(name: &str) -> Result<SanType, AuthorityError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let unusable = || AuthorityError::Name(name.to_owned());
    // What TLS clients take for a host name, not all that rcgen would write.
    rustls_pki_types::DnsName::try_from(name).map_err(|_| unusable())?;
    Ok(SanType::DnsName(name.try_into().map_err(|_| unusable())?))
}

#[cfg(test)]
mod tests;
