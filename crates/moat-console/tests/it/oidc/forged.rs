//! What is not what it claims to be lets nobody in.

use reqwest::{StatusCode, Url};
use serde_json::json;

use super::browser::Browser;
use super::provider::{Forge, Signer};
use super::{Place, failure};

#[tokio::test]
async fn an_id_token_that_is_not_valid_is_refused() {
    let place = Place::new().await;
    let forgeries: [(&str, Forge); 10] = [
        ("nonce", |claims| claims["nonce"] = json!("another")),
        ("nonce", |claims| drop(claims.as_object_mut().unwrap().remove("nonce"))),
        ("issuer", |claims| claims["iss"] = json!("https://evil.example")),
        ("issuer", |claims| claims["iss"] = json!(format!("{}/", claims["iss"].as_str().unwrap()))),
        ("audience", |claims| claims["aud"] = json!("another client")),
        ("audience", |claims| claims["aud"] = json!(["another client", claims["aud"]])),
        ("expired", |claims| claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 90)),
        ("expired", |claims| claims["iat"] = json!(claims["iat"].as_i64().unwrap() + 3600)),
        ("answer", |claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
        ("answer", |claims| claims["sub"] = json!("x".repeat(300))),
    ];
    for (at, (expected, forge)) in forgeries.into_iter().enumerate() {
        place.provider.state().forge = Some(forge);
        assert_eq!(place.refused().await, expected, "forgery {at}");
    }
    // Clocks differ a little, and that is no forgery.
    place.provider.state().forge = Some(|claims| {
        claims["exp"] = json!(claims["exp"].as_i64().unwrap() - 320);
        claims["iat"] = json!(claims["iat"].as_i64().unwrap() + 20);
    });
    place.signs_in().await;
    place.server.stop().await;
}

#[tokio::test]
async fn a_signature_by_anybody_else_is_refused() {
    let place = Place::new().await;
    let secret = place.provider.state().client_secret.clone();
    for signer in [Signer::es256(), Signer::ed25519(), Signer::Hs256(secret), Signer::Unsigned] {
        place.provider.state().signer = signer;
        assert_eq!(place.refused().await, "signature");
    }
    assert_eq!(place.users().await.len(), 1);
    place.server.stop().await;
}

#[tokio::test]
async fn keys_that_have_changed_are_asked_for_once() {
    let place = Place::new().await;
    place.signs_in().await;
    place.signs_in().await;
    assert_eq!(place.provider.state().asked_for_keys, 1, "what the provider says about itself is remembered");
    place.provider.rotate(Signer::es256(), "second");
    place.signs_in().await;
    assert_eq!(place.provider.state().asked_for_keys, 2);
    // Under the same name, too.
    place.provider.rotate(Signer::es256(), "second");
    place.signs_in().await;
    assert_eq!(place.provider.state().asked_for_keys, 3);
    place.server.stop().await;
}

#[tokio::test]
async fn a_sign_in_belongs_to_the_browser_that_began_it() {
    let place = Place::new().await;
    let mut browser = Browser::new(&place.server);
    let entrance = browser.begin("/policies").await;
    let callback = browser.at_provider(&entrance).await;

    // A code that somebody else is made to use signs them in to nothing.
    let mut stranger = Browser::new(&place.server);
    let page = stranger.end(&callback).await;
    assert_eq!(failure(&place.server, &page, "/").await, "stale");
    stranger.begin("/").await;
    let page = stranger.end(&callback).await;
    assert_eq!(failure(&place.server, &page, "/").await, "stale");
    assert!(!stranger.is_signed_in());

    // A cookie that was made or changed is none.
    let mut forger = Browser::new(&place.server);
    let genuine = browser.set_cookie("moat_oidc").to_owned();
    for forged in [genuine.replacen('.', ".A", 1), "moat_oidc=%7B%7D; Path=/".to_owned()] {
        forger.cookies.insert("moat_oidc".to_owned(), forged);
        assert_eq!(failure(&place.server, &forger.end(&callback).await, "/").await, "stale");
    }

    // Nor does a code go to a provider that was set up meanwhile.
    place.configure(json!({ "name": "Other" })).await;
    let page = browser.end(&callback).await;
    assert_eq!(failure(&place.server, &page, "/policies").await, "stale");
    place.server.stop().await;
}

#[tokio::test]
async fn a_code_works_once() {
    let place = Place::new().await;
    let mut browser = Browser::new(&place.server);
    let entrance = browser.begin("/").await;
    let callback = browser.at_provider(&entrance).await;
    let flow = browser.cookies.clone();
    assert_eq!(browser.end(&callback).await, "/");

    let mut thief = Browser::new(&place.server);
    thief.cookies = flow;
    let page = thief.end(&callback).await;
    assert_eq!(failure(&place.server, &page, "/").await, "code");

    // Another's code in one's own sign-in: its verifier and nonce are not here.
    let mut other = Browser::new(&place.server);
    let entrance = other.begin("/").await;
    let theirs = browser.at_provider(&entrance).await;
    let mine = Url::parse(&entrance).unwrap();
    let mut thief = Browser::new(&place.server);
    let entrance = thief.begin("/").await;
    let state = |url: &str| {
        let url = Url::parse(url).unwrap();
        url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
    };
    let mixed = theirs.replace(&state(mine.as_str()), &state(&entrance));
    let page = thief.end(&mixed).await;
    assert_eq!(failure(&place.server, &page, "/").await, "code");
    place.server.stop().await;
}

#[tokio::test]
async fn an_answer_in_another_issuers_name_is_refused() {
    let place = Place::new().await;
    let mut browser = Browser::new(&place.server);
    let entrance = browser.begin("/").await;
    let mut callback = Url::parse(&browser.at_provider(&entrance).await).unwrap();
    let pairs: Vec<(String, String)> =
        callback.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
    callback.query_pairs_mut().clear().extend_pairs(pairs).append_pair("iss", "https://evil.example");
    let page = browser.end(callback.as_str()).await;
    assert_eq!(failure(&place.server, &page, "/").await, "issuer");
    place.server.stop().await;
}

#[tokio::test]
async fn nobody_is_led_elsewhere() {
    let place = Place::new().await;
    for elsewhere in ["https://evil.example/", "//evil.example", "/\\evil.example", "/.//evil.example", "x"] {
        let mut browser = Browser::new(&place.server);
        assert_eq!(browser.sign_in(elsewhere).await, "/", "{elsewhere}");
    }
    // Twice the same parameter is no question for the provider.
    let url = format!("{}/api/v1/session/oidc?return=/&return=//evil.example", place.server.url);
    assert_eq!(reqwest::get(url).await.unwrap().status(), StatusCode::BAD_REQUEST);
    place.server.stop().await;
}
