//! What a target says about its metric families: type, help, unit. Kept for a while after a family vanished.
//!
//! **Cost**: families that come in the order of the last scrape and say the same are compared, nothing else. Targets that
//! say the same of a family share one text.

use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::status::FamilyMetadata;
use crate::expfmt::{Encoding, Entry, Format, KnownFamily, unescape_help};
use crate::model::MetricType;
use crate::util::lock::lock;

/// Scrapes for which a family that vanished is remembered.
const KEEP_SCRAPES: u64 = 10;

/// The texts of all targets, each once.
#[derive(Debug, Default)]
pub(super) struct FamilyTexts(Mutex<Texts>);

#[derive(Debug, Default)]
struct Texts {
    all: HashSet<Arc<FamilyMetadata>>,
    /// Those that nobody has any more are looked for when there are so many.
    sweep_at: usize,
}

impl FamilyTexts {
    /// The one that is equal to `family`.
    fn shared(&self, family: FamilyMetadata) -> Arc<FamilyMetadata> {
        let mut texts = lock(&self.0);
        if let Some(known) = texts.all.get(&family) {
            return Arc::clone(known);
        }
        if texts.all.len() >= texts.sweep_at {
            texts.all.retain(|text| Arc::strong_count(text) > 1);
            texts.sweep_at = 2 * texts.all.len() + 64;
        }
        let family = Arc::new(family);
        texts.all.insert(Arc::clone(&family));
        family
    }
}

#[derive(Debug)]
struct Slot {
    family: Arc<FamilyMetadata>,
    seen: u64,
    /// See [`KnownFamily::is_plain`].
    is_plain: bool,
}

/// The families of one target.
#[derive(Debug)]
pub(super) struct Families {
    texts: Arc<FamilyTexts>,
    /// In the order of their first appearance.
    slots: Vec<Slot>,
    by_name: HashTable<u32>,
    hasher: RandomState,
    scrape: u64,
    format: Option<Format>,
    /// The family that the last line was about; none at the beginning of a scrape.
    current: Option<usize>,
    /// What the current one says, where it is something new.
    draft: Option<FamilyMetadata>,
    changed: bool,
}

impl Families {
    /// Those of a target that said nothing yet.
    pub(super) fn new(texts: &Arc<FamilyTexts>) -> Self {
        Self {
            texts: Arc::clone(texts),
            slots: Vec::new(),
            by_name: HashTable::new(),
            hasher: RandomState::default(),
            scrape: 0,
            format: None,
            current: None,
            draft: None,
            changed: false,
        }
    }

    /// For a target that takes the place of this one.
    pub(super) fn begun_again(&self) -> Self {
        Self::new(&self.texts)
    }

    /// Begins a scrape of a body in `encoding`.
    pub(super) fn begin(&mut self, encoding: Encoding) {
        self.scrape += 1;
        (self.current, self.draft) = (None, None);
        self.format = match encoding {
            Encoding::Text(format) => Some(format),
            // Nothing is escaped there.
            Encoding::Protobuf => None,
        };
    }

