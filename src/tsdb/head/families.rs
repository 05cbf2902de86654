//! What is known about metric families: from scrapes and from remote write, kept over restarts by the log.
//!
//! **Invariants**: a family is changed only after the log has the change. At most [`MAX_FAMILIES`] of them and
//! [`MAX_BYTES`] of text; more are refused.

use std::collections::BTreeMap;

use crate::model::Metadata;

/// Families that are remembered at most.
pub(crate) const MAX_FAMILIES: usize = 100_000;
/// Bytes of their names and texts at most.
pub(crate) const MAX_BYTES: usize = 32 << 20;
/// Bytes one family may have.
const MAX_FAMILY_BYTES: usize = 16 << 10;

/// What the names of a family's series may end with.
const SUFFIXES: [&str; 8] = ["", "_total", "_bucket", "_count", "_sum", "_info", "_gcount", "_gsum"];

/// Families by name.
#[derive(Debug, Default)]
pub(super) struct Families {
    pub(super) by_name: BTreeMap<Box<str>, Metadata>,
    bytes: usize,
}

fn size(name: &str, metadata: &Metadata) -> usize {
    name.len() + metadata.unit.len() + metadata.help.len()
}

impl Families {
    /// Whether this is not what is known already.
    pub(super) fn is_news(&self, name: &str, metadata: &Metadata) -> bool {
        self.by_name.get(name) != Some(metadata)
    }

    /// Whether there is room for it.
    pub(super) fn fits(&self, name: &str, metadata: &Metadata) -> bool {
        let before = self.by_name.get(name).map_or(0, |old| size(name, old));
        let size = size(name, metadata);
        let room = self.by_name.len() < MAX_FAMILIES || before > 0;
        !name.is_empty() && size <= MAX_FAMILY_BYTES && room && self.bytes - before + size <= MAX_BYTES
    }

    /// Takes what the log has.
    pub(super) fn set(&mut self, name: &str, metadata: Metadata) {
        if !self.fits(name, &metadata) {
            return;
        }
        self.bytes += size(name, &metadata);
        if let Some(old) = self.by_name.insert(name.into(), metadata) {
            self.bytes -= size(name, &old);
        }
    }

    /// Forgets the families of which `has_series` knows no metric name.
    pub(super) fn keep_families_of(&mut self, has_series: impl Fn(&str) -> bool) {
        let mut name = String::new();
        self.retain(|family| {
            SUFFIXES.iter().any(|suffix| {
                name.clear();
                name.push_str(family);
                name.push_str(suffix);
                has_series(&name)
            })
        });
    }

    fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let bytes = &mut self.bytes;
        self.by_name.retain(|name, metadata| {
            let kept = keep(name);
            if !kept {
                *bytes -= size(name, metadata);
            }
            kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;
    use crate::model::{Labels, METRIC_NAME};

    #[test]
    fn families_are_bounded_and_leave_with_their_series() {
        let mut table = Table::default();
        let help = |len: usize| Metadata { help: "x".repeat(len), ..Metadata::default() };
        table.families.set("a", help(10));
        table.families.set("a", help(3));
        table.families.set("b", help(1));
        assert!(table.families.is_news("a", &help(4)) && !table.families.is_news("a", &help(3)));
        assert_eq!(table.families.bytes, 6);
        assert!(!table.families.fits("c", &help(MAX_FAMILY_BYTES)) && !table.families.fits("", &help(1)));
        let labels = Labels::from_pairs([(METRIC_NAME, "a_total")]);
        table.insert(&labels, super::super::fingerprint(&labels));
        table.forget_families();
        assert_eq!(table.families.by_name.keys().map(|k| &**k).collect::<Vec<_>>(), ["a"]);
        assert_eq!(table.families.bytes, 4);
    }
}
