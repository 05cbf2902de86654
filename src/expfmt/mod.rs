//! Exposition formats: what targets answer to a scrape, parsed in one pass without copying.
//!
//! Read `parser` (lines to borrowed entries), `series` (series text to labels), `number` (values and timestamps).
//! Bytes from the network can give an error, never a panic. The parser yields the text of a series as bytes, so that
//! a reader that has seen it before never parses its labels.

mod number;
mod parser;
mod series;

pub use parser::{Entry, ExemplarText, Format, ParseError, Parser, Sample};
pub use series::{SeriesError, parse_exposed, parse_labels, parse_series, unescape_help};
