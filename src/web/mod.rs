//! HTTP: the query API, the status API, the page, the server's own metrics. The only user of axum.
//!
//! Read `router` below, then [`state`] (what handlers may use), [`site`] (under which address and prefix), [`params`] and [`reply`] (how requests are read and
//! answered), [`pieces`] (how query results are written), then the handlers under [`api`]; `serve` with `request_line` and
//! `stall` is what lies below the router: connections.
//!
//! Handlers never block: everything that reads data or a query runs on threads that may, in one of the [`crate::lanes`].

pub mod api;
pub mod asker;
mod assets;
mod bodies;
mod cors;
pub mod json;
mod lifecycle;
mod measure;
mod measured;
pub mod number;
pub mod params;
pub mod pieces;
mod replay;
mod replay_end;
pub mod reply;
mod request_line;
mod serve;
pub mod site;
mod stall;
pub mod state;
mod work;

use std::sync::Arc;

use axum::Extension;
pub use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Uri;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};

use bodies::MAX_BODY_BYTES;
pub use measure::HttpMetrics;
pub use params::room as forms;
use replay::WRITE;
pub use replay_end::{ReplayEnd, replay_end};
pub use serve::{Connections, serve};
pub use site::{ExternalUrl, Site, SiteOptions, route_prefix};
pub use state::{ApiState, ReloadRequest};

type Route = MethodRouter<Arc<ApiState>>;

/// A route of the API that is read by GET alone.
fn read<H: Handler<T, Arc<ApiState>>, T: 'static>(handler: H) -> Route {
    let other = || async { reply::method_not_allowed("GET, OPTIONS") };
    get(handler).head(other).options(reply::no_content).fallback(other)
}

/// A route of the API whose parameters may also come as a form.
fn query<H: Handler<T, Arc<ApiState>>, T: 'static>(handler: H) -> Route {
    let other = || async { reply::method_not_allowed("GET, OPTIONS, POST") };
    get(handler.clone()).post(handler).head(other).options(reply::no_content).fallback(other)
}

/// A route outside the API that is read by GET or HEAD.
fn plain<H: Handler<T, Arc<ApiState>>, T: 'static>(handler: H) -> Route {
    let allowed = "GET, HEAD, OPTIONS";
    get(handler)
        .options(move || async move { reply::allowed(allowed) })
        .fallback(move || async move { reply::method_not_allowed(allowed) })
}

/// A route that is read by GET and changed by other methods.
fn changed(route: Route) -> Route {
    let other = || async { reply::method_not_allowed("DELETE, GET, OPTIONS, POST") };
    route.options(reply::no_content).fallback(other)
}

/// A route that changes data, for programs and for the pages of this server.
fn admin<H: Handler<T, Arc<ApiState>>, T: 'static>(handler: H) -> Route {
    let allowed = "OPTIONS, POST, PUT";
    post(handler.clone())
        .put(handler)
        .options(reply::no_content)
        .fallback(move || async move { reply::method_not_allowed(allowed) })
}

/// A route that changes the life of the server.
fn lifecycle<H: Handler<T, Arc<ApiState>>, T: 'static>(handler: H) -> Route {
    let allowed = "GET, OPTIONS, POST, PUT";
    post(handler.clone())
        .put(handler)
        .get(lifecycle::only_post)
        .options(move || async move { reply::allowed(allowed) })
        .fallback(move || async move { reply::method_not_allowed(allowed) })
}

/// Every route of the server, below its prefix.
pub fn router(state: Arc<ApiState>) -> Router {
    let routes = routes(&state);
    let prefix = state.site.route_prefix.clone();
    if prefix.is_empty() {
        return routes;
    }
    let other = || async { reply::method_not_allowed("GET, HEAD") };
    let inside = [&prefix, "/"].concat();
    let target = inside.clone();
    let to_prefix = move || async move { reply::redirect(&target) };
    let to_page = move |uri: Uri| async move { assets::to_home(&state, &uri) };
    Router::new()
        .route("/", get(to_prefix).fallback(other))
        // The router takes it for neither outside nor inside.
        .route(&inside, get(to_page).fallback(other))
        .nest(&prefix, routes)
        .fallback(|| async { reply::not_found() })
}

