//! A small OpenID provider on the loopback interface: discovery, keys, the authorization code flow with PKCE, signed ID
//! tokens. It refuses what the standard lets a provider refuse; whoever signs in is the one [`State::person`] says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use reqwest::Url;
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

pub const CLIENT_ID: &str = "moat console";

/// What the provider signs with.
pub enum Signer {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
    /// With the client's secret, which is no proof.
    Hs256(String),
    Unsigned,
}

impl Signer {
    pub fn es256() -> Signer {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Signer::Es256(
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap(),
        )
    }

    pub fn ed25519() -> Signer {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Signer::EdDsa(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Signer::Es256(_) => "ES256",
            Signer::EdDsa(_) => "EdDSA",
            Signer::Rs256(_) => "RS256",
            Signer::Hs256(_) => "HS256",
            Signer::Unsigned => "none",
        }
    }

    /// The public key as a JSON Web Key (RFC 7517, RFC 8037).
    pub fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Signer::Es256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Signer::EdDsa(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref()) })
            }
            Signer::Rs256(key) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({ "kty": "RSA", "n": encode(&public.n), "e": encode(&public.e) })
            }
            Signer::Hs256(_) | Signer::Unsigned => json!({ "kty": "none" }),
        };
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        jwk
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::Es256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::EdDsa(key) => key.sign(message).as_ref().to_vec(),
            Signer::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Signer::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Signer::Unsigned => Vec::new(),
        }
    }
}

/// What a code stands for.
struct Grant {
    challenge: String,
    redirect_uri: String,
    nonce: String,
}

pub type Forge = fn(&mut Value);

/// What the provider knows, and how it misbehaves.
pub struct State {
    pub issuer: String,
    /// What discovery says instead.
    pub claimed_issuer: Option<String>,
    pub client_secret: String,
    /// Where it sends browsers back to; anything else is refused.
    pub redirect_uri: String,
    pub person: Value,
    pub signer: Signer,
    pub kid: String,
    pub keys: Vec<Value>,
    /// How the client proves to be it.
    pub method: &'static str,
    /// Changes an ID token's claims before they are signed.
    pub forge: Option<Forge>,
    /// Asks whoever signs in to go on, as providers do, instead of sending the browser back at once.
    pub asks: bool,
    /// Answers the sign-in with an error.
    pub error: Option<&'static str>,
    /// What discovery and the token endpoint do instead of answering.
    pub silent: bool,
    pub padding: usize,
    /// Discovery sends whoever asks to where the same is found.
    pub moved: bool,
    /// Codes and tokens that it gave out, which are nobody else's business.
    pub secrets: Vec<String>,
    /// How often the keys were asked for.
    pub asked_for_keys: usize,
    grants: HashMap<String, Grant>,
}

pub struct Provider {
    pub issuer: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Provided = Shared<Arc<Mutex<State>>>;

impl Provider {
    pub async fn start(redirect_uri: &str) -> Provider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realm", listener.local_addr().unwrap());
        let signer = Signer::es256();
        let state = Arc::new(Mutex::new(State {
            issuer: issuer.clone(),
            claimed_issuer: None,
            client_secret: random("s&cret:"),
            redirect_uri: redirect_uri.to_owned(),
            person: json!({ "sub": "248289761001", "preferred_username": "ann", "groups": ["ops"] }),
            keys: vec![signer.jwk("first")],
            kid: "first".to_owned(),
            signer,
            method: "client_secret_basic",
            forge: None,
            asks: false,
            error: None,
            silent: false,
            padding: 0,
            moved: false,
            secrets: Vec::new(),
            asked_for_keys: 0,
            grants: HashMap::new(),
        }));
        let router = Router::new()
            .route("/realm/.well-known/openid-configuration", get(configuration))
            .route("/realm/moved", get(described))
            .route("/realm/keys", get(keys))
            .route("/realm/authorize", get(authorize))
            .route("/realm/token", post(token))
            .with_state(Arc::clone(&state));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Provider { issuer, state, server }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What it gave out, and the client's secret.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.state();
        [state.secrets.as_slice(), std::slice::from_ref(&state.client_secret)].concat()
    }

    /// Signs with another key from now on, and publishes it.
    pub fn rotate(&self, signer: Signer, kid: &str) {
        let mut state = self.state();
        state.keys = vec![signer.jwk(kid)];
        state.signer = signer;
        kid.clone_into(&mut state.kid);
    }

    /// Nothing answers at the issuer's address any more.
    pub async fn stop(mut self) -> String {
        self.server.abort();
        let _ = (&mut self.server).await;
        self.issuer.clone()
    }
}

async fn silence(Shared(state): &Provided) {
    let silent = state.lock().unwrap().silent;
    if silent {
        std::future::pending::<()>().await;
    }
}

async fn configuration(state: Provided) -> Response {
    silence(&state).await;
    if state.lock().unwrap().moved {
        return (StatusCode::FOUND, [(header::LOCATION, "/realm/moved")]).into_response();
    }
    described(state).await.into_response()
}

