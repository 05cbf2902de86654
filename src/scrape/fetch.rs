//! How a body is got: the seam, the HTTP implementation, and the choice of a format for what came back.

use std::fmt::Write as _;

use futures_util::future::BoxFuture;

use super::inflate;
use super::target::Target;
use super::threads::place;
use crate::config::{NameEscaping, ScrapeConfig, ScrapeProtocol};
use crate::expfmt::{Encoding, Format};
use crate::net::{HttpClient, HttpError, HttpMethod, HttpRequest, PreparedRequest};

/// No body is larger than this, whatever the configuration says.
const MAX_BODY_BYTES: u64 = 512 << 20;

/// Why there is no body to parse.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("server returned HTTP status {0}")]
    Status(String),
    #[error("body size limit of {0} bytes exceeded")]
    TooLarge(u64),
    #[error("failed to decompress the body: {0}")]
    Inflate(std::io::Error),
    #[error("received unsupported Content-Type {0:?} and no fallback_scrape_protocol specified for target")]
    ContentType(String),
}

/// What came with a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) content_type: String,
    /// The body is compressed.
    pub(super) gzip: bool,
}

/// Gets bodies.
pub(super) trait Fetch: Send + Sync {
    /// Gets the body of `target` into `body` by its [`request`]. The caller bounds the time.
    fn fetch<'a>(
        &'a self,
        job: &'a ScrapeConfig,
        target: &'a Target,
        request: &'a PreparedRequest,
        body: &'a mut Vec<u8>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// What is asked of `target` at each scrape.
pub(super) fn request(job: &ScrapeConfig, target: &Target) -> Result<PreparedRequest, FetchError> {
    let headers = vec![
        ("Accept", accept(&job.scrape_protocols, job.formats.escaping)),
        ("Accept-Encoding", if job.enable_compression { "gzip" } else { "identity" }.to_owned()),
        ("User-Agent", concat!("Emberkeep/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("X-Prometheus-Scrape-Timeout-Seconds", target.timeout.as_secs_f64().to_string()),
    ];
    Ok(HttpRequest { method: HttpMethod::Get, url: target.url.clone(), headers }.prepare()?)
}

/// The clients of a job: one for each thread, so that none has connections that another one drives.
pub(super) struct ThreadClients(Vec<HttpClient>);

impl ThreadClients {
    /// `client` for each of `threads`.
    pub(super) fn new(client: &HttpClient, threads: usize) -> Self {
        Self((0..threads).map(|_| client.clone().with_own_connections()).collect())
    }
}

impl Fetch for ThreadClients {
    fn fetch<'a>(
        &'a self,
        job: &'a ScrapeConfig,
        target: &'a Target,
        request: &'a PreparedRequest,
        body: &'a mut Vec<u8>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        let client = &self.0[place(target.hash, self.0.len())];
        Box::pin(async move {
            let response = client.send_prepared(target.socket.as_ref(), request).await?;
            if response.status() != 200 {
                let status = response.status_text();
                response.discard().await;
                return Err(FetchError::Status(status));
            }
            let header = |name| response.header(name).unwrap_or_default();
            let gzip = header("content-encoding").trim().eq_ignore_ascii_case("gzip");
            let fetched = Fetched { content_type: header("content-type"), gzip };
            let limit = limit_bytes(job);
            response.read_body(limit, body).await.map_err(|error| match error {
                HttpError::TooLarge { .. } => FetchError::TooLarge(limit),
                other => FetchError::Http(other),
            })?;
            Ok(fetched)
        })
    }
}

fn limit_bytes(job: &ScrapeConfig) -> u64 {
    match job.limits.body_size_limit {
        0 => MAX_BODY_BYTES,
        limit => limit.min(MAX_BODY_BYTES),
    }
}

/// The Accept header: falling weights in the order of preference.
fn accept(protocols: &[ScrapeProtocol], escaping: NameEscaping) -> String {
    let mut out = String::new();
    // However many are asked for, the first one has the same weight.
    let mut weight = ScrapeProtocol::PROTOBUF_FIRST.len() + 1;
    for protocol in protocols {
        // Only the newer texts can be told how to write names.
        let (media, names) = match protocol {
            ScrapeProtocol::Protobuf => (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
                false,
            ),
            ScrapeProtocol::OpenMetrics1_0_0 => ("application/openmetrics-text;version=1.0.0", true),
            ScrapeProtocol::OpenMetrics0_0_1 => ("application/openmetrics-text;version=0.0.1", false),
            ScrapeProtocol::Text1_0_0 => ("text/plain;version=1.0.0", true),
            ScrapeProtocol::Text0_0_4 => ("text/plain;version=0.0.4", false),
        };
        out.push_str(media);
        if names {
            out.push_str(";escaping=");
            out.push_str(escaping.name());
        }
        let _ = write!(out, ";q=0.{weight},");
        weight -= 1;
    }
    let _ = write!(out, "*/*;q=0.{weight}");
    out
}

/// Lets `work` have what is to be parsed: `body`, inflated if it is compressed, and its format.
pub(super) fn with_opened<T>(
    job: &ScrapeConfig,
    fetched: &Fetched,
    body: &[u8],
    work: impl FnOnce(Result<(&[u8], Encoding), FetchError>) -> T,
) -> T {
    let limit = limit_bytes(job);
    let opened = |body: &[u8]| {
        if body.len() as u64 >= limit {
            return Err(FetchError::TooLarge(limit));
        }
        // Nothing can be read in any format.
        if body.is_empty() { Ok(Encoding::Text(Format::Text)) } else { encoding(job, &fetched.content_type) }
    };
    if !fetched.gzip {
        return work(opened(body).map(|encoding| (body, encoding)));
    }
    inflate::with_inflated(body, limit, |inflated| {
        work(inflated.map_err(FetchError::Inflate).and_then(|body| Ok((body, opened(body)?))))
    })
}

fn encoding(job: &ScrapeConfig, content_type: &str) -> Result<Encoding, FetchError> {
    let media = content_type.split(';').next().unwrap_or("").trim();
    if media.eq_ignore_ascii_case("application/openmetrics-text") {
        return Ok(Encoding::Text(Format::OpenMetrics));
    }
    if media.eq_ignore_ascii_case("text/plain") {
        return Ok(Encoding::Text(Format::Text));
    }
    if media.eq_ignore_ascii_case("application/vnd.google.protobuf") {
        return Ok(Encoding::Protobuf);
    }
    match job.fallback_scrape_protocol {
        Some(ScrapeProtocol::Protobuf) => Ok(Encoding::Protobuf),
        Some(ScrapeProtocol::OpenMetrics0_0_1 | ScrapeProtocol::OpenMetrics1_0_0) => {
            Ok(Encoding::Text(Format::OpenMetrics))
        }
        Some(ScrapeProtocol::Text0_0_4 | ScrapeProtocol::Text1_0_0) => Ok(Encoding::Text(Format::Text)),
        None => Err(FetchError::ContentType(content_type.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GlobalConfig;
    use std::io::Write as _;

    #[test]
    fn the_accept_header_is_the_one_targets_know() {
        assert_eq!(
            accept(&ScrapeProtocol::DEFAULT_ORDER, NameEscaping::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            accept(&ScrapeProtocol::PROTOBUF_FIRST, NameEscaping::Underscores),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=underscores;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        );
        let one = accept(&[ScrapeProtocol::Text0_0_4], NameEscaping::AllowUtf8);
        assert_eq!(one, "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
    }

    #[test]
    fn the_format_follows_the_content_type() {
        let mut job = ScrapeConfig::new("j", &GlobalConfig::default());
        let check = |job: &ScrapeConfig, text: &str, expected: Option<Encoding>| {
            assert_eq!(encoding(job, text).ok(), expected, "{text}");
        };
        check(&job, "text/plain; version=0.0.4; charset=utf-8", Some(Encoding::Text(Format::Text)));
        check(&job, "application/openmetrics-text; version=1.0.0", Some(Encoding::Text(Format::OpenMetrics)));
        let protobuf =
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        check(&job, protobuf, Some(Encoding::Protobuf));
        check(&job, "", None);
        check(&job, "application/json", None);
        for protocol in ScrapeProtocol::PROTOBUF_FIRST {
            job.fallback_scrape_protocol = Some(protocol);
            let expected = match protocol {
                ScrapeProtocol::Protobuf => Encoding::Protobuf,
                ScrapeProtocol::OpenMetrics1_0_0 | ScrapeProtocol::OpenMetrics0_0_1 => {
                    Encoding::Text(Format::OpenMetrics)
                }
                ScrapeProtocol::Text1_0_0 | ScrapeProtocol::Text0_0_4 => Encoding::Text(Format::Text),
            };
            for nothing in ["", "application/json", ";;", "text"] {
                check(&job, nothing, Some(expected));
            }
            // A type that is known counts.
            check(&job, "text/plain", Some(Encoding::Text(Format::Text)));
            check(&job, "application/openmetrics-text", Some(Encoding::Text(Format::OpenMetrics)));
        }
    }

    #[test]
    fn a_body_of_the_size_of_the_limit_is_too_large() {
        let mut job = ScrapeConfig::new("j", &GlobalConfig::default());
        job.limits.body_size_limit = 4;
        let fetched = Fetched { content_type: "text/plain".to_owned(), gzip: false };
        let open =
            |body: &[u8]| with_opened(&job, &fetched, body, |opened| opened.map(|(body, _)| body.len()));
        assert_eq!(open(b"a 1").expect("fits"), 3);
        assert!(matches!(open(b"a 1\n"), Err(FetchError::TooLarge(4))));
        assert!(matches!(open(b"a 11\n"), Err(FetchError::TooLarge(4))));
    }

    #[test]
    fn the_size_limit_holds_for_the_inflated_body() {
        let mut job = ScrapeConfig::new("j", &GlobalConfig::default());
        job.limits.body_size_limit = 1000;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&vec![b'#'; 100_000]).expect("to memory");
        let small = encoder.finish().expect("to memory");
        assert!(small.len() < 1000);
        let fetched = Fetched { content_type: "text/plain".to_owned(), gzip: true };
        let open = |job: &ScrapeConfig, body: &[u8]| {
            with_opened(job, &fetched, body, |opened| opened.map(|(body, _)| body.len()))
        };
        assert!(matches!(open(&job, &small), Err(FetchError::TooLarge(1000))));
        job.limits.body_size_limit = 0;
        assert_eq!(open(&job, &small).expect("fits"), 100_000);
        assert!(matches!(open(&job, b"not gzip"), Err(FetchError::Inflate(_))));
    }
}
