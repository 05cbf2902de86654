//! Data to measure with: recorded scrapes of real exporters, and a fleet of hosts that replays them.
//!
//! [`capture`] reads a recording, [`replay`] continues it beyond its end; [`fleet`] lets many hosts walk over it;
//! [`load`] makes remote write bodies of that and [`exposition`] what targets answer. The benches under `benches/` and
//! the subcommand `workload` use them. Nothing is measured here, and nothing here knows of the database.

pub mod capture;
pub mod exposition;
pub mod fleet;
pub mod load;
pub mod replay;

pub use capture::{Capture, CaptureError, Series, Target};
pub use fleet::{Fleet, FleetError, Host};
pub use load::{Body, Load, LoadPlan};
pub use replay::Replay;
