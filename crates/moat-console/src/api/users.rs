//! Users.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Body, Created, Done, IfMatch, Segments, Versioned};
use super::page::Page;
use super::problem::Problem;
use super::route::{Route, delete, get, post, put};
use crate::Console;
use crate::access::{Access, Action, Caller, Resource, Role, Sensitive, password};

const READ: Access = Access::To(Resource::Users, Action::Read);
const WRITE: Access = Access::To(Resource::Users, Action::Write);

pub fn routes() -> Vec<Route> {
    vec![
        get("/users", READ, "listUsers", "All users", list),
        post("/users", WRITE, "createUser", "Make a user", create),
        get("/users/{id}", READ, "getUser", "One user", show),
        put("/users/{id}", WRITE, "updateUser", "Change a user", update),
        delete("/users/{id}", WRITE, "deleteUser", "Delete a user", remove),
    ]
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub id: String,
    pub name: String,
    pub role: Role,
    pub disabled: bool,
    pub method: SignInMethod,
    pub created_at: Timestamp,
    pub last_login_at: Option<Timestamp>,
    pub revision: i64,
}

/// How a user proves to be it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum SignInMethod {
    Password,
    Oidc,
    /// Not a person: an API token.
    Token,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUser {
    pub name: String,
    /// At least 12 characters.
    pub password: Sensitive,
    pub role: Role,
}

/// What is absent stays as it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserChange {
    #[serde(default)]
    pub role: Option<Role>,
    #[serde(default)]
    pub disabled: Option<bool>,
    /// Ends the user's sessions.
    #[serde(default)]
    pub password: Option<Sensitive>,
}

impl From<&moat_store::User> for User {
    fn from(user: &moat_store::User) -> User {
        User {
            id: user.id.clone(),
            name: user.name.clone(),
            role: user.role.into(),
            disabled: user.disabled,
            method: if user.password_hash.is_some() { SignInMethod::Password } else { SignInMethod::Oidc },
            created_at: user.created_at,
            last_login_at: user.last_login_at,
            revision: user.revision,
        }
    }
}

/// A name that can stand in logs and lists.
pub fn name(name: &str) -> Result<&str, Problem> {
    let name = name.trim();
    let fits = (1..=64).contains(&name.chars().count());
    if !fits || moat_event::printable(name) != name || name.contains(char::is_whitespace) {
        return Err(Problem::bad_request("a name has 1 to 64 printable characters and no spaces"));
    }
    Ok(name)
}

async fn list(State(console): State<Console>) -> Result<Json<Page<User>>, Problem> {
    Ok(Json(Page::whole(console.store().users().await?.iter().map(User::from).collect())))
}

async fn create(
    State(console): State<Console>,
    caller: Caller,
    Body(new): Body<NewUser>,
) -> Result<Versioned<Created<User>>, Problem> {
    let name = name(&new.name)?;
    let password_hash = Some(password::hash(name, new.password.0).await?);
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let user = transaction
        .create_user(moat_store::NewUser {
            name: name.to_owned(),
            role: new.role.into(),
            password_hash,
            oidc: None,
        })
        .await?;
    transaction.commit().await?;
    Ok(Versioned { revision: user.revision, answer: Created(User::from(&user)) })
}

async fn show(
    State(console): State<Console>,
    Segments(id): Segments<String>,
) -> Result<Versioned<Json<User>>, Problem> {
    let user = console.store().user(&id).await?;
    Ok(Versioned { revision: user.revision, answer: Json(User::from(&user)) })
}

async fn update(
    State(console): State<Console>,
    caller: Caller,
    Segments(id): Segments<String>,
    IfMatch(revision): IfMatch,
    Body(change): Body<UserChange>,
) -> Result<Versioned<Json<User>>, Problem> {
    let user = console.store().user(&id).await?;
    let password_hash = match change.password {
        Some(_) if user.oidc.is_some() => {
            return Err(Problem::bad_request("this user signs in with the provider and has no password"));
        }
        Some(password) => Some(password::hash(&user.name, password.0).await?),
        None => None,
    };
    let change = moat_store::UserChange {
        role: change.role.map(Into::into),
        password_hash,
        disabled: change.disabled,
    };
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let user = transaction.update_user(&id, change, revision).await?;
    transaction.commit().await?;
    Ok(Versioned { revision: user.revision, answer: Json(User::from(&user)) })
}

async fn remove(
    State(console): State<Console>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Done, Problem> {
    let mut transaction = console.store().begin(&caller.actor()).await?;
    transaction.delete_user(&id).await?;
    transaction.commit().await?;
    Ok(Done)
}
