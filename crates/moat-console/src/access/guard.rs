//! What every request passes before its handler: who calls, and may they.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use moat_store::{Store, StoreError};

use super::caller::{Caller, Proof};
use super::matrix::{Access, Scope};
use super::secret::{Secret, same};
use crate::Console;
use crate::api::problem::Problem;

/// Cookie of the session.
pub const COOKIE: &str = "moat_session";
/// Header that a change by cookie needs: another site can make a browser send the cookie, but not this.
pub const CSRF_HEADER: &str = "x-moat-csrf";

/// Lets a request through to a route with this rule, or answers it.
pub async fn guard(console: Console, access: Access, request: Request, next: Next) -> Response {
    if access == Access::Public {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let caller = match identify(&console, &parts).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    if let Access::To(resource, action) = access
        && !caller.may(resource, action)
    {
        return Problem::forbidden(format!(
            "{} of {resource} is not allowed to the role {}{}",
            action.name(),
            caller.role.name(),
            if caller.scopes.is_empty() { "" } else { " with this token's scopes" }
        ))
        .into_response();
    }
    let mut request = Request::from_parts(parts, body);
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Who sends this request.
pub async fn identify(console: &Console, request: &Parts) -> Result<Caller, Problem> {
    let address = peer(&request.extensions);
    let headers = &request.headers;
    if let Some(token) = bearer(headers)? {
        return by_token(console, token, address).await;
    }
    let Some(cookie) = cookie(headers, COOKIE) else {
        return Err(Problem::unauthenticated(
            "sign in, or send an API token as `Authorization: Bearer moat_…`",
        ));
    };
    let (session, user) = console
        .store()
        .session(&Secret::hash_of(cookie))
        .await?
        .ok_or_else(|| Problem::unauthenticated("the session has ended: sign in again"))?;
    let changes = !matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let csrf = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if changes && !same(csrf, &session.csrf) {
        return Err(Problem::forbidden(
            "the header `X-Moat-CSRF` does not have the session's `csrf`, which `GET /api/v1/session` tells",
        ));
    }
    Ok(Caller {
        name: user.name.clone(),
        role: user.role.into(),
        scopes: Vec::new(),
        address,
        proof: Proof::Session { session: Box::new(session), user: Box::new(user) },
    })
}

async fn by_token(console: &Console, token: &str, address: IpAddr) -> Result<Caller, Problem> {
    let hash = Secret::hash_of(token);
    let token = console
        .store()
        .api_token_by_hash(&hash)
        .await?
        .ok_or_else(|| Problem::unauthenticated("the API token is unknown, deleted or expired"))?;
    // A scope that this version does not know allows nothing, and must not turn into "no scopes, everything".
    let scopes: Vec<Scope> = token.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
    if scopes.is_empty() && !token.scopes.is_empty() {
        return Err(Problem::forbidden("this console knows none of the token's scopes: make a new token"));
    }
    if let Err(error) = console.store().api_token_used(&token.id).await {
        tracing::warn!(%error, "the use of an API token is not noted");
    }
    Ok(Caller {
        name: format!("token {}", token.name),
        role: token.role.into(),
        scopes,
        address,
        proof: Proof::Token { token: Box::new(token), hash },
    })
}

/// Whether what the caller proved some time ago still holds. A store that does not answer ends nobody's session.
pub async fn is_still_valid(store: &Store, caller: &Caller) -> bool {
    let valid = match &caller.proof {
        Proof::Session { session, .. } => {
            store.session(&session.token_hash).await.map(|found| found.is_some())
        }
        Proof::Token { hash, .. } => store.api_token_by_hash(hash).await.map(|found| found.is_some()),
    };
    valid.unwrap_or_else(|error| matches!(error, StoreError::Unavailable(_)))
}

/// The address that the request came from. Headers of proxies are not believed: anybody can write them.
pub fn peer(extensions: &axum::http::Extensions) -> IpAddr {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip().to_canonical())
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| Some(token.trim()))
        .ok_or_else(|| Problem::unauthenticated("send an API token as `Authorization: Bearer moat_…`"))
}

/// The cookie's value (RFC 6265, section 4.2.1).
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}
