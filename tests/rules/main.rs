//! Rules from outside: files as they are found in the wild, and servers that are ended at any moment.

mod conformance;
#[cfg(unix)]
mod promtool;
