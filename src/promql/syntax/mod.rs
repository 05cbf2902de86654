//! The query language as text: tokens, syntax tree, parser, type check, printers.
//!
//! Read `token` and `lexer`, then `ast`, then `parser` with its parts `selector` and `duration`, then `check`
//! and `print`. Nothing here touches data.

pub mod ast;
mod check;
mod duration;
mod json;
mod lexer;
mod parser;
mod pretty;
pub(crate) mod print;
pub(crate) mod quote;
mod selector;
pub mod span;
mod token;
pub(crate) mod visit;

#[cfg(test)]
mod tests;

pub(crate) use duration::resolve;
pub(crate) use json::to_json;
pub(crate) use parser::{parse, parse_selector};
pub(crate) use pretty::pretty;
