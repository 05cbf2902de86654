//! Logical nodes: what is computed, over which grid, reading what.

use super::grid::{EvalTimes, Grid};
use crate::model::{Anchored, Labels, Matcher, TimeRange};
use crate::promql::syntax::ast::{AggregateOp, BinaryOp, Matching, Span};

/// One node of a plan. Its value has one column per step of `grid`.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) grid: Grid,
    /// Whether its rows stay distinct when their names are dropped.
    pub(crate) distinct: bool,
}

/// What an instant selector yields of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SampleField {
    Value,
    /// Its time in seconds, which is a new quantity: the name goes.
    Seconds,
    /// When what it counts began, in seconds.
    StartSeconds,
    /// Its time in milliseconds, for internal use.
    Milliseconds,
}

/// What one selector reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    /// Number in the select set.
    pub(crate) select: usize,
    pub(crate) eval_times: EvalTimes,
    /// Samples that can matter, within the range of the select.
    pub(crate) range: TimeRange,
    /// Whether of native histograms only count and sum matter.
    pub(crate) totals_only: bool,
}

/// The forms of a [`Node`]: first those that yield one number per step, then those that yield rows.
#[derive(Debug)]
pub(crate) enum NodeKind {
    Number(f64),
    Time,
    /// `scalar(v)`
    ScalarOf(Box<Node>),
    ScalarNegate(Box<Node>),
    ScalarBinary {
        op: BinaryOp,
        lhs: Box<Node>,
        rhs: Box<Node>,
    },
    /// `min_of` and `max_of`.
    ScalarPick {
        max: bool,
        lhs: Box<Node>,
        rhs: Box<Node>,
    },

    /// A value of one step, shown at every step.
    Repeat(Box<Node>),
    /// An instant selector.
    Select {
        reader: Reader,
        lookback: i64,
        shows: SampleField,
        span: Span,
        /// Whether values are drawn as straight lines between samples.
        smoothed: bool,
    },
    /// A function over windows.
    Rollup {
        func: RangeFunc,
        source: RangeSource,
        /// Length of the window in milliseconds.
        range: i64,
        params: Vec<Node>,
        span: Span,
        /// Position of the first argument, which one info points at.
        first_span: Span,
    },
    /// 1 where the rows of `input` have no value.
    Absent {
        input: Box<Node>,
        labels: Labels,
    },
    /// `vector(s)`
    VectorOf(Box<Node>),
    /// A function of each value by itself.
    Map {
        func: MapFunc,
        input: Box<Node>,
        params: Vec<Node>,
    },
    /// No rows, whatever the input yields.
    Empty(Box<Node>),
    /// `timestamp()` of anything but a selector.
    EvaluationTime(Box<Node>),
    Label {
        func: LabelFunc,
        input: Box<Node>,
    },
    Sort {
        func: SortFunc,
        input: Box<Node>,
    },
    Histogram {
        func: HistogramFunc,
        input: Box<Node>,
        params: Vec<(Node, Span)>,
        span: Span,
    },
    /// `info()`
    Info {
        input: Box<Node>,
        reader: Reader,
        lookback: i64,
        /// Conditions on the names of info series.
        names: Vec<Matcher>,
        /// Conditions on their other labels.
        data: Vec<Matcher>,
    },
    Aggregate(Box<Aggregation>),
    /// A vector and a scalar.
    VectorScalar {
        op: BinaryOp,
        vector: Box<Node>,
        scalar: Box<Node>,
        scalar_left: bool,
        return_bool: bool,
        span: Span,
    },
    VectorVector(Box<VectorBinary>),
}

/// Two vectors and an operator.
#[derive(Debug)]
pub(crate) struct VectorBinary {
    pub(crate) op: BinaryOp,
    pub(crate) lhs: Node,
    pub(crate) rhs: Node,
    pub(crate) return_bool: bool,
    pub(crate) matching: Matching,
    pub(crate) span: Span,
}

