//! Signing in and out.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use moat_store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Body, Done, Query};
use super::openapi::Operation;
use super::problem::Problem;
use super::route::{Answer, Part, Route, delete, get, post, put};
use super::settings::{self, OidcSettings, SessionSettings};
use super::users::{SignInMethod, User};
use crate::Console;
use crate::access::{
    Access, COOKIE, Caller, Proof, Secret, Sensitive, SetupError, SetupLink, password, peer,
};
use crate::oidc::Failure;

pub fn routes() -> Vec<Route> {
    vec![
        get("/session/options", Access::Public, "getSignInOptions", "How one can sign in here", options),
        post("/session", Access::Public, "signIn", "Sign in with name and password", sign_in),
        get("/session", Access::SignedIn, "getSession", "Who is signed in", show),
        delete("/session", Access::SignedIn, "signOut", "Sign out", sign_out),
        post("/session/setup", Access::Public, "setUp", "Make the first administrator", set_up),
        put(
            "/session/password",
            Access::SignedIn,
            "changePassword",
            "Change one's own password",
            change_password,
        ),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignIn {
    pub name: String,
    pub password: Sensitive,
}

/// The first administrator, made by the link that the console printed at its first start.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Setup {
    /// What stands after the `#` of the link.
    pub token: Sensitive,
    pub name: String,
    /// At least 12 characters.
    pub password: Sensitive,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordChange {
    pub current: Sensitive,
    pub new: Sensitive,
}

/// Whose session this is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub user: User,
    /// For the header `X-Moat-CSRF` of every change; empty for an API token.
    pub csrf: String,
    /// What the caller may: `policies:write` …
    pub scopes: Vec<String>,
    pub expires_at: Option<Timestamp>,
}

/// How one can sign in here.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignInOptions {
    /// No administrator has been made yet: use the link that the console printed.
    pub setup: bool,
    /// What the button says that leads to `/api/v1/session/oidc`; null without a provider.
    pub oidc: Option<String>,
    /// Of the failure that was asked about: what the page says about it.
    pub failure: Option<String>,
    pub version: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignInQuestion {
    /// What the address says after a sign-in by the provider that failed: `#sign-in=FAILURE`.
    #[serde(default)]
    pub failure: Option<Failure>,
}

/// Where a request comes from.
#[derive(Debug)]
pub struct Origin {
    pub address: std::net::IpAddr,
    pub user_agent: String,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        let agent =
            parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Origin { address: peer(&parts.extensions), user_agent: agent.chars().take(256).collect() })
    }
}

impl Part for Origin {}

/// The answer that signs a browser in: the session, and its cookie.
#[derive(Debug)]
pub struct SignedIn {
    pub session: Session,
    pub cookie: HeaderValue,
}

impl IntoResponse for SignedIn {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::SET_COOKIE, self.cookie);
        (headers, Json(self.session)).into_response()
    }
}

impl Answer for SignedIn {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<Session>(200, "Signed in; the cookie `moat_session` is set");
    }
}

