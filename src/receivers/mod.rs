//! Telling people of alerts without an Alertmanager: grouping, silences, inhibition, and webhooks, email and Slack.
//!
//! What Alertmanager does for many servers, this does inside of one; its shapes (routing tree, API, body of webhooks) are
//! kept, see [0008](../../../docs/decisions/0008-receivers.md). It is off unless the configuration has the section
//! `notifications`. It does not talk to other servers: who has several wants an Alertmanager.
//!
//! Read `alert`, `route`, `silence`, `inhibit` and `log` (the nouns), `places`, `matched` and `muting` (which silences match
//! which alerts, and what that means at one moment), `engine` (the state machine, which knows no clock),
//! `store` (what is on disk), then `message`, `render`, `post`, `slack`, `email` and `deliver` (telling one receiver),
//! `shared` and [`manager`] (the task, reload, stop) and [`handle`] (what the API sees).

mod alert;
mod deliver;
mod email;
mod engine;
pub mod error;
pub mod handle;
mod history;
mod inhibit;
mod log;
pub mod manager;
mod matched;
mod message;
mod metrics;
mod muting;
mod places;
mod post;
mod render;
mod route;
mod shared;
mod silence;
mod slack;
mod store;

pub use error::Error;
pub use handle::ReceiversHandle;
pub use manager::{Prepared, ReceiverOptions, Receivers};
pub use silence::{Silence, SilenceError, SilenceRequest, SilenceState};

pub(crate) use alert::fingerprint_text;
pub(crate) use engine::{AlertView, GroupView};
pub(crate) use handle::{Off, PostError, PostedAlert, TestError};
pub(crate) use history::Delivered;
pub(crate) use message::{Pairs, rfc3339};
pub(crate) use shared::{ChangeError, OFF};
