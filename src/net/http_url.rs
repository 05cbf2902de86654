//! URLs as Go's `net/url` writes and reads them, because targets know what Prometheus sends.
//!
//! Nothing is normalised: `..`, `//`, upper case and percent signs arrive as they were written. Addresses that other
//! libraries read as numbers (`web.1`, `0x7f`) stay names. See [0006](../../../docs/decisions/0006-http-client.md).

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use crate::config::Secret;

/// Why a text is no URL that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Neither http nor https.
    #[error("unsupported protocol scheme {0:?}")]
    Scheme(String),
    /// There is no host.
    #[error("no host in URL {0:?}")]
    NoHost(String),
    /// The host has a character that no host has.
    #[error("invalid character in host name {0:?}")]
    Host(String),
    /// The port is no number up to 65535.
    #[error("invalid port {0:?}")]
    Port(String),
}

/// A URL taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// Over TLS.
    pub(super) https: bool,
    /// Host and port as they were written; what the Host header says, but for a zone.
    pub(super) authority: String,
    /// Name or address, without brackets.
    pub(super) host: String,
    /// Name and password, as they were written; they are never shown.
    user: Option<Secret>,
    /// The port, which may be that of the scheme.
    pub(super) port: u16,
    /// What comes after the authority: always begins with `/`.
    pub(super) path_and_query: String,
}

/// Writes a URL from its parts.
pub fn write<'a>(
    scheme: &str,
    address: &str,
    path: &str,
    params: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut out = format!("{scheme}://");
    escape(address, is_host_byte, &mut out);
    if !path.is_empty() && !path.starts_with('/') {
        out.push('/');
    }
    if path == "*" {
        out.push('*');
    } else {
        escape(path, is_path_byte, &mut out);
    }
    let mut separator = '?';
    for (name, value) in params {
        out.push(separator);
        escape_query(name, &mut out);
        out.push('=');
        escape_query(value, &mut out);
        separator = '&';
    }
    out
}

impl HttpUrl {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(UrlError::Scheme(scheme.to_owned())),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(Secret::new(user)), authority),
            None => (None, authority),
        };
        let authority = unescape_host(authority).ok_or_else(|| UrlError::Host(authority.to_owned()))?;
        let (host, port) = split_port(&authority);
        if authority.is_empty() {
            return Err(UrlError::NoHost(format!("{scheme}://{rest}")));
        }
        let port = match port {
            "" if https => 443,
            "" => 80,
            port => port.parse().map_err(|_| UrlError::Port(port.to_owned()))?,
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let rest = rest.split('#').next().unwrap_or("");
        let slash = if rest.starts_with('/') { "" } else { "/" };
        let mut path_and_query = slash.to_owned();
        // What was escaped stays as it is; the rest of what cannot be sent is escaped.
        escape(
            rest,
            |byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>'),
            &mut path_and_query,
        );
        Ok(Self { https, authority, host, user, port, path_and_query })
    }

    /// Where `location` points, seen from here (RFC 3986, 5.2).
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub(super) fn join(&self, location: &str) -> Result<Self, UrlError> {
        let scheme = if self.https { "https" } else { "http" };
        let has_scheme = location.split(['/', '?', '#']).next().is_some_and(|start| start.contains(':'));
        if has_scheme {
            let (scheme, rest) = location.split_once(':').unwrap_or_default();
            if !rest.starts_with("//") {
                return Err(UrlError::Scheme(scheme.to_owned()));
            }
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}"));
        }
        let (own_path, own_query) = self.path_and_query.split_once('?').unwrap_or((&self.path_and_query, ""));
        let location = location.split('#').next().unwrap_or("");
        let (path, query) = match location.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (location, None),
        };
        let (path, query) = if path.is_empty() {
            (own_path.to_owned(), query.unwrap_or(own_query))
        } else if path.starts_with('/') {
            (without_dots(path), query.unwrap_or(""))
        } else {
            let folder = &own_path[..=own_path.rfind('/').unwrap_or(0)];
            (without_dots(&format!("{folder}{path}")), query.unwrap_or(""))
        };
        let mut next =
            Self::parse(&format!("{scheme}://h{path}{}{query}", if query.is_empty() { "" } else { "?" }))?;
        next.authority.clone_from(&self.authority);
        next.host.clone_from(&self.host);
        next.port = self.port;
        // It is the same server.
        next.user.clone_from(&self.user);
        Ok(next)
    }

    /// Host and port, the port also where it is that of the scheme.
    pub(super) fn host_and_port(&self) -> String {
        let host = self.host.split('%').next().unwrap_or(&self.host);
        if host.contains(':') { format!("[{host}]:{}", self.port) } else { format!("{host}:{}", self.port) }
    }

    /// The path, as it is sent.
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// Name and password in the URL.
    pub(super) fn user(&self) -> Option<(String, Secret)> {
        let (name, password) = {
            let user = self.user.as_ref()?.reveal();
            user.split_once(':').unwrap_or((user, ""))
        };
        Some((unescape(name), Secret::new(unescape(password))))
    }

    /// Whether a request that was for `first` and is redirected here still says who the client is: as in Prometheus, to
    /// the same host and its subdomains. Unlike there, what was said over TLS is not repeated in clear.
    pub(super) fn may_know(&self, first: &Self) -> bool {
        let (own, first_host) = (self.host.to_ascii_lowercase(), first.host.to_ascii_lowercase());
        let is_below = || {
            let is_name = own.parse::<IpAddr>().is_err();
            is_name && own.strip_suffix(&first_host).is_some_and(|rest| rest.ends_with('.'))
        };
        (own == first_host || is_below()) && (self.https || !first.https)
    }

    /// What the Host header says: no zone, since it means nothing elsewhere.
    pub fn host_header(&self) -> String {
        match (self.authority.starts_with('['), self.authority.find('%'), self.authority.find(']')) {
            (true, Some(zone), Some(end)) if zone < end => {
                format!("{}{}", &self.authority[..zone], &self.authority[end..])
            }
            _ => self.authority.clone(),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut authority = String::new();
        escape(&self.authority, is_host_byte, &mut authority);
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{authority}{}", self.path_and_query)
    }
}

