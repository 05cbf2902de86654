//! Telling Alertmanagers of alerts: relabelling, one bounded queue for each Alertmanager, batches over HTTP.
//!
//! Read `alert` (what is told), `alertmanager` (whom), then `queue` and `send_loop` (one Alertmanager over time) with
//! `post` (one request), then [`manager`] (the door: configuration, reload, stop) and [`handle`] (where alerts come in).
//! Nothing here decides when an alert fires or how often it is sent: that is up to who calls [`NotifyHandle::send`].

mod alert;
mod alertmanager;
pub mod error;
pub mod handle;
pub mod manager;
mod metrics;
mod post;
mod queue;
mod send_loop;
#[cfg(test)]
mod stand_in;

pub use alert::Alert;
pub use error::Error;
pub use handle::{AlertSink, Alertmanagers, NotifyHandle};
pub use manager::{Notifier, NotifyOptions, Prepared};
