//! Syntax tree to plan.
//!
//! Parts that have the same value at every step are planned for one step and repeated. Which parts those are
//! follows from the `@` modifier: it fixes what a selector looks at.

use super::grid::{EvalTimes, Grid};
use super::node::{
    Aggregation, Extension, HistogramFunc, LabelFunc, MapFunc, Node, NodeKind, RangeFunc, RangeSource,
    Reader, SampleField, SortFunc, SortOrder, VectorBinary,
};
use super::select_set::SelectSet;
use crate::model::{Anchored, Labels, LabelsBuf, METRIC_NAME, MatchOp, Matcher, RegexBudget};
use crate::promql::error::Error;
use crate::promql::syntax::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, Expr, ExprKind, Length, Span, Subquery,
    ValueType, VectorSelector,
};
use crate::promql::syntax::quote::{has_raw_bytes, lossy, quote};
use crate::promql::syntax::resolve;
use crate::promql::syntax::visit::children;
use crate::storage::{Fields, Need, SelectRequest, Watch};
use std::collections::BTreeMap;

/// The times of the whole query, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryTimes {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Zero for instant queries.
    pub(crate) step: i64,
}

impl QueryTimes {
    /// Whether it is one moment: an instant query, or a range that ends where it starts.
    pub(crate) fn is_moment(self) -> bool {
        self.start == self.end
    }
}

/// Builds one plan.
#[derive(Debug)]
pub(crate) struct Planner {
    pub(crate) times: QueryTimes,
    pub(crate) lookback: i64,
    pub(crate) default_step: i64,
    /// Most columns a row may have.
    pub(crate) max_steps: usize,
    pub(crate) selects: SelectSet,
    pub(crate) wanted: Wanted,
    /// What regular expressions outside of selectors may still take.
    pub(crate) patterns: RegexBudget,
    /// Whether what is planned is evaluated at one moment, which need not be the only one of the query.
    pub(crate) single: bool,
}

/// What of native histograms the expressions around a selector want.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    totals: bool,
    buckets: bool,
}

impl Wanted {
    /// What is wanted inside of `expr`.
    fn inside(mut self, expr: &Expr) -> Self {
        match &expr.kind {
            ExprKind::Call(call) => match call.function.name {
                "histogram_count" | "histogram_sum" | "histogram_avg" => self.totals = true,
                "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => self.buckets = true,
                _ => {}
            },
            ExprKind::Binary(binary) => {
                self.buckets |= matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
            }
            // Steps in between make resets invisible without buckets.
            ExprKind::Subquery(_) => self.buckets = true,
            _ => {}
        }
        self
    }
}

type Planned<T> = Result<T, Error>;

fn unsupported<T>(what: impl Into<String>) -> Planned<T> {
    Err(Error::Unsupported(what.into()))
}

impl Planner {
    /// The plan of `expr`, which yields a scalar or an instant vector, over `grid`.
    pub(crate) fn build(&mut self, expr: &Expr, grid: Grid) -> Planned<Node> {
        self.build_for(expr, grid, true)
    }

    /// As [`Planner::build`], where it matters which elements there are, but not what values they have.
    fn presence(&mut self, expr: &Expr, grid: Grid) -> Planned<Node> {
        self.build_for(expr, grid, false)
    }

    fn build_for(&mut self, expr: &Expr, grid: Grid, values: bool) -> Planned<Node> {
        let expr = expr.unwrap_parens();
        if grid.count > self.max_steps {
            return Err(Error::TooManySamples);
        }
        let repeats = grid.count > 1
            && !matches!(expr.kind, ExprKind::Number { .. } | ExprKind::String(_))
            && invariant(expr);
        if repeats {
            let inner = self.within(true, |planner| planner.plain(expr, grid.first_only(), values))?;
            let distinct = inner.distinct;
            return Ok(Node { kind: NodeKind::Repeat(Box::new(inner)), grid, distinct });
        }
        self.plain(expr, grid, values)
    }

