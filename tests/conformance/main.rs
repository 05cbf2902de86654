//! Conformance suites: behaviour written down as data, not as code.

#[path = "../support/query_list.rs"]
mod list;
mod promql;
mod query_list;
mod templates;
