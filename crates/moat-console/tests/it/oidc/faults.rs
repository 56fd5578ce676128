//! A provider that does not do what it should.

use std::time::Duration;

use serde_json::json;

use super::browser::Browser;
use super::{Place, failure, log};

#[tokio::test]
async fn what_the_provider_refuses_is_told() {
    let place = Place::new().await;
    for (error, expected) in [("access_denied", "denied"), ("server_error", "provider")] {
        place.provider.state().error = Some(error);
        assert_eq!(place.refused().await, expected);
    }
    let log = log::text();
    let line =
        log.lines().find(|line| line.contains("server_error: <b>no</b>")).expect("the provider's words");
    assert!(!line.contains('\u{1b}'), "{line}");

    place.provider.state().error = None;
    place.configure(json!({ "clientSecret": "wrong" })).await;
    assert_eq!(place.refused().await, "client");
    let metrics = reqwest::get(format!("{}/metrics", place.server.url)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("moat_console_sign_ins_refused_total 3"), "{metrics}");
    place.server.stop().await;
}

#[tokio::test]
async fn a_provider_that_is_down_or_silent_keeps_nobody_waiting() {
    let place = Place::with(|config| config.provider_deadline = Duration::from_millis(500)).await;
    place.provider.state().silent = true;
    assert_eq!(place.refused().await, "slow");
    place.server.stop().await;

    let place = Place::new().await;
    let issuer = place.provider.stop().await;
    let mut browser = Browser::new(&place.server);
    let page = browser.begin("/workloads").await;
    assert_eq!(failure(&place.server, &page, "/workloads").await, "unreachable");
    assert!(!page.contains(&issuer));
    place.server.stop().await;
}

#[tokio::test]
async fn a_provider_that_falls_silent_in_between_keeps_nobody_waiting() {
    let place = Place::with(|config| config.provider_deadline = Duration::from_millis(500)).await;
    let mut browser = Browser::new(&place.server);
    let entrance = browser.begin("/").await;
    let callback = browser.at_provider(&entrance).await;
    place.provider.state().silent = true;
    let page = browser.end(&callback).await;
    assert_eq!(failure(&place.server, &page, "/").await, "slow");
    assert!(!browser.is_signed_in());
    place.server.stop().await;
}

#[tokio::test]
async fn a_provider_that_says_too_much_sends_elsewhere_or_calls_itself_otherwise_is_refused() {
    let place = Place::new().await;
    place.provider.state().moved = true;
    assert_eq!(place.refused().await, "answer");
    place.server.stop().await;

    let place = Place::new().await;
    place.provider.state().padding = 2 << 20;
    assert_eq!(place.refused().await, "answer");
    place.server.stop().await;

    let place = Place::new().await;
    place.provider.state().claimed_issuer = Some("https://evil.example".to_owned());
    assert_eq!(place.refused().await, "issuer");
    place.server.stop().await;
}

#[tokio::test]
async fn failures_slow_down_whoever_has_them() {
    let place = Place::new().await;
    place.provider.state().error = Some("access_denied");
    for _ in 0..20 {
        assert_eq!(place.refused().await, "denied");
    }
    let words = futures::future::join_all((0..3).map(|_| place.refused())).await;
    assert!(words.iter().any(|word| word == "throttled"), "{words:?}");
    place.server.stop().await;
}
