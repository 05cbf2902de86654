//! Emberkeep: a Prometheus-compatible monitoring server with its own persistent time series database.
//!
//! The modules in reading order, lowest first; `docs/architecture.md` is the map with the import rules:
//!
//! - [`util`]: clock, cancellation, locks; [`codec`]: bytes to numbers and back, framing, checksums
//! - [`model`]: labels, matchers, samples, durations; [`telemetry`]: the server's own metrics and logs
//! - [`storage`]: the read seam between queries and data; [`tsdb`]: the database
//! - [`promql`]: the query language and its engine; [`lanes`]: how much of it goes on at once
//! - [`rules`]: recording and alerting rules; [`template`]: the texts of alerts
//! - [`config`], [`relabel`], [`expfmt`]: what users and targets write; [`net`]: the outside world
//! - [`discovery`], [`scrape`], [`remote`]: how samples come in
//! - [`notify`]: how Alertmanagers are told of alerts; [`receivers`]: how people are told without one
//! - [`interop`]: data of other servers, in and out
//! - [`web`]: HTTP API and page; [`app`]: wiring; [`cli`]: the command line; [`workload`]: data to measure with

pub mod app;
pub mod cli;
pub mod codec;
pub mod config;
pub mod discovery;
pub mod expfmt;
pub mod interop;
pub mod lanes;
pub mod model;
pub mod net;
pub mod notify;
pub mod promql;
pub mod receivers;
pub mod relabel;
pub mod remote;
pub mod rules;
pub mod scrape;
pub mod storage;
pub mod telemetry;
pub mod template;
pub mod tsdb;
pub mod util;
pub mod web;
pub mod workload;
