//! Remote write, receiving side: other servers push samples to this one.
//!
//! [`message`] and [`v2`] read the requests of versions 1.0 and 2.0, [`histogram`] what they have in common;
//! [`receive`] commits the first, `receive_v2` the second.

mod error;
pub mod histogram;
pub mod message;
pub mod receive;
mod receive_v2;
pub mod v2;

pub use error::{ReceiveError, Written};
pub use receive::Receiver;
