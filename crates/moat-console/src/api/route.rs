//! One row of the API's table, and how a row describes itself: what a handler takes and gives is read off its
//! own signature, so that the OpenAPI document cannot say anything else than what the handler does.

use axum::extract::State;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::openapi::Operation;
use crate::Console;
use crate::access::Access;

/// An endpoint of the API.
#[derive(Clone)]
pub struct Route {
    pub method: Method,
    /// Below `/api/v1`, as axum writes it: `/policies/{name}`.
    pub path: &'static str,
    pub access: Access,
    /// Unique; clients' generators name their functions by it.
    pub id: &'static str,
    pub summary: &'static str,
    pub describe: fn(&mut Operation<'_>),
    pub handler: MethodRouter<Console>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({:?})", self.method, self.path, self.access)
    }
}

/// What a handler takes from a request.
pub trait Part {
    fn describe(_operation: &mut Operation<'_>) {}
}

impl Part for State<Console> {}

/// What a handler answers with when all is well.
pub trait Answer {
    fn describe(operation: &mut Operation<'_>);
}

/// A handler that can be described; `A` is the tuple of what it takes.
pub trait Described<A> {
    fn describe(operation: &mut Operation<'_>);
}

macro_rules! described {
    ($($part:ident),*) => {
        impl<F, Fut, R, E, $($part),*> Described<($($part,)*)> for F
        where
            F: Fn($($part),*) -> Fut,
            Fut: Future<Output = Result<R, E>>,
            R: Answer,
            $($part: Part),*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($part::describe(operation);)*
                R::describe(operation);
            }
        }
    };
}

described!();
described!(A);
described!(A, B);
described!(A, B, C);
described!(A, B, C, D);
described!(A, B, C, D, G);
described!(A, B, C, D, G, H);

impl Route {
    /// What the endpoint is filed under: the first segment of its path.
    pub fn tag(&self) -> &'static str {
        self.path.split('/').nth(1).unwrap_or_default()
    }

    fn new<F, A, M>(
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        access: Access,
        id: &'static str,
        summary: &'static str,
        handler: F,
    ) -> Route
    where
        F: Described<A> + Handler<M, Console>,
        M: 'static,
    {
        Route { method, path, access, id, summary, describe: F::describe, handler: on(filter, handler) }
    }
}

macro_rules! methods {
    ($($name:ident, $method:ident);*) => {
        $(pub fn $name<F, A, M>(
            path: &'static str,
            access: Access,
            id: &'static str,
            summary: &'static str,
            handler: F,
        ) -> Route
        where
            F: Described<A> + Handler<M, Console>,
            M: 'static,
        {
            Route::new(Method::$method, MethodFilter::$method, path, access, id, summary, handler)
        })*
    };
}

methods!(get, GET; post, POST; put, PUT; delete, DELETE);
