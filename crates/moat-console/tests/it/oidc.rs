//! Sign-in by an OpenID Connect provider: a real one, if small, on the loopback interface.

mod browser;
mod faults;
mod forged;
mod log;
pub mod provider;
mod roles;
mod settings;

use moat_console::Config;
use reqwest::{Method, StatusCode};
use ring::signature::RsaKeyPair;
use serde_json::{Value, json};

use crate::server::{As, Server};
use browser::Browser;
use provider::{CLIENT_ID, Provider, Signer};

/// A console whose people sign in by a provider.
struct Place {
    server: Server,
    admin: As,
    provider: Provider,
}

impl Place {
    async fn new() -> Place {
        Place::with(|_| ()).await
    }

    async fn with(adapt: impl FnOnce(&mut Config)) -> Place {
        log::capture();
        let server = Server::start_with(adapt).await;
        let admin = server.admin().await;
        let registration = server.get(&admin, "/settings/oidc/registration").await;
        let redirect_uri = registration["redirectUri"].as_str().unwrap();
        assert_eq!(redirect_uri, format!("{}/api/v1/session/oidc/callback", server.url));
        let provider = Provider::start(redirect_uri).await;
        let place = Place { server, admin, provider };
        place.configure(json!({})).await;
        place
    }

    /// Changes the provider's settings.
    async fn configure(&self, change: Value) {
        let mut settings = json!({
            "enabled": true,
            "name": "Test",
            "issuer": self.provider.issuer,
            "clientId": CLIENT_ID,
            "clientSecret": self.provider.state().client_secret.clone(),
            "scopes": ["profile", "groups"],
            "roleClaim": "groups",
            "roles": { "moat-admins": "Admin", "ops": "Operator" },
            "defaultRole": null,
        });
        for (name, value) in change.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let answer = self.put("/settings/oidc", settings).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());
    }

    async fn put(&self, path: &str, body: Value) -> reqwest::Response {
        let current = self.server.send(&self.admin, Method::GET, path, None).await;
        let etag = current.headers()["etag"].clone();
        self.server
            .request(&self.admin, Method::PUT, path)
            .header("if-match", etag)
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    async fn users(&self) -> Vec<Value> {
        self.server.get(&self.admin, "/users").await["items"].as_array().unwrap().clone()
    }

    async fn user(&self, name: &str) -> Value {
        self.users().await.into_iter().find(|user| user["name"] == name).unwrap()
    }

    async fn change_user(&self, name: &str, change: Value) {
        let id = self.user(name).await["id"].as_str().unwrap().to_owned();
        let answer = self.put(&format!("/users/{id}"), change).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }

    /// Somebody signs in with a browser of their own, and comes in.
    async fn signs_in(&self) -> As {
        let mut browser = Browser::new(&self.server);
        assert_eq!(browser.sign_in("/").await, "/");
        browser.session().await
    }

    /// Somebody tries to, and is told why not.
    async fn refused(&self) -> String {
        let mut browser = Browser::new(&self.server);
        let page = browser.sign_in("/").await;
        assert!(!browser.is_signed_in());
        failure(&self.server, &page, "/").await
    }
}

/// The word that a sign-in page's address ends with; the page has a sentence for it.
async fn failure(server: &Server, page: &str, back: &str) -> String {
    let word = page.strip_prefix(&format!("{back}#sign-in=")).unwrap_or_else(|| panic!("{page}"));
    let options = server.get(&As::Nobody, &format!("/session/options?failure={word}")).await;
    assert!(options["failure"].as_str().unwrap().ends_with('.'), "{options}");
    word.to_owned()
}

#[tokio::test]
async fn a_person_signs_in_by_the_provider() {
    let place = Place::new().await;
    let options = place.server.get(&As::Nobody, "/session/options").await;
    assert_eq!((&options["oidc"], &options["failure"]), (&json!("Test"), &Value::Null));

    let mut browser = Browser::new(&place.server);
    let entrance = browser.begin("/events?types=Drift").await;
    assert!(entrance.starts_with(&format!("{}/authorize?", place.provider.issuer)), "{entrance}");
    let flow = browser.set_cookie("moat_oidc").to_owned();
    assert!(flow.ends_with("; Path=/api/v1/session/oidc; Max-Age=600; HttpOnly; SameSite=Lax"), "{flow}");

    let callback = browser.at_provider(&entrance).await;
    assert_eq!(browser.end(&callback).await, "/events?types=Drift");
    let session = browser.set_cookie("moat_session").to_owned();
    assert!(session.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{session}");
    assert!(browser.set_cookie("moat_oidc").starts_with("moat_oidc=; Path=/api/v1/session/oidc; Max-Age=0;"));

    let ann = browser.session().await;
    let told = place.server.get(&ann, "/session").await;
    assert_eq!((&told["user"]["name"], &told["user"]["role"]), (&json!("ann"), &json!("Operator")));
    assert_eq!(told["user"]["method"], "Oidc");
    let made = json!({ "label": "rack 4" });
    let answer = place.server.send(&ann, Method::POST, "/enrolment-tokens", Some(made)).await;
    assert_eq!(answer.status(), StatusCode::CREATED, "the session is as good as any other");

    let audit = place.server.get(&place.admin, "/audit?limit=3").await;
    let entry = |at: usize| {
        let entry = &audit["items"][at];
        format!("{} {} {} {}", entry["actor"], entry["action"], entry["resource"], entry["name"])
            .replace('"', "")
    };
    assert_eq!(entry(1), "ann sign-in session ann");
    assert_eq!(entry(2), "single sign-on create users ann");
    assert_eq!(audit["items"][2]["detail"]["oidc"]["subject"], "248289761001");

    // None of the secrets is told to anybody.
    let mut secrets = place.provider.secrets();
    assert_eq!(secrets.len(), 4, "code, ID token, access token, client secret");
    secrets.extend([cookie_value(&flow), cookie_value(&session)]);
    let settings = place.server.get(&place.admin, "/settings/oidc").await;
    let answers = format!("{audit}{settings}{told}");
    let log = log::text();
    for secret in secrets {
        assert!(!answers.contains(&secret), "{secret} is in an answer");
        assert!(!log.contains(&secret), "{secret} is in the log");
    }
    place.server.stop().await;
}

fn cookie_value(cookie: &str) -> String {
    let (_, rest) = cookie.split_once('=').unwrap();
    rest.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn every_common_kind_of_signature_and_of_client_authentication_works() {
    let place = Place::new().await;
    for (at, signer) in [Some(Signer::ed25519()), rs256()].into_iter().enumerate() {
        let Some(signer) = signer else {
            moat_testkit::skip("openssl", "openssl is not installed: RS256 is not tried");
            continue;
        };
        place.provider.rotate(signer, &format!("key {at}"));
        place.signs_in().await;
    }
    place.provider.state().method = "client_secret_post";
    // What the provider says about itself is read anew when somebody asks it.
    place.server.send(&place.admin, Method::POST, "/settings/oidc/test", Some(settings::of(&place))).await;
    place.signs_in().await;
    place.server.stop().await;
}

/// Ring makes no RSA keys.
fn rs256() -> Option<Signer> {
    let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER"];
    let made = std::process::Command::new("openssl").args(arguments).output().ok()?;
    assert!(made.status.success(), "{made:?}");
    // PKCS #1 or #8, as its version has it.
    let key = RsaKeyPair::from_der(&made.stdout).or_else(|_| RsaKeyPair::from_pkcs8(&made.stdout)).unwrap();
    Some(Signer::Rs256(Box::new(key)))
}