    /// Plans what is evaluated at a `single` moment, or at several, unlike what is around it.
    fn within<T>(&mut self, single: bool, plan: impl FnOnce(&mut Self) -> T) -> T {
        let outside = std::mem::replace(&mut self.single, single);
        let planned = plan(self);
        self.single = outside;
        planned
    }

    fn boxed(&mut self, expr: &Expr, grid: Grid) -> Planned<Box<Node>> {
        self.build(expr, grid).map(Box::new)
    }

    fn plain(&mut self, expr: &Expr, grid: Grid, values: bool) -> Planned<Node> {
        let outside = self.wanted;
        self.wanted = outside.inside(expr);
        let node = self.of_kind(expr, grid, values);
        self.wanted = outside;
        node
    }

    fn of_kind(&mut self, expr: &Expr, grid: Grid, values: bool) -> Planned<Node> {
        let node = |kind| Ok(Node { kind, grid, distinct: false });
        match &expr.kind {
            ExprKind::Number { value, .. } => node(NodeKind::Number(*value)),
            ExprKind::String(_) => unsupported("a string inside an expression"),
            ExprKind::Paren(inner) => self.build(inner, grid),
            ExprKind::Unary { negate: false, expr } => self.build(expr, grid),
            ExprKind::Unary { expr: inner, .. } => {
                let input = self.boxed(inner, grid)?;
                if inner.value_type() == ValueType::Scalar {
                    return node(NodeKind::ScalarNegate(input));
                }
                let distinct = input.distinct;
                let kind = NodeKind::Map { func: MapFunc::Negate, input, params: Vec::new() };
                Ok(Node { kind, grid, distinct })
            }
            ExprKind::Binary(binary) => self.binary(binary, expr, grid, values),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, expr.span, grid),
            ExprKind::Call(call) => self.call(call, expr, grid),
            ExprKind::Vector(selector) => self.select(selector, grid, SampleField::Value, expr.span, values),
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => {
                unsupported("a range vector outside of a function")
            }
        }
    }

    fn length(&self, length: &Length, negative_allowed: bool) -> Planned<i64> {
        let range = self.times.end.saturating_sub(self.times.start);
        resolve(length, self.times.step, range, negative_allowed)
    }

    /// Where a selector or subquery with these modifiers looks.
    pub(crate) fn eval_times(&self, at: Option<At>, offset: &Length, grid: Grid) -> Planned<EvalTimes> {
        let at = at.map(|at| match at {
            At::Timestamp(ms) => ms,
            At::Start => self.times.start,
            At::End => self.times.end,
        });
        Ok(EvalTimes { grid, at, offset: self.length(offset, true)? })
    }

    fn select(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        shows: SampleField,
        span: Span,
        values: bool,
    ) -> Planned<Node> {
        // An anchor has no meaning at a single moment and is ignored there.
        let smoothed = selector.smoothed && shows == SampleField::Value;
        let eval_times = self.eval_times(selector.at, &selector.offset, grid)?;
        let lookback = self.lookback;
        let (after, need) = if smoothed { (lookback, Need::Samples) } else { (0, eval_times.need()) };
        let fields = Fields { values, starts: shows == SampleField::StartSeconds };
        let reader = self.reader(&selector.matchers, eval_times, (lookback, after), (need, fields));
        let kind = NodeKind::Select { reader, lookback, shows, span, smoothed };
        Ok(Node { kind, grid, distinct: one_name(&selector.matchers) })
    }

    fn reader(
        &mut self,
        matchers: &[Matcher],
        eval_times: EvalTimes,
        (before, after): (i64, i64),
        (need, fields): (Need, Fields),
    ) -> Reader {
        let mut range = eval_times.covered(before);
        range.end = range.end.saturating_add(after);
        let select = self.selects.add(SelectRequest { matchers, range, need, fields, watch: Watch::NONE });
        let totals_only = self.wanted.totals && !self.wanted.buckets;
        Reader { select, eval_times, range, totals_only }
    }

    /// The windows of a range selector or subquery: their source, their length, and whether names can be dropped.
    /// Without values in `fields` only the number of samples matters.
    pub(crate) fn windows(
        &mut self,
        expr: &Expr,
        grid: Grid,
        fields: Fields,
    ) -> Planned<(RangeSource, i64, bool)> {
        match &expr.kind {
            ExprKind::Matrix(matrix) => {
                let selector = &matrix.selector;
                let lookback = self.lookback;
                let extension = match (selector.anchored, selector.smoothed) {
                    (true, _) => Extension::Anchored { lookback },
                    (_, true) => Extension::Smoothed { lookback },
                    _ => Extension::None,
                };
                let range = self.length(&matrix.range, false)?;
                let eval_times = self.eval_times(selector.at, &selector.offset, grid)?;
                let before = range.saturating_add(extension.before());
                let around = (before, extension.after());
                let reader = self.reader(&selector.matchers, eval_times, around, (Need::Samples, fields));
                Ok((RangeSource::Select(reader, extension), range, one_name(&selector.matchers)))
            }
            ExprKind::Subquery(subquery) => {
                let range = self.length(&subquery.range, false)?;
                let eval_times = self.eval_times(subquery.at, &subquery.offset, grid)?;
                let grid = self.subquery_grid(subquery, eval_times, range)?;
                let outside = self.wanted;
                self.wanted = outside.inside(expr);
                let inner = grid.map(|grid| {
                    let single = grid.start == eval_times.covered(range).end;
                    self.within(single, |planner| planner.boxed(&subquery.expr, grid))
                });
                let inner = inner.transpose()?;
                self.wanted = outside;
                let distinct = inner.as_ref().is_some_and(|node| node.distinct);
                Ok((RangeSource::Subquery { inner, eval_times }, range, distinct))
            }
            _ => unsupported("this range vector"),
        }
    }

    /// Absolute multiples of the step inside the windows.
    fn subquery_grid(&self, subquery: &Subquery, eval_times: EvalTimes, range: i64) -> Planned<Option<Grid>> {
        let step = match &subquery.step {
            Some(step) => self.length(step, false)?,
            None => self.default_step,
        };
        let step = step.max(1);
        let covered = eval_times.covered(range);
        let after = covered.start.saturating_sub(1);
        let start = after.div_euclid(step).saturating_add(1).saturating_mul(step);
        let grid = Grid::spanning(start, covered.end, step);
        match grid {
            Some(grid) if grid.count > self.max_steps => Err(Error::TooManySamples),
            grid => Ok(grid),
        }
    }

    fn binary(&mut self, binary: &Binary, expr: &Expr, grid: Grid, values: bool) -> Planned<Node> {
        let Binary { op, lhs, rhs, return_bool, matching } = binary;
        let (op, return_bool) = (*op, *return_bool);
        let kinds = (lhs.value_type(), rhs.value_type());
        let (left_values, right_values) = match op {
            BinaryOp::And | BinaryOp::Unless => (values, false),
            BinaryOp::Or => (values, values),
            _ => (true, true),
        };
        let left = self.build_for(lhs, grid, left_values)?;
        let right = self.build_for(rhs, grid, right_values)?;
        let mut distinct = false;
        let kind = match kinds {
            (ValueType::Scalar, ValueType::Scalar)
                if matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower) =>
            {
                let op = quote(op.as_str());
                return Err(Error::Execution(format!("operator {op} not allowed for Scalar operations")));
            }
            (ValueType::Scalar, ValueType::Scalar) => {
                NodeKind::ScalarBinary { op, lhs: Box::new(left), rhs: Box::new(right) }
            }
            (ValueType::Vector, ValueType::Vector) => {
                distinct = op.changes_schema() && matching.card == Cardinality::OneToOne;
                NodeKind::VectorVector(Box::new(VectorBinary {
                    op,
                    lhs: left,
                    rhs: right,
                    return_bool,
                    matching: matching.clone(),
                    span: expr.span,
                }))
            }
            (left_kind, _) => {
                let scalar_left = left_kind == ValueType::Scalar;
                let (scalar, vector) = if scalar_left { (left, right) } else { (right, left) };
                distinct = vector.distinct;
                NodeKind::VectorScalar {
                    op,
                    vector: Box::new(vector),
                    scalar: Box::new(scalar),
                    scalar_left,
                    return_bool,
                    span: expr.span,
                }
            }
        };
        Ok(Node { kind, grid, distinct })
    }

    fn aggregate(&mut self, aggregate: &Aggregate, span: Span, grid: Grid) -> Planned<Node> {
        let mut grouping = aggregate.grouping.clone();
        let mut label = String::new();
        let mut param = None;
        if let Some(expr) = &aggregate.param {
            let expr = expr.unwrap_parens();
            if let ExprKind::String(text) = &expr.kind {
                if !is_label_name(text) {
                    return Err(Error::Execution(format!("invalid label name {}", quote(text))));
                }
                label.clone_from(text);
                if !aggregate.without {
                    grouping.push(label.clone());
                }
            } else {
                param = Some(self.build(expr, grid)?);
            }
        }
        grouping.sort_unstable();
        grouping.dedup();
        let ranks = matches!(
            aggregate.op,
            AggregateOp::TopK | AggregateOp::BottomK | AggregateOp::LimitK | AggregateOp::LimitRatio
        );
        let counts = matches!(aggregate.op, AggregateOp::Count | AggregateOp::Group);
        let input = self.build_for(&aggregate.expr, grid, !counts)?;
        let named = !aggregate.without && grouping.iter().any(|g| g == METRIC_NAME);
        let distinct = if ranks { input.distinct } else { !named };
        let kind = NodeKind::Aggregate(Box::new(Aggregation {
            op: aggregate.op,
            input,
            param,
            label,
            grouping,
            without: aggregate.without,
            param_span: aggregate.param.as_ref().map(|p| p.unwrap_parens().span).unwrap_or_default(),
            input_span: aggregate.expr.unwrap_parens().span,
            span,
        }));
        Ok(Node { kind, grid, distinct })
    }

    fn call(&mut self, call: &Call, expr: &Expr, grid: Grid) -> Planned<Node> {
        let name = call.function.name;
        let arg = |at: usize| call.args.get(at).map_or(expr, Expr::unwrap_parens);
        let node = |kind| Ok(Node { kind, grid, distinct: false });
        let seconds = |ms: i64| NodeKind::Number(ms as f64 / 1000.0);
        match name {
            "time" => return node(NodeKind::Time),
            "pi" => return node(NodeKind::Number(std::f64::consts::PI)),
            "start" => return node(seconds(self.times.start)),
            "end" => return node(seconds(self.times.end)),
            // As in Prometheus a single moment has none, though lengths of time take it as it was asked for.
            "step" if self.times.is_moment() => return node(seconds(0)),
            "step" => return node(seconds(self.times.step)),
            "range" => return node(seconds(self.times.end.saturating_sub(self.times.start))),
            "scalar" => return node(NodeKind::ScalarOf(self.boxed(arg(0), grid)?)),
            "vector" => {
                let kind = NodeKind::VectorOf(self.boxed(arg(0), grid)?);
                return Ok(Node { kind, grid, distinct: true });
            }
            "min_of" | "max_of" => {
                let (lhs, rhs) = (self.boxed(arg(0), grid)?, self.boxed(arg(1), grid)?);
                return node(NodeKind::ScalarPick { max: name == "max_of", lhs, rhs });
            }
            "absent" | "absent_over_time" => return self.absent(name, arg(0), expr, grid),
            "timestamp" | "start_timestamp" => {
                let shows =
                    if name == "timestamp" { SampleField::Seconds } else { SampleField::StartSeconds };
                if let ExprKind::Vector(selector) = &arg(0).kind {
                    return self.select(selector, grid, shows, arg(0).span, false);
                }
                if shows == SampleField::StartSeconds {
                    // What is computed did not begin at any time.
                    let input = self.boxed(arg(0), grid)?;
                    return node(NodeKind::Empty(input));
                }
                let input = self.boxed(arg(0), grid)?;
                let distinct = input.distinct;
                return Ok(Node { kind: NodeKind::EvaluationTime(input), grid, distinct });
            }
            "label_replace" | "label_join" => return self.label(call, grid),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
                return self.sort(call, expr, grid);
            }
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => {
                return self.histogram(call, grid);
            }
            "info" => return self.info(call, grid),
            _ => {}
        }
        if let Some(func) = range_function(name) {
            return self.rollup(func, call, expr, grid);
        }
        if let Some(func) = map_function(name) {
            let Some(input) = call.args.first() else {
                // The date functions look at the evaluation time by default.
                let time = Box::new(Node { kind: NodeKind::Time, grid, distinct: false });
                let input = Node { kind: NodeKind::VectorOf(time), grid, distinct: true };
                let kind = NodeKind::Map { func, input: Box::new(input), params: Vec::new() };
                return Ok(Node { kind, grid, distinct: true });
            };
            let input = self.boxed(input, grid)?;
            let distinct = input.distinct;
            let params = call.args.iter().skip(1).map(|p| self.build(p, grid)).collect::<Result<_, _>>()?;
            return Ok(Node { kind: NodeKind::Map { func, input, params }, grid, distinct });
        }
        unsupported(format!("{name}()"))
    }

    fn absent(&mut self, name: &str, arg: &Expr, expr: &Expr, grid: Grid) -> Planned<Node> {
        let matchers: &[Matcher] = match &arg.kind {
            ExprKind::Vector(selector) => &selector.matchers,
            ExprKind::Matrix(matrix) => &matrix.selector.matchers,
            _ => &[],
        };
        let input = if name == "absent" {
            self.presence(arg, grid)?
        } else {
            if let ExprKind::Matrix(matrix) = &arg.kind {
                check_extended(&matrix.selector, name)?;
            }
            let (source, range, distinct) = self.windows(arg, grid, Fields::TIMES)?;
            let kind = NodeKind::Rollup {
                // Keeps the names: how many series there are does not matter here, so none can collide.
                func: RangeFunc::Last,
                source,
                range,
                params: Vec::new(),
                span: expr.span,
                first_span: arg.span,
            };
            Node { kind, grid, distinct }
        };
        let kind = NodeKind::Absent { input: Box::new(input), labels: absent_labels(matchers) };
        Ok(Node { kind, grid, distinct: true })
    }

    fn info(&mut self, call: &Call, grid: Grid) -> Planned<Node> {
        let input = self.boxed(&call.args[0], grid)?;
        let matchers: &[Matcher] = match call.args.get(1).map(|arg| &arg.unwrap_parens().kind) {
            Some(ExprKind::Vector(selector)) => &selector.matchers,
            _ => &[],
        };
        let (names, data): (Vec<Matcher>, Vec<Matcher>) =
            matchers.iter().cloned().partition(|m| m.name() == METRIC_NAME);
        let names = info_names(names)?;
        let (at, offset) = self.first_moment(&call.args[0])?.unwrap_or((None, 0));
        let lookback = self.lookback;
        let mut all = data.clone();
        all.extend(names.iter().cloned());
        let eval_times = EvalTimes { grid, at, offset };
        let need = (eval_times.need(), Fields::VALUES);
        let reader = self.reader(&all, eval_times, (lookback, 0), need);
        Ok(Node { kind: NodeKind::Info { input, reader, lookback, names, data }, grid, distinct: false })
    }

    /// Where the first selector of `expr` looks: a fixed time, if any, and the offsets up to it.
    fn first_moment(&self, expr: &Expr) -> Planned<Option<(Option<i64>, i64)>> {
        let grid = Grid::instant(0);
        let of = |at, offset: &Length| self.eval_times(at, offset, grid).map(|m| (m.at, m.offset));
        Ok(match &expr.kind {
            ExprKind::Vector(selector) => Some(of(selector.at, &selector.offset)?),
            ExprKind::Matrix(matrix) => Some(of(matrix.selector.at, &matrix.selector.offset)?),
            ExprKind::Subquery(subquery) => match self.first_moment(&subquery.expr)? {
                // A subquery shifts what is inside, unless that is fixed already.
                Some((None, inner)) => {
                    let (at, offset) = of(subquery.at, &subquery.offset)?;
                    Some((at, inner.saturating_add(offset)))
                }
                found => found,
            },
            _ => {
                for child in children(expr) {
                    if let Some(found) = self.first_moment(child)? {
                        return Ok(Some(found));
                    }
                }
                None
            }
        })
    }

    fn rollup(&mut self, func: RangeFunc, call: &Call, expr: &Expr, grid: Grid) -> Planned<Node> {
        let mut params = Vec::new();
        let mut source = None;
        let mut first_span = call.args.first().map_or(expr.span, |a| a.unwrap_parens().span);
        for arg in &call.args {
            let arg = arg.unwrap_parens();
            if arg.value_type() != ValueType::Matrix {
                params.push(self.build(arg, grid)?);
                continue;
            }
            if let ExprKind::Matrix(matrix) = &arg.kind {
                check_extended(&matrix.selector, call.function.name)?;
            }
            // As in Prometheus, annotations about a subquery point at the start of the query.
            let is_subquery = matches!(arg.kind, ExprKind::Subquery(_));
            let span = if is_subquery { Span::default() } else { arg.span };
            if is_subquery && params.is_empty() {
                first_span = span;
            }
            let counts = matches!(func, RangeFunc::Count | RangeFunc::Present);
            let fields = Fields { values: !counts, starts: func.looks_for_resets() };
            source = Some((self.windows(arg, grid, fields)?, span));
        }
        let Some(((source, range, distinct), span)) = source else {
            return unsupported(format!("{}() without a range vector", call.function.name));
        };
        let kind = NodeKind::Rollup { func, source, range, params, span, first_span };
        Ok(Node { kind, grid, distinct })
    }

    fn label(&mut self, call: &Call, grid: Grid) -> Planned<Node> {
        let name = call.function.name;
        let texts = strings(&call.args[1..])?;
        let wrong = |what: &str, value: &str| {
            Err(Error::Execution(format!("invalid {what} in {name}(): {}", lossy(value))))
        };
        let func = match (name, texts.as_slice()) {
            ("label_replace", [dst, replacement, src, regex]) => {
                let Ok(regex) = Anchored::within(&lossy(regex), &mut self.patterns) else {
                    return wrong("regular expression", regex);
                };
                LabelFunc::Replace {
                    dst: dst.clone(),
                    replacement: lossy(replacement).into_owned(),
                    src: lossy(src).into_owned(),
                    regex,
                }
            }
            (_, [dst, separator, src @ ..]) => {
                if let Some(bad) = src.iter().find(|name| !is_label_name(name)) {
                    return wrong("source label name", bad);
                }
                LabelFunc::Join {
                    dst: dst.clone(),
                    separator: lossy(separator).into_owned(),
                    src: src.to_vec(),
                }
            }
            _ => return unsupported(format!("{name}() with these arguments")),
        };
        let (LabelFunc::Replace { dst, .. } | LabelFunc::Join { dst, .. }) = &func;
        if !is_label_name(dst) {
            return wrong("destination label name", dst);
        }
        let input = self.boxed(&call.args[0], grid)?;
        Ok(Node { kind: NodeKind::Label { func, input }, grid, distinct: false })
    }

    fn sort(&mut self, call: &Call, expr: &Expr, grid: Grid) -> Planned<Node> {
        let name = call.function.name;
        let descending = name.ends_with("_desc");
        let order = if name.starts_with("sort_by_label") {
            SortOrder::ByLabels(strings(&call.args[1..])?)
        } else {
            SortOrder::ByValue
        };
        let func = SortFunc { order, descending, in_range: !self.single, span: expr.span };
        let input = self.boxed(&call.args[0], grid)?;
        let distinct = input.distinct;
        Ok(Node { kind: NodeKind::Sort { func, input }, grid, distinct })
    }

    fn histogram(&mut self, call: &Call, grid: Grid) -> Planned<Node> {
        let (func, vector, scalars) = match call.function.name {
            "histogram_quantile" => (HistogramFunc::Quantile, &call.args[1], &call.args[..1]),
            "histogram_fraction" => (HistogramFunc::Fraction, &call.args[2], &call.args[..2]),
            _ => {
                let label = strings(&call.args[1..2])?.pop().unwrap_or_default();
                let label = lossy(&label).into_owned();
                (HistogramFunc::Quantiles { label }, &call.args[0], &call.args[2..])
            }
        };
        let params = scalars
            .iter()
            .map(|s| Ok((self.build(s, grid)?, s.unwrap_parens().span)))
            .collect::<Planned<Vec<_>>>()?;
        let input = self.boxed(vector, grid)?;
        let kind = NodeKind::Histogram { func, input, params, span: vector.unwrap_parens().span };
        Ok(Node { kind, grid, distinct: false })
    }
}

