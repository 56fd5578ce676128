//! The dashboard's files, and its page under every other address.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use moat_ui::Asset;

use crate::api::problem::Problem;

/// What no route answers.
pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if path == "/api" || path.starts_with("/api/") {
        return Problem::not_found("the API has no such path; /api/v1/openapi.json lists those it has")
            .into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return Problem::method_not_allowed().into_response();
    }
    let asset = moat_ui::asset(path.trim_start_matches('/'));
    // A file that is not there is not the page: a script must not turn out to be HTML.
    if asset.is_none() && path.starts_with("/assets/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    answer(asset.unwrap_or_else(moat_ui::page), &headers)
}

fn answer(asset: Asset, headers: &HeaderMap) -> Response {
    let known =
        headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == asset.etag.as_bytes());
    let cache = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(asset.content.into_owned()).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    for (name, value) in [(header::CONTENT_TYPE, &asset.media_type), (header::ETAG, &asset.etag)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    response
}
