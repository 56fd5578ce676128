//! The REST API: one table of routes, from which come the router, the OpenAPI document and the rules of access.

pub mod audit;
pub mod enforcers;
pub mod enrolment_tokens;
pub mod events;
pub mod extract;
pub mod node_policies;
pub mod notifiers;
pub mod oidc;
pub mod openapi;
pub mod overview;
pub mod page;
pub mod policies;
pub mod problem;
pub mod route;
pub mod session;
pub mod settings;
pub mod tokens;
pub mod users;
pub mod workloads;

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use axum::{Json, Router};

use crate::Console;
use crate::access::guard;
use route::Route;

/// Every endpoint.
pub fn routes() -> Vec<Route> {
    [
        session::routes(),
        oidc::routes(),
        overview::routes(),
        policies::routes(),
        node_policies::routes(),
        workloads::routes(),
        events::routes(),
        enforcers::routes(),
        enrolment_tokens::routes(),
        notifiers::routes(),
        audit::routes(),
        users::routes(),
        tokens::routes(),
        settings::routes(),
    ]
    .concat()
}

/// Every endpoint behind its guard.
pub fn router(console: &Console) -> Router<Console> {
    let document = openapi::document(&routes());
    let mut router = Router::new().route("/api/v1/openapi.json", get(async move || Json(document.clone())));
    for Route { method, path, access, handler, .. } in routes() {
        let console = console.clone();
        let guarded = handler.layer(from_fn(move |request: Request, next: Next| {
            let (console, method) = (console.clone(), method.clone());
            async move {
                let start = Instant::now();
                let metrics = console.metrics().clone();
                let response = guard(console, access, request, next).await;
                metrics.answered(method.as_str(), path, response.status().as_u16(), start.elapsed());
                response
            }
        }));
        router = router.route(&format!("/api/v1{path}"), guarded);
    }
    router
}

#[cfg(test)]
mod tests;
