//! The offset of a target inside the grid of intervals.

use crate::model::Labels;

/// FNV-1a over labels and URL: the same on every start, so that a restart keeps the slots.
pub(super) fn stable_hash(labels: &Labels, url: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut eat = |text: &str| {
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (name, value) in labels {
        eat(name);
        eat(value);
    }
    eat(url);
    hash
}
