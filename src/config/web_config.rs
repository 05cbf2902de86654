//! Files that say how a server of the Prometheus family is served over HTTP: TLS, users, headers.

use std::path::Path as FilePath;

use super::document;
use super::key::Below::{Section as Below, Value};
use super::key::{Keys, NONE};
use super::loader::Loader;
use super::section::{Section, UnknownKeys};
use super::{Error, TlsConfig, TlsVersion};

static WEB: Keys = Keys {
    supported: &[
        ("tls_server_config", Below(&TLS_SERVER)),
        ("http_server_config", Below(&HTTP_SERVER)),
        ("basic_auth_users", Value),
        ("rate_limit", Below(&RATE_LIMIT)),
    ],
    ..NONE
};

static TLS_SERVER: Keys = Keys {
    supported: &[
        ("cert", Value),
        ("cert_file", Value),
        ("key", Value),
        ("key_file", Value),
        ("client_auth_type", Value),
        ("client_ca", Value),
        ("client_ca_file", Value),
        ("client_allowed_sans", Value),
        ("min_version", Value),
        ("max_version", Value),
        ("cipher_suites", Value),
        ("curve_preferences", Value),
        ("prefer_server_cipher_suites", Value),
    ],
    ..NONE
};

static HTTP_SERVER: Keys = Keys { supported: &[("http2", Value), ("headers", Value)], ..NONE };

static RATE_LIMIT: Keys = Keys { supported: &[("burst", Value), ("interval", Value)], ..NONE };

/// What a client may be asked for; whether its certificate is verified.
const CLIENT_AUTH: [(&str, bool); 7] = [
    ("", false),
    ("NoClientCert", false),
    ("RequestClientCert", false),
    ("RequireClientCert", false),
    ("RequireAnyClientCert", false),
    ("VerifyClientCertIfGiven", true),
    ("RequireAndVerifyClientCert", true),
];

/// Headers that a server may be told to send.
const HEADERS: [&str; 5] = [
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
];

/// Such a file, as far as other files have to be read to know whether it is right.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebConfig {
    /// Certificate and key of the server, and the authorities of clients, if it is served over TLS.
    pub tls: Option<TlsConfig>,
}

/// Reads and validates the file at `path`.
///
/// # Errors
/// When it cannot be read, or anything in it is refused; all that is wrong is told.
pub fn load_web_config(path: &FilePath) -> Result<WebConfig, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, name: &str) -> Result<WebConfig, Error> {
    document::read(text, name, UnknownKeys::Refused, |notes, top| {
        Loader { notes }.web(&Section::open(notes, top, &WEB))
    })
}

impl<'a> Loader<'a> {
    fn web(&self, raw: &Section<'a>) -> WebConfig {
        for (name, item) in raw.entries("basic_auth_users") {
            let hash = raw.text_of(&item).unwrap_or_default();
            if !is_bcrypt(&hash) {
                let reason = format!("the password of {name:?} is not hashed by bcrypt");
                self.notes.value(item.line, &item.path, reason);
            }
        }
        if let Some(limit) = raw.section("rate_limit") {
            limit.whole("burst");
            limit.duration("interval");
        }
        if let Some(server) = raw.section("http_server_config") {
            server.boolean("http2", true);
            for (name, item) in server.entries("headers") {
                if !HEADERS.contains(&name) {
                    let reason = format!("header {name:?} cannot be set, only {}", HEADERS.join(", "));
                    self.notes.value(item.line, &item.path, reason);
                }
                raw.text_of(&item);
            }
        }
        WebConfig { tls: raw.section("tls_server_config").and_then(|raw| self.tls_server(&raw)) }
    }

