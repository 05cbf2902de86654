//! Handlers of `/api/v1`, one file per family.

pub mod query;
pub mod series;
pub mod status;
pub mod targets;
pub mod write;