/// The conditions that choose info series: without a positive one, names that end in `_info`.
fn info_names(names: Vec<Matcher>) -> Planned<Vec<Matcher>> {
    if names.is_empty() {
        return Ok(vec![Matcher::equal(METRIC_NAME, "target_info")]);
    }
    if names.iter().any(|m| matches!(m.op(), MatchOp::Equal | MatchOp::Regex)) {
        return Ok(names);
    }
    let any = Matcher::new(METRIC_NAME, MatchOp::Regex, ".+_info")
        .map_err(|error| Error::Execution(error.to_string()))?;
    Ok([vec![any], names].concat())
}

fn check_extended(selector: &VectorSelector, function: &str) -> Planned<()> {
    const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
    const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];
    let (word, allowed) = if selector.anchored {
        ("anchored", &ANCHORED[..])
    } else if selector.smoothed {
        ("smoothed", &SMOOTHED[..])
    } else {
        return Ok(());
    };
    if allowed.contains(&function) {
        return Ok(());
    }
    let list = allowed.join(", ");
    Err(Error::Execution(format!("{word} modifier can only be used with: {list} - not with {function}")))
}

/// Whether `name` can be a label.
fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !has_raw_bytes(name)
}

fn strings(args: &[Expr]) -> Planned<Vec<String>> {
    args.iter()
        .map(|arg| match &arg.unwrap_parens().kind {
            ExprKind::String(text) => Ok(text.clone()),
            _ => unsupported("an argument that is not a string literal"),
        })
        .collect()
}