    fn tls_server(&self, raw: &Section<'a>) -> Option<TlsConfig> {
        let tls = TlsConfig {
            ca: self.source(raw, "client_ca", "client_ca_file"),
            cert: self.source(raw, "cert", "cert_file"),
            key: self.source(raw, "key", "key_file"),
            ..TlsConfig::default()
        };
        let auth = raw.text("client_auth_type").unwrap_or_default();
        let verifies = CLIENT_AUTH.iter().find(|(name, _)| *name == auth).map(|(_, verifies)| *verifies);
        let sans = raw.texts("client_allowed_sans").unwrap_or_default();
        for key in ["min_version", "max_version"] {
            let text = raw.text(key).unwrap_or_default();
            if !text.is_empty() && TlsVersion::ALL.iter().all(|(name, _)| *name != text) {
                self.complain(
                    raw,
                    key,
                    format!("unknown TLS version {text:?}: TLS10, TLS11, TLS12 or TLS13"),
                );
            }
        }
        raw.texts("cipher_suites");
        raw.texts("curve_preferences");
        raw.boolean("prefer_server_cipher_suites", true);
        if tls == TlsConfig::default() && auth.is_empty() && sans.is_empty() {
            return None;
        }
        if tls.cert.is_none() {
            self.complain(raw, "cert_file", "one of cert and cert_file is needed");
        }
        if tls.key.is_none() {
            self.complain(raw, "key_file", "one of key and key_file is needed");
        }
        match verifies {
            None => {
                let known: Vec<&str> = CLIENT_AUTH.iter().skip(1).map(|(name, _)| *name).collect();
                self.complain(raw, "client_auth_type", format!("{auth:?} is none of {}", known.join(", ")));
            }
            Some(false) if matches!(auth.as_str(), "" | "NoClientCert") && tls.ca.is_some() => {
                let key = if raw.get("client_ca").is_some() { "client_ca" } else { "client_ca_file" };
                self.complain(raw, key, "authorities of clients need a client_auth_type");
            }
            Some(false) if !sans.is_empty() => {
                self.complain(
                    raw,
                    "client_allowed_sans",
                    "names of clients need a client_auth_type that verifies",
                );
            }
            Some(_) => {}
        }
        Some(tls)
    }
}

/// Whether a text is a hash of bcrypt: `$2b$<cost>$` with 53 characters of its own base 64.
fn is_bcrypt(text: &str) -> bool {
    let mut parts = text.split('$').skip(1);
    let (Some(version), Some(cost), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/');
    text.starts_with('$')
        && matches!(version, "2" | "2a" | "2b" | "2x" | "2y")
        && cost.len() == 2
        && cost.parse::<u8>().is_ok_and(|cost| (4..=31).contains(&cost))
        && hash.len() == 53
        && hash.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    const HASH: &str = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze";

    #[test]
    fn files_of_real_servers_are_read() {
        let text = format!(
            "tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: /etc/ca.crt
  client_allowed_sans: [a]
  min_version: TLS13
http_server_config: {{http2: false, headers: {{X-Frame-Options: deny}}}}
basic_auth_users: {{alice: {HASH}, bob: {HASH}}}
rate_limit: {{burst: 5, interval: 1s}}
"
        );
        let tls = parse(&text, "/etc/web.yml").expect("valid").tls.expect("TLS");
        assert_eq!(tls.cert, Some(Source::File("/etc/server.crt".into())));
        assert_eq!(tls.ca, Some(Source::File("/etc/ca.crt".into())));
        for text in ["", "tls_server_config:\n", "basic_auth_users: {}\n"] {
            assert_eq!(parse(text, "f").expect("valid"), WebConfig::default());
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, expected) in [
            ("tls_config: {}", "f:1: configuration: unknown key \"tls_config\""),
            (
                "tls_server_config: {cert_file: a}",
                "tls_server_config.key_file: one of key and key_file is needed",
            ),
            ("tls_server_config: {cert_file: a, cert: b, key: c}", "at most one of cert, cert_file"),
            (
                "tls_server_config: {cert: a, key: b, client_auth_type: Maybe}",
                "\"Maybe\" is none of NoClientCert",
            ),
            ("tls_server_config: {cert: a, key: b, client_ca: c}", "need a client_auth_type"),
            (
                "tls_server_config: {cert: a, key: b, client_allowed_sans: [c]}",
                "client_allowed_sans: names of clients",
            ),
            ("tls_server_config: {cert: a, key: b, min_version: 1.2}", "unknown TLS version \"1.2\""),
            ("http_server_config: {headers: {Server: x}}", "header \"Server\" cannot be set"),
            (
                "basic_auth_users: {a: geheim}",
                "basic_auth_users.a: the password of \"a\" is not hashed by bcrypt",
            ),
            ("rate_limit: {burst: x}", "rate_limit.burst"),
        ] {
            let error = parse(text, "f").expect_err(text).to_string();
            assert!(error.contains(expected), "{error} does not contain {expected}");
            assert!(!error.contains("geheim"), "{error}");
        }
    }
}
