//! What a target says about its metric families: type, help, unit. Kept for a while after a family vanished.

use std::sync::Arc;

use hashbrown::HashMap;

use super::status::FamilyMetadata;
use crate::expfmt::{Encoding, Entry, unescape_help};
use crate::model::MetricType;

/// Scrapes for which a family that vanished is remembered.
const KEEP_SCRAPES: u64 = 10;

#[derive(Debug, Default)]
struct Family {
    kind: MetricType,
    help: Vec<u8>,
    unit: Vec<u8>,
    seen: u64,
}

/// The families of one target.
#[derive(Debug, Default)]
pub(super) struct Families {
    by_name: HashMap<Vec<u8>, Family>,
    scrape: u64,
    /// Of the last scrape, which decides on the escapes in help texts.
    encoding: Option<Encoding>,
    changed: bool,
}

impl Families {
    /// Begins a scrape of a body in `encoding`.
    pub(super) fn begin(&mut self, encoding: Encoding) {
        self.scrape += 1;
        self.changed |= self.encoding.replace(encoding) != Some(encoding);
    }

    /// Takes note of a line that is no sample.
    pub(super) fn note(&mut self, entry: &Entry<'_>) {
        let name = match entry {
            Entry::Sample(_) => return,
            Entry::Type { name, .. } | Entry::Help { name, .. } | Entry::Unit { name, .. } => *name,
        };
        self.changed |= !self.by_name.contains_key(name);
        let family = self.by_name.entry_ref(name).or_default();
        family.seen = self.scrape;
        let update = |slot: &mut Vec<u8>, text: &[u8]| {
            let differs = slot != text;
            if differs {
                slot.clear();
                slot.extend_from_slice(text);
            }
            differs
        };
        self.changed |= match entry {
            Entry::Type { kind, .. } => std::mem::replace(&mut family.kind, *kind) != *kind,
            Entry::Help { text, .. } => update(&mut family.help, text),
            Entry::Unit { unit, .. } => update(&mut family.unit, unit),
            Entry::Sample(_) => false,
        };
    }

    /// Ends a scrape, whatever came of it: forgets families that vanished long ago.
    pub(super) fn end(&mut self) {
        let oldest = self.scrape.saturating_sub(KEEP_SCRAPES);
        let before = self.by_name.len();
        self.by_name.retain(|_, family| family.seen >= oldest);
        self.changed |= before != self.by_name.len();
    }

    /// Families that are held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Notes that what [`Families::changed`] gave is known now.
    pub(super) fn published(&mut self) {
        self.changed = false;
    }

    /// All families in name order, when anything changed since [`Families::published`] was called last.
    pub(super) fn changed(&mut self) -> Option<Arc<Vec<FamilyMetadata>>> {
        if !self.changed {
            return None;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut all: Vec<_> = self
            .by_name
            .iter()
            .map(|(name, family)| FamilyMetadata {
                name: text(name),
                kind: family.kind,
                help: match self.encoding {
                    Some(Encoding::Text(format)) => unescape_help(&family.help, format),
                    // Nothing is escaped there.
                    Some(Encoding::Protobuf) | None => text(&family.help),
                },
                unit: text(&family.unit),
            })
            .collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Some(Arc::new(all))
    }
}
