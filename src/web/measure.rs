//! Counts requests by handler and status code.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::state::ApiState;
use crate::telemetry::Registry;
use crate::telemetry::metrics::{Counter, Family, Histogram};

type Requests = Family<Vec<(String, String)>, Counter>;
type Durations = Family<Vec<(String, String)>, Histogram, fn() -> Histogram>;

/// Metrics of all requests.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: Requests,
    durations: Durations,
}

impl HttpMetrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let buckets: fn() -> Histogram = || Histogram::new([0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0]);
        let metrics =
            Self { requests: Requests::default(), durations: Durations::new_with_constructor(buckets) };
        let r = registry.sub_registry_with_prefix("prometheus_http");
        r.register("requests", "Requests by handler and status code", metrics.requests.clone());
        r.register("request_duration_seconds", "Duration of requests", metrics.durations.clone());
        metrics
    }
}

pub(super) async fn count(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    // The route, not the path: a metric for every path anyone asks for would have no bound.
    let route = request.extensions().get::<MatchedPath>();
    let handler = route.map_or_else(|| "/".to_owned(), |route| route.as_str().to_owned());
    let started = Instant::now();
    let response = next.run(request).await;
    let metrics = &state.http_metrics;
    let by_handler = vec![("handler".to_owned(), handler)];
    metrics.durations.get_or_create(&by_handler).observe(started.elapsed().as_secs_f64());
    let mut by_code = by_handler;
    by_code.push(("code".to_owned(), response.status().as_u16().to_string()));
    metrics.requests.get_or_create(&by_code).inc();
    response
}
