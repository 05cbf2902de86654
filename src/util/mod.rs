//! Leaf pieces with one clear purpose each: the clock, cancellation, locks, the machine.

pub mod clock;
pub mod lock;
pub mod machine;
pub mod stop;

pub use clock::{Clock, ManualClock, SystemClock};
pub use stop::StopToken;
