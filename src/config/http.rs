//! Settings of an HTTP client: who it is, whom it trusts, by which way it goes.

use std::fmt;
use std::path::PathBuf;

/// A text that is neither printed nor logged.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret(String);

/// What stands for a secret wherever one would be shown.
pub const SHOWN_SECRET: &str = "<secret>";

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A URL, or a host with or without its scheme, as it may be shown: without a password.
pub fn shown_url(url: &str) -> String {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |length| begin + length);
    let Some((user, host)) = url[begin..end].rsplit_once('@') else { return url.to_owned() };
    let Some((name, _)) = user.split_once(':') else { return url.to_owned() };
    format!("{}{name}:xxxxx@{host}{}", &url[..begin], &url[end..])
}

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(SHOWN_SECRET)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN_SECRET)
    }
}

/// A text that stands in the configuration or in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// In the configuration.
    Text(Secret),
    /// In a file, which is read again when it changes. White space around it does not count.
    File(PathBuf),
}

/// How a client says who it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Name and password.
    Basic {
        /// The name; not a secret.
        username: Option<Source>,
        /// The password.
        password: Option<Source>,
    },
    /// A header `Authorization: <kind> <credentials>`.
    Header {
        /// Such as `Bearer`.
        kind: String,
        /// What follows it.
        credentials: Option<Source>,
    },
    /// Tokens of an OAuth 2 server.
    OAuth2(Box<OAuth2Config>),
}

/// How tokens are asked for: the grant `client_credentials`, or `password` by way of the parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OAuth2Config {
    /// Who asks.
    pub client_id: String,
    /// The secret of whom.
    pub client_secret: Option<Source>,
    /// What the token is to be good for.
    pub scopes: Vec<String>,
    /// Whom to ask. May hold name and password.
    pub token_url: Secret,
    /// Further parameters of the request, in the order of their names.
    pub endpoint_params: Vec<(String, String)>,
    /// Whom to trust for that.
    pub tls: TlsConfig,
    /// By which way to ask.
    pub proxy: ProxyConfig,
}

/// Versions of TLS that configurations name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// 1.0; nobody is spoken to with it.
    Tls10,
    /// 1.1; nobody is spoken to with it.
    Tls11,
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

impl TlsVersion {
    /// All with the names they have in a configuration.
    pub const ALL: [(&'static str, Self); 4] =
        [("TLS10", Self::Tls10), ("TLS11", Self::Tls11), ("TLS12", Self::Tls12), ("TLS13", Self::Tls13)];

    /// The name it has in a configuration.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, version)| *version == self).map_or("", |(name, _)| name)
    }
}

/// Whom to trust, and with which certificate to appear.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TlsConfig {
    /// Certificates of authorities, instead of those of the system.
    pub ca: Option<Source>,
    /// Own certificate with what leads up to the authority.
    pub cert: Option<Source>,
    /// The key of that.
    pub key: Option<Source>,
    /// Name that servers have to have; empty: the one in the URL.
    pub server_name: String,
    /// Trust everybody. Default false.
    pub insecure_skip_verify: bool,
    /// Oldest version that is spoken; at least 1.2 whatever it is.
    pub min_version: Option<TlsVersion>,
    /// Newest version that is spoken.
    pub max_version: Option<TlsVersion>,
}

/// The way to servers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ProxyConfig {
    /// What is asked instead of the servers themselves. May hold name and password.
    pub url: Option<Secret>,
    /// Hosts to which the way is direct nevertheless: names, addresses and networks, separated by commas.
    pub no_proxy: String,
    /// Take both from the environment: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in capitals or not.
    pub from_environment: bool,
    /// Headers for the proxy where a tunnel is asked for, in the order of their names.
    pub connect_headers: Vec<(String, Vec<Secret>)>,
}

/// Where the values of a header come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct HeaderConfig {
    /// The name.
    pub name: String,
    /// Values that may be shown.
    pub values: Vec<String>,
    /// Values that may not.
    pub secrets: Vec<Secret>,
    /// Files that hold a value each.
    pub files: Vec<PathBuf>,
}

/// Settings of the HTTP client of a job, or of others who ask servers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpConfig {
    /// Who it is.
    pub auth: Option<Auth>,
    /// Whom it trusts.
    pub tls: TlsConfig,
    /// Follow redirects. Default true.
    pub follow_redirects: bool,
    /// Offer HTTP/2 over TLS. Default true.
    pub enable_http2: bool,
    /// By which way it goes.
    pub proxy: ProxyConfig,
    /// Headers of every request, in the order of their names.
    pub headers: Vec<HeaderConfig>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            auth: None,
            tls: TlsConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            proxy: ProxyConfig::default(),
            headers: Vec::new(),
        }
    }
}

impl TlsConfig {
    /// The files it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.ca, &self.cert, &self.key].into_iter().flatten().filter_map(Source::file)
    }
}

impl Source {
    /// The key it stands under, with what is printed: a file by its name, a text not at all.
    pub(super) fn printed(&self, key: &str) -> (String, String) {
        match self {
            Self::Text(_) => (key.to_owned(), SHOWN_SECRET.to_owned()),
            Self::File(path) => (format!("{key}_file"), path.display().to_string()),
        }
    }

    /// The file, if it is in one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Text(_) => None,
            Self::File(path) => Some(path),
        }
    }
}

impl HttpConfig {
    /// All files it names.
    pub fn files(&self) -> Vec<&PathBuf> {
        let mut found: Vec<&PathBuf> = self.tls.files().collect();
        let own = match &self.auth {
            None => Vec::new(),
            Some(Auth::Basic { username, password }) => vec![username, password],
            Some(Auth::Header { credentials, .. }) => vec![credentials],
            Some(Auth::OAuth2(oauth2)) => {
                found.extend(oauth2.tls.files());
                vec![&oauth2.client_secret]
            }
        };
        found.extend(own.into_iter().flatten().filter_map(Source::file));
        found.extend(self.headers.iter().flat_map(|header| &header.files));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("http://u:geheim@h:80/p", "http://u:xxxxx@h:80/p"),
            ("u:geheim@h:80", "u:xxxxx@h:80"),
            ("http://u:ge@heim@h?a=b@c", "http://u:xxxxx@h?a=b@c"),
            ("http://u@h/p", "http://u@h/p"),
            ("http://h:80/p@q?a:b@c", "http://h:80/p@q?a:b@c"),
            ("localhost:8500", "localhost:8500"),
            ("", ""),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }
}
