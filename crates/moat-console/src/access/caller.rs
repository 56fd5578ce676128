//! Whose request it is.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use moat_store::Actor;

use super::matrix::{Action, Resource, Role, Scope, allows};
use crate::api::problem::Problem;
use crate::api::route::Part;

/// Who calls, as the guard of the route found out.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user's name, or `token NAME`.
    pub name: String,
    pub role: Role,
    /// Of an API token; everything that the role may where empty.
    pub scopes: Vec<Scope>,
    pub address: IpAddr,
    pub proof: Proof,
}

/// How the caller proved it.
#[derive(Debug, Clone)]
pub enum Proof {
    Session { session: Box<moat_store::Session>, user: Box<moat_store::User> },
    Token { token: Box<moat_store::ApiToken>, hash: Vec<u8> },
}

impl Caller {
    pub fn may(&self, resource: Resource, action: Action) -> bool {
        let scope = Scope { resource, action };
        allows(self.role, resource, action) && (self.scopes.is_empty() || self.scopes.contains(&scope))
    }

    /// As the audit log names the caller.
    pub fn actor(&self) -> Actor {
        Actor {
            name: self.name.clone(),
            role: self.role.name().to_owned(),
            source_address: self.address.to_string(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A handler that asks for its caller on a public route would get here.
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| Problem::unauthenticated("sign in first"))
    }
}

impl Part for Caller {}
