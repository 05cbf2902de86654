//! The syntax tree. Every node knows its bytes in the query text.
//!
//! **Invariants**: the height of a tree is bounded by [`MAX_HEIGHT`], and only long texts come near it. Parsing,
//! planning and evaluating these have a stack with room for that, see `promql::deep`; dropping and printing take none.
//! To compare two takes as much stack as they are high. Trees are never changed after parsing; evaluation works on a
//! plan made from them.

pub use super::span::Span;
use crate::model::Matcher;
use crate::promql::functions::Function;
pub use crate::promql::value_type::ValueType;

/// Highest tree that the parser builds.
pub const MAX_HEIGHT: u16 = 2000;

/// Highest tree of a computed duration.
pub const MAX_DURATION_HEIGHT: u16 = 250;

/// Operators between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// `</`
    TrimUpper,
    /// `>/`
    TrimLower,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    /// Every operator there is.
    pub const ALL: [Self; 18] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Mod,
        Self::Pow,
        Self::Atan2,
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessEqual,
        Self::Greater,
        Self::GreaterEqual,
        Self::TrimUpper,
        Self::TrimLower,
        Self::And,
        Self::Or,
        Self::Unless,
    ];

    /// The operator as written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal | Self::NotEqual | Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual
        )
    }

    /// Whether it works on sets of series.
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// How tightly it binds; higher is tighter.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessEqual
            | Self::Greater
            | Self::GreaterEqual
            | Self::TrimUpper
            | Self::TrimLower => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
        }
    }

    /// Whether the result is a new quantity, so that the metric name no longer fits it.
    pub(crate) fn changes_schema(self) -> bool {
        matches!(self, Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Mod | Self::Pow | Self::Atan2)
    }
}

/// Operators that fold a group of series into fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the operators")]
pub enum AggregateOp {
    Avg,
    BottomK,
    Count,
    CountValues,
    Group,
    LimitK,
    LimitRatio,
    Max,
    Min,
    Quantile,
    Stddev,
    Stdvar,
    Sum,
    TopK,
}

impl AggregateOp {
    /// Every aggregation there is.
    pub const ALL: [Self; 14] = [
        Self::Avg,
        Self::BottomK,
        Self::Count,
        Self::CountValues,
        Self::Group,
        Self::LimitK,
        Self::LimitRatio,
        Self::Max,
        Self::Min,
        Self::Quantile,
        Self::Stddev,
        Self::Stdvar,
        Self::Sum,
        Self::TopK,
    ];

    /// The operator of this lower-case name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == name)
    }

    /// The operator as written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::BottomK => "bottomk",
            Self::Count => "count",
            Self::CountValues => "count_values",
            Self::Group => "group",
            Self::LimitK => "limitk",
            Self::LimitRatio => "limit_ratio",
            Self::Max => "max",
            Self::Min => "min",
            Self::Quantile => "quantile",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Sum => "sum",
            Self::TopK => "topk",
        }
    }

    /// Whether it takes a parameter before the expression.
    pub fn has_parameter(self) -> bool {
        matches!(
            self,
            Self::TopK | Self::BottomK | Self::CountValues | Self::Quantile | Self::LimitK | Self::LimitRatio
        )
    }

    /// Whether it needs the switch for experimental functions.
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::LimitK | Self::LimitRatio)
    }
}

/// A length of time: a literal or something computed when the query starts.
#[derive(Debug, Clone, PartialEq)]
pub enum Length {
    /// Milliseconds.
    Literal(i64),
    /// Computed from the query's step and range.
    Computed(Box<DurationExpr>),
}

impl Length {
    /// No time at all: the offset of a selector that has none.
    pub const ZERO: Self = Self::Literal(0);

    /// Whether this is the literal zero.
    pub fn is_zero(&self) -> bool {
        matches!(self, Self::Literal(0))
    }
}

/// An expression over lengths of time, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationExpr {
    /// What it computes.
    pub kind: DurationKind,
    /// The bytes reported when it fails.
    pub span: Span,
    /// Whether it stands in brackets of its own.
    pub wrapped: bool,
    /// Height of the tree.
    pub(crate) height: u16,
}

/// The forms of a [`DurationExpr`].
#[derive(Debug, Clone, PartialEq)]
pub enum DurationKind {
    /// A number of seconds; `is_duration` when written like `5m`.
    Number {
        /// Seconds.
        value: f64,
        /// Whether it was written with units.
        is_duration: bool,
    },
    /// `step()`
    Step,
    /// `range()`
    Range,
    /// A negated expression.
    Negate(Box<DurationExpr>),
    /// One of `+ - * / % ^`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        lhs: Box<DurationExpr>,
        /// Right operand.
        rhs: Box<DurationExpr>,
    },
    /// `min_of(a, b)`
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
}

/// A fixed time instead of the evaluation time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the Unix epoch.
    Timestamp(i64),
    /// First step of the query.
    Start,
    /// Last moment of the query.
    End,
}

/// An expression and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its bytes in the query text.
    pub span: Span,
    height: u16,
}

/// The forms of an [`Expr`].
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A number; `is_duration` when written like `5m`.
    Number {
        /// The value, in seconds for durations.
        value: f64,
        /// Whether it was written with units.
        is_duration: bool,
    },
    /// A string literal.
    String(String),
    /// An expression in brackets.
    Paren(Box<Expr>),
    /// `-e` or `+e`.
    Unary {
        /// Whether the sign is a minus.
        negate: bool,
        /// The operand.
        expr: Box<Expr>,
    },
    /// Two operands and an operator.
    Binary(Box<Binary>),
    /// An aggregation.
    Aggregate(Box<Aggregate>),
    /// A function call.
    Call(Box<Call>),
    /// An instant selector.
    Vector(Box<VectorSelector>),
    /// A range selector.
    Matrix(Box<MatrixSelector>),
    /// A subquery.
    Subquery(Box<Subquery>),
}

