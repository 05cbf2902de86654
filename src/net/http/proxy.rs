//! The way to a server: direct, or by a proxy.

use std::net::IpAddr;
use std::str::FromStr as _;

use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Payload;
use super::error::{HttpError, chain};
use super::request::Headers;
use super::secret::basic_header;
use crate::config::{ProxyConfig, Secret};
use crate::net::http_url::HttpUrl;

/// A proxy.
#[derive(Debug, Clone)]
pub(super) struct ProxyServer {
    pub(super) url: HttpUrl,
    /// What it wants to know of who asks.
    pub(super) authorization: Option<HeaderValue>,
}

/// Which way to go.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxy {
    http: Option<ProxyServer>,
    https: Option<ProxyServer>,
    direct: Direct,
    /// Headers where a tunnel is asked for.
    connect_headers: Headers,
}

/// Hosts to which the way is direct.
#[derive(Debug, Clone, Default)]
struct Direct {
    everything: bool,
    /// This machine itself, as where a list or the environment says which way to go.
    loopback: bool,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Network {
        address: IpAddr,
        bits: u8,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    /// What the host ends in, from its dot on; and whether the host without the dot is meant too.
    Domain {
        ending: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl ProxyServer {
    fn parse(text: &str) -> Result<Self, HttpError> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = HttpUrl::parse(&text).map_err(|error| HttpError::Setup(format!("proxy: {error}")))?;
        let authorization =
            url.user().map(|(name, password)| basic_header(&name, password.reveal())).transpose()?;
        Ok(Self { url, authorization })
    }
}

impl Proxy {
    /// What `config` says, and where that says so, the environment as `lookup` knows it.
    ///
    /// # Errors
    /// When the address of the proxy or a header for it cannot be read.
    pub(super) fn new(
        config: &ProxyConfig,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, HttpError> {
        let mut connect_headers = Headers::new();
        for (name, values) in &config.connect_headers {
            let bad = || HttpError::Setup(format!("invalid header {name:?} in proxy_connect_header"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            for value in values {
                let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| bad())?;
                value.set_sensitive(true);
                connect_headers.push((name.clone(), value));
            }
        }
        if config.from_environment {
            let variable = |upper: &str| {
                let found = lookup(upper).filter(|text| !text.is_empty());
                found.or_else(|| lookup(&upper.to_ascii_lowercase())).filter(|text| !text.is_empty())
            };
            let server = |name: &str| variable(name).map(|text| ProxyServer::parse(&text)).transpose();
            return Ok(Self {
                http: server("HTTP_PROXY")?,
                https: server("HTTPS_PROXY")?,
                direct: Direct::parse(&variable("NO_PROXY").unwrap_or_default(), true),
                connect_headers,
            });
        }
        let server = config.url.as_ref().map(|url: &Secret| ProxyServer::parse(url.reveal())).transpose()?;
        // Without a list, everything goes by the proxy, this machine too.
        let direct = Direct::parse(&config.no_proxy, !config.no_proxy.is_empty());
        Ok(Self { http: server.clone(), https: server, direct, connect_headers })
    }

    /// The proxy to ask for what is at `url`.
    pub(super) fn of(&self, url: &HttpUrl) -> Option<&ProxyServer> {
        let server = if url.https { self.https.as_ref() } else { self.http.as_ref() }?;
        (!self.direct.is_for(&url.host, url.port)).then_some(server)
    }

    /// Asks the proxy at the other end of `stream` for a tunnel to what is at `url`.
    pub(super) async fn tunnel<S>(
        &self,
        server: &ProxyServer,
        stream: S,
        url: &HttpUrl,
    ) -> Result<TokioIo<hyper::upgrade::Upgraded>, HttpError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let failed = |reason: String| HttpError::Proxy { proxy: server.url.authority.clone(), reason };
        let host = url.host_and_port();
        let mut request = Request::new(Payload(None));
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::from_str(&host).map_err(|error| failed(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&host).map_err(|error| failed(error.to_string()))?);
        if let Some(value) = &server.authorization {
            headers.insert(PROXY_AUTHORIZATION, value.clone());
        }
        for (name, value) in &self.connect_headers {
            headers.append(name.clone(), value.clone());
        }
        let told = |error: hyper::Error| failed(chain(&error));
        let (mut sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(told)?;
        // Over once the connection is a tunnel, or nobody wants it any more.
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await.map_err(told)?;
        if !response.status().is_success() {
            return Err(failed(format!("no tunnel to {host}: {}", response.status())));
        }
        hyper::upgrade::on(response).await.map(TokioIo::new).map_err(told)
    }
}

impl Direct {
    fn parse(list: &str, loopback: bool) -> Self {
        let mut new = Self { loopback, ..Self::default() };
        for text in list.split(',').map(|text| text.trim().to_ascii_lowercase()) {
            match text.as_str() {
                "" => {}
                "*" => new.everything = true,
                text => new.entries.extend(Entry::parse(text)),
            }
        }
        new
    }

    fn is_for(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        let is_own = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        self.everything
            || (self.loopback && is_own)
            || self.entries.iter().any(|entry| entry.fits(&host, address, port))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Some((address, bits)) = text.split_once('/') {
            let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
            let most = if address.is_ipv4() { 32 } else { 128 };
            return (bits <= most).then_some(Self::Network { address, bits });
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Address { address, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse() {
            return Some(Self::Address { address, port });
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        let itself = !host.starts_with('.');
        let ending = if itself { format!(".{host}") } else { host.to_owned() };
        Some(Self::Domain { ending, itself, port })
    }

    fn fits(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let right_port = |of: &Option<u16>| of.is_none_or(|of| of == port);
        match self {
            Self::Network { address: network, bits } => {
                address.is_some_and(|address| is_inside(address, *network, *bits))
            }
            Self::Address { address: own, port } => address == Some(*own) && right_port(port),
            Self::Domain { ending, itself, port } => {
                (host.ends_with(ending.as_str()) || (*itself && host == &ending[1..])) && right_port(port)
            }
        }
    }
}

/// Whether the first `bits` of both are the same.
fn is_inside(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (a, b, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    (a ^ b).checked_shr(width - u32::from(bits)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(config: &ProxyConfig, url: &str) -> Option<String> {
        let proxy = Proxy::new(config, |_| None).expect("a way");
        proxy.of(&HttpUrl::parse(url).expect("a URL")).map(|server| server.url.authority.clone())
    }

    #[test]
    fn some_hosts_are_reached_directly() {
        let list = "a.org, .b.org,*.c.org, 10.0.0.0/8 ,fd00::/8,192.0.2.7,[2001:db8::1]:81,d.org:8080,,x/y";
        let config = ProxyConfig {
            url: Some(Secret::new("http://proxy:3128")),
            no_proxy: list.to_owned(),
            ..ProxyConfig::default()
        };
        for direct in [
            "http://a.org",
            "http://x.A.org.",
            "https://x.b.org",
            "http://x.c.org",
            "http://10.255.1.2",
            "http://[fd12::1]",
            "http://192.0.2.7:99",
            "http://[2001:db8::1]:81",
            "http://d.org:8080",
            "http://localhost",
            "http://127.0.0.9",
        ] {
            assert_eq!(way(&config, direct), None, "{direct}");
        }
        for by_proxy in [
            "http://xa.org",
            "http://b.org",
            "http://c.org",
            "http://11.0.0.1",
            "http://[fe00::1]",
            "http://d.org",
        ] {
            assert_eq!(way(&config, by_proxy).as_deref(), Some("proxy:3128"), "{by_proxy}");
        }
        let everything = ProxyConfig { no_proxy: String::new(), ..config.clone() };
        assert!(way(&everything, "http://localhost").is_some());
        assert_eq!(way(&ProxyConfig { no_proxy: "*".to_owned(), ..config }, "http://h"), None);
    }

    #[test]
    fn the_environment_names_a_proxy_for_each_scheme() {
        let config = ProxyConfig { from_environment: true, ..ProxyConfig::default() };
        let variables = [("http_proxy", "p:1"), ("HTTPS_PROXY", "https://u%40:p%3a@q:2"), ("NO_PROXY", "n")];
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let proxy = Proxy::new(&config, lookup).expect("a way");
        let of = |url: &str| proxy.of(&HttpUrl::parse(url).expect("a URL"));
        assert_eq!(of("http://h").map(|server| server.url.to_string()).as_deref(), Some("http://p:1/"));
        let https = of("https://h").expect("a proxy");
        assert_eq!(https.url.to_string(), "https://q:2/");
        assert_eq!(https.authorization, basic_header("u@", "p:").ok());
        assert!(of("http://n").is_none() && of("http://127.0.0.1").is_none());
    }
}
