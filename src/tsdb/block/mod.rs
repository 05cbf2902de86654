//! Immutable blocks: meta record, index, bundles of columns.
//!
//! [`meta`] says what a block holds, [`writer`] makes one from a series set, [`reader`] answers from one,
//! [`exemplars`] what stands beside its samples, [`catalog`] is the list of live blocks on disk.
//!
//! **Format**: `docs/format/block.md`.

pub mod catalog;
pub mod exemplars;
pub mod meta;
pub mod reader;
pub(in crate::tsdb) mod tombstones;
pub mod writer;

#[cfg(test)]
mod tests;

pub use meta::BlockMeta;
pub use reader::Block;
