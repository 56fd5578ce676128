//! Settings: each a JSON document of its own, with a revision.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use moat_event::EventType;
use moat_store::{Store, StoreError};
use reqwest::Url;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::extract::{Body, IfMatch, Versioned};
use super::problem::Problem;
use super::route::{Route, get, put};
use crate::Console;
use crate::access::{Access, Action, Caller, Resource, Role};
use crate::oidc::http::is_secure;

const READ: Access = Access::To(Resource::Settings, Action::Read);
const WRITE: Access = Access::To(Resource::Settings, Action::Write);

pub fn routes() -> Vec<Route> {
    vec![
        get("/settings/retention", READ, "getRetention", "How long events are kept", show::<Retention>),
        put(
            "/settings/retention",
            WRITE,
            "updateRetention",
            "Change how long events are kept",
            update::<Retention>,
        ),
        get(
            "/settings/session",
            READ,
            "getSessionSettings",
            "How long sessions last",
            show::<SessionSettings>,
        ),
        put(
            "/settings/session",
            WRITE,
            "updateSessionSettings",
            "Change how long sessions last",
            update::<SessionSettings>,
        ),
        get(
            "/settings/console",
            READ,
            "getConsoleSettings",
            "How the console is reached",
            show::<ConsoleSettings>,
        ),
        put(
            "/settings/console",
            WRITE,
            "updateConsoleSettings",
            "Change how the console is reached",
            update::<ConsoleSettings>,
        ),
        get("/settings/oidc", READ, "getOidcSettings", "The OpenID Connect provider", show::<OidcSettings>),
        put(
            "/settings/oidc",
            WRITE,
            "updateOidcSettings",
            "Change the OpenID Connect provider",
            update::<OidcSettings>,
        ),
    ]
}

/// A setting: where it is kept, what it is until somebody sets it, and what it may be.
pub trait SettingValue:
    Clone + Default + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    const KEY: &'static str;

    /// What is wrong with the value, in words.
    fn check(&self) -> Result<(), String>;

    /// Before it is kept: secrets are sealed; one that is absent stays as `before` has it.
    fn seal(self, _before: &Self, _console: &Console) -> Result<Self, Problem> {
        Ok(self)
    }

    /// As the API and the audit log show it: without secrets.
    #[must_use]
    fn shown(self) -> Self {
        self
    }
}

/// A setting as it is kept.
#[derive(Debug)]
pub struct Kept<T> {
    pub value: T,
    pub revision: i64,
}

/// The setting, or its default where nobody has set it.
pub async fn read<T: SettingValue>(store: &Store) -> Result<Kept<T>, StoreError> {
    let Some(setting) = store.setting(T::KEY).await? else {
        return Ok(Kept { value: T::default(), revision: 0 });
    };
    let value = serde_json::from_value(setting.value)
        .map_err(|error| StoreError::Corrupt { what: T::KEY, why: error.to_string() })?;
    Ok(Kept { value, revision: setting.revision })
}

async fn show<T: SettingValue>(State(console): State<Console>) -> Result<Versioned<Json<T>>, Problem> {
    let kept = read::<T>(console.store()).await?;
    Ok(Versioned { revision: kept.revision, answer: Json(kept.value.shown()) })
}

async fn update<T: SettingValue>(
    State(console): State<Console>,
    caller: Caller,
    IfMatch(revision): IfMatch,
    Body(value): Body<T>,
) -> Result<Versioned<Json<T>>, Problem> {
    value.check().map_err(Problem::bad_request)?;
    let before = read::<T>(console.store()).await?;
    let sealed = value.seal(&before.value, &console)?;
    let json = |value: &T| serde_json::to_value(value).map_err(|_| Problem::internal());
    let kept = json(&sealed)?;
    let shown = sealed.shown();
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let setting = transaction.put_setting(T::KEY, &kept, revision, json(&shown)?).await?;
    transaction.commit().await?;
    Ok(Versioned { revision: setting.revision, answer: Json(shown) })
}

/// How long events are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retention {
    /// For types that are not named in `types`.
    pub default: RetentionLimit,
    #[serde(default)]
    pub types: BTreeMap<EventType, RetentionLimit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionLimit {
    pub days: u32,
    /// The oldest go first.
    pub max_rows: u64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { default: RetentionLimit { days: 30, max_rows: 10_000_000 }, types: BTreeMap::new() }
    }
}

impl From<RetentionLimit> for moat_store::Keep {
    fn from(limit: RetentionLimit) -> moat_store::Keep {
        moat_store::Keep { days: limit.days, max_rows: limit.max_rows }
    }
}

