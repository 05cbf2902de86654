//! The inverted index: label name -> value -> the numbers of the series that have the pair.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::model::Labels;

/// Values of one label, sorted, each with its postings.
pub type Values = BTreeMap<Box<str>, RoaringBitmap>;

/// An inverted index over series numbers.
#[derive(Debug, Default, Clone)]
pub struct LabelIndex {
    names: BTreeMap<Box<str>, Values>,
    all: RoaringBitmap,
}

impl LabelIndex {
    /// An index of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds series `number`.
    pub fn insert(&mut self, number: u32, labels: &Labels) {
        self.all.insert(number);
        for (name, value) in labels {
            if !self.names.contains_key(name) {
                self.names.insert(name.into(), Values::new());
            }
            let Some(values) = self.names.get_mut(name) else { continue };
            if let Some(postings) = values.get_mut(value) {
                postings.insert(number);
            } else {
                values.insert(value.into(), RoaringBitmap::from_iter([number]));
            }
        }
    }

    /// Removes series `number`, and pairs and names that no series has any more.
    pub fn remove(&mut self, number: u32, labels: &Labels) {
        self.all.remove(number);
        for (name, value) in labels {
            let Some(values) = self.names.get_mut(name) else { continue };
            if let Some(postings) = values.get_mut(value) {
                postings.remove(number);
                if postings.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
    }

    /// Puts in the postings of one pair as read from a block.
    pub(super) fn insert_postings(&mut self, name: &str, value: &str, postings: RoaringBitmap) {
        self.all |= &postings;
        self.names.entry(name.into()).or_default().insert(value.into(), postings);
    }

    /// All series.
    pub fn all(&self) -> &RoaringBitmap {
        &self.all
    }

    /// The values of label `name`.
    pub fn values(&self, name: &str) -> Option<&Values> {
        self.names.get(name)
    }

    /// Names and their values, sorted.
    pub fn names(&self) -> impl Iterator<Item = (&str, &Values)> {
        self.names.iter().map(|(name, values)| (&**name, values))
    }

    /// Number of different label pairs.
    pub fn pair_count(&self) -> usize {
        self.names.values().map(BTreeMap::len).sum()
    }
}