async fn options(
    State(console): State<Console>,
    Query(SignInQuestion { failure }): Query<SignInQuestion>,
) -> Result<Json<SignInOptions>, Problem> {
    let oidc = settings::read::<OidcSettings>(console.store()).await?.value;
    let name = if oidc.name.is_empty() { "single sign-on".to_owned() } else { oidc.name };
    Ok(Json(SignInOptions {
        setup: SetupLink::is_needed(console.store()).await?,
        oidc: oidc.enabled.then_some(name),
        failure: failure.map(|failure| failure.message().to_owned()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}

async fn sign_in(
    State(console): State<Console>,
    origin: Origin,
    Body(SignIn { name, password }): Body<SignIn>,
) -> Result<SignedIn, Problem> {
    let wait = console.throttle().attempt(&name, origin.address, Instant::now());
    if !wait.is_zero() {
        return Err(Problem::too_many(wait));
    }
    let user = match console.store().user_by_name(&name).await {
        Ok(user) => Some(user).filter(|user| !user.disabled),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    if let (true, Some(user)) = (password::verify(hash, password.0).await, user) {
        console.throttle().succeeded(&name, origin.address);
        return begin(&console, user, &origin).await;
    }
    console.metrics().sign_ins_refused.inc();
    tracing::warn!(name = %moat_event::printable(&name), address = %origin.address, "a sign-in is refused");
    Err(Problem::unauthenticated("the name or the password is wrong"))
}

/// Begins a session of a user who has proven to be it.
pub async fn begin(console: &Console, user: moat_store::User, origin: &Origin) -> Result<SignedIn, Problem> {
    let lifetime = settings::read::<SessionSettings>(console.store()).await?.value.hours;
    let created_at = Timestamp::now();
    let expires_at =
        created_at.checked_add(SignedDuration::from_hours(lifetime.into())).unwrap_or(Timestamp::MAX);
    let (cookie, csrf) = (Secret::new("")?, Secret::new("")?);
    let session = moat_store::Session {
        token_hash: cookie.hash(),
        user_id: user.id.clone(),
        csrf: csrf.reveal().to_owned(),
        created_at,
        expires_at,
        address: origin.address.to_string(),
        user_agent: origin.user_agent.clone(),
    };
    let actor = moat_store::Actor {
        name: user.name.clone(),
        role: crate::access::Role::from(user.role).name().to_owned(),
        source_address: origin.address.to_string(),
    };
    let mut transaction = console.store().begin(&actor).await?;
    transaction.create_session(&session).await?;
    transaction.commit().await?;
    let cookie = set_cookie(console, cookie.reveal(), i64::from(lifetime) * 3600)?;
    Ok(SignedIn { session: view(&user, &session), cookie })
}

fn set_cookie(console: &Console, value: &str, max_age: i64) -> Result<HeaderValue, Problem> {
    let secure = if console.is_plain() { "" } else { "; Secure" };
    HeaderValue::from_str(&format!(
        "{COOKIE}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}"
    ))
    .map_err(|_| Problem::internal())
}

fn view(user: &moat_store::User, session: &moat_store::Session) -> Session {
    let role = user.role.into();
    Session {
        user: user.into(),
        csrf: session.csrf.clone(),
        scopes: crate::access::scopes(role).map(|scope| scope.to_string()).collect(),
        expires_at: Some(session.expires_at),
    }
}

async fn show(caller: Caller) -> Result<Json<Session>, Problem> {
    Ok(Json(match &caller.proof {
        Proof::Session { session, user } => view(user, session),
        Proof::Token { token, .. } => Session {
            user: User {
                id: token.id.clone(),
                name: caller.name.clone(),
                role: caller.role,
                disabled: false,
                method: SignInMethod::Token,
                created_at: token.created_at,
                last_login_at: token.last_used_at,
                revision: 0,
            },
            csrf: String::new(),
            scopes: crate::access::scopes(caller.role)
                .filter(|scope| caller.may(scope.resource, scope.action))
                .map(|scope| scope.to_string())
                .collect(),
            expires_at: token.expires_at,
        },
    }))
}

/// 204 that takes the cookie away.
#[derive(Debug)]
pub struct SignedOut(HeaderValue);

impl IntoResponse for SignedOut {
    fn into_response(self) -> Response {
        let mut response = Done.into_response();
        response.headers_mut().insert(header::SET_COOKIE, self.0);
        response
    }
}

impl Answer for SignedOut {
    fn describe(operation: &mut Operation<'_>) {
        Done::describe(operation);
    }
}

async fn sign_out(State(console): State<Console>, caller: Caller) -> Result<SignedOut, Problem> {
    let Proof::Session { session, .. } = &caller.proof else {
        return Err(Problem::bad_request("an API token has no session: delete the token instead"));
    };
    let mut transaction = console.store().begin(&caller.actor()).await?;
    transaction.delete_session(&session.token_hash).await?;
    transaction.commit().await?;
    Ok(SignedOut(set_cookie(&console, "", 0)?))
}

async fn set_up(
    State(console): State<Console>,
    origin: Origin,
    Body(setup): Body<Setup>,
) -> Result<SignedIn, Problem> {
    let name = super::users::name(&setup.name)?;
    let address = origin.address.to_string();
    let wait = console.throttle().attempt("setup link", origin.address, Instant::now());
    if !wait.is_zero() {
        return Err(Problem::too_many(wait));
    }
    let user = SetupLink::redeem(console.store(), &setup.token.0, name, setup.password.0, &address)
        .await
        .map_err(|error| match error {
            SetupError::Refused => Problem::forbidden(error.to_string()),
            SetupError::Password(_) => Problem::bad_request(error.to_string()),
            SetupError::Store(error) => error.into(),
            SetupError::Random(error) => error.into(),
        })?;
    console.throttle().succeeded("setup link", origin.address);
    begin(&console, user, &origin).await
}

/// Ends all of the user's sessions and begins a new one.
async fn change_password(
    State(console): State<Console>,
    caller: Caller,
    origin: Origin,
    Body(change): Body<PasswordChange>,
) -> Result<SignedIn, Problem> {
    let Proof::Session { user, .. } = &caller.proof else {
        return Err(Problem::bad_request("an API token has no password"));
    };
    let wait = console.throttle().attempt(&user.name, origin.address, Instant::now());
    if !wait.is_zero() {
        return Err(Problem::too_many(wait));
    }
    if !password::verify(user.password_hash.clone(), change.current.0).await {
        return Err(Problem::forbidden("the current password is wrong"));
    }
    console.throttle().succeeded(&user.name, origin.address);
    let hash = password::hash(&user.name, change.new.0).await?;
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let change = moat_store::UserChange { password_hash: Some(hash), ..moat_store::UserChange::default() };
    let user = transaction.update_user(&user.id, change, user.revision).await?;
    transaction.commit().await?;
    begin(&console, user, &origin).await
}
