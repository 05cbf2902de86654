//! From label matchers to series numbers.
//!
//! [`LabelSource`] is what the head's index and a block's have in common: label pair to the numbers of the series that
//! have it. [`resolve`] answers matchers from it. [`reader`] loads the stored form, `builder` makes it.

mod builder;
mod digest;
pub mod reader;
pub mod resolve;
mod rows;
mod version_1;

use std::borrow::Cow;
use std::ops::ControlFlow;

use roaring::RoaringBitmap;

/// Postings of one label pair, or of all series.
pub type Postings<'a> = Cow<'a, RoaringBitmap>;

/// Takes a label value and a way to its postings; breaks when it has seen enough.
pub type ValueVisitor<'a, 'v> = dyn FnMut(&str, &dyn Fn() -> Postings<'a>) -> ControlFlow<()> + 'v;

/// What matchers are resolved against: the head's index or a block's.
pub trait LabelSource {
    /// The numbers of all series.
    fn all(&self) -> Postings<'_>;

    /// The series that have label `name` with `value`; empty if there is none.
    fn postings(&self, name: &str, value: &str) -> Postings<'_>;

    /// Calls `visit` with each value of label `name` that starts with `prefix`, sorted, and a way to its postings,
    /// until it breaks.
    fn each_value<'a>(&'a self, name: &str, prefix: &str, visit: &mut ValueVisitor<'a, '_>);

    /// Calls `visit` with each label name, sorted.
    fn each_name(&self, visit: &mut dyn FnMut(&str));
}
