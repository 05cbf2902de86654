//! Conformance suites: behaviour written down as data, not as code.

mod promql;
mod query_list;
