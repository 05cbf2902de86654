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

/// Headers that a server may be told to send, with the values they may have; any where there are none.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// Cipher suites that Go calls secure.
const CIPHER_SUITES: [&str; 13] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];

const CURVES: [&str; 4] = ["CurveP256", "CurveP384", "CurveP521", "X25519"];

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
            limit.signed("burst");
            self.go_duration(&limit, "interval");
        }
        if let Some(server) = raw.section("http_server_config") {
            server.boolean("http2", true);
            for (name, item) in server.entries("headers") {
                let value = raw.text_of(&item).unwrap_or_default();
                match HEADERS.iter().find(|(known, _)| *known == name) {
                    None => {
                        let known: Vec<&str> = HEADERS.iter().map(|(name, _)| *name).collect();
                        let reason = format!("header {name:?} cannot be set, only {}", known.join(", "));
                        self.notes.value(item.line, &item.path, reason);
                    }
                    Some((_, values)) if !values.is_empty() && !values.contains(&value.as_str()) => {
                        let reason = format!("{value:?} is none of {}", values.join(", "));
                        self.notes.value(item.line, &item.path, reason);
                    }
                    Some(_) => {}
                }
            }
        }
        WebConfig { tls: raw.section("tls_server_config").and_then(|raw| self.tls_server(&raw)) }
    }

    /// A number is one of nanoseconds.
    fn go_duration(&self, raw: &Section<'a>, key: &str) {
        let Some(item) = raw.get(key).filter(|item| !item.node.is_null()) else { return };
        let text = raw.text_of(&item);
        if item.node.float().is_none() && text.as_deref().is_some_and(|text| !is_go_duration(text)) {
            self.complain(raw, key, "not a valid duration; write 30s or 1h30m");
        }
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
        raw.texts("client_allowed_sans");
        for key in ["min_version", "max_version"] {
            let Some(item) = raw.get(key).filter(|item| !item.node.is_null()) else { continue };
            let text = raw.text_of(&item).unwrap_or_default();
            if TlsVersion::ALL.iter().all(|(name, _)| *name != text) {
                let reason = format!("unknown TLS version {text:?}: TLS10, TLS11, TLS12 or TLS13");
                self.notes.value(item.line, &item.path, reason);
            }
        }
        for (key, what, known) in [
            ("cipher_suites", "cipher suite", &CIPHER_SUITES[..]),
            ("curve_preferences", "curve", &CURVES[..]),
        ] {
            for (name, item) in raw.texts(key).unwrap_or_default() {
                if !known.contains(&name.as_str()) {
                    let reason = format!("unknown {what} {name:?}: {}", known.join(", "));
                    self.notes.value(item.line, &item.path, reason);
                }
            }
        }
        raw.boolean("prefer_server_cipher_suites", true);
        if tls == TlsConfig::default() && auth.is_empty() {
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
            Some(_) => {}
        }
        Some(tls)
    }
}

/// Whether a text says how a hash of bcrypt was made, as Go reads it: `$`, a version up to 2, perhaps a letter, `$`, the
/// cost in two digits. What follows is not looked at before somebody logs in.
fn is_bcrypt(text: &str) -> bool {
    const MIN_BYTES: usize = 59;
    let bytes = text.as_bytes();
    let cost_at = if bytes.get(2) == Some(&b'$') { 3 } else { 4 };
    let cost = bytes.get(cost_at..cost_at + 2).and_then(|cost| std::str::from_utf8(cost).ok());
    bytes.len() >= MIN_BYTES
        && bytes[0] == b'$'
        && bytes[1] <= b'2'
        && cost.and_then(|cost| cost.parse::<u8>().ok()).is_some_and(|cost| (4..=31).contains(&cost))
}

/// Whether Go reads a text as a duration: numbers with units, such as `1h30m` or `1.5s`, or `0`.
fn is_go_duration(text: &str) -> bool {
    const UNITS: [(&str, u128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("\u{b5}s", 1_000),
        ("\u{3bc}s", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let (mut parts, mut nanos) = (0, 0_u128);
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, behind) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let (unit, behind) = behind.split_at(behind.find(is_number).unwrap_or(behind.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole = if whole.is_empty() && !fraction.is_empty() { "0" } else { whole };
        let (Some((_, nanos_each)), Ok(whole), false) =
            (UNITS.iter().find(|(name, _)| *name == unit), whole.parse::<u64>(), fraction.contains('.'))
        else {
            return false;
        };
        nanos += u128::from(whole) * nanos_each;
        if nanos > 1 << 63 {
            return false;
        }
        (rest, parts) = (behind, parts + 1);
    }
    parts > 0 && (nanos < 1 << 63 || text.starts_with('-'))
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
        for text in [
            "",
            "tls_server_config:\n",
            "basic_auth_users: {}\n",
            "tls_server_config: {min_version: , cipher_suites: [TLS_AES_128_GCM_SHA256]}",
            "tls_server_config: {curve_preferences: [CurveP521], client_allowed_sans: [a]}",
            "rate_limit: {burst: -1, interval: 5}",
        ] {
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
            ("tls_server_config: {cert: a, key: b, min_version: 1.2}", "unknown TLS version \"1.2\""),
            ("tls_server_config: {min_version: ''}", "min_version: unknown TLS version \"\""),
            ("tls_server_config: {max_version: ''}", "max_version: unknown TLS version \"\""),
            (
                "tls_server_config: {cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]}",
                "unknown cipher suite \"TLS_RSA_WITH_AES_128_CBC_SHA\": TLS_AES",
            ),
            ("tls_server_config: {curve_preferences: [X25519, P256]}", "unknown curve \"P256\": CurveP256"),
            ("http_server_config: {headers: {Server: x}}", "header \"Server\" cannot be set"),
            (
                "http_server_config: {headers: {X-Frame-Options: DENY}}",
                "\"DENY\" is none of deny, sameorigin",
            ),
            ("http_server_config: {headers: {X-Content-Type-Options: }}", "\"\" is none of nosniff"),
            ("rate_limit: {interval: 1d}", "rate_limit.interval: not a valid duration"),
            ("rate_limit: {interval: '5'}", "rate_limit.interval: not a valid duration"),
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

    #[test]
    fn hashes_and_durations_are_read_as_go_does() {
        let long = "x".repeat(53);
        for start in ["$2y$10$", "$2$10$", "$1$04$", "$2b$31$", "$2b$+9$", "$2b$10x"] {
            assert!(is_bcrypt(&format!("{start}{long}")), "{start}");
        }
        for start in ["$2y$03$", "$2y$32$", "$3y$10$", "2y$10$", "$2y$1x$", "$2y$-5$", "$2y$\u{e9}$", ""] {
            assert!(!is_bcrypt(&format!("{start}{long}")), "{start}");
        }
        assert!(!is_bcrypt(&HASH[..58]) && is_bcrypt(&HASH[..59]));
        for text in
            ["0", "-0", "1s", "+1.5h", "-.5m", "1.s", "1h30m2ms3us4\u{b5}s5\u{3bc}s6ns", "2562047h47m"]
        {
            assert!(is_go_duration(text), "{text}");
        }
        for text in [
            "",
            "-",
            "5",
            "1d",
            "1 s",
            ".s",
            "1.2.3s",
            "s",
            "--1s",
            "2562048h",
            "1s2",
            "99999999999999999999s",
        ] {
            assert!(!is_go_duration(text), "{text}");
        }
        assert!(is_go_duration("-9223372036854775808ns") && !is_go_duration("9223372036854775808ns"));
    }
}
