//! How the provider is set up.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Place;
use super::browser::Browser;
use super::provider::CLIENT_ID;
use crate::server::{As, problem};

/// What the form sends that leaves the secret as it is.
pub fn of(place: &Place) -> Value {
    json!({
        "enabled": true, "name": "Test", "issuer": place.provider.issuer, "clientId": CLIENT_ID,
        "scopes": ["profile", "groups"], "roleClaim": "groups", "roles": { "ops": "Operator" },
    })
}

#[tokio::test]
async fn settings_by_which_nobody_could_sign_in_are_refused() {
    let place = Place::new().await;
    for (change, told) in [
        (json!({ "issuer": "http://login.example.org" }), "https"),
        (json!({ "issuer": "login.example.org" }), "URL"),
        (json!({ "issuer": "https://login.example.org/?realm=x" }), "without ?"),
        (json!({ "clientId": "" }), "client's id"),
        (json!({ "scopes": ["profile email"] }), "one word"),
        (json!({ "roles": {} }), "nobody could come in"),
        (json!({ "roleClaim": "" }), "nobody could come in"),
    ] {
        let mut settings = of(&place);
        for (name, value) in change.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let answer = problem(place.put("/settings/oidc", settings).await, StatusCode::BAD_REQUEST).await;
        assert!(answer["detail"].as_str().unwrap().contains(told), "{change}: {answer}");
    }
    place.server.stop().await;
}

#[tokio::test]
async fn a_secret_stays_with_the_issuer_that_it_was_entered_for() {
    let place = Place::new().await;
    // Without a secret in the form, the one that is there stays.
    assert_eq!(place.put("/settings/oidc", of(&place)).await.status(), StatusCode::OK);
    place.signs_in().await;
    // By way of another issuer it is gone.
    for issuer in ["https://login.example.org", &place.provider.issuer] {
        let mut settings = of(&place);
        settings["issuer"] = json!(issuer);
        assert_eq!(place.put("/settings/oidc", settings).await.status(), StatusCode::OK);
    }
    assert_eq!(place.refused().await, "client");
    place.server.stop().await;
}

#[tokio::test]
async fn a_provider_is_asked_before_it_is_used() {
    let place = Place::new().await;
    place.configure(json!({ "enabled": false })).await;
    assert_eq!(place.server.get(&As::Nobody, "/session/options").await["oidc"], Value::Null);
    assert_eq!(place.refused().await, "off");

    let ask = async |settings: Value| -> Value {
        let answer =
            place.server.send(&place.admin, Method::POST, "/settings/oidc/test", Some(settings)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    };
    let answer = ask(of(&place)).await;
    assert_eq!((&answer["problem"], &answer["keys"]), (&Value::Null, &json!(1)), "{answer}");
    assert_eq!(answer["authorizationEndpoint"], format!("{}/authorize", place.provider.issuer));

    place.provider.state().claimed_issuer = Some(format!("{}/", place.provider.issuer));
    let answer = ask(of(&place)).await;
    assert!(
        answer["problem"].as_str().unwrap().contains(&format!("`{}/`", place.provider.issuer)),
        "{answer}"
    );

    let mut incomplete = of(&place);
    incomplete["clientId"] = json!("");
    assert!(ask(incomplete).await["problem"].as_str().unwrap().contains("client's id"));
    place.server.stop().await;
}

#[tokio::test]
async fn the_way_back_is_the_address_from_outside() {
    let place = Place::new().await;
    let outside = json!({ "externalUrl": "https://moat.example.org/" });
    assert_eq!(place.put("/settings/console", outside).await.status(), StatusCode::OK);
    let expected = "https://moat.example.org/api/v1/session/oidc/callback";
    assert_eq!(place.server.get(&place.admin, "/settings/oidc/registration").await["redirectUri"], expected);
    let mut browser = Browser::new(&place.server);
    let entrance = reqwest::Url::parse(&browser.begin("/").await).unwrap();
    let (_, redirect) = entrance.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap();
    assert_eq!(redirect, expected);
    place.server.stop().await;
}
