//! What handlers take and give, with errors as problem documents.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use super::openapi::Operation;
use super::problem::Problem;
use super::route::{Answer, Part};

/// Largest body of a request.
pub const MAX_BODY: usize = 1024 * 1024;

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
        if !json {
            // A form of another site can send everything but this type without being asked first.
            return Err(Problem::bad_request("send the body as JSON, with `Content-Type: application/json`"));
        }
        let bytes =
            axum::body::Bytes::from_request(request, state).await.map_err(|rejection| {
                match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(MAX_BODY),
                    _ => Problem::bad_request("the body did not come whole"),
                }
            })?;
        serde_json::from_slice(&bytes)
            .map(Body)
            .map_err(|error| Problem::bad_request(format!("the body is not as expected: {error}")))
    }
}

impl<T: JsonSchema> Part for Body<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.body::<T>();
    }
}

/// Parameters after the `?`.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(query)| Query(query))
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

impl<T: JsonSchema> Part for Query<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.query::<T>();
    }
}

/// The variable parts of the path.
#[derive(Debug)]
pub struct Segments<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(segments)| Segments(segments))
            .map_err(|_| Problem::not_found("there is nothing under this path"))
    }
}

/// The table's path describes them.
impl<T> Part for Segments<T> {}

/// The revision a change is made to.
#[derive(Debug, Clone, Copy)]
pub struct IfMatch(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = parts.headers.get(header::IF_MATCH).ok_or_else(Problem::precondition_required)?;
        let revision = value.to_str().ok().and_then(|value| value.trim().trim_matches('"').parse().ok());
        revision.map(IfMatch).ok_or_else(|| Problem::bad_request("`If-Match` is not an `ETag` of this API"))
    }
}

impl Part for IfMatch {
    fn describe(operation: &mut Operation<'_>) {
        operation.header("If-Match", true, "The `ETag` that was read");
    }
}

impl<T: JsonSchema> Answer for Json<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<T>(200, "Done");
    }
}

/// 201 with what was made.
#[derive(Debug)]
pub struct Created<T>(pub T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> Answer for Created<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<T>(201, "Made");
    }
}

/// An answer whose revision goes along as `ETag`.
#[derive(Debug)]
pub struct Versioned<A> {
    pub revision: i64,
    pub answer: A,
}

impl<A: IntoResponse> IntoResponse for Versioned<A> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", self.revision)) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}

impl<A: Answer> Answer for Versioned<A> {
    fn describe(operation: &mut Operation<'_>) {
        A::describe(operation);
        operation.answers_etag();
    }
}

/// 204.
#[derive(Debug)]
pub struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Answer for Done {
    fn describe(operation: &mut Operation<'_>) {
        operation.empty(204, "Done");
    }
}

/// Values of one parameter, with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.split(',')
            .filter(|value| !value.is_empty())
            .map(|value| {
                T::deserialize(serde::de::value::StrDeserializer::<D::Error>::new(value))
                    .map_err(D::Error::custom)
            })
            .collect::<Result<_, _>>()
            .map(List)
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}List", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Vec<T>>::json_schema(generator)
    }
}