/// Whether all series that match have the same name.
pub(super) fn one_name(matchers: &[Matcher]) -> bool {
    matchers.iter().any(|m| m.name() == METRIC_NAME && m.op() == MatchOp::Equal && !m.value().is_empty())
}

/// The labels a missing series would surely have.
fn absent_labels(matchers: &[Matcher]) -> Labels {
    // A label that is asked for once more has no value, whatever follows.
    let mut values: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for matcher in matchers.iter().filter(|m| m.name() != METRIC_NAME) {
        match values.get_mut(matcher.name()) {
            Some(value) => *value = None,
            None if matcher.op() == MatchOp::Equal => {
                values.insert(matcher.name(), Some(matcher.value()));
            }
            None => {}
        }
    }
    let mut buf = LabelsBuf::new();
    for (name, value) in values {
        buf.set(name, &lossy(value.unwrap_or_default()));
    }
    buf.to_labels()
}

/// Whether `expr` has the same value at every step.
fn invariant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) => true,
        ExprKind::Paren(inner) | ExprKind::Unary { expr: inner, .. } => invariant(inner),
        ExprKind::Binary(binary) => invariant(&binary.lhs) && invariant(&binary.rhs),
        // As in Prometheus the parameter does not count: one that changes is taken from the first step.
        ExprKind::Aggregate(aggregate) => invariant(&aggregate.expr),
        ExprKind::Call(call) => match call.function.name {
            "timestamp" => call.args.iter().all(|arg| {
                matches!(arg.unwrap_parens().kind, ExprKind::Vector(_)) && invariant(arg.unwrap_parens())
            }),
            "time" | "predict_linear" | "days_in_month" | "day_of_month" | "day_of_week" | "day_of_year"
            | "hour" | "minute" | "month" | "year" => false,
            _ => call.args.iter().all(invariant),
        },
        ExprKind::Vector(selector) => selector.at.is_some(),
        ExprKind::Matrix(matrix) => matrix.selector.at.is_some(),
        ExprKind::Subquery(subquery) => subquery.at.is_some(),
    }
}

