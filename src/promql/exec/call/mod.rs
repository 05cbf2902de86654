//! Functions over instant vectors.
//!
//! Read `map` (each value by itself) with `date`, then `label`, `sort`, `histogram`, `info`.

mod date;
mod histogram;
mod info;
mod label;
mod map;
mod sampling;
mod sort;

pub(crate) use histogram::HistogramOp;
pub(crate) use info::InfoOp;
pub(crate) use label::LabelOp;
pub(crate) use map::{MapOp, TimeOp};
pub(crate) use sampling::sample_offset;
pub(crate) use sort::sort_rows;
