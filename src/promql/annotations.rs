//! Annotations that go with an answer: warnings (the answer may be wrong) and infos (the query may be).
//!
//! Equal texts are kept once; the position shown is that of the last one raised.

use std::fmt::Write as _;

use hashbrown::HashMap;

use super::syntax::ast::Span;
use super::syntax::quote::{quote, short_float, two_digit_float};

/// Page that explains why buckets have to be monotonic.
const MONOTONICITY: &str = "input to histogram_quantile needed to be fixed for monotonicity \
     (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";

/// One annotation without its position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Annotation {
    InvalidQuantile(f64),
    InvalidRatio {
        got: f64,
        capped: f64,
    },
    BadBucketLabel {
        value: String,
        metric: String,
    },
    SortInRange,
    PossibleNonCounter(String),
    ForcedMonotonicity {
        metric: String,
        fix: MonotonicityFix,
    },
    IncompatibleTypes {
        op: &'static str,
        left: &'static str,
        right: &'static str,
    },
    /// Floats and histograms in one window.
    MixedSamples(String),
    /// Floats and histograms in one group.
    MixedGroup,
    /// Classic buckets and a native histogram with the same labels.
    MixedClassicNative {
        metric: String,
    },
    /// Exponential and custom bounds in one window or group.
    MixedSchemas(String),
    NotCounter(String),
    NotGauge(String),
    IncompatibleLayouts {
        op: &'static str,
    },
    ConflictingResets(HistogramOperation),
    BoundsReconciled(HistogramOperation),
    /// Names the aggregation.
    IgnoredInAggregation(&'static str),
    IgnoredInMixedRange(String),
    NaNQuantile {
        metric: String,
    },
    SkewedQuantile {
        metric: String,
    },
    NaNsOutsideFractions {
        metric: String,
    },
    /// Merged: what differs is how often it was seen.
    StartOverlap {
        metric: String,
        seen: u64,
    },
    /// The `__type__` label says it is no counter.
    PossibleNonCounterType {
        metric: String,
        kind: String,
    },
}

/// What was done with histograms that did not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistogramOperation {
    Addition,
    Subtraction,
    Aggregation,
}

impl HistogramOperation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// What had to be changed about classic buckets so that their counts rise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MonotonicityFix {
    pub(crate) min_bucket: f64,
    pub(crate) max_bucket: f64,
    pub(crate) max_diff: f64,
    pub(crate) samples: u64,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
}

impl MonotonicityFix {
    fn merge(&mut self, other: &Self) {
        self.min_bucket = self.min_bucket.min(other.min_bucket);
        self.max_bucket = self.max_bucket.max(other.max_bucket);
        self.max_diff = self.max_diff.max(other.max_diff);
        self.samples += other.samples;
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
    }
}

impl Annotation {
    fn is_warning(&self) -> bool {
        match self {
            Self::InvalidQuantile(_)
            | Self::InvalidRatio { .. }
            | Self::BadBucketLabel { .. }
            | Self::SortInRange
            | Self::MixedSamples(_)
            | Self::MixedGroup
            | Self::MixedClassicNative { .. }
            | Self::MixedSchemas(_)
            | Self::NotCounter(_)
            | Self::NotGauge(_)
            | Self::IncompatibleLayouts { .. }
            | Self::ConflictingResets(_)
            | Self::StartOverlap { .. } => true,
            Self::PossibleNonCounter(_)
            | Self::PossibleNonCounterType { .. }
            | Self::ForcedMonotonicity { .. }
            | Self::IncompatibleTypes { .. }
            | Self::BoundsReconciled(_)
            | Self::IgnoredInAggregation(_)
            | Self::IgnoredInMixedRange(_)
            | Self::NaNQuantile { .. }
            | Self::SkewedQuantile { .. }
            | Self::NaNsOutsideFractions { .. } => false,
        }
    }

