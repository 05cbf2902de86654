//! What Google runs: `token` says who asks, `gce` which instances there are.

mod gce;
mod token;

pub(super) use gce::GceSource;
