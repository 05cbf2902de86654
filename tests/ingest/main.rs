//! The ingest side as a whole: conformance data, command lines of real servers, a real loopback target, DNS, reload.

#[path = "../support/mod.rs"]
mod support;

mod command_lines;
mod conformance;
mod dns;
mod end_to_end;
mod remote;
mod target;
mod window;
mod wire;
