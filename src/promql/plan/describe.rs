//! Plan nodes in words, for those who want to know what a query does.

use std::fmt::Write as _;

use super::build::{map_function, range_function};
use super::{
    Aggregation, EvalTimes, Extension, HistogramFunc, LabelFunc, MapFunc, Node, NodeKind, RangeFunc,
    RangeSource, SampleField, SelectSet, SortFunc, SortOrder,
};
use crate::model::{METRIC_NAME, MatchOp, Matcher};
use crate::promql::functions::FUNCTIONS;
use crate::promql::short_float;
use crate::promql::syntax::print::{label_list, matching_clause, milliseconds};

impl Node {
    /// What it does, in the words of the query language. Its inputs are left out.
    pub(crate) fn describe(&self, selects: &SelectSet) -> String {
        let bool_word = |yes: bool| if yes { " bool" } else { "" };
        match &self.kind {
            NodeKind::Number(value) => short_float(*value),
            NodeKind::Time => "time()".to_owned(),
            NodeKind::ScalarOf(_) => "scalar()".to_owned(),
            NodeKind::ScalarNegate(_) | NodeKind::Map { func: MapFunc::Negate, .. } => "-".to_owned(),
            NodeKind::ScalarBinary { op, .. } => op.as_str().to_owned(),
            NodeKind::ScalarPick { max, .. } => if *max { "max_of()" } else { "min_of()" }.to_owned(),
            NodeKind::Repeat(_) => "repeat".to_owned(),
            NodeKind::Select { reader, shows, smoothed, .. } => {
                let mut text = selector(selects.matchers(reader.select));
                text.push_str(if *smoothed { " smoothed" } else { "" });
                text.push_str(&moment(&reader.eval_times));
                match shows {
                    SampleField::Value | SampleField::Milliseconds => text,
                    SampleField::Seconds => format!("timestamp({text})"),
                    SampleField::StartSeconds => format!("start_timestamp({text})"),
                }
            }
            NodeKind::Rollup { func, source, range, .. } => {
                format!("{}({})", range_name(*func), source.describe(*range, selects))
            }
            NodeKind::Absent { .. } => "absent()".to_owned(),
            NodeKind::VectorOf(_) => "vector()".to_owned(),
            NodeKind::Map { func, .. } => {
                let found = FUNCTIONS.iter().find(|f| map_function(f.name) == Some(*func));
                format!("{}()", found.map_or("function", |f| f.name))
            }
            NodeKind::Empty(_) => "nothing".to_owned(),
            NodeKind::EvaluationTime(_) => "timestamp()".to_owned(),
            NodeKind::Label { func, .. } => match func {
                LabelFunc::Replace { .. } => "label_replace()",
                LabelFunc::Join { .. } => "label_join()",
            }
            .to_owned(),
            NodeKind::Sort { func, .. } => match func {
                SortFunc { order: SortOrder::ByValue, descending: false, .. } => "sort()",
                SortFunc { order: SortOrder::ByValue, .. } => "sort_desc()",
                SortFunc { descending: false, .. } => "sort_by_label()",
                SortFunc { .. } => "sort_by_label_desc()",
            }
            .to_owned(),
            NodeKind::Histogram { func, .. } => match func {
                HistogramFunc::Quantile => "histogram_quantile()",
                HistogramFunc::Quantiles { .. } => "histogram_quantiles()",
                HistogramFunc::Fraction => "histogram_fraction()",
            }
            .to_owned(),
            NodeKind::Info { reader, .. } => {
                let text = selector(selects.matchers(reader.select));
                format!("info({text}{})", moment(&reader.eval_times))
            }
            NodeKind::Aggregate(aggregation) => grouping(aggregation),
            NodeKind::VectorScalar { op, return_bool, .. } => {
                format!("{}{}", op.as_str(), bool_word(*return_bool))
            }
            NodeKind::VectorVector(op) => {
                let mut text = format!("{}{}", op.op.as_str(), bool_word(op.return_bool));
                matching_clause(&op.matching, &mut text);
                text
            }
        }
    }

