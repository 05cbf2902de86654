//! Exposition formats: what targets answer to a scrape, parsed in one pass without copying.
//!
//! Read `parser` (lines of text to borrowed entries), `series` (series text to labels), `number` (values and
//! timestamps), `protobuf` (messages to the same) with `native` (what is inside a metric), then `reader`: one way to
//! read them all, with `classic` and `convert` (classic histograms to native ones) and `created` (when counting began).
//! Bytes from the network can give an error, never a panic. Readers yield a key for each series, in text its text, so
//! that who has seen it before never parses its labels.

mod classic;
mod convert;
mod created;
#[cfg(test)]
pub(crate) mod fixture;
mod native;
mod number;
mod options;
mod parser;
mod protobuf;
mod reader;
mod series;

pub use classic::ClassicFault;
pub use options::{Encoding, ReadOptions};
pub use parser::{Entry, ExemplarText, Expect, Format, KnownFamily, ParseError, Parser, Sample};
pub use protobuf::{ProtobufError, ProtobufFault};
pub use reader::{Read, ReadError, Reader};
pub use series::{SeriesError, parse_exposed, parse_labels, parse_series, unescape_help};
