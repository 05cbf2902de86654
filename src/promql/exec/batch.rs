//! Rows: one series over all steps of a grid.
//!
//! **Invariants**: `values` has one entry per step; what stands at steps that are not present has no meaning.
//! "No sample" is a bit, never a NaN, because NaN is a value.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::model::name::{Quoted, is_plain_label_name};
use crate::model::{Labels, METRIC_NAME};
use crate::promql::error::Error;

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
}

/// Rows handed on together.
pub(crate) type Batch = Vec<Row>;

impl Row {
    /// A row without values.
    pub(crate) fn empty(labels: Labels, steps: usize) -> Self {
        Self { labels, drop_name: false, values: vec![0.0; steps], present: Presence::none(steps) }
    }

    /// Sets the value of step `at`.
    #[inline]
    pub(crate) fn put(&mut self, at: usize, value: f64) {
        self.values[at] = value;
        self.present.set(at);
    }

    /// The value of step `at`, if any.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<f64> {
        self.present.get(at).then(|| self.values[at])
    }

    /// Whether no step has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Number of values.
    pub(crate) fn count(&self) -> usize {
        self.present.count()
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

/// Joins rows with equal labels, first come first; an error when two have a value at the same step.
pub(crate) fn merge_equal(rows: Batch) -> Result<Batch, Error> {
    let mut known: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut out: Batch = Vec::with_capacity(rows.len());
    for row in rows {
        match known.entry(row.labels.clone()) {
            Entry::Vacant(slot) => {
                slot.insert(out.len());
                out.push(row);
            }
            Entry::Occupied(slot) => {
                let into = &mut out[*slot.get()];
                if into.present.overlaps(&row.present) {
                    return Err(Error::DuplicateLabels);
                }
                for at in row.present.iter() {
                    into.values[at] = row.values[at];
                }
                into.present.union(&row.present);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let merged = merge_equal(vec![row(0), row(2)]).expect("no overlap");
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].count(), 2);
        assert!(merge_equal(vec![row(0), row(0)]).is_err());
    }
}
