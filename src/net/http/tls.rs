//! TLS: which servers are trusted, and what is offered to them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
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
            tracing::warn!(?errors, "no root certificates, so no https target can be trusted");
        }
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(read))
}

/// The TLS settings of one client.
#[derive(Clone)]
pub(super) struct Tls {
    offer_http2: bool,
    config: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
}

impl Tls {
    /// Settings with the roots of the system.
    pub(super) fn new(offer_http2: bool) -> Result<Self, HttpError> {
        Ok(Self { offer_http2, config: Arc::default() })
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
        let (slot, offer_http2) = (Arc::clone(&self.config), self.offer_http2);
        if slot.get().is_none() {
            // Reads some hundred files.
            let made = tokio::task::spawn_blocking(move || {
                slot.get_or_init(|| client_config(offer_http2));
            });
            made.await.map_err(|error| HttpError::Setup(error.to_string()))?;
        }
        match self.config.get() {
            Some(Ok(config)) => Ok(Arc::clone(config)),
            Some(Err(reason)) => Err(HttpError::Setup(reason.clone())),
            None => Err(HttpError::Setup("TLS was not set up".to_owned())),
        }
    }
}

fn client_config(offer_http2: bool) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots()).with_no_client_auth();
    let protocols: &[&[u8]] = if offer_http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("offer_http2", &self.offer_http2).finish_non_exhaustive()
    }
}
