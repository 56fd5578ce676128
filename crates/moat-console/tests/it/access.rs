//! Nobody is in who should not be.

use moat_console::access::{Access, Role, allows};
use moat_console::api::routes;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::server::{As, PASSWORD, Server, problem, session};

/// Every route by every role, and by nobody: found by the table, so that no route is without this test.
#[tokio::test]
async fn every_route_lets_in_whom_the_matrix_names_and_nobody_else() {
    let (server, admin) = Server::with_admin().await;
    let mut callers = Vec::new();
    for role in Role::ALL {
        callers.push((role, server.token(&admin, role, &[]).await));
    }
    for route in routes() {
        let path = route.path.replace("{revision}", "1").replace(['{', '}'], "");
        let anonymous = server.send(&As::Nobody, route.method.clone(), &path, None).await.status();
        let public = route.access == Access::Public;
        assert_eq!(anonymous == StatusCode::UNAUTHORIZED, !public, "{route:?} by nobody: {anonymous}");
        // Signing in and out by API token is refused as such, not by role.
        let Access::To(resource, action) = route.access else { continue };
        for (role, caller) in &callers {
            // The API's own answer to a request without its body says that the guard let it through.
            let response = server.send(caller, route.method.clone(), &path, None).await;
            let refused = response.status() == StatusCode::FORBIDDEN;
            assert_eq!(
                !refused,
                allows(*role, resource, action),
                "{route:?} by {role:?}: {}",
                response.status()
            );
            assert_ne!(response.status(), StatusCode::UNAUTHORIZED, "{route:?} by {role:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_setup_link_works_once() {
    let (server, admin) = Server::with_admin().await;
    let again = json!({ "token": server.setup, "name": "mallory", "password": PASSWORD });
    let response = server.send(&As::Nobody, Method::POST, "/session/setup", Some(again)).await;
    problem(response, StatusCode::FORBIDDEN).await;
    let users = server.get(&admin, "/users").await;
    assert_eq!(users["items"].as_array().unwrap().len(), 1, "{users}");
    assert_eq!(server.get(&As::Nobody, "/session/options").await["setup"], false);
    server.stop().await;
}

#[tokio::test]
async fn a_change_by_cookie_needs_the_csrf_token_and_a_read_does_not() {
    let (server, admin) = Server::with_admin().await;
    let As::Session { cookie, .. } = &admin else { panic!("{admin:?}") };
    let forged = As::Session { cookie: cookie.clone(), csrf: "guess".to_owned() };
    assert_eq!(server.get(&forged, "/session").await["user"]["name"], "admin");
    let new = json!({ "label": "x" });
    let response = server.send(&forged, Method::POST, "/enrolment-tokens", Some(new.clone())).await;
    problem(response, StatusCode::FORBIDDEN).await;
    // What a form of another site can send.
    let response = server
        .request(&admin, Method::POST, "/enrolment-tokens")
        .header("content-type", "text/plain")
        .body(new.to_string())
        .send()
        .await
        .unwrap();
    problem(response, StatusCode::BAD_REQUEST).await;
    assert_eq!(server.get(&admin, "/enrolment-tokens").await["items"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn what_has_ended_opens_nothing() {
    let (server, admin) = Server::with_admin().await;
    let sign_in = json!({ "name": "admin", "password": PASSWORD });
    let response = server.send(&As::Nobody, Method::POST, "/session", Some(sign_in)).await;
    let second = session(response).await;
    let signed_out = server.send(&second, Method::DELETE, "/session", None).await;
    assert_eq!(signed_out.status(), StatusCode::NO_CONTENT);
    let replayed = server.send(&second, Method::GET, "/session", None).await;
    problem(replayed, StatusCode::UNAUTHORIZED).await;

    let token = server.token(&admin, Role::Operator, &[]).await;
    let id = server.get(&admin, "/tokens").await["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&token, "/policies").await["items"], json!([]));
    server.send(&admin, Method::DELETE, &format!("/tokens/{id}"), None).await;
    problem(server.send(&token, Method::GET, "/policies", None).await, StatusCode::UNAUTHORIZED).await;

    // A new password ends all other sessions.
    let third = session(
        server
            .send(
                &As::Nobody,
                Method::POST,
                "/session",
                Some(json!({ "name": "admin", "password": PASSWORD })),
            )
            .await,
    )
    .await;
    let change = json!({ "current": PASSWORD, "new": "another horse battery" });
    let changed = server.send(&admin, Method::PUT, "/session/password", Some(change)).await;
    let admin = session(changed).await;
    problem(server.send(&third, Method::GET, "/session", None).await, StatusCode::UNAUTHORIZED).await;
    assert_eq!(server.get(&admin, "/session").await["user"]["role"], "Admin");
    server.stop().await;
}

#[tokio::test]
async fn a_token_does_no_more_than_its_scopes_and_its_role() {
    let (server, admin) = Server::with_admin().await;
    let narrow = server.token(&admin, Role::Admin, &["events:read"]).await;
    assert_eq!(server.get(&narrow, "/events").await["items"], json!([]));
    problem(server.send(&narrow, Method::GET, "/users", None).await, StatusCode::FORBIDDEN).await;
    problem(server.send(&narrow, Method::GET, "/policies", None).await, StatusCode::FORBIDDEN).await;
    let beyond = json!({ "name": "beyond", "role": "Auditor", "scopes": ["policies:write"] });
    problem(server.send(&admin, Method::POST, "/tokens", Some(beyond)).await, StatusCode::BAD_REQUEST).await;
    server.stop().await;
}

#[tokio::test]
async fn guessing_is_slowed_down_and_says_nothing_about_names() {
    let (server, _) = Server::with_admin().await;
    let guess = async |name: &str| {
        let body = json!({ "name": name, "password": "wrong password" });
        server.send(&As::Nobody, Method::POST, "/session", Some(body)).await
    };
    let known = problem(guess("admin").await, StatusCode::UNAUTHORIZED).await;
    let unknown = problem(guess("nobody").await, StatusCode::UNAUTHORIZED).await;
    assert_eq!(known, unknown);
    // At once: each takes a while, and waiting is what helps.
    let guesses = futures::future::join_all((0..20).map(|_| guess("admin"))).await;
    let slowed = guesses.into_iter().find(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS).unwrap();
    assert!(slowed.headers().contains_key("retry-after"));
    problem(slowed, StatusCode::TOO_MANY_REQUESTS).await;
    server.stop().await;
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_which_shows_tampering() {
    let (server, admin) = Server::with_admin().await;
    server.token(&admin, Role::Auditor, &[]).await;
    let entries = server.get(&admin, "/audit").await;
    let told: Vec<_> = entries["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| format!("{} {} {}", entry["actor"], entry["action"], entry["resource"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        [
            "admin create tokens",
            "admin sign-in session",
            "setup link create users",
            "setup link update settings",
            "moat update settings",
        ]
    );
    assert!(!entries.to_string().contains(PASSWORD) && !entries.to_string().contains(&server.setup));
    let verified = server.send(&admin, Method::POST, "/audit/verify", None).await;
    let verified: serde_json::Value = verified.json().await.unwrap();
    assert_eq!((&verified["intact"], &verified["entries"]), (&json!(true), &json!(5)), "{verified}");
    server.stop().await;
}