/// An aggregation.
#[derive(Debug)]
pub(crate) struct Aggregation {
    pub(crate) op: AggregateOp,
    pub(crate) input: Node,
    pub(crate) param: Option<Node>,
    /// The label of `count_values`.
    pub(crate) label: String,
    /// Sorted.
    pub(crate) grouping: Vec<String>,
    pub(crate) without: bool,
    /// Position of the parameter.
    pub(crate) param_span: Span,
    /// Position of what is aggregated.
    pub(crate) input_span: Span,
    /// Position of the aggregation itself.
    pub(crate) span: Span,
}

/// How far a selector looks beyond its window or its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    None,
    /// To the newest sample at or before the start of the window.
    Anchored {
        lookback: i64,
    },
    /// To the neighbours on both sides, with values drawn as straight lines between samples.
    Smoothed {
        lookback: i64,
    },
}

impl Extension {
    /// Milliseconds looked at before the start.
    pub(crate) fn before(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Anchored { lookback } | Self::Smoothed { lookback } => lookback,
        }
    }

    /// Milliseconds looked at after the end.
    pub(crate) fn after(self) -> i64 {
        match self {
            Self::None | Self::Anchored { .. } => 0,
            Self::Smoothed { lookback } => lookback,
        }
    }
}

/// Where the samples of windows come from.
#[derive(Debug)]
pub(crate) enum RangeSource {
    Select(Reader, Extension),
    Subquery { inner: Option<Box<Node>>, eval_times: EvalTimes },
}

/// Functions over windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeFunc {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Deriv,
    PredictLinear,
    DoubleExponentialSmoothing,
    Changes,
    Resets,
    Avg,
    Sum,
    Min,
    Max,
    Count,
    Present,
    First,
    Last,
    Stddev,
    Stdvar,
    Quantile,
    Mad,
    TsOfFirst,
    TsOfLast,
    TsOfMin,
    TsOfMax,
}

impl RangeFunc {
    /// Whether the result is still the metric itself, so that the name stays.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, Self::First | Self::Last)
    }

    /// Whether it looks at resets of counters, of which start timestamps tell.
    pub(crate) fn looks_for_resets(self) -> bool {
        matches!(self, Self::Rate | Self::Increase | Self::Irate | Self::Resets)
    }
}

/// Functions of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapFunc {
    Negate,
    Abs,
    Ceil,
    Exp,
    Floor,
    Ln,
    Log2,
    Log10,
    Sqrt,
    Sgn,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Deg,
    Rad,
    Round,
    Clamp,
    ClampMin,
    ClampMax,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Hour,
    Minute,
    Month,
    Year,
    HistogramCount,
    HistogramSum,
    HistogramAvg,
    HistogramStddev,
    HistogramStdvar,
}

impl MapFunc {
    /// Whether it takes native histograms and nothing else.
    pub(crate) fn is_of_histograms(self) -> bool {
        matches!(
            self,
            Self::HistogramCount
                | Self::HistogramSum
                | Self::HistogramAvg
                | Self::HistogramStddev
                | Self::HistogramStdvar
        )
    }
}

/// Functions that rewrite labels.
#[derive(Debug)]
pub(crate) enum LabelFunc {
    Replace { dst: String, replacement: String, src: String, regex: Anchored },
    Join { dst: String, separator: String, src: Vec<String> },
}

/// What rows are put in order by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SortOrder {
    ByValue,
    ByLabels(Vec<String>),
}

/// A function that puts rows in order.
#[derive(Debug)]
pub(crate) struct SortFunc {
    pub(crate) order: SortOrder,
    pub(crate) descending: bool,
    /// Whether it is evaluated over more than one moment, where no order lasts.
    pub(crate) in_range: bool,
    pub(crate) span: Span,
}

/// Functions over classic buckets.
#[derive(Debug)]
pub(crate) enum HistogramFunc {
    Quantile,
    Quantiles { label: String },
    Fraction,
}