/// Two operands and an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left operand.
    pub lhs: Expr,
    /// Right operand.
    pub rhs: Expr,
    /// Whether comparisons yield 0 and 1 instead of filtering.
    pub return_bool: bool,
    /// How elements of two vectors find each other.
    pub matching: Matching,
}

/// How many elements may match on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cardinality {
    /// One on each side.
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
}

/// The matching clause of a binary operation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matching {
    /// How many elements may match on each side.
    pub card: Cardinality,
    /// Whether `labels` are the ones to match on, rather than the ones to leave out.
    pub on: bool,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Labels copied from the one side.
    pub include: Vec<String>,
    /// Value for elements missing on the left.
    pub fill_left: Option<f64>,
    /// Value for elements missing on the right.
    pub fill_right: Option<f64>,
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// The parameter of operators that take one.
    pub param: Option<Expr>,
    /// What is aggregated.
    pub expr: Expr,
    /// Labels of the grouping clause.
    pub grouping: Vec<String>,
    /// Whether `grouping` are the labels to leave out.
    pub without: bool,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function.
    pub function: &'static Function,
    /// Its arguments.
    pub args: Vec<Expr>,
}

/// An instant selector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The name before the braces.
    pub name: Option<String>,
    /// All conditions, the one on the name before the braces last.
    pub matchers: Vec<Matcher>,
    /// How far back to look.
    pub offset: Length,
    /// A fixed time to look at.
    pub at: Option<At>,
    /// The `anchored` modifier.
    pub anchored: bool,
    /// The `smoothed` modifier.
    pub smoothed: bool,
}

/// A range selector.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// The series, with offset, `@` and range modifiers.
    pub selector: VectorSelector,
    /// Length of the window.
    pub range: Length,
}

/// A subquery.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each inner step.
    pub expr: Expr,
    /// Length of the window.
    pub range: Length,
    /// Distance of inner steps; none means the default.
    pub step: Option<Length>,
    /// How far back to look.
    pub offset: Length,
    /// A fixed time to look at.
    pub at: Option<At>,
}

impl DurationExpr {
    /// A node of `kind` over `span`.
    pub(crate) fn new(kind: DurationKind, span: Span) -> Self {
        let below = match &kind {
            DurationKind::Number { .. } | DurationKind::Step | DurationKind::Range => 0,
            DurationKind::Negate(inner) => inner.height,
            DurationKind::Binary { lhs, rhs, .. }
            | DurationKind::MinOf(lhs, rhs)
            | DurationKind::MaxOf(lhs, rhs) => lhs.height.max(rhs.height),
        };
        Self { kind, span, wrapped: false, height: below.saturating_add(1) }
    }
}

impl Length {
    fn height(&self) -> u16 {
        match self {
            Self::Literal(_) => 0,
            Self::Computed(expr) => expr.height,
        }
    }
}

impl Drop for Binary {
    /// Takes a long chain of operators apart from its end, so that it is not dropped term in term.
    fn drop(&mut self) {
        let nothing = || Expr { kind: ExprKind::String(String::new()), span: Span::default(), height: 1 };
        let mut left = std::mem::replace(&mut self.lhs, nothing());
        while let ExprKind::Binary(binary) = &mut left.kind {
            let next = std::mem::replace(&mut binary.lhs, nothing());
            left = next;
        }
    }
}

impl Expr {
    /// A node of `kind` over `span`.
    pub(crate) fn new(kind: ExprKind, span: Span) -> Self {
        let below = match &kind {
            ExprKind::Number { .. } | ExprKind::String(_) => 0,
            ExprKind::Paren(inner) | ExprKind::Unary { expr: inner, .. } => inner.height,
            ExprKind::Binary(binary) => binary.lhs.height.max(binary.rhs.height),
            ExprKind::Aggregate(aggregate) => {
                aggregate.param.as_ref().map_or(0, |p| p.height).max(aggregate.expr.height)
            }
            ExprKind::Call(call) => call.args.iter().map(|a| a.height).max().unwrap_or(0),
            ExprKind::Vector(selector) => selector.offset.height(),
            ExprKind::Matrix(matrix) => matrix.selector.offset.height().max(matrix.range.height()),
            ExprKind::Subquery(subquery) => subquery
                .expr
                .height
                .max(subquery.range.height())
                .max(subquery.offset.height())
                .max(subquery.step.as_ref().map_or(0, Length::height)),
        };
        Self { kind, span, height: below.saturating_add(1) }
    }

    /// Height of the tree.
    pub fn height(&self) -> u16 {
        self.height
    }

    /// The type of the value it yields.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number { .. } => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Paren(inner) | ExprKind::Unary { expr: inner, .. } => inner.value_type(),
            ExprKind::Binary(binary) => {
                let scalars = binary.lhs.value_type() == ValueType::Scalar
                    && binary.rhs.value_type() == ValueType::Scalar;
                if scalars { ValueType::Scalar } else { ValueType::Vector }
            }
            ExprKind::Aggregate(_) | ExprKind::Vector(_) => ValueType::Vector,
            ExprKind::Call(call) => call.function.returns,
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::Matrix,
        }
    }

    /// The expression inside any number of brackets.
    pub fn unwrap_parens(&self) -> &Self {
        let mut expr = self;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }
}