pub(super) fn range_function(name: &str) -> Option<RangeFunc> {
    Some(match name {
        "rate" => RangeFunc::Rate,
        "increase" => RangeFunc::Increase,
        "delta" => RangeFunc::Delta,
        "irate" => RangeFunc::Irate,
        "idelta" => RangeFunc::Idelta,
        "deriv" => RangeFunc::Deriv,
        "predict_linear" => RangeFunc::PredictLinear,
        "double_exponential_smoothing" => RangeFunc::DoubleExponentialSmoothing,
        "changes" => RangeFunc::Changes,
        "resets" => RangeFunc::Resets,
        "avg_over_time" => RangeFunc::Avg,
        "sum_over_time" => RangeFunc::Sum,
        "min_over_time" => RangeFunc::Min,
        "max_over_time" => RangeFunc::Max,
        "count_over_time" => RangeFunc::Count,
        "present_over_time" => RangeFunc::Present,
        "first_over_time" => RangeFunc::First,
        "last_over_time" => RangeFunc::Last,
        "stddev_over_time" => RangeFunc::Stddev,
        "stdvar_over_time" => RangeFunc::Stdvar,
        "quantile_over_time" => RangeFunc::Quantile,
        "mad_over_time" => RangeFunc::Mad,
        "ts_of_first_over_time" => RangeFunc::TsOfFirst,
        "ts_of_last_over_time" => RangeFunc::TsOfLast,
        "ts_of_min_over_time" => RangeFunc::TsOfMin,
        "ts_of_max_over_time" => RangeFunc::TsOfMax,
        _ => return None,
    })
}

