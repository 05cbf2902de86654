//! Plan to operators, and scalars to columns.

use super::batch::{Batch, ROW_WORK, Row};
use super::call::{HistogramOp, InfoOp, LabelOp, MapOp, TimeOp, sort_rows};
use super::operator::{Opened, Operator, Ready, collect};
use super::probe::{probed, probed_scalar};
use super::rollup::Rollup;
use super::scan::Scan;
use super::share::shared;
use super::{Column, Context, aggregate, binary, math};
use crate::model::Labels;
use crate::promql::error::Error;
use crate::promql::exec::merge::merge_equal;
use crate::promql::plan::{Aggregation, Grid, Node, NodeKind, RangeSource, SampleField};

/// All rows below `node`.
pub(crate) fn rows(node: &Node, cx: &Context<'_>) -> Result<Batch, Error> {
    collect(open(node, cx)?, cx)
}

/// The operator that yields the rows of `node`. Scalars below it are computed right away.
pub(crate) fn open<'p>(node: &'p Node, cx: &Context<'_>) -> Result<Opened<'p>, Error> {
    probed(node, cx, || shared(node, open_unwatched, cx))
}

/// As [`open`], of a node that is neither watched nor looked up among those computed before.
fn open_unwatched<'p>(node: &'p Node, cx: &Context<'_>) -> Result<Opened<'p>, Error> {
    let steps = node.grid.count;
    Ok(match &node.kind {
        NodeKind::Number(_)
        | NodeKind::Time
        | NodeKind::ScalarOf(_)
        | NodeKind::ScalarNegate(_)
        | NodeKind::ScalarBinary { .. }
        | NodeKind::ScalarPick { .. }
        | NodeKind::VectorOf(_) => {
            let column =
                if let NodeKind::VectorOf(inner) = &node.kind { scalar(inner, cx) } else { column(node, cx) };
            let mut row = cx.row(Labels::empty(), steps)?;
            for (at, value) in column?.iter().enumerate() {
                row.put(at, *value);
            }
            cx.hold(row.count())?;
            Box::new(Ready::new(vec![row]))
        }
        NodeKind::Repeat(inner) => {
            Box::new(Repeat { inner: cx.repeating(steps, || open(inner, cx))?, steps })
        }
        NodeKind::Select { shows: SampleField::StartSeconds, .. } if !cx.features.start_timestamps => {
            Box::new(Ready::new(Vec::new()))
        }
        NodeKind::Select { reader, lookback, shows, span, smoothed } => {
            let smoothed = smoothed.then_some(*span);
            let scan = Box::new(Scan::new(*reader, *lookback, *shows, smoothed));
            if *shows == SampleField::Value { scan } else { unique(scan, node, cx)? }
        }
        NodeKind::Empty(input) => {
            let rows = collect(open(input, cx)?, cx)?;
            cx.release(rows.iter().map(Row::count).sum());
            Box::new(Ready::new(Vec::new()))
        }
        NodeKind::Rollup { .. } => {
            let rollup = rollup(node, cx)?;
            // Outputs of window functions collide even when they never share a step.
            if cx.delayed_names || node.distinct || rollup.keeps_names() {
                Box::new(rollup)
            } else {
                let rows = collect(Box::new(rollup), cx)?;
                let _seen = cx.reserve(rows.len() * 2 * size_of::<Labels>())?;
                let mut seen = hashbrown::HashSet::with_capacity(rows.len());
                if !rows.iter().all(|row| seen.insert(row.labels.clone())) {
                    return Err(Error::DuplicateLabels);
                }
                Box::new(Ready::new(rows))
            }
        }
        NodeKind::Absent { input, labels } => {
            let may_end = input.is_quiet() && cx.may_end_early();
            Box::new(Ready::new(absent(open(input, cx)?, labels, steps, may_end, cx)?))
        }
        NodeKind::Map { func, input, params } => {
            let input = open(input, cx)?;
            let (columns, after) = cx.aside(|| columns(params, cx));
            let map = MapOp::new(*func, input, columns?, after);
            unique(Box::new(map), node, cx)?
        }
        NodeKind::EvaluationTime(input) => {
            unique(Box::new(TimeOp::new(open(input, cx)?, node.grid)), node, cx)?
        }
        NodeKind::Label { func, input } => {
            let rows = collect(Box::new(LabelOp::new(func, open(input, cx)?)), cx)?;
            Box::new(Ready::new(merge_equal(rows, cx)?))
        }
        NodeKind::Sort { func, input } => {
            let rows = collect(open(input, cx)?, cx)?;
            Box::new(Ready::new(sort_rows(func, rows, cx)?))
        }
        NodeKind::Histogram { func, input, params, span } => {
            let mut scalars = Vec::with_capacity(params.len());
            for (param, span) in params {
                scalars.push((scalar(param, cx)?, *span));
            }
            let input = collect(open(input, cx)?, cx)?;
            let op = HistogramOp { func, params: scalars, span: *span, grid: node.grid };
            let rows = op.run(&input, cx)?;
            Box::new(Ready::new(if cx.delayed_names && !cx.is_range { rows } else { merge_equal(rows, cx)? }))
        }
        NodeKind::Info { input, reader, lookback, names, data } => {
            let base = collect(open(input, cx)?, cx)?;
            let scan = Scan::new(*reader, *lookback, SampleField::Milliseconds, None);
            let info = collect(Box::new(scan), cx)?;
            let rows = InfoOp { names, data, steps }.run(&base, &info, cx)?;
            cx.release(info.iter().map(Row::count).sum());
            Box::new(Ready::new(rows))
        }
        NodeKind::Aggregate(aggregation) => {
            Box::new(Ready::new(aggregation_rows(aggregation, node.grid, cx)?))
        }
        NodeKind::VectorScalar { op, vector, scalar: side, scalar_left, return_bool, span } => {
            let input = open(vector, cx)?;
            let (scalar, record) = cx.aside(|| scalar(side, cx));
            // The vector is pulled later, but what is on the right is annotated last.
            let after = if *scalar_left {
                cx.note(&record, |span| span);
                None
            } else {
                Some(record)
            };
            let map = binary::VectorScalar {
                op: *op,
                input,
                scalar: scalar?,
                after,
                scalar_left: *scalar_left,
                return_bool: *return_bool,
                span: *span,
                annotations: binary::LastRemarks::default(),
                rows: 0,
            };
            let drops = op.changes_schema() || *return_bool;
            let map: Opened<'p> = Box::new(map);
            if drops { unique(map, node, cx)? } else { map }
        }
        NodeKind::VectorVector(op) => {
            let lhs = rows(&op.lhs, cx)?;
            let unread = lhs.is_empty() && op.needs_left() && op.rhs.is_quiet() && cx.may_end_early();
            let rhs = if unread { Vec::new() } else { rows(&op.rhs, cx)? };
            Box::new(Ready::new(binary::vectors(op, lhs, rhs, steps, cx)?))
        }
    })
}

