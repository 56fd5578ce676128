//! Tokens by which enforcers enrol.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use moat_store::Actor;
use moat_wire::token::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Body, Created, Done, Segments};
use super::page::Page;
use super::problem::Problem;
use super::route::{Route, delete, get, post};
use crate::Console;
use crate::access::{Access, Action, Caller, Resource, Sensitive};

const READ: Access = Access::To(Resource::EnrolmentTokens, Action::Read);
const WRITE: Access = Access::To(Resource::EnrolmentTokens, Action::Write);

pub fn routes() -> Vec<Route> {
    vec![
        get("/enrolment-tokens", READ, "listEnrolmentTokens", "Tokens by which enforcers enrol", list),
        post(
            "/enrolment-tokens",
            WRITE,
            "createEnrolmentToken",
            "Make a token; it is shown this once",
            create,
        ),
        delete("/enrolment-tokens/{id}", WRITE, "revokeEnrolmentToken", "Revoke a token", revoke),
    ]
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrolmentToken {
    pub id: String,
    pub label: String,
    pub uses_left: i64,
    pub uses_total: i64,
    pub expires_at: Timestamp,
    pub created_by: String,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    /// Whether an enforcer could still enrol by it.
    pub usable: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewEnrolmentToken {
    pub label: String,
    /// How many enforcers may enrol by it.
    #[serde(default = "one")]
    pub uses: u32,
    #[serde(default = "day")]
    pub hours: u32,
}

fn one() -> u32 {
    1
}

fn day() -> u32 {
    24
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeEnrolmentToken {
    /// Shown this once: for `--enrolment-token-file`.
    pub secret: Sensitive,
    pub token: EnrolmentToken,
}

impl From<moat_store::EnrolmentToken> for EnrolmentToken {
    fn from(token: moat_store::EnrolmentToken) -> EnrolmentToken {
        EnrolmentToken {
            usable: token.revoked_at.is_none() && token.uses_left > 0 && token.expires_at > Timestamp::now(),
            id: token.id,
            label: token.label,
            uses_left: token.uses_left,
            uses_total: token.uses_total,
            expires_at: token.expires_at,
            created_by: token.created_by,
            created_at: token.created_at,
            revoked_at: token.revoked_at,
        }
    }
}

async fn list(State(console): State<Console>) -> Result<Json<Page<EnrolmentToken>>, Problem> {
    let tokens = console.store().enrolment_tokens().await?;
    Ok(Json(Page::whole(tokens.into_iter().map(EnrolmentToken::from).collect())))
}

async fn create(
    State(console): State<Console>,
    caller: Caller,
    Body(new): Body<NewEnrolmentToken>,
) -> Result<Created<MadeEnrolmentToken>, Problem> {
    Ok(Created(make(&console, &caller.actor(), new).await?))
}

/// Makes a token; also for `moat console token create` and `moat up`.
pub async fn make(
    console: &Console,
    actor: &Actor,
    new: NewEnrolmentToken,
) -> Result<MadeEnrolmentToken, Problem> {
    if !(1..=100_000).contains(&new.uses) || !(1..=8760).contains(&new.hours) {
        return Err(Problem::bad_request("a token has 1 to 100,000 uses and lasts 1 to 8760 hours"));
    }
    if new.label.chars().count() > 200 {
        return Err(Problem::bad_request("the label is longer than 200 characters"));
    }
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "no enrolment token can be made");
        Problem::internal()
    };
    let secret = Secret::generate().map_err(|error| failed(&error))?;
    let expires_at =
        Timestamp::now().checked_add(SignedDuration::from_hours(new.hours.into())).unwrap_or(Timestamp::MAX);
    let new = moat_store::NewEnrolmentToken {
        label: new.label,
        secret_hash: secret.hash(),
        uses: new.uses.into(),
        expires_at,
    };
    let mut transaction = console.store().begin(actor).await?;
    let token = transaction.create_enrolment_token(new).await?;
    transaction.commit().await?;
    let text = moat_wire::token::EnrolmentToken {
        id: token.id.parse().map_err(|error| failed(&error))?,
        secret,
        authority: console.authority().fingerprint(),
    };
    Ok(MadeEnrolmentToken { secret: Sensitive(text.reveal()), token: token.into() })
}

async fn revoke(
    State(console): State<Console>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Done, Problem> {
    let mut transaction = console.store().begin(&caller.actor()).await?;
    transaction.revoke_enrolment_token(&id).await?;
    transaction.commit().await?;
    Ok(Done)
}
