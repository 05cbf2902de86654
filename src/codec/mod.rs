//! Bytes to numbers and back, bounds-checked; no knowledge of metrics.
//!
//! Read `reader` and `writer` first; `bits` serves chunk encodings, `frame` wraps log records and stored values,
//! `envelope` wraps small control records (catalog, block meta), `protobuf` reads and writes the fields of messages.

pub mod bits;
pub mod envelope;
pub mod frame;
pub mod protobuf;
pub mod reader;
pub mod writer;

pub use reader::ByteReader;
pub use writer::ByteWriter;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end before the value does.
    #[error("unexpected end of data at byte {at}")]
    UnexpectedEnd {
        /// Offset of the value that is cut.
        at: usize,
    },
    /// A value that no writer produces.
    #[error("invalid {what} at byte {at}")]
    Invalid {
        /// The field concerned.
        what: &'static str,
        /// Its offset.
        at: usize,
    },
    /// The checksum does not match the bytes.
    #[error("checksum mismatch: stored {stored:08x}, computed {computed:08x}")]
    Checksum {
        /// As found beside the data.
        stored: u32,
        /// As computed over the data.
        computed: u32,
    },
    /// More than a reader would take.
    #[error("{what} has {bytes} bytes, the limit is {max}")]
    TooLarge {
        /// The record concerned.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A file that should be there.
    #[error("file not found")]
    Missing,
    /// Written by a newer version of the format; all checksums are right.
    #[error("unsupported version {version} of {what}")]
    Version {
        /// The format concerned.
        what: &'static str,
        /// The version found.
        version: u8,
    },
}
