//! Which pages of other origins may read replies, and that none of them may change anything.
//!
//! `--web.cors.origin` says who may read the API, everybody by default, as in Prometheus. Whatever it says, requests that
//! change something are refused when a browser sends them for a page of another origin: they carry what the visitor of
//! that page may do here, and some need no permission of this server beforehand. Programs send none of these headers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::reply::plain_error;
use super::site::Site;
use super::state::ApiState;

type Shared = State<Arc<ApiState>>;

/// Adds the headers by which a browser lets pages of other origins read the reply.
pub(super) async fn add_headers(State(state): Shared, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // Compression is decided further out and names its header itself, but only where it was considered.
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Origin"));
    if let Some(origin) = origin {
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if origin.to_str().is_ok_and(|origin| state.site.cors_origin.is_match(origin)) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
    }
    response
}

/// Refuses what would change something for a page of another origin.
pub(super) async fn refuse_foreign(State(state): Shared, request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && is_foreign(request.headers(), request.uri(), &state.site) {
        let refused = "requests of pages of other origins cannot change anything here";
        return plain_error(StatusCode::FORBIDDEN, refused).into_response();
    }
    next.run(request).await
}

/// Whether a browser says that it asks for a page of another origin.
fn is_foreign(headers: &HeaderMap, uri: &Uri, site: &Site) -> bool {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
    // "none" is the visitor's own doing, such as an address typed in.
    if let Some(from) = headers.get("sec-fetch-site").map(text) {
        return !matches!(from.as_str(), "same-origin" | "none");
    }
    let Some(origin) = headers.get(header::ORIGIN).map(text) else { return false };
    if site.external_url.is_origin(&origin) {
        return false;
    }
    // A browser without the first header. Whether the page came over TLS is known to a proxy only.
    let host = headers.get(header::HOST).map(text).or_else(|| uri.authority().map(ToString::to_string));
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_none() || authority != host.as_deref()
}

#[cfg(test)]
mod tests {
    use super::super::site::{ExternalUrl, SiteOptions};
    use super::*;
    use crate::model::Anchored;

    #[test]
    fn foreign_is_what_a_browser_says_of_another_origin() {
        let options = SiteOptions {
            external_url: ExternalUrl::parse("https://example.org/prom").expect("a URL"),
            route_prefix: None,
            page_title: String::new(),
            cors_origin: Anchored::new(".*").expect("an expression"),
        };
        let site = Site::new(&options, &[]);
        let check = |given: &[(&'static str, &'static str)], expected: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_foreign(&headers, &Uri::from_static("/x"), &site), expected, "{given:?}");
        };
        let host = ("host", "box:9090");
        check(&[host], false);
        check(&[host, ("origin", "http://box:9090")], false);
        check(&[host, ("origin", "HTTP://BOX:9090")], false);
        check(&[host, ("origin", "https://example.org")], false);
        check(&[host, ("origin", "http://box")], true);
        check(&[host, ("origin", "https://evil.example")], true);
        check(&[host, ("origin", "null")], true);
        check(&[host, ("origin", "http://box:9090"), ("sec-fetch-site", "same-origin")], false);
        check(&[host, ("sec-fetch-site", "none")], false);
        check(&[host, ("sec-fetch-site", "same-site")], true);
        check(&[host, ("sec-fetch-site", "cross-site")], true);
        check(&[host, ("origin", "https://example.org"), ("sec-fetch-site", "cross-site")], true);
    }
}
