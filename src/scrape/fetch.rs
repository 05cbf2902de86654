//! How a body is got: the seam, the HTTP implementation, and the choice of a format for what came back.

use std::fmt::Write as _;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use futures_util::future::BoxFuture;

use super::target::Target;
use crate::config::{NameEscaping, ScrapeConfig, ScrapeProtocol};
use crate::expfmt::{Encoding, Format};
use crate::net::{HttpClient, HttpError, HttpMethod, HttpRequest};

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
    /// Gets the body of `target` into `body`. The caller bounds the time.
    fn fetch<'a>(
        &'a self,
        job: &'a ScrapeConfig,
        target: &'a Target,
        body: &'a mut Vec<u8>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

impl Fetch for HttpClient {
    fn fetch<'a>(
        &'a self,
        job: &'a ScrapeConfig,
        target: &'a Target,
        body: &'a mut Vec<u8>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        let headers = vec![
            ("Accept", accept(&job.scrape_protocols, job.formats.escaping)),
            ("Accept-Encoding", if job.enable_compression { "gzip" } else { "identity" }.to_owned()),
            ("User-Agent", concat!("Emberkeep/", env!("CARGO_PKG_VERSION")).to_owned()),
            ("X-Prometheus-Scrape-Timeout-Seconds", target.timeout.as_secs_f64().to_string()),
        ];
        let request = HttpRequest { method: HttpMethod::Get, url: target.url.clone(), headers };
        Box::pin(async move {
            let response = self.send(request).await?;
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

/// Inflates `body` into `inflated` if it is compressed, and chooses the format. Returns the bytes to parse.
pub(super) fn open<'a>(
    job: &ScrapeConfig,
    fetched: &Fetched,
    body: &'a [u8],
    inflated: &'a mut Vec<u8>,
) -> Result<(&'a [u8], Encoding), FetchError> {
    let limit = limit_bytes(job);
    let body = if fetched.gzip {
        inflated.clear();
        // Stops at the limit, so that a small body cannot fill the memory.
        MultiGzDecoder::new(body).take(limit).read_to_end(inflated).map_err(FetchError::Inflate)?;
        inflated
    } else {
        body
    };
    if body.len() as u64 >= limit {
        return Err(FetchError::TooLarge(limit));
    }
    // Nothing can be read in any format.
    let encoding =
        if body.is_empty() { Encoding::Text(Format::Text) } else { encoding(job, &fetched.content_type)? };
    Ok((body, encoding))
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
        job.fallback_scrape_protocol = Some(ScrapeProtocol::Text0_0_4);
        check(&job, "", Some(Encoding::Text(Format::Text)));
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
        let mut inflated = Vec::new();
        assert!(matches!(open(&job, &fetched, &small, &mut inflated), Err(FetchError::TooLarge(1000))));
        assert_eq!(inflated.len(), 1000);
        job.limits.body_size_limit = 0;
        assert_eq!(open(&job, &fetched, &small, &mut inflated).expect("fits").0.len(), 100_000);
        assert!(matches!(open(&job, &fetched, b"not gzip", &mut inflated), Err(FetchError::Inflate(_))));
    }
}