    /// What the family that most likely comes next said of itself, where that can be compared.
    pub(super) fn expected(&self) -> Option<KnownFamily<'_>> {
        let slot = self.slots.get(self.next()).filter(|slot| slot.is_plain && self.draft.is_none())?;
        let FamilyMetadata { name, kind, help, .. } = &*slot.family;
        Some(KnownFamily { name, kind: *kind, help })
    }

    /// Notes that this is what came.
    pub(super) fn passed(&mut self) {
        let next = self.next();
        self.current = Some(next);
        if let Some(slot) = self.slots.get_mut(next) {
            slot.seen = self.scrape;
        }
    }

    fn next(&self) -> usize {
        self.current.map_or(0, |at| at + 1)
    }

    /// Takes note of a line that is no sample.
    pub(super) fn note(&mut self, entry: &Entry<'_>) {
        let name = match entry {
            Entry::Sample(_) => return,
            Entry::Type { name, .. } | Entry::Help { name, .. } | Entry::Unit { name, .. } => *name,
        };
        let at = match self.current {
            Some(at) if self.is_named(at, name) => at,
            _ => self.go_to(name),
        };
        let slot = &mut self.slots[at];
        slot.seen = self.scrape;
        let said = self.draft.as_ref().unwrap_or(&slot.family);
        let is_known = match entry {
            Entry::Type { kind, .. } => said.kind == *kind,
            Entry::Help { text, .. } => is_help(&said.help, text, self.format),
            Entry::Unit { unit, .. } => said.unit.as_bytes() == *unit,
            Entry::Sample(_) => true,
        };
        if is_known {
            return;
        }
        let draft = self.draft.get_or_insert_with(|| FamilyMetadata::clone(&slot.family));
        match entry {
            Entry::Type { kind, .. } => draft.kind = *kind,
            Entry::Help { text, .. } => draft.help = help(text, self.format),
            Entry::Unit { unit, .. } => draft.unit = lossy(unit),
            Entry::Sample(_) => {}
        }
    }

    fn is_named(&self, at: usize, name: &[u8]) -> bool {
        self.slots.get(at).is_some_and(|slot| slot.family.name.as_bytes() == name)
    }

    /// Makes the family called `name` the current one.
    fn go_to(&mut self, name: &[u8]) -> usize {
        self.settle();
        let next = self.next();
        let at = if self.is_named(next, name) { next } else { self.find(lossy(name)) };
        self.current = Some(at);
        at
    }

    fn find(&mut self, name: String) -> usize {
        let (slots, hasher) = (&self.slots, &self.hasher);
        let name_of = |at: &u32| slots.get(*at as usize).map_or("", |slot| &slot.family.name);
        let hash = hasher.hash_one(name.as_str());
        if let Some(at) = self.by_name.find(hash, |at| name_of(at) == name) {
            return *at as usize;
        }
        let at = slots.len();
        // A body of 512 MiB holds fewer than 2^32 lines.
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        self.by_name.insert_unique(hash, index, |at| hasher.hash_one(name_of(at)));
        let family =
            FamilyMetadata { name, kind: MetricType::Unknown, help: String::new(), unit: String::new() };
        self.draft = Some(family.clone());
        self.slots.push(Slot { family: Arc::new(family), seen: self.scrape, is_plain: false });
        self.changed = true;
        at
    }

    /// What the current family says is complete.
    fn settle(&mut self) {
        let Some(draft) = self.draft.take() else { return };
        let Some(slot) = self.current.and_then(|at| self.slots.get_mut(at)) else { return };
        self.changed |= draft != *slot.family;
        slot.is_plain = KnownFamily::is_plain(&draft.name, &draft.help);
        slot.family = self.texts.shared(draft);
    }

    /// Ends a scrape, whatever came of it: forgets families that vanished long ago.
    pub(super) fn end(&mut self) {
        self.settle();
        let oldest = self.scrape.saturating_sub(KEEP_SCRAPES);
        if self.slots.iter().all(|slot| slot.seen >= oldest) {
            return;
        }
        self.slots.retain(|slot| slot.seen >= oldest);
        self.changed = true;
        self.by_name.clear();
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash_of =
            |at: &u32| hasher.hash_one(slots.get(*at as usize).map_or("", |slot| slot.family.name.as_str()));
        for at in 0..u32::try_from(slots.len()).unwrap_or(u32::MAX) {
            self.by_name.insert_unique(hash_of(&at), at, hash_of);
        }
    }

    /// Families that are held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Notes that what [`Families::changed`] gave is known now.
    pub(super) fn published(&mut self) {
        self.changed = false;
    }

    /// All families in name order, when anything changed since [`Families::published`] was called last.
    pub(super) fn changed(&self) -> Option<Arc<[Arc<FamilyMetadata>]>> {
        if !self.changed {
            return None;
        }
        let mut all: Vec<_> = self.slots.iter().map(|slot| Arc::clone(&slot.family)).collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Some(all.into())
    }
}