    /// The text that tells annotations apart, without position and without what is merged.
    fn text(&self) -> String {
        match self {
            Self::InvalidQuantile(got) => {
                format!("quantile value should be between 0 and 1, got {}", short_float(*got))
            }
            Self::InvalidRatio { got, capped } => format!(
                "ratio value should be between -1 and 1, got {}, capping to {}",
                short_float(*got),
                short_float(*capped)
            ),
            Self::BadBucketLabel { value, metric } => with_metric(
                format!("bucket label \"le\" is missing or has a malformed value of {}", quote(value)),
                metric,
            ),
            Self::SortInRange => {
                "sort is ineffective for range queries since results are always ordered by labels".to_owned()
            }
            Self::PossibleNonCounter(metric) => format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quote(metric)
            ),
            Self::ForcedMonotonicity { metric, .. } => with_metric(MONOTONICITY.to_owned(), metric),
            Self::IncompatibleTypes { op, left, right } => format!(
                "incompatible sample types encountered for binary operator {}: {left} {op} {right}",
                quote(op)
            ),
            Self::MixedSamples(metric) => {
                format!("encountered a mix of histograms and floats for metric name {}", quote(metric))
            }
            Self::MixedGroup => "encountered a mix of histograms and floats for aggregation".to_owned(),
            Self::MixedClassicNative { metric } => {
                with_metric("vector contains a mix of classic and native histograms".to_owned(), metric)
            }
            Self::MixedSchemas(metric) => format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
                quote(metric)
            ),
            Self::NotCounter(metric) => {
                format!("this native histogram metric is not a counter: {}", quote(metric))
            }
            Self::NotGauge(metric) => {
                format!("this native histogram metric is not a gauge: {}", quote(metric))
            }
            Self::IncompatibleLayouts { op } => {
                format!("incompatible bucket layout encountered for binary operator {op}")
            }
            Self::ConflictingResets(operation) => {
                format!("conflicting counter resets during histogram {}", operation.as_str())
            }
            Self::BoundsReconciled(operation) => {
                format!("mismatched custom buckets were reconciled during {}", operation.as_str())
            }
            Self::IgnoredInAggregation(name) => format!("ignored histogram in {name} aggregation"),
            Self::IgnoredInMixedRange(metric) => format!(
                "ignored histograms in a range containing both floats and histograms for metric name {}",
                quote(metric)
            ),
            Self::NaNQuantile { metric } => with_metric(
                "input to histogram_quantile has NaN observations, result is NaN".to_owned(),
                metric,
            ),
            Self::SkewedQuantile { metric } => with_metric(
                "input to histogram_quantile has NaN observations, result is skewed higher".to_owned(),
                metric,
            ),
            Self::NaNsOutsideFractions { metric } => with_metric(
                "input to histogram_fraction has NaN observations, which are excluded from all fractions"
                    .to_owned(),
                metric,
            ),
            Self::StartOverlap { metric, .. } => format!(
                "sample has start time that overlaps with previous sample timestamp for metric {}",
                quote(metric)
            ),
            Self::PossibleNonCounterType { metric, kind } => format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {}: {}",
                quote(kind),
                quote(metric)
            ),
        }
    }
}

fn with_metric(mut text: String, metric: &str) -> String {
    if !metric.is_empty() {
        let _ = write!(text, " for metric name {}", quote(metric));
    }
    text
}

#[derive(Debug, Clone)]
struct Entry {
    text: String,
    annotation: Annotation,
    span: Span,
}

/// The annotations of one query.
#[derive(Debug, Clone, Default)]
pub struct Annotations {
    entries: Vec<Entry>,
    by_text: HashMap<String, usize>,
    /// The entry raised last: annotations mostly repeat from step to step.
    last: usize,
}

impl Annotations {
    /// Adds an annotation about the expression at `span`. How many bytes that took.
    pub(crate) fn add(&mut self, annotation: Annotation, span: Span) -> usize {
        let mergeable =
            matches!(annotation, Annotation::ForcedMonotonicity { .. } | Annotation::StartOverlap { .. });
        let repeats = |entry: &Entry| entry.span == span && entry.annotation == annotation;
        if !mergeable && self.entries.get(self.last).is_some_and(repeats) {
            return 0;
        }
        let text = annotation.text();
        let Some(at) = self.by_text.get(&text).copied() else {
            self.last = self.entries.len();
            self.by_text.insert(text.clone(), self.last);
            // The names in an annotation are part of its text, which is held twice.
            let bytes = size_of::<Entry>() + size_of::<(String, usize)>() + 3 * text.len();
            self.entries.push(Entry { text, annotation, span });
            return bytes;
        };
        self.last = at;
        let entry = &mut self.entries[at];
        match (&mut entry.annotation, &annotation) {
            (
                Annotation::ForcedMonotonicity { fix, .. },
                Annotation::ForcedMonotonicity { fix: other, .. },
            ) => {
                fix.merge(other);
            }
            (Annotation::StartOverlap { seen, .. }, Annotation::StartOverlap { seen: other, .. }) => {
                *seen += other;
                entry.span = span;
            }
            _ => entry.span = span,
        }
        0
    }

