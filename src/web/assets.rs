//! The page, from inside the binary.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::reply;
use super::state::ApiState;

#[derive(RustEmbed)]
#[folder = "src/web/dist"]
struct Dist;

/// The page needs nothing from elsewhere; its libraries set styles on elements.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'";

/// Where the page is found; its own table of routes has the same paths.
const PAGES: [&str; 6] = ["query", "targets", "status", "tsdb-status", "flags", "config"];

/// Answers everything that is no endpoint: files of the page, redirects to it, the page itself.
pub(super) async fn serve(
    State(_): State<Arc<ApiState>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path().trim_start_matches('/');
    let is_page = matches!(path, "" | "graph") || PAGES.contains(&path);
    let file = if is_page { None } else { Dist::get(path) };
    let allowed = "GET, HEAD, OPTIONS";
    match method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS if is_page || file.is_some() => return reply::allowed(allowed),
        _ if is_page || file.is_some() => return reply::method_not_allowed(allowed),
        _ => return reply::not_found(),
    }
    if matches!(path, "" | "graph") {
        let target = uri.query().map_or_else(|| "/query".to_owned(), |query| format!("/query?{query}"));
        let Ok(target) = HeaderValue::from_str(&target) else { return reply::not_found() };
        return (StatusCode::FOUND, [(header::LOCATION, target)]).into_response();
    }
    if let Some(file) = file {
        return answer(path, &file, &headers);
    }
    // The page says in its own words that there is nothing here, but only to those who can show it.
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !is_page && (!accept.contains("text/html") || path.starts_with("assets/")) {
        return reply::not_found();
    }
    let Some(file) = Dist::get("index.html") else {
        return reply::plain_error(StatusCode::NOT_FOUND, "the page is not part of this build");
    };
    let mut response = answer("index.html", &file, &headers);
    if !is_page {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
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
