//! When periodic work is due: at an offset of its own inside a grid of intervals that starts at the Unix epoch.

/// Work whose real time is this close to its slot counts as done at the slot, so that timestamps stay regular.
const TOLERANCE_MS: i64 = 2;

/// The slots of one target or one group of rules.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    interval_ms: i64,
    offset_ms: i64,
}

impl Slots {
    /// Slots each `interval_ms`, shifted by what `hash` says.
    pub fn new(interval_ms: i64, hash: u64) -> Self {
        let interval_ms = interval_ms.max(1);
        // The shift loses the sign bit, nothing else of interest.
        let offset_ms = i64::try_from(hash >> 1).unwrap_or(0) % interval_ms;
        Self { interval_ms, offset_ms }
    }

    /// The first slot after `now_ms` (milliseconds since the epoch).
    pub fn after(&self, now_ms: i64) -> i64 {
        let into = (now_ms - self.offset_ms).rem_euclid(self.interval_ms);
        now_ms - into + self.interval_ms
    }

    /// The last slot up to `now_ms`.
    pub fn before(&self, now_ms: i64) -> i64 {
        now_ms - (now_ms - self.offset_ms).rem_euclid(self.interval_ms)
    }

    /// The slot after `last`. One that passed while the last one ran is due at once; older ones are skipped.
    pub fn next(&self, last: Option<i64>, now_ms: i64) -> i64 {
        let after_now = self.after(now_ms);
        let Some(due) = last.map(|last| last + self.interval_ms) else { return after_now };
        // Also covers a clock that was set, in either direction.
        if (after_now - self.interval_ms..=after_now).contains(&due) { due } else { after_now }
    }

    /// The timestamp of work that was due at `slot_ms` and began at `now_ms`.
    pub fn align(&self, slot_ms: i64, now_ms: i64) -> i64 {
        let tolerance = TOLERANCE_MS.min(self.interval_ms / 100);
        if (now_ms - slot_ms).abs() <= tolerance { slot_ms } else { now_ms }
    }
}

/// FNV-1a over `texts`: the same on every start, so that a restart keeps the slots.
pub fn stable_hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = texts.into_iter().flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_on_the_grid_and_after_now() {
        for hash in [0, 7, u64::MAX, 123_456_789] {
            let slots = Slots::new(15_000, hash);
            for now in [0, 1, 14_999, 15_000, 1_700_000_000_123] {
                let slot = slots.after(now);
                assert!(slot > now && slot <= now + 15_000, "{hash} {now}");
                assert_eq!(slot.rem_euclid(15_000), slots.offset_ms);
            }
        }
    }

    #[test]
    fn a_slot_that_passed_meanwhile_is_due_at_once() {
        let slots = Slots::new(10, 0);
        let check = |last, now, expected| assert_eq!(slots.next(last, now), expected, "{last:?} {now}");
        check(None, 15, 20);
        check(Some(10), 12, 20);
        check(Some(10), 20, 20);
        check(Some(10), 27, 20);
        check(Some(10), 35, 40);
        check(Some(1000), 35, 40);
    }

    #[test]
    fn small_delays_are_aligned() {
        let slots = Slots::new(10_000, 0);
        assert_eq!(slots.align(10_000, 10_002), 10_000);
        assert_eq!(slots.align(10_000, 10_003), 10_003);
        assert_eq!(Slots::new(100, 0).align(100, 102), 102);
    }
}
