//! TLS: which servers are trusted, what is offered to them, and with which certificate we appear.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion, version,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::HttpError;
use super::secret::read_file;
use crate::config::{Source, TlsConfig, TlsVersion};
use crate::util::Stamp;
use crate::util::lock::lock;

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

/// What was made of the files as they were then.
type Made = (Vec<Option<Stamp>>, [Arc<ClientConfig>; 2]);

/// The TLS settings of one client.
#[derive(Clone)]
pub(super) struct Tls {
    offer_http2: bool,
    settings: Arc<TlsConfig>,
    files: Arc<[PathBuf]>,
    /// Made when it is first needed, since most clients never need it, and again when a file changes: for servers, and for
    /// proxies, with which HTTP/2 is not spoken.
    made: Arc<Mutex<Option<Made>>>,
}

impl Tls {
    /// Settings for `config`.
    ///
    /// # Errors
    /// When what stands in the configuration itself cannot be used.
    pub(super) fn new(config: &TlsConfig, offer_http2: bool) -> Result<Self, HttpError> {
        let files: Arc<[PathBuf]> = config.files().cloned().collect();
        let new = Self { offer_http2, settings: Arc::new(config.clone()), files, made: Arc::default() };
        if new.files.is_empty() && *config != TlsConfig::default() {
            new.make()?;
        }
        Ok(new)
    }

    /// Agrees on TLS with `host`; says whether on HTTP/2 too, which is offered only where it is `wanted`.
    pub(super) async fn wrap<S>(
        &self,
        host: &str,
        stream: S,
        wanted: bool,
    ) -> Result<(TlsStream<S>, bool), HttpError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let failed = |source| HttpError::Tls { host: host.to_owned(), source };
        let config = Arc::clone(&self.configs().await?[usize::from(!wanted)]);
        let name = if self.settings.server_name.is_empty() { host } else { &self.settings.server_name };
        // Neither a zone nor the dot at the end is part of what a certificate says.
        let name = name.split('%').next().unwrap_or(name);
        let name = ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
            .map_err(|error| failed(std::io::Error::other(error)))?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(failed)?;
        let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, speaks_http2))
    }

    /// Whether files are other ones than those that connections were made with.
    pub(super) fn is_outdated(&self) -> bool {
        // Without files, nothing has to be looked at.
        !self.files.is_empty()
            && lock(&self.made).as_ref().is_some_and(|(stamps, _)| *stamps != self.stamps())
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.files.iter().map(|path| Stamp::of(path)).collect()
    }

    async fn configs(&self) -> Result<[Arc<ClientConfig>; 2], HttpError> {
        // Looked at before they are read: a change in between is seen the next time.
        let stamps = self.stamps();
        if let Some((of, configs)) = &*lock(&self.made)
            && *of == stamps
        {
            return Ok(configs.clone());
        }
        // Reads some hundred files.
        let own = self.clone();
        let made = tokio::task::spawn_blocking(move || own.make()).await;
        let configs = made.map_err(|error| HttpError::Setup(error.to_string()))??;
        *lock(&self.made) = Some((stamps, configs.clone()));
        Ok(configs)
    }

    fn make(&self) -> Result<[Arc<ClientConfig>; 2], HttpError> {
        let setup = |error: rustls::Error| HttpError::Setup(format!("tls_config: {error}"));
        let settings = &*self.settings;
        let versions: Vec<&'static SupportedProtocolVersion> =
            [(TlsVersion::Tls12, &version::TLS12), (TlsVersion::Tls13, &version::TLS13)]
                .into_iter()
                .filter(|(version, _)| settings.min_version.is_none_or(|min| min <= *version))
                .filter(|(version, _)| settings.max_version.is_none_or(|max| *version <= max))
                .map(|(_, supported)| supported)
                .collect();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions)
            .map_err(setup)?;
        let builder = if settings.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAll(provider())))
        } else {
            let own = settings.ca.as_ref().map(own_roots).transpose()?;
            builder.with_root_certificates(own.map_or_else(roots, Arc::new))
        };
        let mut config = match settings.cert.as_ref().zip(settings.key.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let pem = pem(key)?;
                let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| not_pem(key, "key", &error))?;
                builder.with_client_auth_cert(certificates(cert)?, key).map_err(setup)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let for_proxies = Arc::new(config.clone());
        if self.offer_http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok([Arc::new(config), for_proxies])
    }
}

/// Whether a server can be served with the certificate and the key of `config`, and its authorities can be read.
///
/// # Errors
/// Says what is wrong.
pub fn check_server_tls(config: &TlsConfig) -> Result<(), HttpError> {
    Tls {
        offer_http2: false,
        settings: Arc::new(config.clone()),
        files: Arc::default(),
        made: Arc::default(),
    }
    .make()
    .map(|_| ())
}

fn pem(source: &Source) -> Result<Vec<u8>, HttpError> {
    match source {
        Source::Text(text) => Ok(text.reveal().as_bytes().to_vec()),
        Source::File(path) => read_file(path),
    }
}

/// What is said of a text that holds nothing of the kind.
fn not_pem(source: &Source, what: &str, reason: &dyn fmt::Display) -> HttpError {
    match source {
        Source::Text(_) => HttpError::Setup(format!("tls_config: {what}: {reason}")),
        Source::File(path) => HttpError::File {
            path: path.clone(),
            source: std::io::Error::other(format!("no {what} in PEM form: {reason}")),
        },
    }
}

fn certificates(source: &Source) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem(source)?).collect();
    let found = found.map_err(|error| not_pem(source, "certificate", &error))?;
    if found.is_empty() { Err(not_pem(source, "certificate", &"nothing found")) } else { Ok(found) }
}

fn own_roots(source: &Source) -> Result<RootCertStore, HttpError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(source)? {
        roots.add(certificate).map_err(|error| not_pem(source, "certificate", &error))?;
    }
    Ok(roots)
}

/// Takes every certificate, as it was asked for.
#[derive(Debug)]
struct TrustAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("offer_http2", &self.offer_http2).finish_non_exhaustive()
    }
}
