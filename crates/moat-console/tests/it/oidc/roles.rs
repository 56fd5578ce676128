//! Who comes in, and as what.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Place;
use crate::server::{As, PASSWORD, problem, session};

async fn role(place: &Place, who: &As) -> Value {
    place.server.get(who, "/session").await["user"]["role"].clone()
}

#[tokio::test]
async fn nobody_comes_in_without_a_role() {
    let place = Place::new().await;
    place.provider.state().person["groups"] = json!(["strangers"]);
    assert_eq!(place.refused().await, "no-role");
    assert_eq!(place.users().await.len(), 1, "nobody was made");

    place.configure(json!({ "defaultRole": "Auditor" })).await;
    let ann = place.signs_in().await;
    assert_eq!(role(&place, &ann).await, "Auditor");
    place.server.stop().await;
}

#[tokio::test]
async fn the_role_follows_the_provider_at_each_sign_in() {
    let place = Place::new().await;
    let first = place.signs_in().await;
    assert_eq!(role(&place, &first).await, "Operator");
    let second = place.signs_in().await;
    assert_eq!(role(&place, &first).await, "Operator", "the same role ends no session");

    place.provider.state().person["groups"] = json!(["ops", "moat-admins"]);
    // Another name is the same person.
    place.provider.state().person["preferred_username"] = json!("anna");
    let third = place.signs_in().await;
    assert_eq!(role(&place, &third).await, "Admin");
    for before in [&first, &second] {
        let answer = place.server.send(before, Method::GET, "/session", None).await;
        problem(answer, StatusCode::UNAUTHORIZED).await;
    }
    assert_eq!(place.users().await.len(), 2);
    assert_eq!(place.user("ann").await["role"], "Admin");
    let audit = place.server.get(&place.admin, "/audit?action=update&resource=users").await;
    assert_eq!(audit["items"][0]["actor"], "single sign-on", "{audit}");

    // The last administrator keeps the role, and with it the way in that is not the provider's.
    place.change_user("ann", json!({ "role": "Admin" })).await;
    let ann = place.signs_in().await;
    let id = place.user("admin").await["id"].as_str().unwrap().to_owned();
    let gone = place.server.send(&ann, Method::DELETE, &format!("/users/{id}"), None).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    place.provider.state().person["groups"] = json!(["ops"]);
    assert_eq!(place.refused().await, "last-admin");
    assert_eq!(role(&place, &ann).await, "Admin");
    place.server.stop().await;
}

#[tokio::test]
async fn a_locked_user_stays_out() {
    let place = Place::new().await;
    let ann = place.signs_in().await;
    place.change_user("ann", json!({ "disabled": true })).await;
    problem(place.server.send(&ann, Method::GET, "/session", None).await, StatusCode::UNAUTHORIZED).await;
    assert_eq!(place.refused().await, "disabled");
    // Neither does another role unlock.
    place.provider.state().person["groups"] = json!(["moat-admins"]);
    assert_eq!(place.refused().await, "disabled");
    assert_eq!(place.user("ann").await["role"], "Operator");
    place.server.stop().await;
}

#[tokio::test]
async fn a_user_of_the_same_name_or_address_is_somebody_else() {
    let place = Place::new().await;
    let local = json!({ "name": "Ann", "password": PASSWORD, "role": "Admin" });
    let made = place.server.send(&place.admin, Method::POST, "/users", Some(local)).await;
    assert_eq!(made.status(), StatusCode::CREATED);

    let ann = place.signs_in().await;
    let told = place.server.get(&ann, "/session").await;
    let name = told["user"]["name"].as_str().unwrap();
    assert!(name.starts_with("ann-") && told["user"]["role"] == "Operator", "{told}");

    // Another subject with the same name, another issuer with the same subject.
    place.provider.state().person["sub"] = json!("another");
    let other = place.signs_in().await;
    assert_ne!(place.server.get(&other, "/session").await["user"]["id"], told["user"]["id"]);
    assert_eq!(place.users().await.len(), 4);

    // The local user is as before, and nobody signs in to the others with a password.
    let password = json!({ "name": "Ann", "password": PASSWORD });
    let local = session(place.server.send(&As::Nobody, Method::POST, "/session", Some(password)).await).await;
    assert_eq!(role(&place, &local).await, "Admin");
    let password = json!({ "name": name, "password": PASSWORD });
    let answer = place.server.send(&As::Nobody, Method::POST, "/session", Some(password)).await;
    problem(answer, StatusCode::UNAUTHORIZED).await;
    place.server.stop().await;
}

#[tokio::test]
async fn one_person_who_signs_in_twice_at_once_is_one_user() {
    let place = Place::new().await;
    futures::future::join_all((0..4).map(|_| place.signs_in())).await;
    assert_eq!(place.users().await.len(), 2);
    place.server.stop().await;
}
