//! Settings of HTTP clients as printed; secrets are not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::config::http::{
    Auth, HeaderConfig, HttpConfig, OAuth2Config, ProxyConfig, SHOWN_SECRET, Source, TlsConfig,
};

/// See [`HttpConfig`].
#[derive(Debug, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields are the keys of the file")]
pub(in crate::config) struct Http {
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_auth: Option<BasicAuth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<Authorization>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth2: Option<OAuth2>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Tls>,
    follow_redirects: bool,
    enable_http2: bool,
    #[serde(flatten)]
    proxy: Proxy,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    http_headers: BTreeMap<String, Header>,
}

#[derive(Debug, Default, Serialize)]
struct BasicAuth {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
struct Authorization {
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials_file: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
struct OAuth2 {
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<String>,
    token_url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    endpoint_params: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Tls>,
    #[serde(flatten)]
    proxy: Proxy,
}

#[derive(Debug, Default, Serialize)]
struct Tls {
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "String::is_empty")]
    server_name: String,
    insecure_skip_verify: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_version: Option<&'static str>,
}

#[derive(Debug, Default, Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields are the keys of the file")]
struct Proxy {
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_url: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    no_proxy: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    proxy_from_environment: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    proxy_connect_header: BTreeMap<String, Vec<&'static str>>,
}

#[derive(Debug, Default, Serialize)]
struct Header {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<PathBuf>,
}

/// The text of what is no secret.
fn shown(source: Option<&Source>) -> Option<String> {
    source.and_then(|source| match source {
        Source::Text(text) => Some(text.reveal().to_owned()),
        Source::File(_) => None,
    })
}

/// What stands for a secret that is there.
fn hidden(source: Option<&Source>) -> Option<&'static str> {
    source.and_then(|source| source.file().is_none().then_some(SHOWN_SECRET))
}

fn file(source: Option<&Source>) -> Option<PathBuf> {
    source.and_then(Source::file).cloned()
}

/// A URL without its password, as Go writes it.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        None => url.to_owned(),
        Some((user, _)) => {
            let name = user.split(':').next().unwrap_or_default();
            let password = if user.contains(':') { ":xxxxx" } else { "" };
            format!("{scheme}://{name}{password}{}", &rest[user.len()..])
        }
    }
}

impl From<&HttpConfig> for Http {
    fn from(http: &HttpConfig) -> Self {
        let mut new = Self {
            tls_config: Tls::printed(&http.tls),
            follow_redirects: http.follow_redirects,
            enable_http2: http.enable_http2,
            proxy: Proxy::from(&http.proxy),
            http_headers: http.headers.iter().map(|one| (one.name.clone(), Header::from(one))).collect(),
            ..Self::default()
        };
        match &http.auth {
            None => {}
            Some(Auth::Basic { username, password }) => {
                new.basic_auth = Some(BasicAuth {
                    username: shown(username.as_ref()),
                    username_file: file(username.as_ref()),
                    password: hidden(password.as_ref()),
                    password_file: file(password.as_ref()),
                });
            }
            Some(Auth::Header { kind, credentials }) => {
                new.authorization = Some(Authorization {
                    r#type: kind.clone(),
                    credentials: hidden(credentials.as_ref()),
                    credentials_file: file(credentials.as_ref()),
                });
            }
            Some(Auth::OAuth2(oauth2)) => new.oauth2 = Some(OAuth2::from(&**oauth2)),
        }
        new
    }
}

impl From<&OAuth2Config> for OAuth2 {
    fn from(oauth2: &OAuth2Config) -> Self {
        Self {
            client_id: oauth2.client_id.clone(),
            client_secret: hidden(oauth2.client_secret.as_ref()),
            client_secret_file: file(oauth2.client_secret.as_ref()),
            scopes: oauth2.scopes.clone(),
            token_url: without_password(oauth2.token_url.reveal()),
            endpoint_params: oauth2.endpoint_params.iter().cloned().collect(),
            tls_config: Tls::printed(&oauth2.tls),
            proxy: Proxy::from(&oauth2.proxy),
        }
    }
}

impl Tls {
    fn printed(tls: &TlsConfig) -> Option<Self> {
        (*tls != TlsConfig::default()).then(|| Self {
            ca: shown(tls.ca.as_ref()),
            ca_file: file(tls.ca.as_ref()),
            cert: shown(tls.cert.as_ref()),
            cert_file: file(tls.cert.as_ref()),
            key: hidden(tls.key.as_ref()),
            key_file: file(tls.key.as_ref()),
            server_name: tls.server_name.clone(),
            insecure_skip_verify: tls.insecure_skip_verify,
            min_version: tls.min_version.map(crate::config::TlsVersion::name),
            max_version: tls.max_version.map(crate::config::TlsVersion::name),
        })
    }
}

impl From<&ProxyConfig> for Proxy {
    fn from(proxy: &ProxyConfig) -> Self {
        let headers = proxy.connect_headers.iter();
        Self {
            proxy_url: proxy.url.as_ref().map(|url| without_password(url.reveal())),
            no_proxy: proxy.no_proxy.clone(),
            proxy_from_environment: proxy.from_environment,
            proxy_connect_header: headers
                .map(|(name, values)| (name.clone(), vec![SHOWN_SECRET; values.len()]))
                .collect(),
        }
    }
}

impl From<&HeaderConfig> for Header {
    fn from(header: &HeaderConfig) -> Self {
        Self {
            values: header.values.clone(),
            secrets: vec![SHOWN_SECRET; header.secrets.len()],
            files: header.files.clone(),
        }
    }
}

/// Prints the settings of a client.
pub(in crate::config) fn client<S: Serializer>(
    config: &HttpConfig,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Http::from(config).serialize(serializer)
}

/// Prints a URL without its password.
pub(in crate::config) fn url<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::config::http::shown_url(url))
}

/// Prints whom a client trusts.
pub(in crate::config) fn tls<S: Serializer>(config: &TlsConfig, serializer: S) -> Result<S::Ok, S::Error> {
    Tls::printed(config).serialize(serializer)
}