    /// The nodes it takes its input from, in the order of the query.
    pub(crate) fn inputs(&self) -> Vec<&Self> {
        match &self.kind {
            NodeKind::Number(_) | NodeKind::Time | NodeKind::Select { .. } => Vec::new(),
            NodeKind::ScalarOf(input)
            | NodeKind::ScalarNegate(input)
            | NodeKind::Repeat(input)
            | NodeKind::VectorOf(input)
            | NodeKind::Empty(input)
            | NodeKind::EvaluationTime(input)
            | NodeKind::Absent { input, .. }
            | NodeKind::Label { input, .. }
            | NodeKind::Sort { input, .. }
            | NodeKind::Info { input, .. } => vec![input],
            NodeKind::ScalarBinary { lhs, rhs, .. } | NodeKind::ScalarPick { lhs, rhs, .. } => vec![lhs, rhs],
            NodeKind::Rollup { source, params, .. } => source.input().into_iter().chain(params).collect(),
            NodeKind::Map { input, params, .. } => std::iter::once(&**input).chain(params).collect(),
            NodeKind::Histogram { input, params, .. } => {
                std::iter::once(&**input).chain(params.iter().map(|(param, _)| param)).collect()
            }
            NodeKind::Aggregate(aggregation) => {
                aggregation.param.iter().chain(std::iter::once(&aggregation.input)).collect()
            }
            NodeKind::VectorScalar { vector, scalar, scalar_left, .. } => {
                if *scalar_left {
                    vec![scalar, vector]
                } else {
                    vec![vector, scalar]
                }
            }
            NodeKind::VectorVector(op) => vec![&op.lhs, &op.rhs],
        }
    }
}

impl RangeSource {
    /// The windows in the words of the query language; what a subquery computes is left out.
    pub(crate) fn describe(&self, range: i64, selects: &SelectSet) -> String {
        let range = milliseconds(range);
        match self {
            Self::Select(reader, extension) => {
                let word = match extension {
                    Extension::None => "",
                    Extension::Anchored { .. } => " anchored",
                    Extension::Smoothed { .. } => " smoothed",
                };
                let text = selector(selects.matchers(reader.select));
                format!("{text}[{range}]{word}{}", moment(&reader.eval_times))
            }
            Self::Subquery { inner, eval_times } => {
                let step = inner.as_ref().map(|node| milliseconds(node.grid.step)).unwrap_or_default();
                format!("[{range}:{step}]{}", moment(eval_times))
            }
        }
    }

    /// What a subquery computes.
    pub(crate) fn input(&self) -> Option<&Node> {
        match self {
            Self::Select(..) => None,
            Self::Subquery { inner, .. } => inner.as_deref(),
        }
    }
}

/// Name first where it is plain, the other conditions in braces.
fn selector(matchers: &[Matcher]) -> String {
    let plain = |name: &str| {
        let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
        name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
    };
    let named = |m: &&Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal && plain(m.value());
    let name = matchers.iter().find(named);
    let mut text = name.map(|name| name.value().to_owned()).unwrap_or_default();
    let others: Vec<String> =
        matchers.iter().filter(|m| name.is_none_or(|n| n != *m)).map(ToString::to_string).collect();
    if !others.is_empty() || name.is_none() {
        let _ = write!(text, "{{{}}}", others.join(","));
    }
    text
}

fn moment(eval_times: &EvalTimes) -> String {
    let mut text = String::new();
    if let Some(at) = eval_times.at {
        let _ = write!(text, " @ {:.3}", at as f64 / 1000.0);
    }
    if eval_times.offset != 0 {
        let _ = write!(text, " offset {}", milliseconds(eval_times.offset));
    }
    text
}

fn range_name(func: RangeFunc) -> &'static str {
    FUNCTIONS.iter().find(|f| range_function(f.name) == Some(func)).map_or("function", |f| f.name)
}

fn grouping(aggregation: &Aggregation) -> String {
    let Aggregation { op, grouping, without, .. } = aggregation;
    let mut text = op.as_str().to_owned();
    if *without || !grouping.is_empty() {
        let word = if *without { "without" } else { "by" };
        let _ = write!(text, " {word} ({})", label_list(grouping));
    }
    text
}
