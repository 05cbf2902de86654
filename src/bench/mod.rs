//! Data to measure with: recorded scrapes of real exporters.
//!
//! [`capture`] reads a recording; the benches under `benches/` and the subcommand `bench` replay it. It measures
//! nothing itself and knows nothing of the database.

pub mod capture;

pub use capture::{Capture, CaptureError, Series, Target};
