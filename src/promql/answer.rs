//! From rows to the value that answers a query.
//!
//! **Cost**: rows are turned into series and dropped, some at a time, so that both are there of these alone.

use super::Error;
use super::exec::{self, Context, Row, merge_equal, without_name};
use super::memory::Ticket;
use super::plan::{Grid, Node, RangeSource};
use super::value::{MatrixSeries, Value, VectorSample};
use crate::model::{Labels, Samples};

/// Rows of which there are both, the row and the series.
const ROWS_AT_ONCE: usize = 64;

/// What a step of a row takes, in nanoseconds or so: a time and a value are written.
const STEP_COST: usize = 2;

/// What to run once the data is open.
pub(super) enum Plan {
    Scalar(Node),
    Vector(Node),
    Raw { source: RangeSource, range: i64 },
}

impl Plan {
    /// The topmost node, if there is one.
    pub(super) fn root(&self) -> Option<&Node> {
        match self {
            Self::Scalar(node) | Self::Vector(node) => Some(node),
            Self::Raw { source, .. } => source.input(),
        }
    }

    /// The value, as a matrix where the query `is_range`, and what it is counted by.
    pub(super) fn answer(
        &self,
        grid: Grid,
        is_range: bool,
        cx: &Context<'_>,
    ) -> Result<(Value, Ticket), Error> {
        match self {
            Self::Scalar(node) if is_range => {
                let (values, column) = exec::scalar(node, cx)?.into_parts();
                let ticket = cx.reserve(size_of::<MatrixSeries>() + values.len() * 16)?;
                drop(column);
                let timestamps = grid.times();
                let samples = Samples { timestamps, values, ..Samples::default() };
                Ok((Value::Matrix(vec![MatrixSeries { labels: Labels::empty(), samples }]), ticket))
            }
            Self::Scalar(node) => {
                let value = exec::scalar(node, cx)?.first().copied().unwrap_or(f64::NAN);
                Ok((Value::Scalar { timestamp: grid.start, value }, cx.reserve(0)?))
            }
            Self::Vector(node) => {
                let rows = finish_rows(exec::collect(exec::open(node, cx)?, cx)?, cx)?;
                if is_range { matrix(rows, grid, cx) } else { vector(rows, grid.start, cx) }
            }
            Self::Raw { source, range } => {
                let (series, ticket) = exec::raw_series(source, *range, cx)?;
                let mut out: Vec<MatrixSeries> = series
                    .into_iter()
                    .map(|(mut series, drop)| {
                        if drop {
                            series.labels = without_name(&series.labels);
                        }
                        series
                    })
                    .collect();
                out.sort_by(|a, b| a.labels.cmp(&b.labels));
                Ok((Value::Matrix(out), ticket))
            }
        }
    }
}

/// Drops the names that are still to go and joins what has become equal.
fn finish_rows(mut rows: Vec<Row>, cx: &Context<'_>) -> Result<Vec<Row>, Error> {
    if !cx.delayed_names {
        return Ok(rows);
    }
    for row in rows.iter_mut().filter(|row| row.drop_name) {
        row.labels = without_name(&row.labels);
    }
    merge_equal(rows, cx)
}

fn matrix(rows: Vec<Row>, grid: Grid, cx: &Context<'_>) -> Result<(Value, Ticket), Error> {
    let mut ticket = cx.reserve(0)?;
    let mut out = Vec::with_capacity(rows.len());
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let some: Vec<Row> = rows.by_ref().take(ROWS_AT_ONCE).collect();
        for row in &some {
            cx.work(row.values.len())?;
            let bytes = size_of::<MatrixSeries>() + row.labels.packed_len() + row.bytes_of_samples();
            cx.grow(&mut ticket, bytes)?;
        }
        out.extend(exec::map(some, STEP_COST * grid.count, |row| to_series(row, grid)));
    }
    Ok((Value::Matrix(out), ticket))
}

fn to_series(row: Row, grid: Grid) -> MatrixSeries {
    let samples = if row.present.is_full() && !row.may_have_histograms() {
        Samples { timestamps: grid.times(), values: row.values, ..Samples::default() }
    } else {
        let mut samples = Samples::new();
        let count = row.present.count();
        samples.timestamps.reserve_exact(count);
        samples.values.reserve_exact(count);
        row.write_samples(|at| grid.time(at), &mut samples);
        samples
    };
    MatrixSeries { labels: row.labels, samples }
}

fn vector(rows: Vec<Row>, timestamp: i64, cx: &Context<'_>) -> Result<(Value, Ticket), Error> {
    let mut ticket = cx.reserve(0)?;
    let mut out = Vec::new();
    for row in rows.into_iter().filter(|row| row.present.get(0)) {
        cx.work(1)?;
        let histogram = row.histogram(0).cloned();
        let sample = VectorSample { labels: row.labels, timestamp, value: row.values[0], histogram };
        cx.grow(&mut ticket, sample.bytes())?;
        out.push(sample);
    }
    Ok((Value::Vector(out), ticket))
}
