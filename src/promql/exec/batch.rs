//! Rows: one series over all steps of a grid.
//!
//! **Invariants**: `values` has one entry per step; what stands at steps that are not present has no meaning.
//! "No sample" is a bit, never a NaN, because NaN is a value.
//! `histograms` is empty or has one entry per step; a present step with an entry is a native histogram, and its value
//! has no meaning. What stands there at steps that are not present has no meaning either.
//!
//! **Cost**: rows without histograms pay for them with one look at an empty column.

use std::sync::Arc;

use crate::model::name::{Quoted, is_plain_label_name};
use crate::model::{Histogram, Labels, METRIC_NAME, Samples};
use crate::promql::memory::Ticket;

/// The work of looking at the labels of a row, in steps.
pub(super) const ROW_WORK: usize = 64;

/// Which steps of a row have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presence {
    words: Vec<u64>,
    len: usize,
}

impl Presence {
    /// No step of `len`.
    pub(crate) fn none(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len }
    }

    /// All steps of `len`.
    pub(crate) fn all(len: usize) -> Self {
        let mut words = vec![u64::MAX; len.div_ceil(64)];
        if let (Some(last), rest @ 1..) = (words.last_mut(), len % 64) {
            *last = (1 << rest) - 1;
        }
        Self { words, len }
    }

    /// Whether step `at` has a value.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> bool {
        self.words[at / 64] >> (at % 64) & 1 == 1
    }

    /// Marks step `at`; says whether it was unmarked before.
    #[inline]
    pub(crate) fn set(&mut self, at: usize) -> bool {
        let (word, bit) = (&mut self.words[at / 64], 1u64 << (at % 64));
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    /// Unmarks step `at`.
    #[inline]
    pub(crate) fn clear(&mut self, at: usize) {
        self.words[at / 64] &= !(1u64 << (at % 64));
    }

    /// Whether no step is marked.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Number of marked steps. Counted anew each time: it is a few words, and a count kept beside them went wrong in
    /// optimized builds of one compiler.
    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether every step is marked.
    pub(crate) fn is_full(&self) -> bool {
        self.count() == self.len
    }

    /// Whether a step is marked in both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    /// Marks everything marked in `other`.
    pub(crate) fn union(&mut self, other: &Self) {
        self.combine(other, |a, b| a | b);
    }

    /// Keeps what is marked in `other` too.
    pub(crate) fn intersect(&mut self, other: &Self) {
        self.combine(other, |a, b| a & b);
    }

    /// Keeps what is not marked in `other`.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.combine(other, |a, b| a & !b);
    }

    fn combine(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word = with(*word, *other);
        }
    }

    /// The marked steps in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = usize::try_from(rest.trailing_zeros()).unwrap_or(64);
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    at * 64 + bit
                })
            })
        })
    }
}

/// One series over all steps.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// Whether the name is to go at the end; only with delayed name removal.
    pub(crate) drop_name: bool,
    pub(crate) values: Vec<f64>,
    pub(crate) present: Presence,
    /// Empty in nearly all rows.
    pub(crate) histograms: Vec<Option<Arc<Histogram>>>,
    /// What it takes, as counted for the query.
    pub(crate) memory: Ticket,
}

/// Rows handed on together.
pub(crate) type Batch = Vec<Row>;

/// What a row has at one step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Element<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

impl Row {
    /// A row without values.
    pub(crate) fn empty(labels: Labels, steps: usize) -> Self {
        Self {
            labels,
            drop_name: false,
            values: vec![0.0; steps],
            present: Presence::none(steps),
            histograms: Vec::new(),
            memory: Ticket::default(),
        }
    }

    /// A row with a value at every step.
    pub(crate) fn full(labels: Labels, values: Vec<f64>) -> Self {
        let present = Presence::all(values.len());
        Self { values, present, ..Self::empty(labels, 0) }
    }

    /// Bytes it takes, histograms aside.
    pub(crate) fn bytes(&self) -> usize {
        Self::bytes_of(&self.labels, self.values.len())
    }

    /// Bytes that a row of these labels and so many steps takes, histograms aside.
    pub(crate) fn bytes_of(labels: &Labels, steps: usize) -> usize {
        let columns = steps.saturating_mul(8).saturating_add(steps / 8);
        columns.saturating_add(size_of::<Self>() + labels.packed().len())
    }

    /// Bytes that its samples take outside of a row.
    pub(crate) fn bytes_of_samples(&self) -> usize {
        let histograms = self.present.iter().filter_map(|at| self.histogram(at));
        let histograms = if self.may_have_histograms() {
            histograms.map(|histogram| histogram.weight() * 16 + 16).sum()
        } else {
            0
        };
        self.present.count() * 16 + histograms
    }

    /// Sets the value of step `at`.
    #[inline]
    pub(crate) fn put(&mut self, at: usize, value: f64) {
        self.values[at] = value;
        self.present.set(at);
        if !self.histograms.is_empty() {
            self.histograms[at] = None;
        }
    }

    /// Makes step `at` a histogram, which is counted by the caller.
    pub(super) fn set_histogram(&mut self, at: usize, histogram: Arc<Histogram>) {
        if self.histograms.is_empty() {
            self.histograms.resize(self.values.len(), None);
        }
        self.histograms[at] = Some(histogram);
        self.present.set(at);
    }