impl From<Retention> for moat_store::Retention {
    fn from(retention: Retention) -> moat_store::Retention {
        let types =
            retention.types.into_iter().map(|(event_type, limit)| (event_type, limit.into())).collect();
        moat_store::Retention { default: retention.default.into(), types }
    }
}

impl SettingValue for Retention {
    const KEY: &'static str = "retention";

    fn check(&self) -> Result<(), String> {
        let sound = |limit: &RetentionLimit| (1..=3650).contains(&limit.days) && limit.max_rows >= 1000;
        if self.types.values().chain([&self.default]).all(sound) {
            Ok(())
        } else {
            Err("events are kept for 1 to 3650 days, and at least 1000 of a type".to_owned())
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SessionSettings {
    /// Hours after which one must sign in again.
    pub hours: u32,
}

impl Default for SessionSettings {
    fn default() -> SessionSettings {
        SessionSettings { hours: 12 }
    }
}

impl SettingValue for SessionSettings {
    const KEY: &'static str = "session";

    fn check(&self) -> Result<(), String> {
        if (1..=720).contains(&self.hours) {
            Ok(())
        } else {
            Err("a session lasts 1 to 720 hours".to_owned())
        }
    }
}

/// How the console is reached from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConsoleSettings {
    /// `https://moat.example.org`, for links in notifications and for the OIDC provider; empty: as it listens.
    pub external_url: String,
}

impl SettingValue for ConsoleSettings {
    const KEY: &'static str = "console";

    fn check(&self) -> Result<(), String> {
        if self.external_url.is_empty() {
            return Ok(());
        }
        let uri: axum::http::Uri =
            self.external_url.parse().map_err(|_| "the external URL is no URL".to_owned())?;
        let web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        let bare = uri.path().trim_matches('/').is_empty() && uri.query().is_none();
        if web && bare {
            Ok(())
        } else {
            Err("the external URL is a scheme, a host and maybe a port: https://moat.example.org".to_owned())
        }
    }
}

/// An OpenID Connect provider.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OidcSettings {
    pub enabled: bool,
    /// On the sign-in button: `Sign in with NAME`.
    pub name: String,
    /// Where `/.well-known/openid-configuration` is, as the provider itself writes it.
    pub issuer: String,
    pub client_id: String,
    /// Only ever written: an answer does not have it. A change without it keeps the one that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Besides `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token that says the role: text, or a list of texts. Dots lead into claims within claims:
    /// `realm_access.roles`.
    pub role_claim: String,
    /// Values of the claim and their roles; the strongest that applies counts.
    pub roles: BTreeMap<String, Role>,
    /// For those without such a value; nobody else comes in where absent.
    pub default_role: Option<Role>,
}

impl std::fmt::Debug for OidcSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OidcSettings").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl OidcSettings {
    /// What the secret is sealed for.
    pub const SECRET: &'static str = "oidc";
}

impl SettingValue for OidcSettings {
    const KEY: &'static str = "oidc";

    fn check(&self) -> Result<(), String> {
        if !self.enabled {
            return Ok(());
        }
        let issuer = Url::parse(&self.issuer).map_err(|_| "the issuer is no URL".to_owned())?;
        if !is_secure(&issuer, &self.issuer) {
            return Err("the issuer is an https:// address".to_owned());
        }
        if issuer.query().is_some() || issuer.fragment().is_some() {
            return Err("the issuer is an address without ? and #".to_owned());
        }
        if self.client_id.is_empty() {
            return Err("the client's id is missing".to_owned());
        }
        if self.scopes.iter().any(|scope| scope.is_empty() || scope.contains(char::is_whitespace)) {
            return Err("a scope is one word".to_owned());
        }
        if (self.role_claim.is_empty() || self.roles.is_empty()) && self.default_role.is_none() {
            return Err("nobody could come in: name a claim and its roles, or a default role".to_owned());
        }
        Ok(())
    }

    fn seal(mut self, before: &Self, console: &Console) -> Result<Self, Problem> {
        self.client_secret = match self.client_secret {
            Some(secret) if !secret.is_empty() => {
                Some(console.key().seal(Self::SECRET, secret.as_bytes()).map_err(|error| {
                    tracing::error!(%error);
                    Problem::internal()
                })?)
            }
            // A secret goes to the issuer it was given for, not to one that is entered later.
            _ if self.issuer == before.issuer => before.client_secret.clone(),
            _ => None,
        };
        Ok(self)
    }

    fn shown(mut self) -> Self {
        self.client_secret = None;
        self
    }
}
