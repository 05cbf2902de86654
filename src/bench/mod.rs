//! Data to measure with: recorded scrapes of real exporters.
//!
//! [`capture`] reads a recording, [`replay`] continues it beyond its end; the benches under `benches/` and the subcommand `bench` replay it. It measures
//! nothing itself and knows nothing of the database.

pub mod capture;
pub mod replay;

pub use capture::{Capture, CaptureError, Series, Target};
pub use replay::Replay;
