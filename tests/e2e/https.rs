//! Targets over TLS, with certificates that the system trusts.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::server::{Client, Server, wait_for};

/// Serves metrics with a certificate on the curve P-521, over HTTP/1.1 or HTTP/2; returns its port.
fn serve(runtime: &tokio::runtime::Runtime, certificate: &Path, key: &Path, protocol: &'static str) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificates = vec![CertificateDer::from_pem_file(certificate).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("a certificate that fits its key");
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("bind");
    let port = listener.local_addr().expect("bound").port();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                if protocol == "h2" {
                    let answer = service_fn(async |request: Request<Incoming>| {
                        assert_eq!(request.uri().path_and_query().expect("a path").as_str(), "/../m?a=b");
                        let reply = Response::builder().header("content-type", "text/plain");
                        reply.body("a 1\n".to_owned())
                    });
                    let server = http2::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
                    return;
                }
                let mut buffer = [0; 4096];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    let reply =
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\na 1\n";
                    if stream.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn a_certificate_on_p521_that_the_system_trusts_is_trusted() {
    let dir = tempfile::tempdir().expect("dir");
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/tls");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let certificate = tls.join("p521.pem");
    let [port, h2_port] =
        ["http/1.1", "h2"].map(|protocol| serve(&runtime, &certificate, &tls.join("p521.key"), protocol));
    let config = dir.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 200ms}}\nscrape_configs:\n- job_name: tls\n  scheme: https\n  \
         metrics_path: /../m\n  params: {{a: [b]}}\n  \
         static_configs: [{{targets: ['127.0.0.1:{port}', 'localhost:{h2_port}']}}]\n"
    );
    std::fs::write(&config, text).expect("write");
    let args = ["--config.file", config.to_str().expect("text")];
    let trusted = certificate.to_str().expect("text");
    let server = Server::start(&dir.path().join("data"), &args, &[("SSL_CERT_FILE", trusted)]);
    let client = Client::new();
    let up = |server: &Server, value: &str| client.vector(&server.url, &format!("up == {value}")).len();
    wait_for("both targets up", || (up(&server, "1") == 2).then_some(()));
    assert!(server.stop().success());

    // Where nobody is trusted it is down, and says why.
    let nobody = dir.path().join("nobody.pem");
    std::fs::write(&nobody, "").expect("write");
    let trusted = nobody.to_str().expect("text");
    let server = Server::start(&dir.path().join("other"), &args, &[("SSL_CERT_FILE", trusted)]);
    wait_for("both targets down", || (up(&server, "0") == 2).then_some(()));
    let targets = client.api(&server.url, "targets", &[]);
    let error = targets["activeTargets"][0]["lastError"].as_str().expect("a text");
    assert!(error.contains("certificate"), "{error}");
}
