//! What AWS runs. Its API wants signatures, and has many ways to say who asks.
//!
//! Read `sign` (signatures), `query` (calls), `profile` and `metadata` (where credentials lie), `credentials`
//! (which of them count), then `ec2`, and `signer` (signs what others send).

mod credentials;
mod ec2;
mod metadata;
mod profile;
mod query;
mod sign;
mod signer;

pub(super) use ec2::Ec2Source;
#[cfg(test)]
pub(crate) use sign::is_signed;
pub use signer::AwsSigner;
