//! Leaf pieces with one clear purpose each: the clock and cancellation.

pub mod clock;
pub mod stop;

pub use clock::{Clock, ManualClock, SystemClock};
pub use stop::StopToken;
