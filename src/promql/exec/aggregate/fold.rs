//! Aggregations that need one pass: the members are forgotten as soon as they are added.

use super::histograms::HistogramColumn;
use super::{Groups, inherits_drop};
use crate::model::Labels;
use crate::promql::annotations::Annotation;
use crate::promql::error::Error;
use crate::promql::exec::Context;
use crate::promql::exec::batch::{Batch, Presence, Row};
use crate::promql::exec::math::{Mean, Sum};
use crate::promql::exec::operator::Opened;
use crate::promql::memory::Ticket;
use crate::promql::plan::Aggregation;
use crate::promql::syntax::ast::AggregateOp;

/// Running values of one group, a column per step.
enum Columns {
    Sum(Vec<Sum>),
    Mean(Vec<Mean>),
    /// `min`, `max`, `count` and `group` need one number.
    Plain(Vec<f64>),
    Variance(Vec<Variance>),
}

/// Welford's running variance. Infinite or NaN first members make it NaN.
#[derive(Clone, Copy, Default)]
struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

struct Group {
    /// What it takes.
    memory: Ticket,
    labels: Labels,
    drop_name: bool,
    /// Steps with floats, or with anything where that does not matter.
    present: Presence,
    columns: Columns,
    histograms: HistogramColumn,
}

/// Folds all rows of `input`.
pub(super) fn run(
    aggregation: &Aggregation,
    mut groups: Groups<'_>,
    mut input: Opened<'_>,
    steps: usize,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    let (op, span) = (aggregation.op, aggregation.input_span);
    let mut folded: Vec<Group> = Vec::new();
    while let Some(batch) = input.next(cx)? {
        cx.check()?;
        for mut row in batch {
            cx.work(row.values.len())?;
            let held = row.count();
            let (at, labels) = groups.find(&row.labels);
            if at == folded.len() {
                cx.hold(steps)?;
                let per_step = Columns::bytes_per_step(op) * steps + steps / 8;
                let memory = cx.reserve(per_step + size_of::<Group>() + 2 * labels.packed_len())?;
                let columns = Columns::new(op, steps);
                let histograms = HistogramColumn::default();
                let present = Presence::none(steps);
                folded.push(Group { memory, labels, drop_name: false, present, columns, histograms });
            }
            let group = &mut folded[at];
            group.drop_name |= inherits_drop(&group.labels, row.drop_name);
            if row.may_have_histograms() {
                match op {
                    AggregateOp::Sum | AggregateOp::Avg => {
                        let mean = op == AggregateOp::Avg;
                        group.histograms.add(&row, mean, &group.present, span, cx)?;
                        row.drop_histograms();
                    }
                    AggregateOp::Count | AggregateOp::Group => {}
                    _ => {
                        if row.drop_histograms() {
                            cx.annotate(Annotation::IgnoredInAggregation(op.as_str()), span);
                        }
                    }
                }
            }
            group.columns.add(op, &row, &mut group.present);
            cx.release(held);
        }
    }
    let held = folded.len() * steps;
    let mut rows: Batch = Vec::with_capacity(folded.len());
    for group in folded {
        cx.work(steps)?;
        let memory = cx.reserve(Row::bytes_of(&group.labels, steps))?;
        let mut row = Row {
            labels: group.labels,
            drop_name: group.drop_name,
            values: group.columns.finish(op),
            present: group.present,
            histograms: Vec::new(),
            memory,
        };
        drop(group.memory);
        group.histograms.finish(&mut row, span, cx)?;
        if !row.is_empty() {
            rows.push(row);
        }
    }
    cx.release(held);
    cx.hold(rows.iter().map(Row::count).sum())?;
    Ok(rows)
}

impl Columns {
    fn new(op: AggregateOp, steps: usize) -> Self {
        match op {
            AggregateOp::Sum => Self::Sum(vec![Sum::default(); steps]),
            AggregateOp::Avg => Self::Mean(vec![Mean::default(); steps]),
            AggregateOp::Stddev | AggregateOp::Stdvar => Self::Variance(vec![Variance::default(); steps]),
            _ => Self::Plain(vec![0.0; steps]),
        }
    }

    fn bytes_per_step(op: AggregateOp) -> usize {
        match op {
            AggregateOp::Sum => size_of::<Sum>(),
            AggregateOp::Avg => size_of::<Mean>(),
            AggregateOp::Stddev | AggregateOp::Stdvar => size_of::<Variance>(),
            _ => size_of::<f64>(),
        }
    }

    fn add(&mut self, op: AggregateOp, row: &Row, present: &mut Presence) {
        let values = row.present.iter().map(|at| (at, row.values[at]));
        match self {
            Self::Sum(sums) => {
                for (at, value) in values {
                    sums[at] = if present.set(at) { Sum::of(value) } else { sums[at].plus(value) };
                }
            }
            Self::Mean(means) => {
                for (at, value) in values {
                    if present.set(at) {
                        means[at] = Mean::of(value);
                    } else {
                        means[at].add(value);
                    }
                }
            }
            Self::Variance(variances) => {
                for (at, value) in values {
                    variances[at].add(value, present.set(at));
                }
            }
            Self::Plain(plain) => {
                for (at, value) in values {
                    let first = present.set(at);
                    let old = plain[at];
                    plain[at] = match op {
                        AggregateOp::Group => 1.0,
                        AggregateOp::Count => old + 1.0,
                        _ if first || old.is_nan() => value,
                        AggregateOp::Min if old > value => value,
                        AggregateOp::Max if old < value => value,
                        _ => old,
                    };
                }
            }
        }
    }

    fn finish(self, op: AggregateOp) -> Vec<f64> {
        match self {
            Self::Plain(values) => values,
            Self::Sum(sums) => sums.into_iter().map(Sum::total).collect(),
            Self::Mean(means) => means.iter().map(Mean::result).collect(),
            Self::Variance(variances) => variances
                .into_iter()
                .map(|v| {
                    let variance = v.squares / v.count;
                    if op == AggregateOp::Stddev { variance.sqrt() } else { variance }
                })
                .collect(),
        }
    }
}

impl Variance {
    fn add(&mut self, value: f64, first: bool) {
        if first {
            *self = Self { count: 1.0, mean: value, squares: if value.is_finite() { 0.0 } else { f64::NAN } };
            return;
        }
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }
}
