//! Where the server is reached from outside, under which prefix it serves, and what its page is called.

use std::net::SocketAddr;

use url::{Position, Url};

use crate::model::Anchored;

/// Why an address or a prefix is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// It begins or ends with a quote, which the shell should have taken.
    #[error("must not start or end with quotes")]
    Quoted,
    /// It cannot be read as a URL.
    #[error("is not a valid URL: {0}")]
    Url(#[from] url::ParseError),
    /// It is a URL of another kind.
    #[error("must start with http:// or https://, or be a path")]
    Scheme,
    /// It has a query, a fragment, a name or a password.
    #[error("must consist of scheme, host, port and path only")]
    Extra,
    /// A path holds a character that does not belong there.
    #[error("the path must not contain {0:?}")]
    Path(char),
}

/// The address under which others reach this server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExternalUrl {
    /// `http` or `https`; empty where only a path was given.
    scheme: String,
    /// Host and port; empty where only a path was given.
    host: String,
    /// Empty, or a path with a slash at its beginning and none at its end.
    path: String,
}

impl ExternalUrl {
    /// Reads a URL, or a path alone; nothing is the root.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let quote = ['"', '\''];
        if text.starts_with(quote) || text.ends_with(quote) {
            return Err(SiteError::Quoted);
        }
        if !text.contains("://") {
            if text.split('/').next().is_some_and(|first| first.contains(':')) {
                return Err(SiteError::Scheme);
            }
            return Ok(Self { path: route_prefix(text)?, ..Self::default() });
        }
        let url = Url::parse(text)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SiteError::Scheme);
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || url.query().is_some() || url.fragment().is_some() {
            return Err(SiteError::Extra);
        }
        Ok(Self {
            scheme: url.scheme().to_owned(),
            host: url[Position::BeforeHost..Position::AfterPort].to_owned(),
            path: route_prefix(url.path())?,
        })
    }

    /// The same, with what is missing taken from the name of this machine and the port it listens on.
    #[must_use]
    pub fn or_own(mut self, addresses: &[SocketAddr]) -> Self {
        if self.host.is_empty() {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let name = if name.trim().is_empty() { "localhost" } else { name.trim() };
            let port = addresses.first().map_or(9090, SocketAddr::port);
            "http".clone_into(&mut self.scheme);
            self.host = format!("{name}:{port}");
        }
        self
    }

    /// Empty, or a path with a slash at its beginning and none at its end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether a page of `origin` is one of this server.
    pub fn is_origin(&self, origin: &str) -> bool {
        let same = |own: &str| origin.eq_ignore_ascii_case(own);
        !self.host.is_empty() && same(&format!("{}://{}", self.scheme, self.host))
    }

    /// The whole URL, without a slash at the end.
    pub fn text(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.path)
    }

    /// `target` as others reach it: a URL on the loopback interface is of use to nobody else. One with the port that this
    /// server listens on is this server.
    pub fn globalize(&self, target: &str, own_port: u16) -> String {
        let Ok(mut url) = Url::parse(target) else { return target.to_owned() };
        // As it is written: without a port it is left alone.
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        let Some((host, port)) = authority.rsplit_once(':') else { return target.to_owned() };
        if !matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
            return target.to_owned();
        }
        let Ok(external) = Url::parse(&format!("{}://{}", self.scheme, self.host)) else {
            return target.to_owned();
        };
        let is_own = port.parse() == Ok(own_port);
        if is_own && url.set_scheme(external.scheme()).is_ok() {
            let _ = url.set_port(external.port());
        }
        if url.set_host(external.host_str()).is_err() {
            return target.to_owned();
        }
        url.to_string()
    }
}

/// A prefix of paths: empty, or with a slash at its beginning and none at its end.
///
/// # Errors
/// When it holds what no path holds.
pub fn route_prefix(text: &str) -> Result<String, SiteError> {
    let bare = text.trim_matches('/');
    let fits = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()+,;=:@".contains(c);
    match bare.chars().find(|c| !fits(*c)) {
        Some(bad) => Err(SiteError::Path(bad)),
        None if bare.is_empty() => Ok(String::new()),
        None => Ok(format!("/{bare}")),
    }
}

/// What the command line says of the site.
#[derive(Debug, Clone)]
pub struct SiteOptions {
    /// Where the server is reached from outside.
    pub external_url: ExternalUrl,
    /// Prefix of everything served, if it is not the path of the external URL.
    pub route_prefix: Option<String>,
    /// Title of the page.
    pub page_title: String,
    /// Origins whose pages may read replies.
    pub cors_origin: Anchored,
}

impl SiteOptions {
    /// Prefix of everything served.
    pub fn route_prefix(&self) -> &str {
        self.route_prefix.as_deref().unwrap_or(self.external_url.path())
    }
}

/// Where and how page and API are served.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where the server is reached from outside, host included.
    pub external_url: ExternalUrl,
    /// Port that it listens on.
    pub own_port: u16,
    /// Prefix of everything served.
    pub route_prefix: String,
    /// Title of the page.
    pub page_title: String,
    /// Origins whose pages may read replies.
    pub cors_origin: Anchored,
}

impl Site {
    /// The site of a server that listens on `addresses`.
    pub fn new(options: &SiteOptions, addresses: &[SocketAddr]) -> Self {
        Self {
            external_url: options.external_url.clone().or_own(addresses),
            own_port: addresses.first().map_or(0, SocketAddr::port),
            route_prefix: options.route_prefix().to_owned(),
            page_title: options.page_title.clone(),
            cors_origin: options.cors_origin.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_urls_are_urls_or_paths() {
        let check = |text: &str, expected: Result<(&str, &str, &str), &str>| {
            let read = ExternalUrl::parse(text).map_err(|error| error.to_string());
            let read = read.as_ref().map(|url| (url.scheme.as_str(), url.host.as_str(), url.path()));
            assert_eq!(read.map_err(String::as_str), expected, "{text}");
        };
        check("", Ok(("", "", "")));
        check("http://box:9090", Ok(("http", "box:9090", "")));
        check("https://Example.org/a/b/", Ok(("https", "example.org", "/a/b")));
        check("http://[::1]:9090/x", Ok(("http", "[::1]:9090", "/x")));
        check("/prometheus/", Ok(("", "", "/prometheus")));
        check("prometheus", Ok(("", "", "/prometheus")));
        check("\"http://box\"", Err("must not start or end with quotes"));
        check("ftp://box", Err("must start with http:// or https://, or be a path"));
        check("box:9090", Err("must start with http:// or https://, or be a path"));
        check("http://box/?a=1", Err("must consist of scheme, host, port and path only"));
        check("http://", Err("is not a valid URL: empty host"));
        check("/a{b}", Err("the path must not contain '{'"));
    }

    #[test]
    fn loopback_addresses_are_shown_as_others_reach_them() {
        let external = ExternalUrl::parse("https://example.org/prom").expect("a URL");
        let check =
            |target: &str, expected: &str| assert_eq!(external.globalize(target, 9090), expected, "{target}");
        check("http://localhost:9090/metrics", "https://example.org/metrics");
        check("http://127.0.0.1:9100/metrics?a=b", "http://example.org:9100/metrics?a=b");
        check("http://[::1]:9100/metrics", "http://example.org:9100/metrics");
        check("http://other:9090/metrics", "http://other:9090/metrics");
        assert!(external.is_origin("https://example.org") && !external.is_origin("http://example.org"));
    }
}
