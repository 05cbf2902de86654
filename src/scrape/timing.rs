//! The offset of a target inside the grid of intervals.

use crate::model::Labels;
use crate::util;

/// A hash of labels and where they come from: the same on every start, so that a restart keeps the slots.
pub(super) fn stable_hash<'a>(labels: &'a Labels, from: impl IntoIterator<Item = &'a str>) -> u64 {
    util::stable_hash(labels.iter().flat_map(|(name, value)| [name, value]).chain(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_differ_by_their_labels_and_their_machines() {
        let labels = |value: &str| Labels::from_pairs([("replica", value)]);
        let seed = |value: &str, host: &str| stable_hash(&labels(value), [host]);
        assert_eq!(seed("a", "one"), seed("a", "one"));
        assert!(seed("a", "one") != seed("b", "one") && seed("a", "one") != seed("a", "two"));
        let own = crate::util::machine::host_name();
        let told = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        assert_eq!(own, told.trim());
    }
}
