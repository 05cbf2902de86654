//! Keeping blocks few and small: [`plan`] says what to merge, [`retention`] what to drop, both as pure functions;
//! [`worker`] is the one thread that cuts the head, merges, expires and checkpoints.

pub mod plan;
pub mod retention;
pub mod worker;