    /// The number of step `at`, if it has one.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<f64> {
        (self.present.get(at) && (self.histograms.is_empty() || self.histograms[at].is_none()))
            .then(|| self.values[at])
    }

    /// The histogram of step `at`, if it has one.
    #[inline]
    pub(crate) fn histogram(&self, at: usize) -> Option<&Arc<Histogram>> {
        self.histograms.get(at)?.as_ref().filter(|_| self.present.get(at))
    }

    /// What step `at` has, which must be present.
    pub(crate) fn existing(&self, at: usize) -> Element<'_> {
        match self.histograms.get(at) {
            Some(Some(histogram)) => Element::Histogram(histogram),
            _ => Element::Float(self.values[at]),
        }
    }

    /// Whether the entry of step `at`, which must be present, is a histogram.
    #[inline]
    fn is_histogram(&self, at: usize) -> bool {
        self.histograms.get(at).is_some_and(Option::is_some)
    }

    /// Whether there may be histograms among the steps.
    #[inline]
    pub(crate) fn may_have_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    /// The steps that are histograms.
    pub(crate) fn histogram_steps(&self) -> Presence {
        let mut steps = Presence::none(self.values.len());
        for at in self.present.iter().filter(|at| self.is_histogram(*at)) {
            steps.set(at);
        }
        steps
    }

    /// Removes all histograms; says whether there were any.
    pub(crate) fn drop_histograms(&mut self) -> bool {
        let mut any = false;
        for (at, histogram) in std::mem::take(&mut self.histograms).iter().enumerate() {
            if histogram.is_some() && self.present.get(at) {
                self.present.clear(at);
                any = true;
            }
        }
        any
    }

    /// Removes all numbers.
    pub(crate) fn drop_floats(&mut self) {
        for at in 0..self.values.len() {
            if !self.is_histogram(at) {
                self.present.clear(at);
            }
        }
    }

    /// Appends what the row has to `out`, step `at` with the time `time(at)`.
    pub(crate) fn write_samples(&self, time: impl Fn(usize) -> i64, out: &mut Samples) {
        if !self.may_have_histograms() {
            self.present.iter().for_each(|at| out.push(time(at), self.values[at]));
            return;
        }
        for at in self.present.iter() {
            match self.existing(at) {
                Element::Float(value) => out.push(time(at), value),
                Element::Histogram(histogram) => out.push_histogram(time(at), Arc::clone(histogram)),
            }
        }
    }

    /// Whether no step has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Number of values as the limit on samples counts them: a histogram weighs as much as several.
    pub(crate) fn count(&self) -> usize {
        let mut count = self.present.count();
        if self.may_have_histograms() {
            let histograms = self.present.iter().filter_map(|at| self.histogram(at));
            count += histograms.map(|histogram| histogram.weight() - 1).sum::<usize>();
        }
        count
    }
}

/// Labels that belong to the metric rather than to the series.
pub(crate) fn is_metadata(label: &str) -> bool {
    matches!(label, METRIC_NAME | "__type__" | "__unit__")
}

/// The labels without name, type and unit.
pub(crate) fn without_name(labels: &Labels) -> Labels {
    if labels.iter().any(|(name, _)| is_metadata(name)) {
        labels.without(is_metadata)
    } else {
        labels.clone()
    }
}

/// Labels as they appear in messages about matching: in braces, the name a label like any other.
pub(crate) fn braced(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            if is_plain_label_name(name) {
                format!("{name}={}", Quoted(value))
            } else {
                format!("{}={}", Quoted(name), Quoted(value))
            }
        })
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::exec::{Context, merge_equal};

    #[test]
    fn presence_behaves_like_a_set() {
        let mut a = Presence::none(130);
        for at in [0, 64, 129] {
            assert!(a.set(at));
        }
        assert!(!a.set(64));
        assert_eq!(a.iter().collect::<Vec<_>>(), [0, 64, 129]);
        let mut b = Presence::all(130);
        assert!(b.is_full());
        b.subtract(&a);
        assert_eq!(b.count(), 127);
        assert!(!a.overlaps(&b));
        a.union(&b);
        assert!(a.is_full());
        a.clear(5);
        assert_eq!(a.count(), 129);
    }

    #[test]
    fn merges_rows_that_never_meet() {
        let row = |at: usize| {
            let mut row = Row::empty(Labels::empty(), 3);
            row.put(at, 1.0);
            row
        };
        let cx = Context::unlimited();
        let merged = merge_equal(vec![row(0), row(2)], &cx).expect("no overlap");
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].count(), 2);
        assert!(merge_equal(vec![row(0), row(0)], &cx).is_err());
        let mut histogram = Row::empty(Labels::empty(), 3);
        histogram.set_histogram(1, Arc::new(Histogram::default()));
        let merged = merge_equal(vec![row(0), histogram], &cx).expect("no overlap");
        assert_eq!((merged[0].get(0), merged[0].get(1)), (Some(1.0), None));
        assert!(merged[0].histogram(1).is_some());
    }

    #[test]
    fn steps_are_numbers_or_histograms() {
        let mut row = Row::empty(Labels::empty(), 3);
        row.set_histogram(0, Arc::new(Histogram::default()));
        row.put(1, 5.0);
        assert_eq!(row.count(), 12);
        assert!(matches!(row.existing(0), Element::Histogram(_)));
        assert!(matches!(row.existing(1), Element::Float(_)));
        assert!(row.get(2).is_none() && row.histogram(2).is_none());
        let mut floats = row.clone();
        assert!(floats.drop_histograms() && !floats.drop_histograms());
        assert_eq!((floats.get(0), floats.get(1), floats.count()), (None, Some(5.0), 1));
        row.drop_floats();
        assert_eq!((row.get(1), row.count()), (None, 11));
        row.put(0, 1.0);
        assert_eq!(row.get(0), Some(1.0));
    }
}
