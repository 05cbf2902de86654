//! The query language and its engine.
//!
//! A query goes through [`syntax`] (text to checked syntax tree), `plan` (times resolved, one select per distinct
//! selector) and `exec` (operators over batches of series). It sees data only through [`crate::storage`].
//! Nothing here does I/O of its own or knows of threads; the caller decides where a query runs, and tells [`QueryLog`]
//! of it.
//!
//! Read `syntax::ast`, `plan::node`, `exec::mod`, then the operators.

mod annotations;
mod answer;
mod cache;
mod deep;
mod engine;
mod error;
mod exec;
mod explain;
pub mod functions;
pub mod history;
mod memory;
mod options;
mod plan;
mod query_log;
pub mod script;
pub mod syntax;
pub mod threshold;
mod value;
mod value_type;

pub use annotations::Annotations;
pub use engine::Engine;
pub use error::{Error, ErrorClass};
pub use explain::ExplainNode;
pub use memory::Ticket;
pub use options::{EngineOptions, Features, QueryOptions};
pub use query_log::{LoggedQuery, QueryLog, QueryOrigin};
pub use syntax::ast::{Expr, ValueType};
pub(crate) use syntax::quote::{short_float, short_float_wide};
pub use value::{MatrixSeries, QueryResult, Stats, StepStats, Value, VectorSample};

use crate::model::{Matcher, RegexBudget};
use serde_json::value::RawValue;
use syntax::ast::ExprKind;

/// Highest tree that is formatted.
const MAX_FORMATTED_HEIGHT: u16 = 250;

/// Parses and type-checks a query.
///
/// # Errors
/// When the text is not a query; the error names line and column.
pub fn parse(query: &str, features: &Features) -> Result<Expr, Error> {
    parse_within(query, features, &mut RegexBudget::default())
}

/// The same where all regular expressions of a request share `patterns`.
///
/// # Errors
/// When the text is not a query, or its regular expressions are too much.
pub fn parse_within(query: &str, features: &Features, patterns: &mut RegexBudget) -> Result<Expr, Error> {
    deep::run(query.len() > deep::SHALLOW_BYTES, || syntax::parse(query, features, patterns))?
}

/// Parses a plain series selector, as the `match[]` parameters of the API have it.
///
/// # Errors
/// When the text is anything else.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, Error> {
    parse_selector_within(text, &mut RegexBudget::default())
}

/// The same where all regular expressions of a request share `patterns`.
///
/// # Errors
/// When the text is anything else, or its regular expressions are too much.
pub fn parse_selector_within(text: &str, patterns: &mut RegexBudget) -> Result<Vec<Matcher>, Error> {
    syntax::parse_selector(text, patterns)
}

/// The query in the form for people: long expressions split over lines.
///
/// # Errors
/// When it is deep: each level is indented further, so that the text would be thousands of times the query.
pub fn format(query: &Expr) -> Result<String, Error> {
    if query.height() > MAX_FORMATTED_HEIGHT {
        return Err(Error::TooDeep("formatted"));
    }
    Ok(syntax::pretty(query))
}

/// The syntax tree of the query as JSON.
///
/// # Errors
/// When there is no thread for a deep one.
pub fn to_json(query: &Expr) -> Result<Box<RawValue>, Error> {
    // As text: a deep value would need as deep a stack wherever it is written or dropped.
    deep::run(query.height() > deep::SHALLOW_TREE, || {
        serde_json::value::to_raw_value(&syntax::to_json(query)).unwrap_or_default()
    })
}

/// The matchers of every selector of the query, in the order of the text.
///
/// # Errors
/// When there is no thread for a deep one.
pub fn selectors(query: &Expr) -> Result<Vec<Vec<Matcher>>, Error> {
    let all = || {
        let mut out = Vec::new();
        syntax::visit::walk(query, &mut |expr| match &expr.kind {
            ExprKind::Vector(selector) => out.push(selector.matchers.clone()),
            ExprKind::Matrix(matrix) => out.push(matrix.selector.matchers.clone()),
            _ => {}
        });
        out
    };
    deep::run(query.height() > deep::SHALLOW_TREE, all)
}
