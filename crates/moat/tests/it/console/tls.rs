//! TLS as browsers meet it.

use std::fs;
use std::net::SocketAddr;

use moat_wire::authority::Authority;
use reqwest::tls::Version;
use reqwest::{Certificate, ClientBuilder};

use super::*;

/// A client that trusts this authority and no other.
fn trusting(authority: &[u8]) -> ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().tls_certs_only([Certificate::from_der(authority).unwrap()])
}

fn port(url: &str) -> u16 {
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn the_own_certificate_is_for_the_console_s_names_and_of_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let arguments = [&ANYWHERE[..], &["--name", "moat.example.org"]].concat();
    let program = Program::start(console(state, &arguments));
    let port = port(&program.url);
    assert_eq!(program.url, format!("https://moat.example.org:{port}"));
    let here = SocketAddr::from(([127, 0, 0, 1], port));
    // Whoever enrolled knows the authority.
    let authority = enrol(&program, state, "node-1").await.authority().to_vec();
    let browser = || trusting(&authority).resolve("moat.example.org", here).resolve("other.example", here);

    let client = browser().build().unwrap();
    for name in ["moat.example.org", "localhost", "127.0.0.1"] {
        let answer = client.get(format!("https://{name}:{port}/healthz")).send().await.unwrap();
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, reqwest::Version::HTTP_2), "{name}");
    }
    let older = browser().tls_version_max(Version::TLS_1_2).http1_only().build().unwrap();
    let answer = older.get(format!("{}/healthz", program.url)).send().await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, reqwest::Version::HTTP_11));

    // Another name, another authority, no TLS: nothing is said.
    assert!(client.get(format!("https://other.example:{port}/healthz")).send().await.is_err());
    let stranger = Authority::create(jiff::Timestamp::now()).unwrap();
    let stranger = trusting(stranger.certificate()).resolve("moat.example.org", here).build().unwrap();
    assert!(stranger.get(format!("{}/healthz", program.url)).send().await.is_err());
    assert!(client.get(format!("http://{here}/healthz")).send().await.is_err());

    // The cookie never travels in the clear.
    let link = done(state, &["user", "link"]);
    let secret = link.trim().split_once('#').unwrap().1;
    let setup = json!({ "token": secret, "name": "ada", "password": PASSWORD });
    let setup =
        client.post(format!("{}/api/v1/session/setup", program.url)).json(&setup).send().await.unwrap();
    let cookie = setup.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; Secure") && cookie.contains("; HttpOnly"), "{cookie}");
}

#[tokio::test]
async fn a_certificate_from_files_is_the_one_that_browsers_see() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let own = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    fs::write(&certificate, own.cert.pem()).unwrap();
    fs::write(&key, own.signing_key.serialize_pem()).unwrap();
    let state = folder.path().join("state");
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let arguments = [&ANYWHERE[..], &["--tls-cert", certificate, "--tls-key", key]].concat();
    let program = Program::start(console(&state, &arguments));
    let client = trusting(own.cert.der()).build().unwrap();
    let url = format!("https://localhost:{}", port(&program.url));
    assert_eq!(client.get(format!("{url}/healthz")).send().await.unwrap().status(), StatusCode::OK);
    // The gateway keeps to the own authority.
    enrol(&program, &state, "node-1").await;

    let other = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
    fs::write(key, other.signing_key.serialize_pem()).unwrap();
    let swapped = refused(&state, &arguments, 2);
    assert!(swapped.contains("the certificate cannot be used"), "{swapped}");
    fs::write(key, "no key").unwrap();
    let unreadable = refused(&state, &arguments, 2);
    assert!(unreadable.contains(&format!("the key {key} cannot be read")), "{unreadable}");
}
