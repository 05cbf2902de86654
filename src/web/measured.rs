//! Measures every request: when its reply has ended, or was dropped because the client went away.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::measure::HttpMetrics;
use super::state::ApiState;

pub(super) async fn count(State(state): State<Arc<ApiState>>, request: Request, next: Next) -> Response {
    // The route, not the path: a metric for every path anyone asks for would have no bound.
    let route = request.extensions().get::<MatchedPath>();
    let prefix = &state.site.route_prefix;
    // As it is called without a prefix, so that the same dashboard fits.
    let handler = route.and_then(|route| route.as_str().strip_prefix(prefix.as_str()));
    let handler = handler.filter(|route| !route.is_empty()).unwrap_or("/").to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let metrics = state.http_metrics.clone();
    let handler = vec![("handler".to_owned(), handler)];
    let mut by_code = handler.clone();
    by_code.push(("code".to_owned(), response.status().as_u16().to_string()));
    metrics.requests.get_or_create(&by_code).inc();
    let mut sent = Sent { metrics, handler, started, bytes: 0 };
    if let Some(bytes) = response.body().size_hint().exact() {
        sent.bytes = bytes;
        return response;
    }
    response.map(|body| Body::from_stream(Measured { body: body.into_data_stream(), sent }))
}

/// A reply that is being sent. Observed when dropped.
pub(super) struct Sent {
    metrics: HttpMetrics,
    handler: Vec<(String, String)>,
    started: Instant,
    bytes: u64,
}

impl Drop for Sent {
    fn drop(&mut self) {
        let took = self.started.elapsed().as_secs_f64();
        self.metrics.durations.get_or_create(&self.handler).observe(took);
        self.metrics.sizes.get_or_create(&self.handler).observe(self.bytes as f64);
    }
}

/// A body whose length is not known before its end.
pub(super) struct Measured {
    body: BodyDataStream,
    sent: Sent,
}

impl Stream for Measured {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.body.poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(data))) = &polled {
            self.sent.bytes += data.len() as u64;
        }
        polled
    }
}
