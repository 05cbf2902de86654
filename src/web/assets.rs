//! The page, from inside the binary.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::reply;
use super::state::ApiState;

#[derive(RustEmbed)]
#[folder = "src/web/dist"]
struct Dist;

/// The page needs nothing from elsewhere; its libraries set styles on elements.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'";

/// Where the page is found; its own table of routes has the same paths.
const PAGES: [&str; 13] = [
    "query",
    "alerts",
    "silences",
    "notifications",
    "rules",
    "lab",
    "timeline",
    "service-discovery",
    "targets",
    "status",
    "tsdb-status",
    "flags",
    "config",
];

/// The page that comes first.
const HOME: &str = "query";

/// Answers everything that is no endpoint: files of the page, redirects to it, the page itself.
pub(super) async fn serve(
    State(state): State<Arc<ApiState>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let below_root = uri.path().strip_prefix('/').unwrap_or_default();
    let path = below_root.trim_start_matches('/');
    let is_page = redirected(path).is_some() || PAGES.contains(&path);
    let file = if is_page { None } else { Dist::get(path) };
    let allowed = "GET, HEAD, OPTIONS";
    match method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS if is_page || file.is_some() => return reply::allowed(allowed),
        _ if is_page || file.is_some() => return reply::method_not_allowed(allowed),
        _ => return reply::not_found(),
    }
    if let Some(page) = redirected(path) {
        return to_page(&state, page, &uri);
    }
    if let Some(file) = file {
        return answer(path, file.metadata.sha256_hash(), file.data.to_vec(), &headers);
    }
    // The page says in its own words that there is nothing here, but only to those who can show it.
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !is_page && (!accept.contains("text/html") || path.starts_with("assets/")) {
        return reply::not_found();
    }
    let Some(file) = Dist::get("index.html") else {
        return reply::plain_error(StatusCode::NOT_FOUND, "the page is not part of this build");
    };
    let body = page(&String::from_utf8_lossy(&file.data), below_root, &state.site.page_title);
    // What it says besides the file is told by where it stands and by the process.
    let mut tag = file.metadata.sha256_hash();
    for (at, byte) in body.bytes().enumerate() {
        tag[at % 16] = tag[at % 16].rotate_left(3) ^ byte;
    }
    let mut response = answer("index.html", tag, body.into_bytes(), &headers);
    if !is_page {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// Sends a browser to the page that comes first.
pub(super) fn to_home(state: &ApiState, uri: &Uri) -> Response {
    to_page(state, HOME, uri)
}

fn to_page(state: &ApiState, page: &str, uri: &Uri) -> Response {
    let query = uri.query().map(|query| ["?", query].concat()).unwrap_or_default();
    reply::redirect(&[state.site.external_url.path(), "/", page, &query].concat())
}

/// The page that somebody is sent to who asks for `path`, if it is not a page itself.
fn redirected(path: &str) -> Option<&'static str> {
    match path {
        "" | "graph" | "graph/" => Some(HOME),
        _ => path.strip_suffix('/').and_then(|bare| PAGES.into_iter().find(|page| *page == bare)),
    }
}

/// The text of the page for a request of `path`: it finds its files and the API by going up as far as it stands below
/// the prefix, whatever the prefix is called outside.
fn page(text: &str, path: &str, title: &str) -> String {
    let root = "../".repeat(path.matches('/').count());
    let escaped = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace("=\"./", &["=\"./", &root].concat())
        .replace("<title>Emberkeep</title>", &["<title>", &escaped, "</title>"].concat())
}

fn answer(path: &str, hash: [u8; 32], body: Vec<u8>, request: &HeaderMap) -> Response {
    let half = hash.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    let tag = format!("\"{half:032x}\"");
    // Files below assets carry a hash in their names and never change.
    let caching =
        if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let same = request.get(header::IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == tag.as_bytes());
    let mut response = if same { StatusCode::NOT_MODIFIED.into_response() } else { body.into_response() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_finds_its_way_to_the_root_from_wherever_it_stands() {
        let text = "<link href=\"./favicon.svg\" /><title>Emberkeep</title><meta content=\"./\" />";
        let check = |path: &str, root: &str| {
            let expected = format!(
                "<link href=\"{root}favicon.svg\" /><title>A &lt;b&gt;</title><meta content=\"{root}\" />"
            );
            assert_eq!(page(text, path, "A <b>"), expected, "{path}");
        };
        check("query", "./");
        check("a/query", "./../");
        check("a/b/query", "./../../");
        let index = Dist::get("index.html").expect("the page is built");
        let index = String::from_utf8_lossy(&index.data);
        assert!(index.contains("<title>Emberkeep</title>"), "{index}");
        assert!(index.contains("<meta name=\"root\" content=\"./\""), "{index}");
    }

    #[test]
    fn the_page_and_the_server_know_the_same_pages() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web/ui/src/shell/App.tsx");
        let text = std::fs::read_to_string(source).expect("the table of routes");
        let routes = text.split("<Route path=\"/").skip(1).filter_map(|rest| rest.split('"').next());
        let mut routes: Vec<&str> = routes.filter(|route| !matches!(*route, "" | "graph")).collect();
        routes.sort_unstable();
        let mut pages = PAGES;
        pages.sort_unstable();
        assert_eq!(routes, pages);
    }

    #[test]
    fn pages_with_a_slash_and_the_old_names_are_redirects() {
        assert_eq!(redirected(""), Some("query"));
        assert_eq!(redirected("graph"), Some("query"));
        assert_eq!(redirected("targets/"), Some("targets"));
        assert_eq!(redirected("targets"), None);
        assert_eq!(redirected("a/query/"), None);
    }
}