/// The window function of `node`, with its input and parameters.
fn rollup<'p>(node: &'p Node, cx: &Context<'_>) -> Result<Rollup<'p>, Error> {
    let NodeKind::Rollup { source, range, params, .. } = &node.kind else {
        return Err(Error::Unsupported("this node as a window function".to_owned()));
    };
    let rows = match source {
        RangeSource::Subquery { inner: Some(inner), eval_times } => {
            Some(cx.windowing(inner.grid, *eval_times, *range, || open(inner, cx))?)
        }
        _ => None,
    };
    Rollup::new(node, rows, columns(params, cx)?)
}

fn aggregation_rows(aggregation: &Aggregation, grid: Grid, cx: &Context<'_>) -> Result<Batch, Error> {
    let param = match &aggregation.param {
        Some(node) => scalar(node, cx)?,
        None => Column::new(cx, 0, |_| 0.0)?,
    };
    aggregate::run(aggregation, &param, open(&aggregation.input, cx)?, grid, cx)
}

/// Passes rows on when their labels are surely distinct, else joins equal ones.
fn unique<'p>(operator: Opened<'p>, node: &Node, cx: &Context<'_>) -> Result<Opened<'p>, Error> {
    // With delayed removal the names are still there; the end of the query does the joining.
    if node.distinct || cx.delayed_names {
        return Ok(operator);
    }
    Ok(Box::new(Ready::new(merge_equal(collect(operator, cx)?, cx)?)))
}

/// The columns of several scalars.
pub(crate) fn columns(nodes: &[Node], cx: &Context<'_>) -> Result<Vec<Column>, Error> {
    nodes.iter().map(|node| scalar(node, cx)).collect()
}