pub(super) fn map_function(name: &str) -> Option<MapFunc> {
    Some(match name {
        "abs" => MapFunc::Abs,
        "ceil" => MapFunc::Ceil,
        "exp" => MapFunc::Exp,
        "floor" => MapFunc::Floor,
        "ln" => MapFunc::Ln,
        "log2" => MapFunc::Log2,
        "log10" => MapFunc::Log10,
        "sqrt" => MapFunc::Sqrt,
        "sgn" => MapFunc::Sgn,
        "sin" => MapFunc::Sin,
        "cos" => MapFunc::Cos,
        "tan" => MapFunc::Tan,
        "asin" => MapFunc::Asin,
        "acos" => MapFunc::Acos,
        "atan" => MapFunc::Atan,
        "sinh" => MapFunc::Sinh,
        "cosh" => MapFunc::Cosh,
        "tanh" => MapFunc::Tanh,
        "asinh" => MapFunc::Asinh,
        "acosh" => MapFunc::Acosh,
        "atanh" => MapFunc::Atanh,
        "deg" => MapFunc::Deg,
        "rad" => MapFunc::Rad,
        "round" => MapFunc::Round,
        "clamp" => MapFunc::Clamp,
        "clamp_min" => MapFunc::ClampMin,
        "clamp_max" => MapFunc::ClampMax,
        "day_of_month" => MapFunc::DayOfMonth,
        "day_of_week" => MapFunc::DayOfWeek,
        "day_of_year" => MapFunc::DayOfYear,
        "days_in_month" => MapFunc::DaysInMonth,
        "hour" => MapFunc::Hour,
        "minute" => MapFunc::Minute,
        "month" => MapFunc::Month,
        "year" => MapFunc::Year,
        "histogram_count" => MapFunc::HistogramCount,
        "histogram_sum" => MapFunc::HistogramSum,
        "histogram_avg" => MapFunc::HistogramAvg,
        "histogram_stddev" => MapFunc::HistogramStddev,
        "histogram_stdvar" => MapFunc::HistogramStdvar,
        _ => return None,
    })
}
