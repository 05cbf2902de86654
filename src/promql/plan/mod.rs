//! From syntax tree to plan: every time resolved, every selector numbered.
//!
//! A plan knows, before any data is touched, which series it selects and which samples of them it reads.
//! Read `grid`, then `node`, then `build`; `share` finds what is computed once, `quiet`
//! what may be left out.

mod build;
mod describe;
mod grid;
mod node;
mod quiet;
mod reach;
mod select_set;
mod share;

pub(crate) use build::{Planner, QueryTimes, Wanted};
pub(crate) use grid::{EvalTimes, Grid};
pub(crate) use node::{
    Aggregation, Extension, HistogramFunc, LabelFunc, MapFunc, Node, NodeKind, RangeFunc, RangeSource,
    Reader, SampleField, SortFunc, SortOrder, VectorBinary,
};
pub(crate) use reach::reach;
pub(crate) use select_set::SelectSet;
pub(crate) use share::Shares;