/// The number of each step.
pub(crate) fn scalar(node: &Node, cx: &Context<'_>) -> Result<Column, Error> {
    probed_scalar(node, cx, || column(node, cx))
}

fn column(node: &Node, cx: &Context<'_>) -> Result<Column, Error> {
    let steps = node.grid.count;
    let pairs = |lhs: &Node, rhs: &Node, of: &dyn Fn(f64, f64) -> f64| {
        let (lhs, rhs) = (scalar(lhs, cx)?, scalar(rhs, cx)?);
        cx.work(steps)?;
        Ok(lhs.map(|at, value| of(value, rhs[at])))
    };
    match &node.kind {
        NodeKind::Number(value) => Column::new(cx, steps, |_| *value),
        NodeKind::Time => Column::new(cx, steps, |at| node.grid.time(at) as f64 / 1000.0),
        NodeKind::Repeat(inner) => {
            let value = cx.repeating(steps, || scalar(inner, cx))?.first().copied().unwrap_or(f64::NAN);
            Column::new(cx, steps, |_| value)
        }
        NodeKind::ScalarNegate(inner) => Ok(scalar(inner, cx)?.map(|_, value| -value)),
        NodeKind::ScalarBinary { op, lhs, rhs } => pairs(lhs, rhs, &|a, b| math::scalar(*op, a, b)),
        NodeKind::ScalarPick { max: true, lhs, rhs } => pairs(lhs, rhs, &math::max_of),
        NodeKind::ScalarPick { max: false, lhs, rhs } => pairs(lhs, rhs, &math::min_of),
        NodeKind::ScalarOf(inner) => scalar_of(open(inner, cx)?, steps, cx),
        _ => Err(Error::Unsupported("a vector in place of a scalar".to_owned())),
    }
}

/// The value of the only element of each step, NaN where there are none or several.
fn scalar_of(mut input: Opened<'_>, steps: usize, cx: &Context<'_>) -> Result<Column, Error> {
    let mut out = Column::new(cx, steps, |_| f64::NAN)?;
    let mut seen = super::batch::Presence::none(steps);
    while let Some(batch) = input.next(cx)? {
        for mut row in batch {
            cx.work(steps)?;
            let held = row.count();
            row.drop_histograms();
            for at in row.present.iter() {
                out.set(at, if seen.set(at) { row.values[at] } else { f64::NAN });
            }
            cx.release(held);
        }
    }
    Ok(out)
}

fn absent(
    mut input: Opened<'_>,
    labels: &Labels,
    steps: usize,
    may_end: bool,
    cx: &Context<'_>,
) -> Result<Batch, Error> {
    let mut seen = super::batch::Presence::none(steps);
    while let Some(batch) = input.next(cx)? {
        for row in batch {
            cx.work(ROW_WORK)?;
            seen.union(&row.present);
            cx.release(row.count());
        }
        if may_end && seen.is_full() {
            return Ok(Vec::new());
        }
    }
    let mut row = cx.row(labels.clone(), steps)?;
    for at in (0..steps).filter(|at| !seen.get(*at)) {
        row.put(at, 1.0);
    }
    cx.hold(row.count())?;
    Ok(if row.is_empty() { Vec::new() } else { vec![row] })
}

/// Rows of one step, shown at every step.
struct Repeat<'p> {
    inner: Opened<'p>,
    steps: usize,
}

impl Operator for Repeat<'_> {
    fn next(&mut self, cx: &Context<'_>) -> Result<Option<Batch>, Error> {
        let Some(mut batch) = cx.repeating(self.steps, || self.inner.next(cx))? else { return Ok(None) };
        for row in &mut batch {
            if !row.present.get(0) {
                continue;
            }
            cx.hold(row.count() * (self.steps - 1))?;
            // One histogram is there, however often it is shown.
            let of_histograms = if row.may_have_histograms() { self.steps * 8 } else { 0 };
            let memory = cx.reserve(Row::bytes_of(&row.labels, self.steps) + of_histograms)?;
            cx.work(self.steps)?;
            if let Some(histogram) = row.histogram(0).cloned() {
                row.histograms = vec![Some(histogram); self.steps];
            } else {
                row.histograms = Vec::new();
            }
            row.values = vec![row.values[0]; self.steps];
            row.present = super::batch::Presence::all(self.steps);
            row.memory = memory;
        }
        Ok(Some(batch))
    }
}
