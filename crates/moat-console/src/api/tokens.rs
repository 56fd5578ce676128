//! API tokens.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Body, Created, Done, Segments};
use super::page::Page;
use super::problem::Problem;
use super::route::{Route, delete, get, post};
use crate::Console;
use crate::access::{Access, Action, Caller, Resource, Role, Scope, Secret, Sensitive, allows};

const READ: Access = Access::To(Resource::Tokens, Action::Read);
const WRITE: Access = Access::To(Resource::Tokens, Action::Write);
/// What every token begins with, so that scanners for leaked secrets know one.
const PREFIX: &str = "moat_";

pub fn routes() -> Vec<Route> {
    vec![
        get("/tokens", READ, "listApiTokens", "API tokens", list),
        post("/tokens", WRITE, "createApiToken", "Make an API token; its secret is shown this once", create),
        delete("/tokens/{id}", WRITE, "deleteApiToken", "Delete an API token", remove),
    ]
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiToken {
    pub id: String,
    pub name: String,
    pub role: Role,
    /// `policies:read` …; everything that the role may where empty.
    pub scopes: Vec<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewApiToken {
    pub name: String,
    pub role: Role,
    /// `RESOURCE:read` or `RESOURCE:write`; everything that the role may where empty.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Days until it expires; never where absent.
    #[serde(default)]
    pub days: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeApiToken {
    /// Shown this once.
    pub secret: Sensitive,
    pub token: ApiToken,
}

impl From<moat_store::ApiToken> for ApiToken {
    fn from(token: moat_store::ApiToken) -> ApiToken {
        ApiToken {
            id: token.id,
            name: token.name,
            role: token.role.into(),
            scopes: token.scopes,
            created_by: token.created_by,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

async fn list(State(console): State<Console>) -> Result<Json<Page<ApiToken>>, Problem> {
    let tokens = console.store().api_tokens().await?;
    Ok(Json(Page::whole(tokens.into_iter().map(ApiToken::from).collect())))
}

async fn create(
    State(console): State<Console>,
    caller: Caller,
    Body(new): Body<NewApiToken>,
) -> Result<Created<MadeApiToken>, Problem> {
    let name = super::users::name(&new.name)?.to_owned();
    for scope in &new.scopes {
        let Scope { resource, action } = scope.parse().map_err(Problem::bad_request)?;
        if !allows(new.role, resource, action) {
            return Err(Problem::bad_request(format!("the role {} may not {scope}", new.role.name())));
        }
    }
    let expires_at = new.days.map(|days| {
        let lifetime = SignedDuration::from_hours(i64::from(days) * 24);
        Timestamp::now().checked_add(lifetime).unwrap_or(Timestamp::MAX)
    });
    let secret = Secret::new(PREFIX)?;
    let new = moat_store::NewApiToken {
        name,
        token_hash: secret.hash(),
        role: new.role.into(),
        scopes: new.scopes,
        expires_at,
    };
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let token = transaction.create_api_token(new).await?;
    transaction.commit().await?;
    Ok(Created(MadeApiToken { secret: Sensitive(secret.reveal().to_owned()), token: token.into() }))
}

async fn remove(
    State(console): State<Console>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Done, Problem> {
    let mut transaction = console.store().begin(&caller.actor()).await?;
    transaction.delete_api_token(&id).await?;
    transaction.commit().await?;
    Ok(Done)
}
