//! Signing in by an OpenID Connect provider. Browsers come here by links and redirections, so that every answer leads to
//! a page: the sign-in page says what went wrong, by a word after the `#` of its address.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use moat_store::StoreError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::extract::{Body, Query};
use super::openapi::Operation;
use super::problem::Problem;
use super::route::{Answer, Part, Route, get, post};
use super::session::{self, Origin, SignedIn};
use super::settings::{self, ConsoleSettings, Kept, OidcSettings, SettingValue as _};
use crate::Console;
use crate::access::{Access, Action, Caller, Resource, cookie, same};
use crate::oidc::{COOKIE, Failure, Flow, Identity, LIFETIME, Refused, Registration, path_back};

/// Where the flow's cookie is sent to.
const PATH: &str = "/api/v1/session/oidc";
/// For all that the provider is asked at once: a person waits, and gets a page before the server gives up.
const DEADLINE: Duration = Duration::from_secs(25);
/// Most characters of a provider's words that are logged.
const MAX_DETAIL: usize = 500;

pub fn routes() -> Vec<Route> {
    vec![
        get("/session/oidc", Access::Public, "beginOidc", "Go to the provider to sign in", begin),
        get("/session/oidc/callback", Access::Public, "endOidc", "Come back from the provider", end),
        get(
            "/settings/oidc/registration",
            Access::To(Resource::Settings, Action::Read),
            "getOidcRegistration",
            "What a provider has to know about this console",
            registered,
        ),
        post(
            "/settings/oidc/test",
            Access::To(Resource::Settings, Action::Write),
            "testOidc",
            "Ask a provider about itself",
            test,
        ),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct Begin {
    /// The page to go to afterwards: a path of the dashboard.
    #[serde(default, rename = "return")]
    pub back: Option<String>,
}

/// What the provider sends the browser back with (RFC 6749 §4.1.2, RFC 9207).
#[derive(Deserialize, JsonSchema)]
pub struct Returned {
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub error_description: Option<String>,
    #[serde(default)]
    pub iss: Option<String>,
}

impl std::fmt::Debug for Returned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Returned").field("error", &self.error).finish_non_exhaustive()
    }
}

/// What a provider has to know about this console.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OidcRegistration {
    pub redirect_uri: String,
}

/// What came of asking a provider.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OidcTest {
    /// What keeps people from signing in; null if nothing is known to. The provider tells only at a sign-in whether it
    /// accepts client ID, secret and redirect URI.
    pub problem: Option<String>,
    /// Where people would be sent.
    pub authorization_endpoint: Option<String>,
    /// How many keys the provider signs with.
    pub keys: usize,
}

/// The flow that the browser has kept since it left, sealed.
#[derive(Debug)]
pub struct FlowCookie(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for FlowCookie {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(FlowCookie(cookie(&parts.headers, COOKIE).map(str::to_owned)))
    }
}

impl Part for FlowCookie {}

/// 303, with cookies.
#[derive(Debug)]
pub struct SeeOther {
    location: HeaderValue,
    cookies: Vec<HeaderValue>,
}

impl SeeOther {
    fn new(location: &str, cookies: Vec<HeaderValue>) -> Result<SeeOther, Problem> {
        let location = HeaderValue::from_str(location).map_err(|_| Problem::internal())?;
        Ok(SeeOther { location, cookies })
    }
}

impl IntoResponse for SeeOther {
    fn into_response(self) -> Response {
        let mut response = StatusCode::SEE_OTHER.into_response();
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, self.location);
        for cookie in self.cookies {
            headers.append(header::SET_COOKIE, cookie);
        }
        response
    }
}

impl Answer for SeeOther {
    fn describe(operation: &mut Operation<'_>) {
        operation
            .empty(303, "Where the browser goes next; `#sign-in=FAILURE` at its end says what went wrong");
    }
}

async fn begin(
    State(console): State<Console>,
    origin: Origin,
    Query(Begin { back }): Query<Begin>,
) -> Result<SeeOther, Problem> {
    let back = path_back(back.as_deref().unwrap_or("/"));
    let begun = attempt(&console, origin.address, async {
        let (registration, settings) = registration(&console).await?;
        let flow = Flow::new(settings.revision, back.clone(), Timestamp::now())?;
        let entrance = console.providers().entrance(&registration, &flow).await?;
        Ok((entrance, flow.seal(console.key()).map_err(broken)?))
    });
    match begun.await {
        Ok((entrance, sealed)) => {
            SeeOther::new(entrance.as_str(), vec![flow_cookie(&console, &sealed, LIFETIME.as_secs())?])
        }
        Err(failure) => SeeOther::new(&sign_in_page(&back, failure), vec![]),
    }
}

async fn end(
    State(console): State<Console>,
    origin: Origin,
    FlowCookie(sealed): FlowCookie,
    Query(returned): Query<Returned>,
) -> Result<SeeOther, Problem> {
    let flow = sealed.and_then(|sealed| Flow::open(console.key(), &sealed, Timestamp::now()));
    let back = flow.as_ref().map_or_else(|| "/".to_owned(), |flow| flow.back.clone());
    let ended = flow_cookie(&console, "", 0)?;
    let attempted = attempt(&console, origin.address, Box::pin(sign_in(&console, &origin, flow, returned)));
    match attempted.await {
        // To a page that needs no cookie and then asks for the session itself: browsers keep a `Strict` cookie that comes
        // with a redirection from another site, but do not send it before a page of this one asks.
        Ok(SignedIn { cookie, .. }) => SeeOther::new(&back, vec![ended, cookie]),
        Err(failure) => SeeOther::new(&sign_in_page(&back, failure), vec![ended]),
    }
}

