//! What a query answers.

use std::sync::Arc;
use std::time::Duration;

use super::memory::Ticket;
use super::{Annotations, ExplainNode};
use crate::model::{Histogram, Labels, Samples};

/// The answer to a query.
#[derive(Debug, Clone)]
pub struct QueryResult {
    /// The value itself.
    pub value: Value,
    /// Annotations for the person who wrote the query.
    pub annotations: Annotations,
    /// What it cost.
    pub stats: Stats,
    /// The samples of each step, if that was asked for.
    pub steps: Option<StepStats>,
    /// The plan with what each node took, if that was asked for.
    pub explain: Option<ExplainNode>,
    /// Counts the memory of the value until it is dropped.
    pub memory: Ticket,
}

impl QueryResult {
    /// No series, found in `prepare`.
    pub(crate) fn empty(prepare: Duration) -> Self {
        Self {
            value: Value::Matrix(Vec::new()),
            annotations: Annotations::default(),
            stats: Stats { prepare, ..Stats::default() },
            steps: None,
            explain: None,
            memory: Ticket::default(),
        }
    }
}

/// The value of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One number.
    Scalar {
        /// Evaluation time in milliseconds.
        timestamp: i64,
        /// The number.
        value: f64,
    },
    /// A text.
    String {
        /// Evaluation time in milliseconds.
        timestamp: i64,
        /// The text.
        value: String,
    },
    /// One sample per series.
    Vector(Vec<VectorSample>),
    /// Several samples per series. Of range queries in label order.
    Matrix(Vec<MatrixSeries>),
}

impl Value {
    /// Bytes it takes, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Scalar { .. } => 0,
            Self::String { value, .. } => value.len(),
            Self::Vector(samples) => samples.iter().map(VectorSample::bytes).sum(),
            Self::Matrix(series) => Self::bytes_of_series(series),
        }
    }

    /// Bytes of several series.
    pub(crate) fn bytes_of_series(series: &[MatrixSeries]) -> usize {
        series.iter().map(|one| Self::bytes_of_one(&one.labels, &one.samples)).sum()
    }

    /// Bytes of a series with these labels and samples.
    pub(crate) fn bytes_of_one(labels: &Labels, samples: &Samples) -> usize {
        let histograms: usize = samples.histograms.iter().map(|(_, h)| bytes_of_histogram(h)).sum();
        size_of::<MatrixSeries>() + labels.packed().len() + samples.len() * 16 + histograms
    }
}

fn bytes_of_histogram(histogram: &Histogram) -> usize {
    histogram.weight() * 16 + 16
}

impl VectorSample {
    /// Bytes it takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let histogram = self.histogram.as_deref().map_or(0, bytes_of_histogram);
        size_of::<Self>() + self.labels.packed_len() + histogram
    }
}

/// One element of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSample {
    /// Its labels.
    pub labels: Labels,
    /// Evaluation time in milliseconds.
    pub timestamp: i64,
    /// Its value; without meaning if there is a histogram.
    pub value: f64,
    /// The native histogram, if it is one.
    pub histogram: Option<Arc<Histogram>>,
}

/// One series of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples, never none.
    pub samples: Samples,
}

/// How many samples each step took. A native histogram counts as several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepStats {
    /// Time of the first step in milliseconds.
    pub start: i64,
    /// Milliseconds from one step to the next.
    pub step: i64,
    /// Samples looked at, counting those of every window.
    pub looked_at: Vec<u64>,
    /// Samples read: those that the window of the step before held do not count again.
    pub read: Vec<u64>,
}

impl StepStats {
    /// Samples read in all steps.
    pub fn total_read(&self) -> u64 {
        self.read.iter().fold(0, |sum, read| sum.saturating_add(*read))
    }

    /// The time of each step in milliseconds with what it looked at and what it read.
    pub fn iter(&self) -> impl Iterator<Item = (i64, u64, u64)> + '_ {
        let times = (0..).map(|at: i64| self.start.saturating_add(self.step.saturating_mul(at)));
        times.zip(&self.looked_at).zip(&self.read).map(|((time, looked_at), read)| (time, *looked_at, *read))
    }
}

/// What a query cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Samples looked at, counting those of every window.
    /// Where samples by step and `explain` were not asked for, those that could not matter may be left out.
    pub total_samples: u64,
    /// Most samples held at once.
    pub peak_samples: u64,
    /// Most bytes held at once, as counted: rows, selected series, result.
    pub peak_bytes: u64,
    /// Steps whose value was known from an earlier query.
    pub known_steps: u64,
    /// The other ones.
    pub evaluated_steps: u64,
    /// Time to parse, plan and open the data.
    pub prepare: Duration,
    /// Time to evaluate.
    pub evaluate: Duration,
    /// Time to sort the result.
    pub sort: Duration,
}

impl Value {
    /// Numbers of series and samples; a vector has one sample a series.
    pub(super) fn counts(&self) -> (u64, u64) {
        let (series, samples) = match self {
            Self::Matrix(series) => (series.len(), series.iter().map(|s| s.samples.len()).sum()),
            Self::Vector(samples) => (samples.len(), samples.len()),
            Self::Scalar { .. } | Self::String { .. } => (1, 1),
        };
        (series as u64, samples as u64)
    }
}
