//! Lists of targets from an HTTP server.

use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::metrics::DiscoveryMetrics;
use super::{Refresh, TargetGroup};
use crate::config::http::shown_url;
use crate::config::{HttpSdConfig, parse_targets_json};
use crate::model::Labels;
use crate::net::{HttpClient, HttpMethod, HttpRequest};
use crate::util::brief;

/// Answers that are larger are refused.
const MAX_BODY_BYTES: u64 = 64 << 20;

/// Asks one server.
#[derive(Debug)]
pub(super) struct HttpSource {
    pub(super) client: HttpClient,
    pub(super) config: Box<HttpSdConfig>,
    pub(super) metrics: DiscoveryMetrics,
}

impl Refresh for HttpSource {
    fn what(&self) -> String {
        shown_url(&self.config.url)
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Vec<TargetGroup>, String>> {
        Box::pin(async {
            let patience = self.config.refresh_interval;
            let found = timeout(patience, self.ask()).await;
            let found = found.unwrap_or_else(|_| Err(format!("no answer within {patience:?}")));
            if found.is_err() {
                self.metrics.http_failures.inc();
            }
            found
        })
    }
}

impl HttpSource {
    async fn ask(&self) -> Result<Vec<TargetGroup>, String> {
        let headers = vec![
            ("User-Agent", concat!("Emberkeep/", env!("CARGO_PKG_VERSION")).to_owned()),
            ("Accept", "application/json".to_owned()),
            ("X-Prometheus-Refresh-Interval-Seconds", self.config.refresh_interval.as_secs_f64().to_string()),
        ];
        let request = HttpRequest { method: HttpMethod::Get, url: self.config.url.clone(), headers };
        let response = self.client.send(request).await.map_err(|error| error.to_string())?;
        if response.status() != 200 {
            return Err(format!("server returned HTTP status {}", response.status_text()));
        }
        let kind = response.header("content-type").unwrap_or_default();
        if !is_json(&kind) {
            return Err(format!("unsupported content type {:?}, not application/json", brief(kind)));
        }
        let mut body = Vec::new();
        response.read_body(MAX_BODY_BYTES, &mut body).await.map_err(|error| error.to_string())?;
        let url = shown_url(&self.config.url);
        let group = |(at, group): (usize, crate::config::StaticConfig)| {
            let labels = group.labels.iter().chain([("__meta_url", url.as_str())]);
            let labels = Labels::from_pairs(labels.map(|(n, v)| (n.to_owned(), v.to_owned())));
            TargetGroup::of_addresses(format!("{url}:{at}"), &group.targets, labels)
        };
        let groups = parse_targets_json(&body)?;
        Ok(groups.into_iter().enumerate().map(group).collect())
    }
}

/// Whether a media type is JSON in UTF-8.
fn is_json(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let (media, charset) = kind.split_once(';').map_or((kind.as_str(), None), |(m, c)| (m, Some(c.trim())));
    media == "application/json" && matches!(charset, None | Some("charset=utf-8" | "charset=\"utf-8\""))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
