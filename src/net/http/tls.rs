//! TLS: which servers are trusted, and what is offered to them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::HttpError;

/// The cryptography of the process: aws-lc-rs, which knows all curves that certificates come with.
pub(in crate::net) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

/// Certificates the system trusts; read once, when the first target needs them.
fn roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(found.certs);
        if taken == 0 {
            // Slim images come without certificates; plain HTTP must work there all the same.
            let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
            tracing::warn!(?errors, "no root certificates found; HTTPS targets cannot be verified");
        }
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(read))
}

/// The TLS settings of one client.
#[derive(Clone)]
pub(super) struct Tls {
    offer_http2: bool,
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    /// Made when it is first needed, since most clients never need it.
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Tls {
    /// Settings with the roots of the system.
    ///
    /// # Errors
    /// When the cryptography does not fit the protocol.
    pub(super) fn new(offer_http2: bool) -> Result<Self, HttpError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| HttpError::Setup(error.to_string()))?;
        Ok(Self { offer_http2, builder, config: Arc::default() })
    }

    /// Agrees on TLS with `host`; says whether on HTTP/2 too.
    pub(super) async fn wrap(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, bool), HttpError> {
        let failed = |source| HttpError::Tls { host: host.to_owned(), source };
        let config = self.config().await?;
        // Neither a zone nor the dot at the end is part of what a certificate says.
        let name = host.split('%').next().unwrap_or(host);
        let name = ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
            .map_err(|error| failed(std::io::Error::other(error)))?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(failed)?;
        let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, speaks_http2))
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, HttpError> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        // Reads some hundred files.
        let own = self.clone();
        tokio::task::spawn_blocking(move || Arc::clone(own.config.get_or_init(|| own.make())))
            .await
            .map_err(|error| HttpError::Setup(error.to_string()))
    }

    fn make(&self) -> Arc<ClientConfig> {
        let mut config = self.builder.clone().with_root_certificates(roots()).with_no_client_auth();
        let protocols: &[&[u8]] = if self.offer_http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("offer_http2", &self.offer_http2).finish_non_exhaustive()
    }
}
