//! What went wrong, as RFC 9457 says it.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use moat_store::StoreError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::access::NoRandom;
use crate::access::password::PasswordError;

use super::policies::Diagnostic;

/// A problem document.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Stable identifier of the kind of problem: a path below the documentation, e.g. `/problems/conflict`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub title: &'static str,
    pub status: u16,
    /// What happened here, and what to do next.
    pub detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Box<str>>,
    /// Mistakes in a policy.
    #[serde(skip_serializing_if = "<[Diagnostic]>::is_empty")]
    pub diagnostics: Box<[Diagnostic]>,
    /// Of a conflict: the revision that is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<i64>,
    /// When to try again, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

impl Problem {
    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Problem {
        Problem {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            instance: None,
            diagnostics: Box::default(),
            current: None,
            retry_after: None,
        }
    }

    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "/problems/bad-request",
            "The request is not understood",
            detail,
        )
    }

    pub fn cursor() -> Problem {
        Problem::bad_request("the cursor is not one of this list: begin without it")
    }

    pub fn invalid_policy(diagnostics: Vec<Diagnostic>) -> Problem {
        let detail = diagnostics.first().map_or_else(String::new, |first| first.message.clone());
        let title = "The policy has mistakes";
        Problem {
            diagnostics: diagnostics.into(),
            ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid-policy", title, detail)
        }
    }

    pub fn unauthenticated(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "/problems/unauthenticated", "Sign in first", detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "/problems/forbidden", "Not allowed", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "/problems/not-found", "Not there", detail)
    }

    pub fn method_not_allowed() -> Problem {
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "/problems/method-not-allowed",
            "Not possible here",
            "the resource has no such method; /api/v1/openapi.json lists those it has",
        )
    }

    pub fn conflict(detail: impl Into<String>, current: Option<i64>) -> Problem {
        Problem {
            current,
            ..Problem::new(StatusCode::CONFLICT, "/problems/conflict", "Already there", detail)
        }
    }

    /// Somebody else has changed it since the caller read it.
    pub fn changed(current: i64) -> Problem {
        Problem {
            current: Some(current),
            ..Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "/problems/changed",
                "Changed meanwhile",
                format!(
                    "it was changed and is at revision {current}: read it again, then repeat the change with its `ETag`"
                ),
            )
        }
    }

    pub fn precondition_required() -> Problem {
        Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "/problems/precondition-required",
            "A revision is needed",
            "send the `ETag` that was read as `If-Match`, so that nobody's change is overwritten",
        )
    }

    pub fn too_large(limit: usize) -> Problem {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "/problems/too-large",
            "Too large",
            format!("the body is larger than {limit} bytes"),
        )
    }

    pub fn too_many(wait: std::time::Duration) -> Problem {
        let retry_after = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        Problem {
            retry_after: Some(retry_after),
            ..Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "/problems/too-many",
                "Too many attempts",
                format!("try again in {retry_after} s"),
            )
        }
    }

    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem {
            retry_after: Some(5),
            ..Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "/problems/unavailable",
                "Not possible right now",
                detail,
            )
        }
    }

    pub fn full(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, "/problems/store-full", "The store is full", detail)
    }

    pub fn timeout() -> Problem {
        Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "/problems/timeout",
            "Took too long",
            "the answer took too long: narrow the question, or try again",
        )
    }

    /// Details are for the log alone.
    pub fn internal() -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "/problems/internal",
            "Something is wrong here",
            "the console could not do this; its log says why",
        )
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::NotFound { .. } => Problem::not_found(error.to_string()),
            StoreError::Conflict { current } => Problem::changed(current),
            StoreError::Exists { .. } => Problem::conflict(error.to_string(), None),
            StoreError::Invalid(detail) => Problem::bad_request(detail),
            StoreError::Refused(detail) => Problem::forbidden(detail),
            StoreError::Full => Problem::full(error.to_string()),
            StoreError::ReadOnly => Problem::unavailable(error.to_string()),
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "the store does not answer");
                Problem::unavailable("the store does not answer; it is tried again with each request")
            }
            StoreError::Corrupt { .. } | StoreError::Database(_) => {
                tracing::error!(%error, "the store failed");
                Problem::internal()
            }
        }
    }
}

impl From<NoRandom> for Problem {
    fn from(error: NoRandom) -> Problem {
        tracing::error!(%error);
        Problem::internal()
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Problem {
        match error {
            PasswordError::Hash(_) => {
                tracing::error!(%error);
                Problem::internal()
            }
            refused => Problem::bad_request(refused.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // For the layer that knows the path asked for.
        response.extensions_mut().insert(self);
        response
    }
}
