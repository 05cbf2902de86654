//! Remote write, receiving side: other servers push samples to this one.
//!
//! [`message`] reads the protobuf message without copying; [`receive`] commits it.

pub mod message;
pub mod receive;

pub use receive::{ReceiveError, Receiver};
