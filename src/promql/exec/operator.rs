//! What yields rows, a batch at a time.

use super::batch::{Batch, Row, without_name};
use super::context::Context;
use crate::promql::error::Error;

/// Something that hands on rows, a batch at a time.
pub(crate) trait Operator {
    /// The next rows, or nothing when there are no more. Batches may be empty.
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error>;
}

/// Rows that are there already, handed on at once.
pub(crate) struct Ready(Option<Batch>);

impl Ready {
    pub(crate) fn new(rows: Batch) -> Self {
        Self(Some(rows))
    }
}

impl Operator for Ready {
    fn next(&mut self, _cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        Ok(self.0.take())
    }
}

/// An operator over a plan that outlives it.
pub(crate) type Opened<'p> = Box<dyn Operator + 'p>;

/// All rows of `operator`.
pub(crate) fn collect(mut operator: Opened<'_>, cx: &Context<'_>) -> Result<Batch, Error> {
    let mut rows = Vec::new();
    while let Some(batch) = operator.next(cx)? {
        cx.check()?;
        rows.extend(batch);
    }
    Ok(rows)
}

/// Drops the name of a row, at once or at the end.
pub(crate) fn drop_name(row: &mut Row, cx: &Context<'_>) {
    if cx.delayed_names {
        row.drop_name = true;
    } else {
        row.labels = without_name(&row.labels);
    }
}
