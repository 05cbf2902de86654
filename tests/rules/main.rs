//! Rules from outside: files as they are found in the wild, and servers that are ended at any moment.

#[path = "../support/mod.rs"]
mod support;

mod conformance;
mod deaths;
#[cfg(unix)]
mod promtool;