fn routes(state: &Arc<ApiState>) -> Router {
    let own_pages_only = from_fn_with_state(Arc::clone(state), cors::refuse_foreign);
    let changes = Router::new()
        .route("/admin/tsdb/delete_series", admin(api::admin::delete_series))
        .route("/admin/tsdb/clean_tombstones", admin(api::admin::clean_tombstones))
        .route("/admin/tsdb/snapshot", admin(api::admin::snapshot))
        .route("/notifications/test", admin(api::notifications::test))
        .route(
            WRITE,
            post(api::write::write)
                .options(reply::no_content)
                .fallback(|| async { reply::method_not_allowed("OPTIONS, POST") })
                .layer(Extension(api::write::room())),
        )
        .route_layer(own_pages_only.clone());
    let api = Router::new()
        .route("/query", query(api::query::instant))
        .route("/query_range", query(api::query::range))
        .route("/query_exemplars", query(api::exemplars::exemplars))
        .route("/format_query", query(api::query::format))
        .route("/parse_query", query(api::query::parse))
        .route("/series", query(api::series::series))
        .route("/labels", query(api::series::label_names))
        .route("/label/{name}/values", read(api::series::label_values))
        .route("/metadata", read(api::targets::metadata))
        .route("/targets", read(api::targets::targets))
        .route("/targets/relabel_steps", read(api::discovery::relabel_steps))
        .route("/discovery", read(api::discovery::discovery))
        .route("/targets/metadata", read(api::targets::target_metadata))
        .route("/scrape_pools", read(api::targets::scrape_pools))
        .route("/rules", read(api::rules::rules))
        .route("/rules/backtest", query(api::lab::backtest))
        .route("/rules/unit_test", query(api::lab::unit_test))
        .route("/alerts", read(api::rules::alerts))
        .route("/notifications/log", read(api::notifications::log))
        .route("/notifications/receivers", read(api::notifications::receivers))
        .route("/alerts/timeline", query(api::timeline::timeline))
        .route("/alertmanagers", read(api::alertmanagers::alertmanagers))
        .route("/status/config", read(api::status::config))
        .route("/status/flags", read(api::status::flags))
        .route("/status/runtimeinfo", read(api::status::runtime_info))
        .route("/status/buildinfo", read(api::status::build_info))
        .route("/status/tsdb", read(api::status::tsdb))
        .route("/status/tsdb/blocks", read(api::status::tsdb_blocks))
        .route("/status/walreplay", read(api::status::wal_replay))
        .merge(changes)
        .fallback(reply::no_such_endpoint)
        .layer(from_fn_with_state(Arc::clone(state), replay::wait))
        .layer(from_fn_with_state(Arc::clone(state), cors::add_headers));
    let alertmanager = Router::new()
        .route("/status", read(api::alertmanager::status))
        .route("/receivers", read(api::alertmanager::receivers))
        .route("/alerts", changed(get(api::alertmanager::alerts).post(api::alertmanager::post_alerts)))
        .route("/alerts/groups", read(api::alertmanager::groups))
        .route("/silences", changed(get(api::alertmanager::silences).post(api::alertmanager::post_silence)))
        .route(
            "/silence/{id}",
            changed(get(api::alertmanager::silence).delete(api::alertmanager::expire_silence)),
        )
        .route_layer(own_pages_only.clone())
        .fallback(reply::no_such_endpoint)
        .layer(from_fn_with_state(Arc::clone(state), cors::add_headers));
    let lifecycle = Router::new()
        .route("/-/reload", lifecycle(lifecycle::reload))
        .route("/-/quit", lifecycle(lifecycle::quit))
        .route_layer(own_pages_only);
    state.http_metrics.set_query_slots(state.lanes.queries.width());
    // Small replies are not worth compressing.
    let compress = CompressionLayer::new()
        .gzip(true)
        .deflate(true)
        .compress_when(SizeAbove::new(1024).and(NotForContentType::IMAGES));
    Router::new()
        .nest("/api/v1", api)
        .nest("/api/v2", alertmanager)
        .route("/api/v2/", any(reply::no_such_endpoint))
        // The prefix by itself is no page either.
        .route("/api/v1/", any(reply::no_such_endpoint))
        .route("/metrics", plain(lifecycle::metrics))
        .route("/version", plain(api::status::version))
        .route("/-/healthy", plain(lifecycle::healthy))
        .route("/-/ready", plain(lifecycle::ready))
        .merge(lifecycle)
        .fallback(assets::serve)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(compress)
        .layer(CatchPanicLayer::custom(reply::from_panic))
        .layer(from_fn_with_state(Arc::clone(state), measured::count))
        .with_state(Arc::clone(state))
}
