//! The script language of query tests: data, queries, expectations.
//!
//! Scripts are how the behaviour of the engine is written down; rule tests use the series notation too. Nothing
//! here reads files: the caller hands over text and gets back an outcome per query.
//! Read `command`, then `series` with `histogram` and `starts`, then `load`, then `runner` with `compare` and `variants`.

mod command;
mod compare;
mod histogram;
mod load;
mod number;
mod runner;
mod series;
mod starts;
mod variants;

pub use command::{Command, Expectation, Expectations, LoadBlock, Script, ScriptError, parse_script};
pub use histogram::{NotedHistogram, histogram_text};
pub use number::number_text;
pub use runner::{Outcome, Report, run_script};
pub use series::{SeriesLine, SeriesPoint, parse_labels, parse_series};
