//! Handlers of `/api/v1`, one file per family, and of `/api/v2`, which is Alertmanager's.

#![expect(clippy::missing_errors_doc, reason = "every handler answers errors as the API page says")]

pub mod admin;
pub mod alertmanager;
pub mod alertmanagers;
mod cost;
pub mod discovery;
pub mod exemplars;
pub mod lab;
pub mod notifications;
pub mod posted;
pub mod query;
pub mod rules;
pub mod series;
pub mod status;
pub mod targets;
pub mod timeline;
pub mod write;
