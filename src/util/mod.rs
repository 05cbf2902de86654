//! Leaf pieces with one clear purpose each: short texts, a bounded cache, the clock and its slots, cancellation, locks, stamps of files, the machine.

pub mod brief;
pub mod byte_cache;
pub mod clock;
pub mod lock;
pub mod machine;
pub mod slots;
pub mod stamp;
pub mod stop;

pub use brief::{brief, message};
pub use byte_cache::ByteCache;
pub use clock::{Clock, ManualClock, SystemClock};
pub use slots::{Slots, stable_hash};
pub use stamp::Stamp;
pub use stop::StopToken;
