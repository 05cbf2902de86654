//! `Labels`: an owned, sorted label set in one shared allocation.
//!
//! **Format** (in memory only): for each label in name order: name length, name, value length, value.
//! Lengths are variable-length numbers of six bits per character (`0x40` marks "more follows"), so the
//! packed form is itself valid UTF-8 and slices of it need no second check.
//!
//! **Cost**: a clone is a counter increment; building allocates once.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use super::METRIC_NAME;

/// An immutable, sorted label set. Names are unique, values are never empty.
#[derive(Clone)]
pub struct Labels {
    packed: Arc<str>,
    hash: u64,
}

/// Hash of packed label text: one fixed seed per process, never persisted.
pub(crate) fn hash_packed(packed: &str) -> u64 {
    static STATE: OnceLock<foldhash::fast::FixedState> = OnceLock::new();
    STATE.get_or_init(|| foldhash::fast::FixedState::with_seed(0x656d_6265_726b_6565)).hash_one(packed)
}

pub(super) fn push_len(out: &mut String, mut len: usize) {
    loop {
        let low = u8::try_from(len & 0x3f).expect("six bits fit a byte");
        len >>= 6;
        if len == 0 {
            out.push(char::from(low));
            return;
        }
        out.push(char::from(low | 0x40));
    }
}

impl Labels {
    /// The empty label set.
    pub fn empty() -> Self {
        static EMPTY: OnceLock<Labels> = OnceLock::new();
        EMPTY.get_or_init(|| Self::from_packed("")).clone()
    }

    pub(crate) fn from_packed(packed: &str) -> Self {
        Self { packed: Arc::from(packed), hash: hash_packed(packed) }
    }

    /// The value of label `name`, if present.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The metric name, or the empty string.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// Pairs of name and value in name order.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.packed }
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Hash of the whole set. Equal sets hash equal within one process; never persist it.
    pub fn hash64(&self) -> u64 {
        self.hash
    }

    /// The packed form, see the head of this file.
    pub(crate) fn packed(&self) -> &str {
        &self.packed
    }

    /// Bytes this set occupies, without the counters of the shared allocation.
    pub fn packed_len(&self) -> usize {
        self.packed.len()
    }

    /// A copy without the labels for which `drop` says true.
    #[must_use]
    pub fn without(&self, mut drop: impl FnMut(&str) -> bool) -> Self {
        Self::from_sorted(self.iter().filter(|(name, _)| !drop(name)))
    }

    /// Builds from pairs already in name order, unique, with no empty values.
    pub(crate) fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut packed = String::with_capacity(128);
        for (name, value) in pairs {
            Self::pack(&mut packed, name, value);
        }
        Self::from_packed(&packed)
    }

    /// Appends the packed form of one pair; pairs must come in name order, unique, with no empty values.
    pub(crate) fn pack(packed: &mut String, name: &str, value: &str) {
        push_len(packed, name.len());
        packed.push_str(name);
        push_len(packed, value.len());
        packed.push_str(value);
    }

    /// As [`Labels::pack`], of bytes that are not yet known to be text.
    pub(crate) fn pack_bytes(packed: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        for part in [name, value] {
            let mut len = part.len();
            while len > 0x3f {
                packed.push(u8::try_from(len & 0x3f).unwrap_or(0) | 0x40);
                len >>= 6;
            }
            packed.push(u8::try_from(len).unwrap_or(0));
            packed.extend_from_slice(part);
        }
    }
}

/// Iterator over the pairs of a [`Labels`].
#[derive(Debug, Clone)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> LabelsIter<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let mut len = 0usize;
        let mut shift = 0;
        for (at, byte) in self.rest.bytes().enumerate() {
            len |= usize::from(byte & 0x3f) << shift;
            shift += 6;
            if byte & 0x40 == 0 {
                let start = at + 1;
                let (text, rest) = self.rest[start..].split_at(len);
                self.rest = rest;
                return Some(text);
            }
        }
        None
    }
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.take()?;
        let value = self.take()?;
        Some((name, value))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;

    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.packed == other.packed
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Ord for Labels {
    /// Label by label, name then value; of two sets where one starts the other, the shorter is first.
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Display for Labels {
    /// As in PromQL: `name{a="b"}`, `{a="b"}` without a name, names that are not plain are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let plain_name = super::name::is_plain_metric_name(name);
        if plain_name {
            f.write_str(name)?;
        }
        let mut first = true;
        for (label, value) in self {
            if label == METRIC_NAME {
                if plain_name {
                    continue;
                }
                write!(f, "{}{}", if first { "{" } else { ", " }, super::name::Quoted(value))?;
            } else {
                f.write_str(if first { "{" } else { ", " })?;
                if super::name::is_plain_label_name(label) {
                    f.write_str(label)?;
                } else {
                    write!(f, "{}", super::name::Quoted(label))?;
                }
                write!(f, "={}", super::name::Quoted(value))?;
            }
            first = false;
        }
        if first { if plain_name { Ok(()) } else { f.write_str("{}") } } else { f.write_str("}") }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_drops_empty_values_and_finds() {
        let long = "v".repeat(5000);
        let labels = Labels::from_pairs([("b", "2"), ("__name__", "up"), ("a", ""), ("z", long.as_str())]);
        assert_eq!(labels.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["__name__", "b", "z"]);
        assert_eq!(labels.get("z"), Some(long.as_str()));
        assert_eq!(labels.get("a"), None);
        assert_eq!(labels.without(|n| n == "z").to_string(), "up{b=\"2\"}");
    }

    #[test]
    fn bytes_are_packed_as_text_is() {
        for len in [0, 1, 63, 64, 4095, 4096, 300_000] {
            let value = "v".repeat(len);
            let (mut text, mut bytes) = (String::new(), Vec::new());
            Labels::pack(&mut text, "name", &value);
            Labels::pack_bytes(&mut bytes, b"name", value.as_bytes());
            assert_eq!(text.as_bytes(), bytes, "{len}");
        }
    }

    #[test]
    fn orders_label_by_label() {
        let order = [
            Labels::empty(),
            Labels::from_pairs([("a", "1")]),
            Labels::from_pairs([("a", "1"), ("b", "1")]),
            Labels::from_pairs([("a", "2")]),
            Labels::from_pairs([("b", "1")]),
        ];
        assert!(order.is_sorted());
    }

    #[test]
    fn prints_odd_names_quoted() {
        let labels = Labels::from_pairs([("__name__", "my.metric"), ("l.x", "q\"\n")]);
        assert_eq!(labels.to_string(), r#"{"my.metric", "l.x"="q\"\n"}"#);
        assert_eq!(Labels::from_pairs([("__name__", "up")]).to_string(), "up");
        assert_eq!(Labels::empty().to_string(), "{}");
    }
}