/// Host and port; the port is what follows the last colon, if that is digits or nothing.
fn split_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (authority, ""),
    }
}

/// Undoes what [`write`] did to an address.
fn unescape_host(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let zoned = text.starts_with('[');
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if byte.is_ascii() && !is_host_byte(byte) {
                return None;
            }
            out.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        let value = u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
        // Escapes in hosts are for what is beyond ASCII, and for zones.
        if value.is_ascii() && !(zoned && value == b'%') {
            return None;
        }
        out.push(value);
    }
    String::from_utf8(out).ok()
}

/// Text without percent signs.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let digits =
            behind.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for part in path.split('/').skip(1) {
        ends_in_folder = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut out = String::new();
    for part in parts {
        let _ = write!(out, "/{part}");
    }
    if ends_in_folder || out.is_empty() {
        out.push('/');
    }
    out
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

fn is_path_byte(byte: u8) -> bool {
    is_plain(byte) || matches!(byte, b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@')
}

fn is_host_byte(byte: u8) -> bool {
    is_plain(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
        || matches!(byte, b':' | b'[' | b']' | b'<' | b'>' | b'"')
}

/// A text as it may stand as the value of a parameter.
pub fn query_escaped(text: &str) -> String {
    let mut out = String::new();
    escape_query(text, &mut out);
    out
}

fn escape_query(text: &str, out: &mut String) {
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 {
            out.push('+');
        }
        escape(word, is_plain, out);
    }
}

fn escape(text: &str, stays: impl Fn(u8) -> bool, out: &mut String) {
    for byte in text.bytes() {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_as_go_does_it() {
        let check = |path: &str, expected: &str| {
            assert_eq!(write("http", "h", path, []), format!("http://h{expected}"), "{path}");
        };
        check("/metrics", "/metrics");
        check("metrics", "/metrics");
        check("", "");
        check("/a?b=c&d", "/a%3Fb=c&d");
        check("/a#b", "/a%23b");
        check("/a%20b c", "/a%2520b%20c");
        check("/../a/./b//", "/../a/./b//");
        check("/a\\b", "/a%5Cb");
        check("/$&+,:;=@-_.~", "/$&+,:;=@-_.~");
        check("/!*'()[]\"<>^`{|}", "/%21%2A%27%28%29%5B%5D%22%3C%3E%5E%60%7B%7C%7D");
        check("/\u{e4}", "/%C3%A4");
        check("*", "/*");
        assert_eq!(write("http", "h", "", [("a b", "c~*&")]), "http://h?a+b=c~%2A%26");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let check = |address: &str, host: &str, port: u16, header: &str| {
            let text = write("http", address, "/a\\b", [("q", "1")]);
            let url = HttpUrl::parse(&text).expect("a URL");
            assert_eq!((url.host.as_str(), url.port), (host, port), "{text}");
            assert_eq!((url.host_header().as_str(), url.path_and_query.as_str()), (header, "/a%5Cb?q=1"));
            assert_eq!(url.to_string(), text);
        };
        check("DOCKER_HOST:9323", "DOCKER_HOST", 9323, "DOCKER_HOST:9323");
        check("web.1", "web.1", 80, "web.1");
        check("12345:1", "12345", 1, "12345:1");
        check("0x7f", "0x7f", 80, "0x7f");
        check("h.:80", "h.", 80, "h.:80");
        check("h:", "h", 80, "h:");
        check("[::1]:9100", "::1", 9100, "[::1]:9100");
        check("fd00::1:9100", "fd00::1", 9100, "fd00::1:9100");
        check("[fe80::1%eth0]:9100", "fe80::1%eth0", 9100, "[fe80::1]:9100");
        check("b\u{fc}cher:1", "b\u{fc}cher", 1, "b\u{fc}cher:1");
        let zoned = write("http", "[fe80::1%eth0]:9100", "/metrics", []);
        assert_eq!(zoned, "http://[fe80::1%25eth0]:9100/metrics");
        assert_eq!(HttpUrl::parse("https://h").expect("a URL").port, 443);
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        let check = |scheme: &str, address: &str, expected: &str| {
            let error = HttpUrl::parse(&write(scheme, address, "/", [])).expect_err(address);
            assert_eq!(error.to_string(), expected);
        };
        check("ftp", "h", "unsupported protocol scheme \"ftp\"");
        check("http", "", "no host in URL \"http:///\"");
        check("http", "a@b", "invalid character in host name \"a%40b\"");
        check("http", "a b", "invalid character in host name \"a%20b\"");
        check("http", "a?b", "invalid character in host name \"a%3Fb\"");
        check("http", "h:99999", "invalid port \"99999\"");
    }

    #[test]
    fn who_asks_is_told_to_the_same_host_and_not_in_clear_afterwards() {
        let check = |first: &str, next: &str, expected: bool| {
            let [first, next] = [first, next].map(|url| HttpUrl::parse(url).expect("a URL"));
            assert_eq!(next.may_know(&first), expected, "{first} to {next}");
        };
        check("http://h/", "http://H:99/x", true);
        check("http://h/", "https://h/", true);
        check("https://h/", "https://a.b.h:1/", true);
        check("https://h/", "http://h/", false);
        check("http://h/", "http://xh/", false);
        check("http://a.h/", "http://h/", false);
        check("http://10.0.0.1/", "http://10.0.0.1:9/", true);
        check("http://0.0.1/", "http://10.0.0.1/", false);
        check("http://[::1]/", "http://[::1]:9/", true);
    }

    #[test]
    fn locations_are_seen_from_where_they_were_given() {
        let from = HttpUrl::parse("http://a_b:1/x/y?q=1").expect("a URL");
        let check = |location: &str, expected: &str| {
            assert_eq!(from.join(location).expect("a URL").to_string(), expected, "{location}");
        };
        check("https://other/p", "https://other/p");
        check("//other:2/p", "http://other:2/p");
        check("/p?a=b#c", "http://a_b:1/p?a=b");
        check("z", "http://a_b:1/x/z");
        check("../z/./", "http://a_b:1/z/");
        check("../../../z", "http://a_b:1/z");
        check("?a", "http://a_b:1/x/y?a");
        check("", "http://a_b:1/x/y?q=1");
        check("/a b", "http://a_b:1/a%20b");
        assert!(matches!(from.join("mailto:x"), Err(UrlError::Scheme(_))));
    }
}
