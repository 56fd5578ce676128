use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ClientConnection, WebPkiServerVerifier};
use rustls::crypto::ring::default_provider;
use rustls::server::ServerConnection;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;

use super::*;
use crate::gateway::{Identity, NewKey, SERVER_NAME, server_config};

fn certified(identity: ServerIdentity) -> Arc<SingleCertAndKey> {
    let key = default_provider().key_provider.load_private_key(identity.key).unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(identity.chain, key)))
}

fn enrolled(authority: &Authority, id: &str, now: Timestamp) -> Identity {
    let key = NewKey::generate().unwrap();
    let issued = authority.enforcer(id, &key.request().unwrap(), now).unwrap();
    let chain: Vec<_> = issued.chain.iter().map(|der| der.to_vec()).collect();
    key.certified(&chain).unwrap()
}

/// What an enforcer expects of a console; without an identity, as when it enrols.
fn client(authority: &Authority, identity: Option<&Identity>) -> ClientConfig {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    let verifier: Arc<dyn ServerCertVerifier> = match identity {
        None => Arc::new(crate::gateway::Pinned::new(authority.fingerprint())),
        Some(_) => {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap()
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let pem = identity.to_pem();
            let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// Shakes hands in memory; whom the server then takes the client for.
fn meet(
    server: &Authority,
    identity: ServerIdentity,
    client: ClientConfig,
) -> Result<Option<String>, rustls::Error> {
    let config = server_config(server.certificate(), certified(identity)).unwrap();
    let mut server = ServerConnection::new(Arc::new(config)).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), SERVER_NAME.try_into().unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(server.peer_certificates().map(|chain| Certificate::of(&chain[0]).unwrap().name))
}

fn gateway(authority: &Authority) -> ServerIdentity {
    authority.server(&[SERVER_NAME], Timestamp::now()).unwrap()
}

#[test]
fn both_sides_know_each_other_and_who_has_no_certificate_is_nobody() {
    let authority = Authority::create(Timestamp::now()).unwrap();
    let reopened = Authority::open(authority.certificate().clone(), authority.key()).unwrap();
    let identity = enrolled(&reopened, "0190-node-7", Timestamp::now());
    let met = meet(&authority, gateway(&reopened), client(&authority, Some(&identity)));
    assert_eq!(met, Ok(Some(String::from("0190-node-7"))));
    assert_eq!(meet(&authority, gateway(&authority), client(&authority, None)), Ok(None));
}

#[test]
fn a_console_of_another_authority_is_refused_with_and_without_a_certificate() {
    let (ours, theirs) = (Authority::create(Timestamp::now()), Authority::create(Timestamp::now()));
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
    let identity = enrolled(&ours, "node", Timestamp::now());
    for identity in [None, Some(&identity)] {
        assert!(meet(&theirs, gateway(&theirs), client(&ours, identity)).is_err());
    }
    // Sending the right authority along does not help without its signature.
    let mut forged = gateway(&theirs);
    forged.chain = vec![forged.chain.remove(0), ours.certificate().clone()];
    assert!(meet(&theirs, forged, client(&ours, None)).is_err());
}

#[test]
fn certificates_of_another_authority_expired_or_of_the_future_are_refused() {
    let authority = Authority::create(Timestamp::now()).unwrap();
    let foreign = Authority::create(Timestamp::now()).unwrap();
    let long_ago = Timestamp::now() - LEAF_LIFETIME - SignedDuration::from_secs(1);
    let to_come = Timestamp::now() + CLOCK_SKEW + SignedDuration::from_secs(60);
    let refused = [
        enrolled(&foreign, "node", Timestamp::now()),
        enrolled(&authority, "node", long_ago),
        enrolled(&authority, "node", to_come),
    ];
    for identity in refused {
        assert!(
            meet(&authority, gateway(&authority), client(&authority, Some(&identity))).is_err(),
            "{identity:?}"
        );
    }
    let expired = authority.server(&[SERVER_NAME], long_ago).unwrap();
    assert!(meet(&authority, expired, client(&authority, None)).is_err());
}

#[test]
fn an_enforcer_cannot_pose_as_the_console_nor_a_server_of_another_name() {
    let authority = Authority::create(Timestamp::now()).unwrap();
    let enforcer = enrolled(&authority, SERVER_NAME, Timestamp::now());
    let pem = enforcer.to_pem();
    let posing = ServerIdentity {
        chain: CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect(),
        key: PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap(),
        certificate: enforcer.certificate,
    };
    let dashboard = authority.server(&["console.example", "127.0.0.1"], Timestamp::now()).unwrap();
    for server in [posing, dashboard] {
        assert!(meet(&authority, server, client(&authority, None)).is_err());
    }
}

#[test]
fn a_request_decides_nothing_but_the_key() {
    let authority = Authority::create(Timestamp::now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut asked = CertificateParams::new([String::from(SERVER_NAME)]).unwrap();
    asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    asked.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    asked.distinguished_name.push(DnType::CommonName, "somebody-else");
    let request = asked.serialize_request(&key).unwrap();
    let issued = authority.enforcer("me", request.der(), Timestamp::now()).unwrap();
    let (_, leaf) = x509_parser::parse_x509_certificate(&issued.chain[0]).unwrap();
    assert_eq!(issued.certificate.name, "me");
    assert!(!leaf.is_ca() && leaf.subject_alternative_name().unwrap().is_none());
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);

    let mut forged = request.der().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert!(matches!(authority.enforcer("me", &forged, Timestamp::now()), Err(AuthorityError::Request(_))));
    assert!(authority.enforcer("me", b"no request", Timestamp::now()).is_err());
}

#[test]
fn certificates_are_renewed_in_time_and_never_have_the_same_number() {
    let authority = Authority::create(Timestamp::now()).unwrap();
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let first = enrolled(&authority, "node", now).certificate;
    assert!(first.counts(now) && !first.counts(now + LEAF_LIFETIME));
    assert!(
        first.renew_from() > now + LEAF_LIFETIME * 6 / 10
            && first.renew_from() < now + LEAF_LIFETIME * 7 / 10
    );
    assert_ne!(first.serial, enrolled(&authority, "node", now).certificate.serial);
}

#[test]
fn an_identity_reads_back_from_its_file_and_belongs_to_its_key() {
    let authority = Authority::create(Timestamp::now()).unwrap();
    let identity = enrolled(&authority, "node", Timestamp::now());
    let text = identity.to_pem();
    assert_eq!(Identity::from_pem(&text).unwrap(), identity);
    assert!(!format!("{identity:?}").contains("KEY"));
    let other = enrolled(&authority, "node", Timestamp::now()).to_pem();
    let (key, _) = text.split_once("-----BEGIN CERTIFICATE").unwrap();
    let (_, chain) = other.split_once("-----BEGIN CERTIFICATE").unwrap();
    assert!(Identity::from_pem(&format!("{key}-----BEGIN CERTIFICATE{chain}")).is_err());
    assert!(Identity::from_pem(key).is_err() && Identity::from_pem("").is_err());
    assert!(
        Authority::open(authority.certificate().clone(), Authority::create(Timestamp::now()).unwrap().key())
            .is_err()
    );
}

#[test]
fn names_that_no_certificate_may_carry_are_refused() {
    let authority = Authority::create(Timestamp::now()).unwrap();
    assert!(authority.server(&["::1", "10.0.0.1", "moat.example"], Timestamp::now()).is_ok());
    for name in ["", "a b", "a\0b", "ü.example", "*/.."] {
        assert!(
            matches!(authority.server(&[name], Timestamp::now()), Err(AuthorityError::Name(_))),
            "{name}"
        );
    }
}
