//! The query language and its engine.
//!
//! A query goes through [`syntax`] (text to checked syntax tree), `plan` (times resolved, one select per distinct
//! selector) and `exec` (operators over batches of series). It sees data only through [`crate::storage`].
//! Nothing here does I/O of its own or knows of threads; the caller decides where a query runs.
//!
//! Read `syntax::ast`, `plan::node`, `exec::mod`, then the operators.

mod annotations;
mod answer;
mod cache;
mod engine;
mod error;
mod exec;
mod explain;
pub mod functions;
mod memory;
mod options;
mod plan;
pub mod script;
pub mod syntax;
mod value;

pub use annotations::Annotations;
pub use engine::Engine;
pub use error::{Error, ErrorClass};
pub use explain::ExplainNode;
pub use memory::Ticket;
pub use options::{EngineOptions, Features, QueryOptions};
pub use syntax::ast::{Expr, ValueType};
pub(crate) use syntax::quote::{short_float, short_float_wide};
pub use value::{MatrixSeries, QueryResult, Stats, StepStats, Value, VectorSample};

use crate::model::Matcher;

/// Parses and type-checks a query.
///
/// # Errors
/// When the text is not a query; the error names line and column.
pub fn parse(query: &str, features: &Features) -> Result<Expr, Error> {
    syntax::parse(query, features)
}

/// Parses a plain series selector, as the `match[]` parameters of the API have it.
///
/// # Errors
/// When the text is anything else.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, Error> {
    syntax::parse_selector(text)
}

/// The query in the form for people: long expressions split over lines.
///
/// # Errors
/// When the text is not a query.
pub fn format(query: &str) -> Result<String, Error> {
    Ok(syntax::pretty(&parse(query, &Features::all())?))
}

/// The syntax tree of the query as JSON.
///
/// # Errors
/// When the text is not a query.
pub fn parse_to_json(query: &str, features: &Features) -> Result<serde_json::Value, Error> {
    Ok(syntax::to_json(&parse(query, features)?))
}
