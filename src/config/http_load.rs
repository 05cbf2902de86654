//! Settings of HTTP clients as they stand in the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::http::{
    Auth, HeaderConfig, HttpConfig, OAuth2Config, ProxyConfig, Secret, Source, TlsConfig, TlsVersion,
};
use super::loader::Loader;
use super::section::{Section, is_empty};

/// Headers that requests have anyway, or that other keys set.
const RESERVED_HEADERS: &[&str] = &[
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

impl<'a> Loader<'a> {
    /// The settings of a client, which stand among the other keys of `raw`.
    pub(super) fn http(&self, raw: &Section<'a>) -> HttpConfig {
        self.http_with(raw, true)
    }

    /// The same where a client that does not say offers HTTP/2 or not.
    pub(super) fn http_with(&self, raw: &Section<'a>, enable_http2: bool) -> HttpConfig {
        HttpConfig {
            auth: self.auth(raw),
            tls: raw.section("tls_config").map(|raw| self.tls(&raw)).unwrap_or_default(),
            follow_redirects: raw.boolean("follow_redirects", true),
            enable_http2: raw.boolean("enable_http2", enable_http2),
            proxy: self.proxy(raw),
            headers: self.headers(raw),
        }
    }

    /// The keys among `keys` that say something. More than one of them is an error.
    fn one_of(&self, raw: &Section<'a>, keys: &[&'static str]) -> Option<&'static str> {
        let mut given = keys.iter().filter(|key| raw.get(key).is_some_and(|item| !is_empty(item.node)));
        let first = given.next().copied();
        if let Some(second) = given.next() {
            let reason = format!("at most one of {} must be configured", keys.join(", "));
            self.complain(raw, second, reason);
        }
        first
    }

    /// A file, which begins at the folder of the configuration unless it is absolute.
    pub(super) fn file(&self, text: &str) -> PathBuf {
        let folder = std::path::Path::new(self.notes.file()).parent();
        folder.map_or_else(|| text.into(), |folder| folder.join(text))
    }

    /// The file that stands under `key`, if there is one.
    pub(super) fn file_at(&self, raw: &Section<'a>, key: &str) -> Option<PathBuf> {
        raw.text(key).filter(|text| !text.is_empty()).map(|text| self.file(&text))
    }

    /// What stands under `key`, or in the file that stands under `file_key`.
    pub(super) fn source(
        &self,
        raw: &Section<'a>,
        key: &'static str,
        file_key: &'static str,
    ) -> Option<Source> {
        let given = self.one_of(raw, &[key, file_key])?;
        let text = raw.text(given)?;
        Some(if given == key { Source::Text(Secret::new(text)) } else { Source::File(self.file(&text)) })
    }

    fn auth(&self, raw: &Section<'a>) -> Option<Auth> {
        // The last two are older than the others, and mean `authorization`.
        let ways = ["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"];
        let says = |way: &&&'static str| {
            let item = raw.get(way);
            // A section without content is one all the same.
            item.is_some_and(|item| {
                if way.starts_with("bearer") { !is_empty(item.node) } else { !item.node.is_null() }
            })
        };
        let given: Vec<&'static str> = ways.iter().filter(says).copied().collect();
        let way = *given.first()?;
        if let Some(second) = given.get(1) {
            self.complain(raw, second, format!("at most one of {} must be configured", ways.join(", ")));
        }
        if way.starts_with("bearer") {
            let credentials = self.source(raw, "bearer_token", "bearer_token_file");
            return Some(Auth::Header { kind: "Bearer".to_owned(), credentials });
        }
        let own = raw.section(way)?;
        match way {
            "basic_auth" => Some(Auth::Basic {
                username: self.source(&own, "username", "username_file"),
                password: self.source(&own, "password", "password_file"),
            }),
            "authorization" => {
                let kind =
                    own.text("type").map(|kind| kind.trim().to_owned()).filter(|kind| !kind.is_empty());
                if kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("basic")) {
                    self.complain(&own, "type", "must not be \"basic\", use basic_auth for that");
                }
                let kind = kind.unwrap_or_else(|| "Bearer".to_owned());
                Some(Auth::Header { kind, credentials: self.source(&own, "credentials", "credentials_file") })
            }
            _ => Some(Auth::OAuth2(Box::new(self.oauth2(&own)))),
        }
    }

    fn oauth2(&self, raw: &Section<'a>) -> OAuth2Config {
        let required = |key: &'static str| {
            let text = raw.text(key).unwrap_or_default();
            if text.is_empty() {
                self.complain(raw, key, format!("{key} is required for oauth2"));
            }
            text
        };
        if let Some(grant) =
            raw.text("grant_type").filter(|grant| !matches!(grant.as_str(), "" | "client_credentials"))
        {
            let reason = if grant == "urn:ietf:params:oauth:grant-type:jwt-bearer" {
                format!("grant type {grant:?} is not supported yet, only client_credentials")
            } else {
                format!("unknown grant type {grant:?}")
            };
            self.complain(raw, "grant_type", reason);
        }
        OAuth2Config {
            client_id: required("client_id"),
            client_secret: self.source(raw, "client_secret", "client_secret_file"),
            scopes: raw.texts("scopes").unwrap_or_default().into_iter().map(|(scope, _)| scope).collect(),
            token_url: Secret::new(required("token_url")),
            endpoint_params: raw.map_of_text("endpoint_params").into_iter().collect(),
            tls: raw.section("tls_config").map(|raw| self.tls(&raw)).unwrap_or_default(),
            proxy: self.proxy(raw),
        }
    }

    pub(super) fn tls(&self, raw: &Section<'a>) -> TlsConfig {
        let version = |key: &'static str| {
            let text = raw.text(key).filter(|text| !text.is_empty())?;
            let found = TlsVersion::ALL.iter().find(|(name, _)| *name == text).map(|(_, version)| *version);
            if found.is_none() {
                self.complain(
                    raw,
                    key,
                    format!("unknown TLS version {text:?}: TLS10, TLS11, TLS12 or TLS13"),
                );
            }
            found
        };
        let tls = TlsConfig {
            ca: self.source(raw, "ca", "ca_file"),
            cert: self.source(raw, "cert", "cert_file"),
            key: self.source(raw, "key", "key_file"),
            server_name: raw.text("server_name").unwrap_or_default(),
            insecure_skip_verify: raw.boolean("insecure_skip_verify", false),
            min_version: version("min_version"),
            max_version: version("max_version"),
        };
        match (&tls.cert, &tls.key) {
            (Some(_), None) => self.complain(raw, "cert", "a certificate needs a key: key or key_file"),
            (None, Some(_)) => self.complain(raw, "key", "a key needs a certificate: cert or cert_file"),
            _ => {}
        }
        if let Some(max) = tls.max_version {
            if max < TlsVersion::Tls12 {
                self.complain(raw, "max_version", "versions before TLS12 are not supported");
            } else if tls.min_version.is_some_and(|min| min > max) {
                self.complain(raw, "max_version", "must not be lower than min_version");
            }
        }
        tls
    }

    fn proxy(&self, raw: &Section<'a>) -> ProxyConfig {
        let url = raw.text("proxy_url").filter(|url| !url.is_empty());
        let no_proxy = raw.text("no_proxy").unwrap_or_default();
        let from_environment = raw.boolean("proxy_from_environment", false);
        let connect_headers: Vec<(String, Vec<Secret>)> = raw
            .map_of_texts("proxy_connect_header")
            .into_iter()
            .map(|(name, values)| (name, values.into_iter().map(Secret::new).collect()))
            .collect();
        if let Some(url) = &url {
            let reason = match url::Url::parse(url) {
                Ok(url) if !matches!(url.scheme(), "http" | "https") => Some(format!(
                    "proxies with the scheme {:?} are not supported: http or https",
                    url.scheme()
                )),
                Ok(url) if url.has_host() => None,
                _ => Some("must be a URL with a host that begins with http:// or https://".to_owned()),
            };
            reason.into_iter().for_each(|reason| self.complain(raw, "proxy_url", reason));
        }
        if from_environment && url.is_some() {
            self.complain(raw, "proxy_url", "must not be configured together with proxy_from_environment");
        }
        if from_environment && !no_proxy.is_empty() {
            self.complain(raw, "no_proxy", "must not be configured together with proxy_from_environment");
        }
        if !no_proxy.is_empty() && url.is_none() && !from_environment {
            self.complain(raw, "no_proxy", "needs proxy_url");
        }
        if !connect_headers.is_empty() && url.is_none() && !from_environment {
            self.complain(raw, "proxy_connect_header", "needs proxy_url or proxy_from_environment");
        }
        ProxyConfig { url: url.map(Secret::new), no_proxy, from_environment, connect_headers }
    }

    fn headers(&self, raw: &Section<'a>) -> Vec<HeaderConfig> {
        let mut headers = Vec::new();
        for (name, own) in raw.sections_by_name("http_headers") {
            if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                let reason = format!("setting header {name:?} is not allowed");
                self.notes.value(own.line, &own.path, reason);
            } else if !is_header_name(name) {
                self.notes.value(own.line, &own.path, format!("{name:?} is not a valid header name"));
            }
            let texts = |key: &str| {
                let texts = own.texts(key).unwrap_or_default();
                texts.into_iter().map(|(text, _)| text).collect::<Vec<_>>()
            };
            headers.push(HeaderConfig {
                name: name.to_owned(),
                values: texts("values"),
                secrets: texts("secrets").into_iter().map(Secret::new).collect(),
                files: texts("files").iter().map(|file| self.file(file)).collect(),
            });
        }
        headers.sort_by(|a, b| a.name.cmp(&b.name));
        headers
    }

    /// Headers that are names and values; what is to be done in place of the one that says who asks is `instead`.
    pub(super) fn plain_headers(&self, raw: &Section<'a>, instead: &str) -> BTreeMap<String, String> {
        for (name, item) in raw.entries("headers") {
            let reason = match name.to_ascii_lowercase().as_str() {
                "authorization" => format!("setting header {name:?} is not allowed: {instead}"),
                // Scrapes alone set it.
                "x-prometheus-scrape-timeout-seconds" => continue,
                lower if RESERVED_HEADERS.contains(&lower) => {
                    format!("setting header {name:?} is not allowed")
                }
                _ if !is_header_name(name) => format!("{name:?} is not a valid header name"),
                _ => continue,
            };
            self.notes.value(item.line, &item.path, reason);
        }
        raw.map_of_text("headers")
    }
}

fn is_header_name(name: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(is_token)
}
