//! Whom notifiers believe to be their receiver: those whose certificate descends from the authority in the notifier's
//! configuration, or from the system's. There is no way to believe anybody.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::InvalidDestination;

pub fn client(authority: Option<&str>) -> Result<ClientConfig, InvalidDestination> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = authority {
        let wrong = |why: String| InvalidDestination::field("authority", why);
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(wrong("holds no certificate in PEM".into()));
        }
    } else {
        // What the system has and cannot be read is the administrator's; an empty list refuses every receiver.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidDestination::field("authority", error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
