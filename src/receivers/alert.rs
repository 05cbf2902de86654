//! Alerts as they are held, one for each set of labels, and how two states of one become one.

use std::cmp::Ordering;

use crate::model::Labels;

/// The last word about an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldAlert {
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    /// Since when it fires, in milliseconds.
    pub(crate) starts_at: i64,
    /// When it was resolved, or will be if nothing more is heard, in milliseconds.
    pub(crate) ends_at: i64,
    /// Whether nobody said when it ends: then whoever does is right.
    pub(crate) end_is_assumed: bool,
    /// When it was last heard of, in milliseconds.
    pub(crate) updated_at: i64,
    pub(crate) generator_url: String,
}

impl HeldAlert {
    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        self.labels.packed_len() + self.annotations.packed_len() + self.generator_url.len()
    }

    /// Whether it is resolved at `now` (milliseconds).
    pub(super) fn resolved_at(&self, now: i64) -> bool {
        self.ends_at <= now
    }

    /// This one, with what `old` knows of the same time: two states whose times overlap are one alert, which began with
    /// the first of them. That it was resolved counts for more than that it might end later.
    pub(super) fn after(mut self, old: &Self) -> Self {
        let overlaps = (self.ends_at > old.starts_at && self.ends_at < old.ends_at)
            || (self.starts_at > old.starts_at && self.starts_at < old.ends_at);
        if !overlaps {
            return self;
        }
        let was_resolved = old.resolved_at(old.updated_at);
        let is_resolved = self.resolved_at(self.updated_at);
        if is_resolved {
            if was_resolved {
                self.ends_at = self.ends_at.max(old.ends_at);
            }
        } else if !old.end_is_assumed {
            self.ends_at = self.ends_at.max(old.ends_at);
        }
        self.starts_at = self.starts_at.min(old.starts_at);
        self
    }
}

/// A number that names `labels` wherever they are: that of Alertmanager, the 64-bit FNV-1a of names and values, each with
/// a byte 255 behind it.
pub(super) fn fingerprint(labels: &Labels) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    labels.iter().fold(OFFSET, |hash, (name, value)| {
        let hash = step(name.bytes().fold(hash, step), 255);
        step(value.bytes().fold(hash, step), 255)
    })
}

/// The fingerprint as text.
pub(crate) fn fingerprint_text(labels: &Labels) -> String {
    format!("{:016x}", fingerprint(labels))
}

/// The order of alerts in a notification: by `job`, then by `instance`, those that have one first; then by all labels, of
/// which fewer come first.
pub(super) fn order(a: &Labels, b: &Labels) -> Ordering {
    for name in ["job", "instance"] {
        let order = match (a.get(name), b.get(name)) {
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len()).then_with(|| {
        let names = a.iter().map(|(name, _)| name).cmp(b.iter().map(|(name, _)| name));
        names.then_with(|| a.cmp(b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(starts_at: i64, ends_at: i64, updated_at: i64) -> HeldAlert {
        HeldAlert {
            labels: Labels::from_pairs([("alertname", "A")]),
            annotations: Labels::empty(),
            starts_at,
            ends_at,
            end_is_assumed: false,
            updated_at,
            generator_url: String::new(),
        }
    }

    #[test]
    fn overlapping_states_are_one_alert() {
        let check = |old: HeldAlert, new: HeldAlert, expected: (i64, i64)| {
            let merged = new.clone().after(&old);
            assert_eq!((merged.starts_at, merged.ends_at), expected, "{old:?} {new:?}");
        };
        // It fires on, with a later beginning.
        check(held(10, 100, 20), held(30, 120, 30), (10, 120));
        // It is resolved.
        check(held(10, 100, 20), held(10, 50, 50), (10, 50));
        // It fires anew after it was resolved: another one.
        check(held(10, 50, 50), held(60, 160, 60), (60, 160));
        // An end that is given counts for more than one that was assumed, even if it is earlier.
        check(HeldAlert { end_is_assumed: true, ..held(10, 100, 20) }, held(10, 60, 30), (10, 60));
        // Resolved twice: the later end counts.
        check(held(10, 50, 50), held(10, 40, 60), (10, 50));
    }

    #[test]
    fn fingerprints_are_those_of_alertmanager() {
        assert_eq!(fingerprint_text(&Labels::empty()), "cbf29ce484222325");
        let labels = Labels::from_pairs([("alertname", "A"), ("instance", "h:1")]);
        assert_eq!(fingerprint_text(&labels).len(), 16);
        assert_ne!(fingerprint(&labels), fingerprint(&Labels::from_pairs([("alertname", "Ainstance")])));
    }

    #[test]
    fn alerts_come_in_the_order_of_alertmanager() {
        let of = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let sorted = [
            of(&[("alertname", "Z"), ("instance", "a"), ("job", "a")]),
            of(&[("alertname", "B"), ("job", "a")]),
            of(&[("alertname", "A"), ("job", "b")]),
            of(&[("alertname", "Z"), ("instance", "a")]),
            of(&[("alertname", "A")]),
            of(&[("alertname", "A"), ("z", "1")]),
        ];
        assert!(sorted.is_sorted_by(|a, b| order(a, b) == Ordering::Less));
    }
}
