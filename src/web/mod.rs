//! HTTP: the query API, the status API, the page, the server's own metrics. The only user of axum.
//!
//! Read `router` below, then [`state`] (what handlers may use), [`params`] and [`reply`] (how requests are read and
//! answered), [`json`] (how query results are written), then the handlers under [`api`].
//!
//! Handlers never block: everything that reads data runs on the blocking pool (see [`state::ApiState::blocking`]).

pub mod api;
mod assets;
mod cors;
pub mod json;
mod lifecycle;
mod measure;
pub mod params;
pub mod reply;
pub mod state;

use std::future::Future;
use std::sync::Arc;

pub use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};

pub use measure::HttpMetrics;
pub use state::{ApiState, ReloadRequest};

/// Request bodies larger than this are refused.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Every route of the server.
pub fn router(state: Arc<ApiState>) -> Router {
    let api = Router::new()
        .route("/query", get(api::query::instant).post(api::query::instant))
        .route("/query_range", get(api::query::range).post(api::query::range))
        .route("/query_exemplars", get(api::query::exemplars).post(api::query::exemplars))
        .route("/format_query", get(api::query::format).post(api::query::format))
        .route("/parse_query", get(api::query::parse).post(api::query::parse))
        .route("/series", get(api::series::series).post(api::series::series))
        .route("/labels", get(api::series::label_names).post(api::series::label_names))
        .route("/label/{name}/values", get(api::series::label_values))
        .route("/metadata", get(api::targets::metadata))
        .route("/targets", get(api::targets::targets))
        .route("/targets/metadata", get(api::targets::target_metadata))
        .route("/scrape_pools", get(api::targets::scrape_pools))
        .route("/rules", get(api::targets::rules))
        .route("/alerts", get(api::targets::alerts))
        .route("/alertmanagers", get(api::targets::alertmanagers))
        .route("/status/config", get(api::status::config))
        .route("/status/flags", get(api::status::flags))
        .route("/status/runtimeinfo", get(api::status::runtime_info))
        .route("/status/buildinfo", get(api::status::build_info))
        .route("/status/tsdb", get(api::status::tsdb))
        .route("/status/tsdb/blocks", get(api::status::tsdb_blocks))
        .route("/status/walreplay", get(api::status::wal_replay))
        .route("/write", post(api::write::write))
        .fallback(reply::no_such_endpoint);
    // Results are written once and sent once; small ones are not worth compressing.
    let compress = CompressionLayer::new()
        .gzip(true)
        .deflate(true)
        .compress_when(SizeAbove::new(1024).and(NotForContentType::IMAGES));
    Router::new()
        .nest("/api/v1", api)
        .route("/metrics", get(lifecycle::metrics))
        .route("/version", get(api::status::version))
        .route("/-/healthy", get(lifecycle::healthy))
        .route("/-/ready", get(lifecycle::ready))
        .route("/-/reload", post(lifecycle::reload).put(lifecycle::reload).fallback(lifecycle::only_post))
        .route("/-/quit", post(lifecycle::quit).put(lifecycle::quit).fallback(lifecycle::only_post))
        .fallback(assets::serve)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(compress)
        .layer(from_fn(cors::add_headers))
        .layer(CatchPanicLayer::custom(reply::from_panic))
        .layer(from_fn_with_state(Arc::clone(&state), measure::count))
        .with_state(state)
}

/// Serves `router` on `listener` until `stopped` ends and open requests are done.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stopped).await
}
