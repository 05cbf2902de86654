//! `tracing`: where traces of the server itself are sent.
//!
//! It makes none yet: the section is checked and then refused by name.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::TlsConfig;
use super::loader::{Loader, non_zero};
use super::raw::{time, tls};
use super::section::Section;

/// How traces are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceProtocol {
    /// OTLP over gRPC.
    #[default]
    Grpc,
    /// OTLP over HTTP.
    Http,
}

/// Where traces of the server itself are sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TracingConfig {
    /// How. Default `grpc`.
    pub client_type: TraceProtocol,
    /// To whom: host and port.
    pub endpoint: String,
    /// The share of requests that is traced: 0 is none, and 1 all. Default 0.
    pub sampling_fraction: f64,
    /// Go without TLS. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// Whom to trust.
    #[serde(rename = "tls_config", serialize_with = "tls", skip_serializing_if = "is_default")]
    pub tls: TlsConfig,
    /// Headers of every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Compress requests, with gzip. Default false.
    #[serde(rename = "compression", serialize_with = "gzip", skip_serializing_if = "std::ops::Not::not")]
    pub compress: bool,
    /// Longest time a request may take; never zero. Default 10s.
    #[serde(serialize_with = "time")]
    pub timeout: Duration,
}

fn is_default(tls: &TlsConfig) -> bool {
    *tls == TlsConfig::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn gzip<S: serde::Serializer>(_: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("gzip")
}

impl<'a> Loader<'a> {
    pub(super) fn traces(&self, file: &Section<'a>) -> Option<TracingConfig> {
        let raw = file.given("tracing")?;
        let client_type = match raw.text("client_type").as_deref() {
            None | Some("grpc") => TraceProtocol::Grpc,
            Some("http") => TraceProtocol::Http,
            Some(other) => {
                self.complain(&raw, "client_type", format!("must be http or grpc, not {other:?}"));
                TraceProtocol::Grpc
            }
        };
        let endpoint = raw.text("endpoint").unwrap_or_default();
        if endpoint.is_empty() {
            self.complain(&raw, "endpoint", "endpoint is missing");
        }
        let compression = raw.text("compression").unwrap_or_default();
        if !matches!(compression.as_str(), "" | "gzip") {
            self.complain(&raw, "compression", format!("must be gzip or empty, not {compression:?}"));
        }
        Some(TracingConfig {
            client_type,
            endpoint,
            sampling_fraction: raw.number("sampling_fraction"),
            insecure: raw.boolean("insecure", false),
            tls: raw.section("tls_config").map(|raw| self.tls(&raw)).unwrap_or_default(),
            headers: self.plain_headers(&raw, "the server cannot say who it is to a collector"),
            compress: compression == "gzip",
            timeout: non_zero(raw.duration("timeout")).unwrap_or(Duration::from_secs(10)),
        })
    }
}
