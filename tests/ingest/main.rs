//! The ingest side as a whole: conformance data, a real loopback target, DNS, reload.

mod conformance;
mod dns;
mod end_to_end;
mod remote;
mod target;
mod window;
