//! The inverted index: label name -> value -> the numbers of the series that have the pair.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use roaring::RoaringBitmap;

use super::{LabelSource, Postings};
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

impl LabelSource for LabelIndex {
    fn all(&self) -> Postings<'_> {
        Cow::Borrowed(&self.all)
    }

    fn postings(&self, name: &str, value: &str) -> Postings<'_> {
        let found = self.names.get(name).and_then(|values| values.get(value));
        found.map_or_else(|| Cow::Owned(RoaringBitmap::new()), Cow::Borrowed)
    }

    fn each_value<'a>(
        &'a self,
        name: &str,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &dyn Fn() -> Postings<'a>) -> ControlFlow<()>,
    ) {
        let Some(values) = self.names.get(name) else { return };
        for (value, postings) in values.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)) {
            if !value.starts_with(prefix) || visit(value, &|| Cow::Borrowed(postings)).is_break() {
                return;
            }
        }
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str)) {
        self.names.keys().for_each(|name| visit(name));
    }
}
