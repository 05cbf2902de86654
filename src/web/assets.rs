//! The page, from inside the binary.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::state::ApiState;

#[derive(RustEmbed)]
#[folder = "src/web/dist"]
struct Dist;

/// The page needs nothing from elsewhere; its libraries set styles on elements.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'";

/// Answers everything that is no endpoint: files of the page, redirects to it, the page itself.
pub(super) async fn serve(
    State(_): State<Arc<ApiState>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if matches!(path, "" | "graph") {
        let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
        return Redirect::to(&format!("/query{query}")).into_response();
    }
    if let Some(file) = Dist::get(path) {
        return answer(path, &file, &headers);
    }
    if path.starts_with("assets/") {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    // The page finds its way by itself: every other path shows it.
    match Dist::get("index.html") {
        Some(file) => answer("index.html", &file, &headers),
        None => (StatusCode::NOT_FOUND, "the page is not part of this build\n").into_response(),
    }
}

fn answer(path: &str, file: &EmbeddedFile, request: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let half = hash.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let tag = format!("\"{half:032x}\"");
    // Files below assets carry a hash in their names and never change.
    let caching =
        if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let same = request.get(header::IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == tag.as_bytes());
    let mut response =
        if same { StatusCode::NOT_MODIFIED.into_response() } else { file.data.to_vec().into_response() };
    let headers = response.headers_mut();
    let values = [
        (header::CONTENT_TYPE, media_type(path)),
        (header::CACHE_CONTROL, caching),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in values {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        Some("png") => "image/png",
        _ => "text/plain; charset=utf-8",
    }
}
