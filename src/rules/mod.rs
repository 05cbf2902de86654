//! Recording and alerting rules: from rule files to samples, and to alerts for those who notify.
//!
//! Read `rule` (one compiled rule), [`mod@load`] (files to groups), [`alert`] (states as a pure function), `backend` (where
//! rules read and write), `evaluate` (one rule once), `batches` (what may run side by side), `group` (what runs between
//! two evaluations), [`manager`] (tasks, reload, shutdown), `store` and `restore` (states over restarts), [`status`]
//! (what the API shows), [`lab`] (rules over what is stored), [`backfill`] (recording rules over the past), [`timeline`] (states read back from stored series), [`memory`] and [`unit_test`] (rules over series that are written down).
//!
//! **Invariants**: the state of an alert is on disk before anybody is told of it. A group never runs twice at once; its
//! rules see what the earlier ones of the same run wrote.

pub mod alert;
mod backend;
pub mod backfill;
mod batches;
mod error;
mod evaluate;
mod group;
pub mod lab;
pub mod load;
pub mod manager;
pub mod memory;
mod metrics;
mod restore;
mod rule;
mod shared;
mod state;
pub mod status;
mod store;
pub mod timeline;
pub mod unit_test;

pub use alert::{Alert, AlertState};
pub use backend::{Backend, DbBackend};
pub use error::Error;
pub use evaluate::External;
pub use load::{GroupSpec, load};
pub use manager::{Prepared, RuleManager};
pub use memory::MemoryBackend;
pub use rule::{Alerting, Rule};
pub use shared::RuleOptions;
pub use state::Health;
pub use status::{AlertingView, GroupView, RuleView, RulesHandle};