async fn sign_in(
    console: &Console,
    origin: &Origin,
    flow: Option<Flow>,
    returned: Returned,
) -> Result<SignedIn, Refused> {
    let stale = |why: &str| Refused::new(Failure::Stale, why);
    let flow = flow.ok_or_else(|| stale("the browser has not kept a sign-in, or too long"))?;
    if !returned.state.is_some_and(|state| same(&state, &flow.state)) {
        return Err(stale("the state is not the one that was sent"));
    }
    let (registration, settings) = registration(console).await?;
    if settings.revision != flow.revision {
        return Err(stale("the provider's settings have changed meanwhile"));
    }
    if let Some(issuer) = returned.iss.filter(|issuer| *issuer != registration.issuer) {
        return Err(Refused::new(Failure::Issuer, format!("the answer comes from {issuer}")));
    }
    if let Some(error) = returned.error {
        let denied = error == "access_denied";
        let failure = if denied { Failure::Denied } else { Failure::Provider };
        return Err(Refused::new(
            failure,
            format!("{error}: {}", returned.error_description.unwrap_or_default()),
        ));
    }
    let code = returned.code.ok_or_else(|| Refused::new(Failure::Answer, "it came back without a code"))?;
    let claims = console.providers().redeem(&registration, &flow, code).await?;
    let user = Identity::new(&settings.value, &claims)?.admit(console.store(), origin.address).await?;
    Ok(session::begin(console, user, origin).await?)
}

/// The console as the provider knows it, and the settings that say so.
async fn registration(console: &Console) -> Result<(Registration, Kept<OidcSettings>), Refused> {
    let kept = settings::read::<OidcSettings>(console.store()).await?;
    let settings = &kept.value;
    if !settings.enabled {
        return Err(Refused::new(Failure::Off, "there is no provider"));
    }
    let open = |sealed: &String| console.key().open(OidcSettings::SECRET, sealed);
    let secret = settings.client_secret.as_ref().map(open).transpose().map_err(broken)?;
    let registration = Registration {
        client_secret: secret.map(|secret| String::from_utf8_lossy(&secret).into_owned()),
        issuer: settings.issuer.clone(),
        client_id: settings.client_id.clone(),
        redirect_uri: redirect_uri(console).await?,
        scopes: settings.scopes.clone(),
    };
    Ok((registration, kept))
}

fn broken(error: impl std::error::Error) -> Refused {
    Refused::new(Failure::Console, error.to_string())
}

async fn redirect_uri(console: &Console) -> Result<String, StoreError> {
    let external = settings::read::<ConsoleSettings>(console.store()).await?.value.external_url;
    let url = if external.is_empty() { console.url() } else { external.trim_end_matches('/') };
    Ok(format!("{url}{PATH}/callback"))
}

/// Counts, logs and slows down what fails, as it is done with passwords.
async fn attempt<T>(
    console: &Console,
    address: IpAddr,
    attempt: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Failure> {
    if !console.throttle().attempt_from(address, Instant::now()).is_zero() {
        return Err(Failure::Throttled);
    }
    let slow = || Refused::new(Failure::Slow, format!("the sign-in takes longer than {DEADLINE:?}"));
    match tokio::time::timeout(DEADLINE, attempt).await.unwrap_or_else(|_| Err(slow())) {
        Ok(done) => {
            console.throttle().succeeded_from(address);
            Ok(done)
        }
        Err(Refused { failure, detail }) => {
            console.metrics().sign_ins_refused.inc();
            let detail: String = detail.chars().take(MAX_DETAIL).collect();
            let detail = moat_event::printable(&detail);
            tracing::warn!(reason = failure.name(), %detail, %address, "a sign-in by the provider is refused");
            Err(failure)
        }
    }
}

fn sign_in_page(back: &str, failure: Failure) -> String {
    format!("{back}#sign-in={}", failure.name())
}

/// `Lax`, because the browser comes back from another site.
fn flow_cookie(console: &Console, value: &str, max_age: u64) -> Result<HeaderValue, Problem> {
    let secure = if console.is_plain() { "" } else { "; Secure" };
    HeaderValue::from_str(&format!(
        "{COOKIE}={value}; Path={PATH}; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}"
    ))
    .map_err(|_| Problem::internal())
}

async fn registered(State(console): State<Console>) -> Result<Json<OidcRegistration>, Problem> {
    Ok(Json(OidcRegistration { redirect_uri: redirect_uri(&console).await? }))
}

/// Asks a provider before anybody has to sign in by it.
async fn test(
    State(console): State<Console>,
    caller: Caller,
    Body(settings): Body<OidcSettings>,
) -> Result<Json<OidcTest>, Problem> {
    let mut transaction = console.store().begin(&caller.actor()).await?;
    transaction.audit("test", "settings", OidcSettings::KEY, &json!({ "issuer": settings.issuer }));
    transaction.commit().await?;
    let issuer = settings.issuer.clone();
    let wrong = OidcSettings { enabled: true, ..settings }.check().err();
    let asked = match &wrong {
        Some(wrong) => Err(wrong.clone()),
        None => console.providers().ask(&issuer).await.map_err(|refused| refused.detail),
    };
    Ok(Json(match asked {
        Ok(provider) => OidcTest {
            problem: provider.jwks().keys().is_empty().then(|| "the provider publishes no keys".to_owned()),
            authorization_endpoint: Some(provider.authorization_endpoint().to_string()),
            keys: provider.jwks().keys().len(),
        },
        Err(problem) => OidcTest {
            problem: Some(moat_event::printable(&problem).into_owned()),
            authorization_endpoint: None,
            keys: 0,
        },
    }))
}
