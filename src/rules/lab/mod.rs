//! The lab: what a rule would have done over a stretch of stored history.
//!
//! A rule is evaluated by range queries, a piece of time after the other (`pieces`), and what they give is fed to the
//! state machine of [`super::alert`] (`play`), which leaves spans of time per alert (`history`). `graph` keeps the values
//! as a screen can show them. Two sets of rules are compared by what they would have sent (`compare`), where
//! recording rules that are not stored yet are first evaluated into memory (`overlay`). A unit test of a rule is made from
//! the samples around one of its firings (`unit_test`).
//!
//! What comes out is what evaluating the rule step by step at the same times gives, with one exception: a query that
//! fails at some steps only fails as a whole.
//!
//! **Beginning**: alerts that are active when the range begins began before it. So the rule is played from
//! `for` + `keep_firing_for` before the range; an alert that is active at the very first step of that began at an
//! unknown time, and [`history::Span::since_before`] says so.
//!
//! **Bounds**: [`play::MAX_EVALUATIONS`] evaluations of a rule; [`play::MAX_ALERTS`] alerts, [`history::MAX_SPANS`] spans,
//! [`graph::MAX_TRACKED`] series for the graph; what is beyond is counted and told.

mod changes;
pub mod compare;
pub mod error;
pub(super) mod given;
pub mod graph;
pub mod history;
pub(super) mod overlay;
pub(super) mod pieces;
pub mod play;
mod proposal;
mod scene;
mod slot;
pub mod unit_test;

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod tests;
