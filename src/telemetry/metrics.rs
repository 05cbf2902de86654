//! The registry of the server's own metrics, and its text form.

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
pub use prometheus_client::registry::Registry;

use std::sync::atomic::AtomicU64;

/// A gauge of fractions, such as seconds.
pub type FloatGauge = Gauge<f64, AtomicU64>;

/// Media type of [`encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics as OpenMetrics text.
pub fn encode(registry: &Registry) -> String {
    let mut out = String::new();
    // The only failure is a writer that refuses, and a String does not.
    let _ = prometheus_client::encoding::text::encode(&mut out, registry);
    out
}