/// Whether `text`, as it was exposed, says `help`.
fn is_help(known: &str, text: &[u8], format: Option<Format>) -> bool {
    if format.is_some() && memchr::memchr(b'\\', text).is_some() {
        return known == help(text, format);
    }
    known.as_bytes() == text || (std::str::from_utf8(text).is_err() && known == lossy(text))
}

fn help(text: &[u8], format: Option<Format>) -> String {
    format.map_or_else(|| lossy(text), |format| unescape_help(text, format))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSIC: Encoding = Encoding::Text(Format::Text);

    fn scrape(families: &mut Families, encoding: Encoding, lines: &[(&str, &str)]) -> Vec<String> {
        families.begin(encoding);
        for (name, text) in lines {
            let name = name.as_bytes();
            families.note(&Entry::Help { name, text: text.as_bytes() });
            families.note(&Entry::Type { name, kind: MetricType::Gauge });
        }
        families.end();
        let changed = families.changed();
        families.published();
        changed.iter().flat_map(|all| all.iter()).map(|f| format!("{}={}", f.name, f.help)).collect()
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut families = Families::new(&Arc::default());
        let all = [("b", "x"), ("a", r"y\n"), ("c", "z")];
        assert_eq!(scrape(&mut families, CLASSIC, &all), ["a=y\n", "b=x", "c=z"]);
        assert!(scrape(&mut families, CLASSIC, &all).is_empty());
        assert!(
            scrape(&mut families, CLASSIC, &[all[2], all[0]]).is_empty(),
            "another order, one is missing"
        );
        assert_eq!(scrape(&mut families, CLASSIC, &[all[0], ("c", "new")]), ["a=y\n", "b=x", "c=new"]);
        assert_eq!(scrape(&mut families, Encoding::Protobuf, &[all[1]]), [r"a=y\n", "b=x", "c=new"]);
        for _ in 1..KEEP_SCRAPES {
            assert!(scrape(&mut families, CLASSIC, &[("c", "new")]).is_empty());
        }
        assert_eq!(scrape(&mut families, CLASSIC, &[("c", "new")]), ["a=y\\n", "c=new"]);
        assert_eq!(scrape(&mut families, CLASSIC, &[("c", "new")]), ["c=new"]);
        assert!(scrape(&mut families, CLASSIC, &[("c", "new")]).is_empty());
        // Said twice in one scrape.
        let twice = [("c", "1"), ("c", "2")];
        assert_eq!(scrape(&mut families, CLASSIC, &twice), ["c=2"]);
        assert!(scrape(&mut families, CLASSIC, &twice).is_empty());
    }

    #[test]
    fn what_is_not_utf8_is_the_same_in_the_next_scrape() {
        let mut families = Families::new(&Arc::default());
        for changes in [true, false] {
            families.begin(CLASSIC);
            families.note(&Entry::Help { name: b"a\xff", text: b"h\xff" });
            families.note(&Entry::Unit { name: b"a\xff", unit: b"u" });
            families.end();
            assert_eq!(families.changed().is_some(), changes);
            families.published();
        }
    }

    #[test]
    fn targets_share_texts_as_long_as_any_has_them() {
        let texts = Arc::<FamilyTexts>::default();
        let mut targets: Vec<Families> = (0..3).map(|_| Families::new(&texts)).collect();
        for target in &mut targets {
            scrape(target, CLASSIC, &[("a", "x")]);
        }
        assert!(targets.iter().all(|t| Arc::ptr_eq(&t.slots[0].family, &targets[0].slots[0].family)));
        drop(targets);
        let mut churning = Families::new(&texts);
        for round in 0..1000 {
            scrape(&mut churning, CLASSIC, &[("a", &round.to_string())]);
        }
        assert!(lock(&texts.0).all.len() <= 66);
    }
}