    /// Adds the annotations of `other` after its own. How many bytes that took.
    pub(crate) fn join(&mut self, other: Self) -> usize {
        other.entries.into_iter().map(|entry| self.add(entry.annotation, entry.span)).sum()
    }

    /// Adds the annotations of `other` after its own, at other positions. How many bytes that took.
    pub(crate) fn repeat(&mut self, other: &Self, position: impl Fn(Span) -> Span) -> usize {
        other.entries.iter().map(|entry| self.add(entry.annotation.clone(), position(entry.span))).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The warnings, with positions in `query`; of more than `max` the rest is counted. Zero means no limit.
    pub fn warnings(&self, query: &str, max: usize) -> Vec<String> {
        self.render(true, query, max)
    }

    /// The infos, with positions in `query`; of more than `max` the rest is counted. Zero means no limit.
    pub fn infos(&self, query: &str, max: usize) -> Vec<String> {
        self.render(false, query, max)
    }

    fn render(&self, warnings: bool, query: &str, max: usize) -> Vec<String> {
        let word = if warnings { "warning" } else { "info" };
        let of_kind = || self.entries.iter().filter(|e| e.annotation.is_warning() == warnings);
        let limit = if max == 0 { usize::MAX } else { max };
        let mut out: Vec<String> = of_kind().take(limit).map(|e| e.render(word, query)).collect();
        let omitted = of_kind().count() - out.len();
        if omitted > 0 {
            out.push(format!("{omitted} more {word} annotations omitted"));
        }
        out
    }
}

impl Entry {
    fn render(&self, word: &str, query: &str) -> String {
        let mut out = format!("PromQL {word}: {}", self.text);
        if let Annotation::ForcedMonotonicity { fix, .. } = &self.annotation {
            let _ = write!(
                out,
                ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                short_float(fix.min_bucket),
                short_float(fix.max_bucket),
                two_digit_float(fix.max_diff),
                fix.samples,
                rfc3339(fix.first_ms),
                rfc3339(fix.last_ms)
            );
        }
        if let Annotation::StartOverlap { seen: seen @ 2.., .. } = &self.annotation {
            let _ = write!(out, " ({seen} occurrences)");
        }
        let _ = write!(out, " ({})", self.span.position(query));
        out
    }
}

/// A time in whole seconds, UTC.
fn rfc3339(ms: i64) -> String {
    match jiff::Timestamp::from_second(ms / 1000) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{}", ms / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_equal_texts_and_counts_the_rest() {
        let mut annotations = Annotations::default();
        annotations.add(Annotation::InvalidQuantile(2.0), Span::new(0, 1));
        annotations.add(Annotation::InvalidQuantile(2.0), Span::new(3, 4));
        annotations.add(Annotation::InvalidQuantile(-1.0), Span::new(0, 1));
        annotations.add(Annotation::PossibleNonCounter("a".to_owned()), Span::new(0, 1));
        assert_eq!(
            annotations.warnings("abcdef", 1),
            [
                "PromQL warning: quantile value should be between 0 and 1, got 2 (1:4)",
                "1 more warning annotations omitted"
            ]
        );
        assert_eq!(annotations.infos("abcdef", 0).len(), 1);
    }

    #[test]
    fn merges_monotonicity_fixes() {
        let mut annotations = Annotations::default();
        for (at, diff) in [(60_000, 1.0), (0, 3.0)] {
            let fix = MonotonicityFix {
                min_bucket: 0.1,
                max_bucket: 1.0,
                max_diff: diff,
                samples: 1,
                first_ms: at,
                last_ms: at,
            };
            annotations.add(Annotation::ForcedMonotonicity { metric: "m".to_owned(), fix }, Span::new(0, 1));
        }
        let infos = annotations.infos("x", 0);
        assert!(
            infos[0].ends_with(
                "for metric name \"m\", from buckets 0.1 to 1, with a max diff of 3, over 2 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z (1:1)"
            ),
            "{infos:?}"
        );
    }
}