async fn described(state: Provided) -> Json<Value> {
    let state = state.lock().unwrap();
    let issuer = &state.issuer;
    Json(json!({
        "issuer": state.claimed_issuer.as_ref().unwrap_or(issuer),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA", "HS256"],
        "token_endpoint_auth_methods_supported": [state.method],
        "padding": "x".repeat(state.padding),
    }))
}

async fn keys(Shared(state): Provided) -> Json<Value> {
    let mut state = state.lock().unwrap();
    state.asked_for_keys += 1;
    Json(json!({ "keys": state.keys }))
}

/// RFC 6749 §4.1.1, RFC 7636 §4.3. A mistake about client or redirect URI is told here, and never sent back.
async fn authorize(Shared(state): Provided, uri: Uri) -> Response {
    let mut state = state.lock().unwrap();
    let asked = pairs(uri.query().unwrap_or_default());
    let get = |name: &str| asked.get(name).map_or("", String::as_str);
    for (name, expected) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", &state.redirect_uri),
        ("code_challenge_method", "S256"),
        ("scope", "openid profile groups"),
    ] {
        if get(name) != expected {
            return (StatusCode::BAD_REQUEST, format!("{name} is {}", get(name))).into_response();
        }
    }
    let mut back = Url::parse(get("redirect_uri")).unwrap();
    back.query_pairs_mut().append_pair("state", get("state")).append_pair("session_state", "any");
    if let Some(error) = state.error {
        back.query_pairs_mut()
            .append_pair("error", error)
            .append_pair("error_description", "<b>no</b>\u{1b}[31m");
    } else {
        let code = random("code");
        let grant = Grant {
            challenge: get("code_challenge").to_owned(),
            redirect_uri: get("redirect_uri").to_owned(),
            nonce: get("nonce").to_owned(),
        };
        back.query_pairs_mut().append_pair("code", &code).append_pair("iss", &state.issuer);
        state.secrets.push(code.clone());
        state.grants.insert(code, grant);
    }
    if state.asks {
        let link = back.as_str().replace('&', "&amp;");
        return Html(format!("<a href=\"{link}\">Go on as ann</a>")).into_response();
    }
    (StatusCode::FOUND, [(header::LOCATION, back.to_string())]).into_response()
}

/// RFC 6749 §4.1.3, RFC 7636 §4.6.
async fn token(state: Provided, headers: HeaderMap, body: String) -> Response {
    silence(&state).await;
    let mut state = state.lock().unwrap();
    let form = pairs(&body);
    let get = |name: &str| form.get(name).map_or("", String::as_str);
    let refused = |status, error: &str| {
        (status, Json(json!({ "error": error, "error_description": "refused" }))).into_response()
    };
    if credentials(&state, &headers, &form) != Some((CLIENT_ID.to_owned(), state.client_secret.clone())) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let Some(grant) = state.grants.remove(get("code")) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let challenge = encode(digest(&SHA256, get("code_verifier").as_bytes()).as_ref());
    if get("grant_type") != "authorization_code"
        || get("redirect_uri") != grant.redirect_uri
        || challenge != grant.challenge
    {
        return refused(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    let now = Timestamp::now().as_second();
    let mut claims =
        json!({ "iss": state.issuer, "aud": CLIENT_ID, "nonce": grant.nonce, "iat": now, "exp": now + 300 });
    for (name, value) in state.person.as_object().unwrap() {
        claims[name] = value.clone();
    }
    if let Some(forge) = state.forge {
        forge(&mut claims);
    }
    let head = json!({ "alg": state.signer.algorithm(), "kid": state.kid, "typ": "JWT" });
    let message =
        format!("{}.{}", encode(head.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let id_token = format!("{message}.{}", encode(&state.signer.sign(message.as_bytes())));
    let access_token = random("access");
    state.secrets.extend([id_token.clone(), access_token.clone()]);
    Json(json!({ "token_type": "Bearer", "expires_in": 300, "access_token": access_token, "id_token": id_token }))
        .into_response()
}

/// RFC 6749 §2.3.1, by the one method that is offered.
fn credentials(
    state: &State,
    headers: &HeaderMap,
    form: &HashMap<String, String>,
) -> Option<(String, String)> {
    if state.method == "client_secret_post" {
        return Some((form.get("client_id")?.clone(), form.get("client_secret")?.clone()));
    }
    let basic = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(BASE64_STANDARD.decode(basic).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decoded = pairs(&format!("id={id}&secret={secret}"));
    Some((decoded.get("id")?.clone(), decoded.get("secret")?.clone()))
}

fn pairs(form: &str) -> HashMap<String, String> {
    Url::parse(&format!("http://form/?{form}")).unwrap().query_pairs().into_owned().collect()
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn random(prefix: &str) -> String {
    let mut bytes = [0; 18];
    SystemRandom::new().fill(&mut bytes).unwrap();
    format!("{prefix}{}", encode(&bytes))
}
