//! From label matchers to series numbers.
//!
//! [`labels`] is the inverted index, label pair to the numbers of the series that have it; the head changes one as
//! series come and go, a block loads one. [`resolve`] answers matchers from it. [`codec`] is the stored form.

pub mod codec;
pub mod labels;
pub mod resolve;

pub use labels::LabelIndex;
